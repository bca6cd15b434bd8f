"""What the Compare view chooses where the link leaves it open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from building import write_run

from mmrl.inspector.links import Where
from mmrl.inspector.page import Page

gr = pytest.importorskip("gradio")

from mmrl.inspector.views import compare  # noqa: E402
from mmrl.inspector.views.shared import Shared  # noqa: E402


def filled(page: Page, place: Where) -> list[Any]:
    """What the view's outputs get for a place."""
    with gr.Blocks(analytics_enabled=False):
        shared = Shared(where=gr.State(), link=gr.Textbox(), message=gr.HTML(), tabs=gr.Tabs())
        opener = compare.tab(page, shared)
    return opener.fn(place)


@pytest.fixture
def page(tmp_path: Path) -> Any:
    """Runs "long" of 6 steps (samples come again), "once" and "twin" of 2 groups each."""
    write_run(tmp_path / "once", steps=1, groups=2, size=2)
    write_run(tmp_path / "twin", steps=1, groups=2, size=2)
    write_run(tmp_path / "long", steps=6, groups=2, size=2)
    with Page.open([tmp_path / name for name in ("once", "twin", "long")]) as page:
        yield page


def test_a_sample_that_was_drawn_once_is_compared_with_another_run(page: Page) -> None:
    page.indexes["once"].refresh()
    drawn = page.indexes["once"].group(0, "0.0")[0].record["sample"]
    for sample in (drawn, ""):  # "" leaves the sample open as well
        place, _, a, b, _, _, _, html = filled(
            page, Where(view="compare", run="once", sample=sample)
        )
        assert (a, b, place.other) == ("once", "twin", "twin")
        assert place.sample and place.step == place.step_b == 0
        assert "once, step 0" in html and "twin, step 0" in html


def test_a_sample_that_came_again_is_compared_within_its_run(page: Page) -> None:
    place, _, a, b, *_ = filled(page, Where(view="compare", run="long"))
    assert (a, b, place.other) == ("long", "long", "")
    assert place.step != place.step_b


def test_the_run_that_was_chosen_stays(page: Page) -> None:
    for other in ("once", "long"):
        where = Where(view="compare", run="once", other=other, sample="x")
        assert filled(page, where)[2:4] == ["once", other]
    alone = Where(view="compare", run="long", sample="in no run")
    assert filled(page, alone)[2:4] == ["long", "long"]
