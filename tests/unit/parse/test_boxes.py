"""Boxes: forms, overlap by hand, spaces, and what must earn nothing."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.errors import DataError
from mmrl.parse.boxes import (
    CoordSpace,
    box_giou,
    box_iou,
    convert_box,
    is_proper_box,
    parse_box,
    parse_boxes,
)

INF = math.inf


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("[1,2,3,4]", [(1, 2, 3, 4)]),
        (" [ 1.5 , -2 , +3. , .5e1 ] ", [(1.5, -2, 3, 5)]),
        ("(1,2),(3,4)", [(1, 2, 3, 4)]),
        ("(1, 2) (3, 4)", [(1, 2, 3, 4)]),
        ("(1,2,3,4)", [(1, 2, 3, 4)]),
        ('{"bbox_2d": [1,2,3,4], "label": "a"}', [(1, 2, 3, 4)]),
        ("[1,2,3,4] then [5,6,7,8]", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("[[1,2,3,4],[5,6,7,8]]", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ("[1e999,0,1,1]", [(INF, 0, 1, 1)]),
        ("", []),
        ("[1,2,3]", []),
        ("[1,2,3,4,5]", []),
        ("[1,2,3,4", []),
        ("1,2,3,4", []),
        ("[a,b,c,d]", []),
        ("[1,,3,4]", []),
        ("[1..2,2,3,4]", []),
        ("[nan,0,1,1]", []),
        ("[inf,0,1,1]", []),
        ("[1 2 3 4]", []),
    ],
)
def test_forms(text, boxes):
    assert parse_boxes(text) == boxes
    assert parse_box(text) == (boxes[-1] if boxes else None)


def test_overlap_by_hand():
    a, b = (0.0, 0.0, 2.0, 2.0), (1.0, 1.0, 3.0, 3.0)
    assert box_iou(a, b) == pytest.approx(1 / 7)  # 1 / (4 + 4 - 1)
    assert box_giou(a, b) == pytest.approx(1 / 7 - 2 / 9)  # hull 9, union 7
    assert box_giou((0, 0, 1, 1), (2, 0, 3, 1)) == pytest.approx(-1 / 3)  # hull 3, union 2
    assert box_iou(a, a) == box_giou(a, a) == 1.0
    assert box_iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0.0  # touching


BAD = [
    (2.0, 0.0, 1.0, 1.0),
    (0.0, 2.0, 1.0, 1.0),
    (0.0, 0.0, 0.0, 1.0),
    (0.0, 0.0, 1.0, 0.0),
    (0.0, 0.0, INF, 1.0),
    (-INF, 0.0, 1.0, 1.0),
    (math.nan, 0.0, 1.0, 1.0),
]


@pytest.mark.parametrize("bad", BAD)
def test_improper_boxes_overlap_with_nothing_not_even_themselves(bad):
    good = (0.0, 0.0, 1.0, 1.0)
    assert not is_proper_box(bad)
    assert box_iou(bad, good) == box_iou(good, bad) == box_iou(bad, bad) == 0.0
    assert box_giou(bad, good) == box_giou(bad, bad) == -1.0


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_areas_beyond_floats_give_zero_and_no_nan(scale):
    box = (0.0, 0.0, scale, scale)
    assert box_iou(box, box) == 0.0
    assert box_giou(box, box) == -1.0


COORDINATE = st.one_of(st.floats(), st.integers(-5, 1005).map(float))
BOX = st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE)


@settings(max_examples=300, deadline=None)
@given(BOX, BOX)
def test_overlap_is_bounded_and_symmetric_for_any_floats(a, b):
    assert 0.0 <= box_iou(a, b) <= 1.0
    assert -1.0 <= box_giou(a, b) <= box_iou(a, b)
    assert box_iou(a, b) == box_iou(b, a)


def test_rounding_cannot_lift_giou_above_iou():
    a, b = (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 4503599627370498.0)  # hull - union rounds below 0
    assert box_giou(a, b) <= box_iou(a, b)


def test_conversion_by_hand():
    # 10 of 100 wide is a tenth; 50 of 200 high is a quarter
    box, sizes = (10.0, 50.0, 20.0, 100.0), ((100, 200), (28, 56))
    assert convert_box(box, "abs_original", "norm_1", *sizes) == (0.1, 0.25, 0.2, 0.5)
    assert convert_box(box, "abs_original", "norm_1000", *sizes) == (100.0, 250.0, 200.0, 500.0)
    resized = convert_box(box, "abs_original", "abs_resized", *sizes)
    assert resized == pytest.approx((2.8, 14.0, 5.6, 28.0))
    assert convert_box((50.0, 50.0, 100.0, 100.0), "norm_100", "abs_resized", *sizes) == (
        14.0, 28.0, 28.0, 56.0,
    )  # fmt: skip


@pytest.mark.parametrize("there", list(CoordSpace))
@pytest.mark.parametrize("here", list(CoordSpace))
def test_conversion_goes_there_and_back_and_keeps_overlap(here, there):
    sizes = ((641, 427), (644, 420))
    a, b = (3.0, 7.0, 20.0, 31.0), (5.0, 5.0, 22.0, 19.0)
    moved = [convert_box(x, here, there, *sizes) for x in (a, b)]
    assert convert_box(moved[0], there, here, *sizes) == pytest.approx(a)
    assert box_iou(*moved) == pytest.approx(box_iou(a, b))


def test_an_unknown_space_names_the_nearest():
    with pytest.raises(DataError, match=r'"norm1000".*Did you mean "norm_1000"'):
        convert_box((0, 0, 1, 1), "norm1000", "norm_1", (1, 1), (1, 1))


def test_a_picture_without_area_has_no_pixels_to_convert():
    with pytest.raises(DataError, match="0x5"):
        convert_box((0, 0, 1, 1), "abs_original", "norm_1", (0, 5), (1, 1))
