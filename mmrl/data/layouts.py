"""Rows to samples, for the row forms of EasyR1, VLM-R1, Video-R1 and TRL beside plain columns.

A layout says which columns play which part when the field map is silent, and how a question and an
answer are taken out of them. Options that the question does not list are put under it, lettered.
Media stand before the question, pictures before clips unless the data set says `media_first`.
Everything that is no medium also arrives in `Sample.meta`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmrl.data.media_values import Kind, media_refs
from mmrl.data.spec import DatasetSpec, FieldMap, Layout
from mmrl.errors import ConfigError, DataError, nearest
from mmrl.types import MediaRef, Sample

Row = Mapping[str, Any]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PLACEHOLDER = re.compile(r"<(image|video)(?:\d+)?>")
_ANSWER_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_OPTION_LABEL = re.compile(r"^\s*\(?([A-Z])[).:]\s*")


@dataclass(frozen=True, kw_only=True)
class _Form:
    """Columns that a layout usually has, first present wins; placeholders mark media in texts."""

    id: tuple[str, ...] = ("id", "problem_id", "index")
    question: tuple[str, ...] = ("question", "problem")
    answer: tuple[str, ...] = ("answer", "solution", "target", "label")
    images: tuple[str, ...] = ("images", "image")
    videos: tuple[str, ...] = ("videos", "video")
    options: tuple[str, ...] = ("options", "choices")
    placeholders: bool = True


FORMS: Mapping[Layout, _Form] = {
    "plain": _Form(placeholders=False),
    "easyr1": _Form(question=("problem", "question")),
    "vlm_r1": _Form(
        question=("conversations", "problem"),
        answer=("solution", "conversations"),
        images=("image", "images"),
    ),
    "video_r1": _Form(
        id=("problem_id", "id"),
        question=("problem",),
        answer=("solution",),
        images=(),
        videos=("path", "video"),
    ),
    "trl": _Form(question=("prompt",), answer=("solution", "answer", "ground_truth", "target")),
}
_NEEDED = ("question", "answer")
_MEDIA = ("images", "videos")


def resolve_columns(spec: DatasetSpec, row: Row) -> dict[str, str]:
    """Part -> column as the field map and the first row have it; "" for a part that is not used.

    A column that is not there is named with the nearest. Parts that a row may lack (id, media,
    options) and that the map leaves out are looked for row by row.
    """
    form, columns = FORMS[spec.layout], dict(spec.fields.given())
    for part, column in columns.items():
        if column and not has(row, column):
            there, hint = ", ".join(row), nearest(column, row)
            raise ConfigError(
                f'{spec.file}: fields.{part} = "{column}": no such column; there are {there}.'
                + (hint if "Did you mean" in hint else "")
            )
    for part in _NEEDED:
        usual: tuple[str, ...] = getattr(form, part)
        found = next((name for name in usual if name in row), None)
        if part not in columns and found is None:
            raise ConfigError(
                f"{spec.file}: fields.{part} is not given and none of {', '.join(usual)} is a "
                f"column; there are {', '.join(row)}. Say which one it is under `fields`"
            )
        columns.setdefault(part, found or "")
    return columns


def _columns_of(row: Row, columns: Mapping[str, str], form: _Form) -> dict[str, str]:
    """The columns of this row: parts that rows may lack are looked for in each (rows differ)."""
    own = dict(columns)
    for part in FieldMap.model_fields:
        if part not in own:
            own[part] = next((name for name in getattr(form, part) if name in row), "")
    return {part: column for part, column in own.items() if column}


def has(row: Any, dotted: str) -> bool:
    """True when the dotted path leads somewhere in the row."""
    try:
        reach(row, dotted)
    except (KeyError, IndexError, ValueError, TypeError):
        return False
    return True


def reach(row: Any, dotted: str) -> Any:
    """The value at a dotted path; a whole name with dots in it wins over the path."""
    if isinstance(row, Mapping) and dotted in row:
        return row[dotted]
    head, dot, rest = dotted.partition(".")
    value = row[int(head)] if isinstance(row, (list, tuple)) else row[head]
    return reach(value, rest) if dot else value


def to_sample(
    row: Row, spec: DatasetSpec, columns: Mapping[str, str], task: str, fallback_id: str, where: str
) -> Sample:
    """The sample of a row; a missing column or an answer of the wrong form names the line."""
    columns = _columns_of(row, columns, FORMS[spec.layout])
    values = {part: _value(row, part, column, where) for part, column in columns.items()}
    question, system = _question(values["question"], spec.layout, where)
    media = _media(values, row, spec, where)
    if FORMS[spec.layout].placeholders:
        question = _without_placeholders(question, media, where)
    options = _options(values.get("options"), where)
    if options and not all(option in question for option in options):
        listed = "\n".join(f"{LETTERS[i]}. {text}" for i, text in enumerate(options))
        question = f"{question}\n{listed}"
    media_columns = {columns[part].partition(".")[0] for part in _MEDIA if part in columns}
    meta: dict[str, Any] = {k: v for k, v in row.items() if k not in media_columns}
    if system:
        meta["system"] = system
    if options:
        meta["options"] = options
    if spec.coord_space not in (None, "none"):
        meta["coord_space"] = spec.coord_space
    if spec.answer_space is not None:
        meta["answer_space"] = spec.answer_space
    if spec.span_unit is not None:
        meta["span_unit"] = spec.span_unit
    target = _target(values["answer"], spec, where)
    if spec.coord_space is None and looks_like_boxes(target):
        raise ConfigError(
            f"{spec.file}: the answer {target!r:.60} ({where}) looks like a box and `coord_space` "
            "is not given; say abs_original, abs_resized, norm_1, norm_100 or norm_1000 (or none, "
            "when these four numbers are no box)"
        )
    return Sample(
        id=str(values["id"]) if values.get("id") is not None else fallback_id,
        task=task,
        question=question,
        media=media,
        target=target,
        meta=meta,
    )


def looks_like_boxes(target: Any) -> bool:
    """True for four numbers in a list, a list of such, or an object with a `bbox`."""
    if isinstance(target, Mapping):
        return any(key in target for key in ("bbox", "bbox_2d", "box", "boxes"))
    if not isinstance(target, (list, tuple)) or not target:
        return False
    if all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in target):
        return len(target) == 4
    return all(looks_like_boxes(item) for item in target)


def _value(row: Row, part: str, column: str, where: str) -> Any:
    try:
        return reach(row, column)
    except (KeyError, IndexError, ValueError, TypeError):
        if part in _NEEDED:
            known = nearest(column, row)
            raise DataError(f'{where}: no column "{column}" ({part}).{known}') from None
        return None


def _question(value: Any, layout: Layout, where: str) -> tuple[str, str]:
    """(question, system prompt) of a text or of a conversation with one user turn."""
    if isinstance(value, str):
        return value, ""
    if layout not in ("vlm_r1", "trl") or not isinstance(value, Sequence):
        raise DataError(f"{where}: the question is {type(value).__name__}, expected a text")
    turns = [_turn(turn, where) for turn in value]
    asked = [text for role, text in turns if role in ("user", "human")]
    if len(asked) != 1:
        raise DataError(
            f"{where}: the conversation has {len(asked)} user turns; a sample asks one question "
            "(split the row, or use an environment for several turns)"
        )
    return asked[0], "\n".join(text for role, text in turns if role == "system")


def _turn(turn: Any, where: str) -> tuple[str, str]:
    """(role, text) of a message in either notation; media parts become placeholders."""
    if isinstance(turn, Mapping):
        role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if isinstance(role, str) and isinstance(content, str):
            return role, content
        if isinstance(role, str) and isinstance(content, Sequence):
            texts = []
            for part in content:
                kind = part.get("type")
                texts.append(part.get("text") or "" if kind == "text" else f"<{kind}>")
            return role, "".join(texts)
    raise DataError(f"{where}: {turn!r:.80} is no message; expected role and content")


def _media(
    values: Mapping[str, Any], row: Row, spec: DatasetSpec, where: str
) -> tuple[MediaRef, ...]:
    root = spec.media_folder()
    if spec.layout == "video_r1" and "videos" in values and "images" not in values:
        kind: Kind = "image" if row.get("data_type") == "image" else "video"
        if row.get("data_type") == "text":
            return ()
        return media_refs(values["videos"], kind, root, where)
    images = media_refs(values.get("images"), "image", root, where)
    videos = media_refs(values.get("videos"), "video", root, where)
    return videos + images if spec.media_first == "videos" else images + videos


def _without_placeholders(text: str, media: Sequence[MediaRef], where: str) -> str:
    """The text with `<image>`/`<video>` marks taken out: a prompt shows its media first.

    Marks at the ends vanish; one inside a sentence becomes "image 2", so that the text still says
    which one it means. Marks without media, or too few, are a fault of the row.
    """
    marks = list(_PLACEHOLDER.finditer(text))
    counts = {kind: sum(m.kind == kind for m in media) for kind in ("image", "video")}
    for kind, held in counts.items():
        marked = sum(mark[1] == kind for mark in marks)
        if marked and marked != held:
            raise DataError(f"{where}: the text has {marked} <{kind}> and the row {held} {kind}s")
    core = re.fullmatch(
        rf"(?:\s|{_PLACEHOLDER.pattern})*(.*?)(?:\s|{_PLACEHOLDER.pattern})*", text, re.S
    )
    inner = (core.start(2), core.end(2)) if core else (0, len(text))
    seen, out, at = {"image": 0, "video": 0}, [], inner[0]
    for mark in marks:
        seen[mark[1]] += 1
        if inner[0] <= mark.start() < inner[1]:
            number = f" {seen[mark[1]]}" if counts[mark[1]] > 1 else ""
            out += [text[at : mark.start()], f"{mark[1]}{number}"]
            at = mark.end()
    return "".join([*out, text[at : inner[1]]]) if marks else text


def _options(value: Any, where: str) -> tuple[str, ...]:
    """Option texts without their labels ("(A) left", "B. right" -> "left", "right")."""
    if value is None or value == "":
        return ()
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value)]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise DataError(f"{where}: options are {value!r:.60}, expected a list of texts")
    texts = [str(option) for option in value]
    labels = [_OPTION_LABEL.match(text) for text in texts]
    labelled = all(m is not None and m[1] == LETTERS[i] for i, m in enumerate(labels))
    return tuple(_OPTION_LABEL.sub("", text, count=1) if labelled else text for text in texts)


def _target(value: Any, spec: DatasetSpec, where: str) -> Any:
    """The answer column's value in the form that the task's rewards read."""
    if spec.layout == "vlm_r1" and isinstance(value, Sequence) and not isinstance(value, str):
        said = [
            text for role, text in (_turn(t, where) for t in value) if role in ("gpt", "assistant")
        ]
        if len(said) != 1:
            raise DataError(f"{where}: the conversation has {len(said)} answers, expected one")
        value = said[0]
    if spec.layout != "plain" and isinstance(value, str):
        tagged = _ANSWER_TAG.findall(value)
        value = tagged[-1].strip() if tagged else value.strip()
    match spec.answer_form:
        case "text":
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        case "json":
            return _parsed(value, where)
        case "letters":
            return _letters(value, where)
        case "index":
            if not isinstance(value, int) or not 0 <= value < len(LETTERS):
                raise DataError(f"{where}: answer {value!r:.40} is no option index from 0")
            return LETTERS[value]
        case _:
            return value


def _parsed(value: Any, where: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        raise DataError(
            f"{where}: answer_form is json and the answer is {value!r:.60}, which is not"
        ) from None


def _letters(value: Any, where: str) -> str:
    """Option letters of an answer, in order, comma-separated: "(B),(C)" -> "B,C"."""
    texts = value if isinstance(value, (list, tuple)) else re.split(r"[,;\s]+", str(value).strip())
    found = [re.fullmatch(r"\(?([A-Za-z])[).]?", str(text).strip()) for text in texts]
    if not found or any(match is None for match in found):
        raise DataError(f"{where}: answer {value!r:.60} is not made of option letters")
    return ",".join(sorted({match[1].upper() for match in found if match}))
