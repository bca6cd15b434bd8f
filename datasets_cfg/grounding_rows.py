"""Makes the rows of bccd, super_clevr, coco_boxes, screenspot, charades_sta and activitynet.

    git clone https://github.com/Shenggan/BCCD_Dataset
    python datasets_cfg/grounding_rows.py bccd --from BCCD_Dataset/BCCD --to data/bccd

    name            --from                                       from where
    bccd            BCCD (JPEGImages, Annotations)               github.com/Shenggan/BCCD_Dataset
    super_clevr     superCLEVR_scenes.json, or a folder of them  github.com/Lizw14/Super-CLEVR
    coco_boxes      a jsonl of image and instances (norm_1)      github.com/haotian-liu/LLaVA
    screenspot      a JSON list (v1, v2), or a folder (Pro)      huggingface.co/OS-Copilot
    charades_sta    charades_sta_SPLIT.txt                       github.com/jiyanggao/TALL
    activitynet     a JSON object of videos (captions, labels)   activity-net.org

Writes SPLIT.jsonl into `--to`; pictures and clips stay where they are (`media_root` of the YAML
says where that should be). Boxes that are flat or inverted are left out and counted.
"""

from __future__ import annotations

import argparse
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrl.errors import DataError
from mmrl.parse.boxes import is_proper_box
from mmrl.parse.spans import is_proper_span

Row = dict[str, Any]
LEFT_OUT: Counter[str] = Counter()
CELLS = {"RBC": "red blood cell", "WBC": "white blood cell", "Platelets": "platelet"}
VEHICLES = {
    **{k: f"{k} bus" for k in ("articulated", "double", "regular", "school")},
    **{k: f"{k} bike" for k in ("mountain", "road", "tandem", "utility")},
    "fighter": "fighter jet",
    "jet": "private jet",
}
"""Names of Super-CLEVR's shapes that are not plain words."""


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the rows of one data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(MAKERS))
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--split", default="test", help="of the rows, where files do not say")
    given = parser.parse_args(argv)
    if not given.source.exists():
        raise DataError(f"{given.source}: no such file or folder; see the table in {__file__}")
    LEFT_OUT.clear()
    rows: dict[str, list[Row]] = {}
    for split, row in MAKERS[given.name](given.source, given.split):
        rows.setdefault(split, []).append(row)
    if not rows:
        raise DataError(f"{given.source}: no rows in there; see the table in {__file__}")
    given.to.mkdir(parents=True, exist_ok=True)
    for split, made in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        (given.to / f"{split}.jsonl").write_text(lines)
        print(f"{given.to / split}.jsonl: {len(made)} rows")
    for reason, count in LEFT_OUT.items():
        if count:
            print(f"left out: {count} {reason}")


def bccd(folder: Path, split: str) -> Iterator[tuple[str, Row]]:
    """A row for each kind of cell on each picture; every fifth picture is of the test split."""
    files = sorted(folder.glob("Annotations/*.xml")) or sorted(folder.glob("voc_xml/*.xml"))
    for number, file in enumerate(files):
        picture = file.with_suffix(".jpg").name
        boxes: dict[str, list[list[float]]] = {}
        for thing in ET.parse(file).getroot().iter("object"):
            kind, place = thing.findtext("name") or "", thing.find("bndbox")
            if kind not in CELLS or place is None:
                raise DataError(f"{file}: a thing without a box, or of the unknown kind {kind!r}")
            box = [float(place.findtext(k) or "nan") for k in ("xmin", "ymin", "xmax", "ymax")]
            if _proper(box):
                boxes.setdefault(kind, []).append(box)
        for kind, found in boxes.items():
            yield (
                "test" if number % 5 == 4 else "train",
                {
                    "id": f"{file.stem}-{kind}",
                    "image": picture,
                    "question": f"Find every {CELLS[kind]}.",
                    "boxes": found,
                    "count_question": f"How many {CELLS[kind]}s are there?",
                    "count": len(found),
                },
            )


def super_clevr(source: Path, split: str) -> Iterator[tuple[str, Row]]:
    """A row for each thing that its colour and shape name alone; its centre is the answer."""
    for scene in _json_files(source, "scenes"):
        names = Counter((t["color"], t["shape"]) for t in scene["objects"])
        for number, thing in enumerate(scene["objects"]):
            if names[thing["color"], thing["shape"]] > 1:
                LEFT_OUT["things with a double"] += 1
                continue
            x, y, *_ = thing["pixel_coords"][0]
            name = f"{thing['color']} {VEHICLES.get(thing['shape'], thing['shape'])}"
            yield (
                split,
                {
                    "id": f"{Path(scene['image_filename']).stem}-{number}",
                    "image": scene["image_filename"],
                    "question": f"Point at the {name}.",
                    "point": [x, y],
                    "material": thing["material"],
                },
            )


def coco_boxes(source: Path, split: str) -> Iterator[tuple[str, Row]]:
    """A row for each picture with its things; boxes are shares of the sides."""
    for line in source.read_text().splitlines():
        row = json.loads(line)
        things = [
            {"bbox_2d": thing["bbox"], "label": thing["category"]}
            for thing in row["instances"]
            if _proper(thing["bbox"])
        ]
        if not things:
            LEFT_OUT["pictures without a box"] += 1
            continue
        kinds = ", ".join(sorted({thing["label"] for thing in things}))
        question = f"Detect every one of these: {kinds}."
        yield (
            split,
            {"id": row["id"], "image": row["image"], "question": question, "things": things},
        )


def screenspot(source: Path, split: str) -> Iterator[tuple[str, Row]]:
    """ScreenSpot and v2 (boxes x, y, width, height) and Pro (boxes x1, y1, x2, y2)."""
    files = sorted(source.glob("*.json*")) if source.is_dir() else [source]
    for file in files:
        for number, row in enumerate(_list(file)):
            pro = "application" in row
            box = [float(v) for v in row["bbox"]]
            if not pro:
                box = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
            if not _proper(box):
                continue
            image = row.get("img_filename") or row["img_path"].partition("images/")[2]
            yield (
                split,
                {
                    "id": str(row.get("id") or f"{file.stem}-{number}"),
                    "image": image,
                    "instruction": row.get("instruction") or row["prompt_to_evaluate"],
                    "bbox": box,
                    "element": row.get("ui_type") or row.get("data_type"),
                    "platform": row.get("platform") or row.get("data_source"),
                },
            )


def charades_sta(source: Path, split: str) -> Iterator[tuple[str, Row]]:
    """Lines `VIDEO START END##sentence`."""
    for number, line in enumerate(source.read_text().splitlines(), start=1):
        where, marks, sentence = line.partition("##")
        parts = where.split()
        if not marks or len(parts) != 3:
            raise DataError(f"{source}:{number}: wanted `VIDEO START END##sentence`, got {line!r}")
        yield from _span_row(
            split, f"{parts[0]}-{number}", f"{parts[0]}.mp4", sentence, parts[1:], None
        )


def activitynet(source: Path, split: str) -> Iterator[tuple[str, Row]]:
    """Captions (`timestamps`, `sentences`), or labelled segments (`annotations`)."""
    for video, held in json.loads(source.read_text()).items():
        length = float(held["duration"])
        if "annotations" in held:
            pairs = [(a["segment"], a["label"]) for a in held["annotations"]]
            once = Counter(label for _, label in pairs)
            LEFT_OUT["spans of an action that comes more than once"] += sum(
                1 for _, label in pairs if once[label] > 1
            )
            pairs = [(span, label) for span, label in pairs if once[label] == 1]
        else:
            pairs = list(zip(held["timestamps"], held["sentences"], strict=True))
        for number, (span, sentence) in enumerate(pairs):
            yield from _span_row(split, f"{video}-{number}", f"{video}.mp4", sentence, span, length)


def _span_row(
    split: str, name: str, video: str, sentence: str, span: Sequence[Any], length: float | None
) -> Iterator[tuple[str, Row]]:
    start, end = (float(v) for v in span)
    if length is not None:
        end = min(end, length)
    if not is_proper_span((start, end)):
        LEFT_OUT["spans that do not last"] += 1
        return
    question = f'When does this happen: "{sentence.strip()}"?'
    row = {"id": name, "video": video, "question": question, "span": [start, end]}
    yield split, row if length is None else {**row, "video_length": length}


def _proper(box: Sequence[float]) -> bool:
    ok = len(box) == 4 and is_proper_box((box[0], box[1], box[2], box[3]))
    LEFT_OUT["boxes without area"] += not ok
    return ok


def _json_files(source: Path, key: str) -> Iterator[Mapping[str, Any]]:
    """The objects of one file under `key`, or one object a file of a folder."""
    if source.is_dir():
        for file in sorted(source.glob("*.json")):
            yield json.loads(file.read_text())
    else:
        yield from json.loads(source.read_text())[key]


def _list(file: Path) -> list[Mapping[str, Any]]:
    text = file.read_text()
    rows: list[Mapping[str, Any]] = (
        [json.loads(line) for line in text.splitlines() if line.strip()]
        if file.suffix == ".jsonl"
        else json.loads(text)
    )
    return rows


MAKERS: Mapping[str, Callable[[Path, str], Iterator[tuple[str, Row]]]] = {
    "bccd": bccd,
    "super_clevr": super_clevr,
    "coco_boxes": coco_boxes,
    "screenspot": screenspot,
    "charades_sta": charades_sta,
    "activitynet": activitynet,
}

if __name__ == "__main__":
    main()
