"""Fetches ReasonMap and ReasonMap-Plus and writes the rows that reasonmap*.yaml read.

    git clone https://github.com/fscdc/ReasonMap
    python datasets_cfg/reasonmap.py --stations ReasonMap/stations --to data/reasonmap
    python datasets_cfg/reasonmap.py --rows rows.jsonl --split test --stations … --to …

Without `--rows` the three data sets are read from huggingface.co (the package `datasets`):
FSCCS/ReasonMap-Train, FSCCS/ReasonMap (test) and FSCCS/ReasonMap-Plus (test). `--rows` is a jsonl,
json or parquet file with the same columns. Pictures come from the rows (bytes or base64) or, where
these only name them, from `--maps`, a folder of COUNTRY/CITY.png.

Answers become what the task `reasonmap` reads: "yes" or "no", an option letter, a number, or a
route with the lines of the city's station list. A reference route whose lines have other names
there takes the line that serves both stops; where none can be ridden, it is the best route of a
graph search. Rows whose stops are on no line are left out and counted.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmrl.data.rows import HfRows, JsonlRows, JsonRows, ParquetRows, Rows
from mmrl.errors import DataError
from mmrl.parse.lines import find_line, read_lines, stop_key
from mmrl.parse.routes import Leg
from mmrl.rewards.routes import Plan, can_be_ridden, reference_route
from mmrl.tasks.transit.network import Network
from mmrl.tasks.transit.stations import plain_stop, station_list

HUB = (
    ("FSCCS/ReasonMap-Train", "train", "train"),
    ("FSCCS/ReasonMap", "validation", "test"),
    ("FSCCS/ReasonMap-Plus", "test", "test"),
)
"""Name, split there, split here."""
KEPT = (
    *("country", "city", "type", "station_1", "station_2", "difficulty_city", "city_line_count"),
    *("city_transfer_count", "difficulty_question", "question_transfer_count"),
)
Row = Mapping[str, Any]
Lists = Mapping[str, Any]
"""Line -> stops, see `mmrl.parse.lines`."""


def main(argv: list[str] | None = None) -> None:
    """Writes planning_SPLIT.jsonl, plus_SPLIT.jsonl and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, help="a file of rows; else huggingface.co")
    parser.add_argument("--split", default="test", choices=("train", "test"), help="of --rows")
    parser.add_argument("--stations", type=Path, required=True, help="COUNTRY/CITY.json")
    parser.add_argument("--maps", type=Path, help="COUNTRY/CITY.png, where rows only name them")
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args(argv)
    given.to.mkdir(parents=True, exist_ok=True)
    sources = [(given.split, _file(given.rows))] if given.rows else _hub()
    written: dict[str, list[str]] = {}
    left_out: Counter[str] = Counter()
    for split, rows in sources:
        for index in range(len(rows)):
            row, where = rows[index], rows.where(index)
            try:
                samples = list(converted(row, given.stations, f"{split}-{index}", where))
            except LookupError as error:
                left_out[str(error)] += 1
                continue
            image = picture(row, given.to, given.maps, where)
            for sample in samples:
                kind = "planning" if sample["type"] == "planning" else "plus"
                line = json.dumps({**sample, "image": image}, ensure_ascii=False)
                written.setdefault(f"{kind}_{split}.jsonl", []).append(line)
    for name, lines in sorted(written.items()):
        part = given.to / f"{name}.part"
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        os.replace(part, given.to / name)
        print(f"{given.to / name}: {len(lines)} rows")
    for reason, count in left_out.items():
        print(f"left out {count}: {reason}")


def converted(row: Row, stations: Path, name: str, where: str) -> Iterator[dict[str, Any]]:
    """The samples of a row without its picture: one, or a short and a long question.

    A LookupError says that no line of the city's list serves the stops.
    """
    _need(row, ("country", "city", "difficulty_city"), where)
    kind = str(row.get("type") or "planning")
    about = {key: row[key] for key in KEPT if row.get(key) is not None} | {"type": kind}
    if kind != "planning":
        _need(row, ("question", "answer"), where)
        question = str(row["question"]).removeprefix("<image>").strip()
        answer = target_of(kind, row["answer"], where)
        yield {**about, "id": name, "question": question, "answer": answer}
        return
    _need(row, ("station_1", "station_2"), where)
    lines = station_lists(stations, str(row["country"]), str(row["city"]), where)
    plans = plans_of(row, lines)
    for column in ("question_short", "question_long", "question"):
        if row.get(column):
            question = str(row[column]).removeprefix("<image>").strip()
            yield {
                "question_transfer_count": len(plans[0]) - 1,
                **about,
                "id": f"{name}{column.removeprefix('question').replace('_', '-')}",
                "question": question,
                "answer": ridden(plans[0], lines),
                "plans": plans,
                "template": template_of(question),
                "lines": lines,
            }


def target_of(kind: str, answer: Any, where: str) -> str | int:
    """ReasonMap-Plus writes 1 for yes, and the index of the right option from 0."""
    try:
        number = int(answer)
    except (TypeError, ValueError):
        number = -1
    if kind.startswith("TorF") and number in (0, 1):
        return "yes" if number else "no"
    if kind == "Counting1" and 0 <= number < 4:
        return "ABCD"[number]
    if kind in ("Counting2", "Counting3") and number >= 0:
        return number
    raise DataError(f"{where}: the answer {answer!r} is none of a question of type {kind!r}")


def template_of(question: str) -> str:
    if "Number of Via Stops" in question:
        return "long_count"
    return "long_list" if "Via Stops" in question else "short"


def station_lists(stations: Path, country: str, city: str, where: str) -> Lists:
    """The lines of a city; its file lies inside of `stations`."""
    root = stations.resolve()
    path = (root / country / f"{city}.json").resolve()
    if not path.is_relative_to(root):
        raise DataError(f"{where}: country {country!r} and city {city!r} lead out of {root}")
    if not path.is_file():
        raise DataError(f"{where}: no station list {path}; --stations is ReasonMap's own folder")
    return station_list(path)


def plans_of(row: Row, lines: Lists) -> list[list[dict[str, Any]]]:
    """The reference plans that can be ridden, the one with the fewest changes first."""
    found = [_renamed(plan, lines) for plan in _given_plans(row.get("routes"))]
    start, end = (plain_stop(str(row[key])) for key in ("station_1", "station_2"))
    ends = (stop_key(start), stop_key(end))
    plans = []
    for legs in found:
        route = reference_route(legs)
        if route and Plan(read_lines(lines), route).ends == ends:
            plans += [legs] if can_be_ridden(route, Plan(read_lines(lines), route)) else []
    if not plans:
        stages = Network(lines).best_route(start, end) or ()
        if not stages or any(len(stage.stops) < 2 for stage in stages):
            raise LookupError(f"{row['city']}: no line leads from {start} to {end}")
        plans = [[_leg(s.line, s.stops[0], s.stops[-1], s.stops[1:-1]) for s in stages]]
    return sorted(plans, key=len)


def ridden(plan: list[dict[str, Any]], lines: Lists) -> list[dict[str, Any]]:
    """The plan with the stops passed that the station list has, which rewards are judged by.

    The reference's own (a route planner's) stay in `plans`, for the map score.
    """
    known, shown, legs = read_lines(lines), Network(lines).name_of, []
    for leg in plan:
        line, start, end = leg["route_name"], leg["departure_stop"], leg["arrival_stop"]
        on = find_line(known, line)
        ways = on.rides(stop_key(start), stop_key(end)) if on else ()
        count = leg["num_via_stops"]
        way = min(ways, key=lambda way, count=count: abs(len(way) - count))  # type: ignore[misc]
        legs.append(_leg(line, start, end, tuple(shown[key] for key in way)))
    return legs


def _given_plans(routes: Any) -> list[list[Row]]:
    """The plans of the column `routes`: a mapping, perhaps as JSON text, of lists of legs."""
    if isinstance(routes, str):
        routes = json.loads(routes)
    values: Iterable[Any] = routes.values() if isinstance(routes, Mapping) else routes or ()
    return [list(plan) for plan in values if plan]


def _renamed(plan: list[Row], lines: Lists) -> list[dict[str, Any]]:
    """A plan under the names that the station list has for its lines."""
    known, legs = read_lines(lines), []
    for leg in plan:
        name, start, end = (
            str(leg.get(k) or "") for k in ("route_name", "departure_stop", "arrival_stop")
        )
        served = [x for x in known.values() if x.rides(stop_key(start), stop_key(end))]
        digits = re.search(r"\d+", name)
        said = find_line(known, name) or (find_line(known, digits[0]) if digits else None)
        line = said if said in served else served[0] if served else None
        via = tuple(str(stop) for stop in leg.get("via_stops") or ())
        legs.append(_leg(line.name if line else name, start, end, via, leg.get("num_via_stops")))
    return legs


def _leg(
    line: str, start: str, end: str, via: tuple[str, ...], count: Any = None
) -> dict[str, Any]:
    written = Leg(line, start, end, via)
    return {
        "route_name": written.line,
        "departure_stop": written.departure,
        "arrival_stop": written.arrival,
        "via_stops": list(via),
        "num_via_stops": len(via) if count is None else int(count),
    }


def picture(row: Row, to: Path, maps: Path | None, where: str) -> str:
    """The path of the row's map inside `to`, where it is written once a city."""
    name = Path("maps") / _plain(row["country"], where) / f"{_plain(row['city'], where)}.png"
    target = to / name
    if target.is_file():
        return name.as_posix()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure = row.get("figure")
    if isinstance(figure, Mapping):
        figure = figure.get("bytes") or figure.get("path")
    if isinstance(figure, str) and len(figure) > 512:
        figure = base64.b64decode(figure.rpartition("base64,")[2], validate=True)
    if isinstance(figure, bytes):
        target.write_bytes(figure)
    elif maps is not None and (maps / name.relative_to("maps")).is_file():
        shutil.copyfile(maps / name.relative_to("maps"), target)
    else:
        raise DataError(f"{where}: the row holds no picture; give --maps with {name.name}")
    return name.as_posix()


def _plain(part: Any, where: str) -> str:
    if not re.fullmatch(r"\w[\w-]*", str(part)):
        raise DataError(f"{where}: {part!r} is no name of a country or city")
    return str(part)


def _need(row: Row, columns: tuple[str, ...], where: str) -> None:
    missing = [column for column in columns if row.get(column) is None]
    if missing:
        raise DataError(f"{where}: no {', '.join(missing)}; there are {', '.join(row)}")


def _file(path: Path) -> Rows:
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.suffix == ".parquet":
        return ParquetRows([path])
    return JsonRows(path) if path.suffix == ".json" else JsonlRows(path)


def _hub() -> Iterator[tuple[str, Rows]]:
    from datasets import load_dataset

    for name, there, here in HUB:
        yield here, HfRows(load_dataset(name, split=there), name)


if __name__ == "__main__":
    main()
