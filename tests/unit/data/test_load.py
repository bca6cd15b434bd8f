"""Data sets by YAML: layouts of other trainers, media confined, errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrl.data.load import open_dataset
from mmrl.data.spec import load_spec
from mmrl.errors import ConfigError, DataError
from mmrl.tasks.base import TASKS

ROWS = Path(__file__).parents[2] / "data" / "rows"


def make(tmp_path, rows, *, suffix="jsonl", **settings):
    """A data set of these rows described by a YAML beside them; returns the YAML's path."""
    text = "\n".join(map(json.dumps, rows)) if suffix == "jsonl" else json.dumps(rows)
    (tmp_path / f"rows.{suffix}").write_text(text)
    return describe(tmp_path, source=f"rows.{suffix}", **settings)


def describe(tmp_path, **settings):
    values = {"name": "demo", "task": "rows_test", "licence": "MIT", **settings}
    path = tmp_path / "demo.yaml"
    path.write_text(json.dumps(values))  # JSON is YAML
    return path


# ---- the specification


def test_misspelt_key_is_named_with_the_nearest(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: a\nsource: b.jsonl\ntask: t\nlicence: MIT\nmedia_rot: x\n")
    with pytest.raises(ConfigError, match=r'a\.yaml:5: media_rot: .*Did you mean "media_root"'):
        load_spec(path)
    path.write_text("name: a\nsource: b.jsonl\ntask: t\nlicence: MIT\nfields:\n  anser: x\n")
    with pytest.raises(ConfigError, match=r'a\.yaml:6: fields\.anser: .*Did you mean "answer"'):
        load_spec(path)


def test_licence_is_required(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: a\nsource: b.jsonl\ntask: t\n")
    with pytest.raises(ConfigError, match="licence: is required"):
        load_spec(path)


def test_field_map_names_a_column_that_is_not_there(tmp_path):
    rows = [{"id": 1, "question": "q", "label": "B", "video": "a.mp4"}]
    path = make(tmp_path, rows, fields={"answer": "lable"})
    with pytest.raises(ConfigError) as error:
        open_dataset(path)
    assert str(error.value) == (
        f'{path}: fields.answer = "lable": no such column; there are id, question, label, video. '
        'Did you mean "label"?'
    )


def test_answer_column_must_be_said_when_no_usual_one_is_there(tmp_path):
    path = make(tmp_path, [{"id": 1, "question": "q", "gt": "B"}])
    with pytest.raises(ConfigError, match=r"fields\.answer is not given .* there are id, question"):
        open_dataset(path)


def test_unknown_split_names_the_known(tmp_path):
    path = make(tmp_path, [{"question": "q", "answer": "a"}])
    with pytest.raises(ConfigError, match=r'no split "trian"\. Did you mean "train"\?'):
        open_dataset(path, "trian")


def test_missing_source_names_a_neighbour(tmp_path):
    make(tmp_path, [{"question": "q", "answer": "a"}])
    path = describe(tmp_path, source="row.jsonl")
    with pytest.raises(ConfigError, match=r'no such file\. Did you mean "rows\.jsonl"'):
        open_dataset(path)


# ---- rows to samples


def test_plain_rows_keep_a_literal_image_tag_as_text(tmp_path):
    path = make(tmp_path, [{"question": "what is <image> for?", "answer": "a", "extra": 7}])
    sample = open_dataset(path)[0]
    assert sample.question == "what is <image> for?"
    assert sample.media == () and sample.meta["extra"] == 7
    assert sample.id == "demo-train-0" and sample.task == "rows_test"


def test_rows_may_differ_in_optional_columns(tmp_path):
    rows = [{"question": "q", "answer": "a"}, {"question": "q", "answer": "a", "image": "b.png"}]
    data = open_dataset(make(tmp_path, rows))
    assert [len(sample.media) for sample in data] == [0, 1]
    data = open_dataset(make(tmp_path, rows, fields={"images": ""}))
    assert [len(sample.media) for sample in data] == [0, 0]


def test_options_are_put_under_a_question_that_lacks_them(tmp_path):
    rows = [{"question": "which?", "answer": "A", "options": ["left", "right"]}]
    assert open_dataset(make(tmp_path, rows))[0].question == "which?\nA. left\nB. right"
    rows[0]["question"] = "left or right?"
    assert open_dataset(make(tmp_path, rows))[0].question == "left or right?"


def test_dotted_paths_reach_inside(tmp_path):
    rows = [{"q": {"text": "when"}, "glue": [[13.8, 29.8]], "key": 4}]
    fields = {"question": "q.text", "answer": "glue.0", "id": "key"}
    sample = open_dataset(make(tmp_path, rows, fields=fields))[0]
    assert (sample.id, sample.question, sample.target) == ("4", "when", [13.8, 29.8])


def test_boxes_need_a_coordinate_space(tmp_path):
    rows = [{"question": "q", "answer": [1, 2, 30, 40]}]
    with pytest.raises(ConfigError, match=r"looks like a box and `coord_space` is not given"):
        open_dataset(make(tmp_path, rows))[0]
    sample = open_dataset(make(tmp_path, rows, coord_space="abs_original"))[0]
    assert sample.meta["coord_space"] == "abs_original" and sample.target == [1, 2, 30, 40]
    assert "coord_space" not in open_dataset(make(tmp_path, rows, coord_space="none"))[0].meta


def test_later_row_without_the_column_names_its_line(tmp_path):
    rows = [{"question": "q", "answer": "a"}, {"question": "q", "anser": "a"}]
    data = open_dataset(make(tmp_path, rows))
    with pytest.raises(DataError, match=r'rows\.jsonl:2: no column "answer" .* mean "anser"'):
        data[1]


@pytest.mark.parametrize(
    ("form", "given", "wanted"),
    [
        ("letters", "(B),(C)", "B,C"),
        ("letters", ["c", "A"], "A,C"),
        ("index", 2, "C"),
        ("json", "[1, 2]", [1, 2]),
        ("text", 2, "2"),
        ("as_is", 2, 2),
    ],
)
def test_answer_forms(tmp_path, form, given, wanted):
    path = make(tmp_path, [{"question": "q", "answer": given}], answer_form=form)
    assert open_dataset(path)[0].target == wanted


@pytest.mark.parametrize(("form", "given"), [("letters", "left"), ("index", 26), ("json", "B")])
def test_answer_of_the_wrong_form_names_the_line(tmp_path, form, given):
    path = make(tmp_path, [{"question": "q", "answer": given}], answer_form=form)
    with pytest.raises(DataError, match=r"rows\.jsonl:1: answer"):
        open_dataset(path)[0]


@pytest.mark.parametrize(
    "options", [["(A) left", "(B) right"], ["A. left", "B. right"], {"A": "left", "B": "right"}]
)
def test_option_labels_are_taken_off(tmp_path, options):
    path = make(tmp_path, [{"question": "q", "answer": "A", "options": options}])
    assert open_dataset(path)[0].meta["options"] == ("left", "right")


def test_option_that_only_looks_labelled_keeps_its_text(tmp_path):
    path = make(tmp_path, [{"question": "q", "answer": "A", "options": ["A. Smith", "C. Jones"]}])
    assert open_dataset(path)[0].meta["options"] == ("A. Smith", "C. Jones")


# ---- layouts of others, on their own rows


def real(tmp_path, file, **settings):
    return open_dataset(describe(tmp_path, source=str(ROWS / file), **settings))


def test_easyr1_rows(tmp_path):
    data = real(tmp_path, "easyr1.jsonl", layout="easyr1")
    sample = data[0]
    assert sample.question.startswith("Maria has a total of 19 apples in 3 bags.")
    assert "<image>" not in sample.question and sample.target == "2"
    assert sample.media[0].path == ROWS / "images" / "163.jpg" and sample.media[0].path.is_file()
    assert sample.meta["level"] == 1


def test_vlm_r1_rows(tmp_path):
    data = real(tmp_path, "vlm_r1.jsonl", layout="vlm_r1", media_root=str(ROWS / "shots"))
    sample = data[0]
    assert sample.question.startswith("You are tasked with identifying any UI Interaction Defects")
    assert sample.target == "Operation No Response" and sample.id == "1"
    name = "GOOGLE_APPS-13827913961707074815_1{}.png"
    assert [m.path for m in sample.media] == [ROWS / "shots" / name.format(i) for i in (3, 4)]


def test_video_r1_rows(tmp_path):
    data = real(tmp_path, "video_r1.json", layout="video_r1")
    assert len(data) == 6
    sample = data[0]
    assert (sample.id, sample.target) == ("37216", "Lee Harvey Oswald")
    assert sample.media[0].kind == "image"
    assert sample.media[0].path == ROWS / "Knowledge/viquae/images/512px-CE5301C.jpg"
    assert data.where(1).endswith("video_r1.json:12")


def test_nextgqa_rows_with_root_relative_paths(tmp_path):
    data = real(tmp_path, "nextgqa.json", layout="video_r1", answer_form="letters")
    sample = data[0]
    assert sample.target == "B,C"
    assert sample.media[0].kind == "video"
    assert sample.media[0].path == ROWS / "NExTQA/videos/4882821564.mp4"
    assert sample.meta["options"] == ("unwrap it", "playing with toy train", "gesture something")
    spans = real(tmp_path, "nextgqa.json", fields={"answer": "glue.0"})
    assert spans[0].target == [13.8, 29.8]


def test_geometry3k_rows(tmp_path):
    data = real(
        tmp_path,
        "geometry3k.json",
        media_root=str(ROWS / "images"),
        fields={"question": "annotat_text", "images": "diagram"},
    )
    assert data[0].target == "D" and data[0].meta["options"] == ("30", "40", "60", "80")
    assert data[1].media[0].path.is_file()


def test_trl_rows(tmp_path):
    prompt = [
        {"role": "system", "content": "Think first."},
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": "How many cats?"}],
        },
    ]
    rows = [{"prompt": prompt, "image": "cat.png", "solution": "<answer> 3 </answer>"}]
    sample = open_dataset(make(tmp_path, rows, layout="trl"))[0]
    assert (sample.question, sample.target) == ("How many cats?", "3")
    assert sample.meta["system"] == "Think first."
    assert sample.meta["solution"] == "<answer> 3 </answer>"
    assert sample.media[0].path == tmp_path / "cat.png"


def test_conversation_of_two_questions_is_refused(tmp_path):
    prompt = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    path = make(tmp_path, [{"prompt": prompt, "solution": "x"}], layout="trl")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: the conversation has 2 user turns"):
        open_dataset(path)[0]


def test_placeholders_inside_a_sentence_become_numbers(tmp_path):
    rows = [{"problem": "<image>\nIs <image> left of <image>?", "answer": "yes", "images": "abc"}]
    rows[0]["images"] = ["a.png", "b.png", "c.png"]
    sample = open_dataset(make(tmp_path, rows, layout="easyr1"))[0]
    assert sample.question == "Is image 2 left of image 3?"
    rows[0]["images"] = ["a.png"]
    with pytest.raises(DataError, match="the text has 3 <image> and the row 1 images"):
        open_dataset(make(tmp_path, rows, layout="easyr1"))[0]


# ---- media


def test_pictures_stand_before_clips_unless_the_data_set_says_otherwise(tmp_path):
    row = {"question": "q", "answer": "x", "images": ["a.png", "b.png"], "videos": ["c.mp4"]}
    usual = open_dataset(make(tmp_path, [row]))[0]
    assert [m.path.name for m in usual.media] == ["a.png", "b.png", "c.mp4"]
    clips = open_dataset(make(tmp_path, [row], media_first="videos"))[0]
    assert [m.path.name for m in clips.media] == ["c.mp4", "a.png", "b.png"]
    with pytest.raises(ConfigError, match=r"media_first: .*images.*videos"):
        open_dataset(make(tmp_path, [row], media_first="clips"))


def test_media_paths_may_not_leave_their_folder(tmp_path):
    for bad in ("../secret.png", "a/../../secret.png"):
        path = make(tmp_path, [{"question": "q", "answer": "a", "image": bad}])
        with pytest.raises(DataError, match=r"rows\.jsonl:1: media path .* leaves the media"):
            open_dataset(path)[0]


def test_absolute_path_inside_stays_and_outside_starts_at_the_root(tmp_path):
    inside, outside = str(tmp_path / "m" / "a.png"), "/videos/a.mp4"
    rows = [{"question": "q", "answer": "a", "image": inside, "video": outside}]
    sample = open_dataset(make(tmp_path, rows, media_root="m"))[0]
    assert [m.path for m in sample.media] == [tmp_path / "m/a.png", tmp_path / "m/videos/a.mp4"]


def test_media_on_a_server_are_refused(tmp_path):
    path = make(tmp_path, [{"question": "q", "answer": "a", "image": "https://x.org/a.png"}])
    with pytest.raises(DataError, match="lies on a server; download it"):
        open_dataset(path)[0]


def test_data_uri_and_message_parts(tmp_path):
    rows = [
        {
            "question": "q",
            "answer": "a",
            "image": "data:image/png;base64,aGk=",
            "video": {"video": "a.mp4", "fps": 1.0, "nframes": 8, "video_start": 2},
        }
    ]
    image, video = open_dataset(make(tmp_path, rows))[0].media
    assert image.data == b"hi" and image.kind == "image"
    assert video.span == (2.0, float("inf"))
    assert dict(video.options) == {"fps": 1.0, "num_frames": 8}
    rows[0]["video"] = {"video": "a.mp4", "max_frame": 3}
    with pytest.raises(DataError, match=r'option "max_frame"\. Did you mean "max_frames"'):
        open_dataset(make(tmp_path, rows))[0]


def test_parquet_with_encoded_pictures(tmp_path):
    table = pa.table(
        {
            "problem": ["<image>How many?"],
            "answer": ["3"],
            "images": [[{"bytes": b"\x89PNG", "path": None}]],
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    sample = open_dataset(describe(tmp_path, source="rows.parquet", layout="easyr1"))[0]
    assert sample.media[0].data == b"\x89PNG" and sample.question == "How many?"
    assert "images" not in sample.meta


def test_huggingface_folder_keeps_pictures_encoded(tmp_path):
    import datasets

    features = datasets.Features(
        question=datasets.Value("string"), answer=datasets.Value("string"), image=datasets.Image()
    )
    picture = {"bytes": (ROWS / "images" / "163.jpg").read_bytes(), "path": None}
    columns = {"question": ["a", "b"], "answer": ["1", "2"], "image": [picture, picture]}
    saved = datasets.Dataset.from_dict(columns, features=features)
    datasets.DatasetDict(train=saved, test=saved.select([1])).save_to_disk(tmp_path / "hf")
    path = describe(tmp_path, source="hf", format="hf")
    assert open_dataset(path)[0].media[0].data == picture["bytes"]
    test = open_dataset(path, "test")
    assert len(test) == 1 and test[0].target == "2"
    with pytest.raises(ConfigError, match=r'no split "tset" in there\. Did you mean "test"'):
        open_dataset(path, "tset")


# ---- splits and templates


def test_split_files_and_patterns(tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    for name in ("a1", "a2", "b"):
        (folder / f"{name}.jsonl").write_text(json.dumps({"question": name, "answer": "x"}))
    splits = {"train": "a*.jsonl", "test": ["b.jsonl"]}
    path = describe(tmp_path, source="d", splits=splits, expected_rows={"train": 2})
    assert [s.question for s in open_dataset(path)] == ["a1", "a2"]
    assert [s.question for s in open_dataset(path, "test")] == ["b"]
    assert open_dataset(path).spec.rows_expected("train") == 2


def test_template_override_makes_a_task_of_its_own(tmp_path):
    path = make(tmp_path, [{"question": "q", "answer": "a"}], template="Look. {question} Now.")
    sample = open_dataset(path)[0]
    assert sample.task == "rows_test:demo"
    text = TASKS.get(sample.task).messages(sample)[0]["content"][-1]["text"]
    assert text == "Look. q Now."
    assert open_dataset(path)[0].task == "rows_test:demo"  # again: the same task
    TASKS._parts.pop("rows_test:demo")


def test_template_must_hold_the_question_once(tmp_path):
    path = make(tmp_path, [{"question": "q", "answer": "a"}], template="Look.")
    with pytest.raises(ConfigError, match=r"template must hold \{question\} exactly once"):
        load_spec(path)
