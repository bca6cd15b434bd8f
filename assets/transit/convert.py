"""Makes the map files of this folder from their sources (see NOTICE).

    python assets/transit/convert.py SUBWAY_TOOLS/data D3_TUBE_MAP/example REASONMAP/stations

The first folder is `data/` of github.com/Mick235711/Beijing-Subway-Tools, the second one holds
`london-tube.json` and `pubs.json` of github.com/johnwalley/d3-tube-map, the third one has
`COUNTRY/CITY.json` of github.com/fscdc/ReasonMap. Chinese names are written in Latin letters by
ICU's `uconv`, which must be installed; that spelling is not the operators' own.

ReasonMap gives the order of stops and no places. These are laid out here by stress majorisation
(E. Gansner, Y. Koren, S. North, 2004): distances on paper like distances along the lines. Such a
map has the real lines and stops, not the real geography. New York is left out (its list gives one
name to several stations), and Sydney (its list has one line); Beijing has its official map.

A map file: {"name", "country", "city", "origin", "licence", "places": {stop: [x, y]}, "lines":
[{"name", "colour", "course": [stop or [x, y] of a bend, ...]}]}, y downwards. A course that ends
where it begins is a loop; a line that branches has "courses" instead.
"""

from __future__ import annotations

import ast
import colorsys
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from mmrl.parse.lines import stop_key
from mmrl.tasks.transit.stations import station_list

HERE = Path(__file__).parent
CITIES = {"beijing": "Beijing", "taipei": "Taipei"}
SUBWAY_TOOLS = {"origin": "github.com/Mick235711/Beijing-Subway-Tools@f1ac527", "licence": "MIT"}
REASONMAP = {"origin": "github.com/fscdc/ReasonMap@e68dd65", "licence": "MIT"}
D3 = {"origin": "github.com/johnwalley/d3-tube-map@1912838", "licence": "BSD-3-Clause"}


def json5(path: Path) -> Any:
    """The value in a JSON5 file that uses comments, bare keys and trailing commas only."""
    text = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*', lambda m: m[1] or "", path.read_text())
    text = re.sub(
        r'("(?:[^"\\]|\\.)*")|\b(true|false|null)\b',
        lambda m: m[1] or {"true": "True", "false": "False", "null": "None"}[m[2]],
        text,
    )
    text = re.sub(r'("(?:[^"\\]|\\.)*")|([A-Za-z_]\w*)\s*:', lambda m: m[1] or f'"{m[2]}":', text)
    return ast.literal_eval(text.strip())


def latin(names: list[str]) -> dict[str, str]:
    """Each Chinese name as one word in Latin letters ("Pingguoyuan"), unlike all others."""
    plain = [re.sub(r"(\d)号航站楼", r"Terminal \1", name) for name in names]
    out = subprocess.run(
        ["uconv", "-f", "utf-8", "-t", "utf-8", "-x", "Han-Latin; Latin-ASCII; Title"],
        input="\n".join(plain),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    found: dict[str, str] = {}
    for name, spelled in zip(plain, out, strict=True):
        word = spelled if "Terminal" in spelled else re.sub(r"\W", "", spelled).capitalize()
        found[name] = word if re.search(r"[\u4e00-\u9fff]", name) else name
    return dict(zip(names, apart(list(found.values())), strict=True))


def apart(words: list[str]) -> list[str]:
    """The words, of which later ones equal to an earlier one get a number."""
    seen: Counter[str] = Counter()
    out = []
    for word in words:
        seen[word] += 1
        out.append(word if seen[word] == 1 else f"{word} {seen[word]}")
    return out


def bare(name: str) -> str:
    """A name without what stands in brackets: platforms of one station are one stop."""
    return re.sub(r"\([^)]*\)", "", name)


def centre(place: dict[str, Any], official: dict[str, Any], is_busy: bool) -> tuple[float, float]:
    """The middle of a marker, of which the source has the corner and the size."""
    if official.get("shape_type") == "rectangle" and place.get("shape_type") != "circle":
        wide = place.get("w", official["transfer_width" if is_busy else "width"])
        return place["x"] + wide / 2, place["y"] + place.get("h", official["height"]) / 2
    radius = place.get("r", official.get("transfer_radius" if is_busy else "radius", 0))
    return place["x"] + radius, place["y"] + radius


def chinese_city(data: Path, city: str) -> dict[str, Any]:
    official = json5(data / city / "maps" / "official.json5")
    known = {bare(n): (p or {}).get("path_coords", p) for n, p in official["coordinates"].items()}
    raw = [
        json5(path)
        for path in sorted((data / city).glob("*.json5"))
        if path.stem not in ("metadata", "carriage_types", "fare_rules")
    ]
    stops = [
        [bare(s["name"]) for s in line["stations"] if known.get(bare(s["name"]))] for line in raw
    ]
    lines = [
        {
            "name": line_name(line),
            "colour": line["color"],
            "course": [*found, found[0]] if line.get("loop") else found,
        }
        for line, found in zip(raw, stops, strict=True)
        if len(found) > 1
    ]
    busy = Counter(stop for found in stops for stop in set(found))
    at = {n: centre(p, official, busy[n] > 1) for n, p in known.items() if p and busy[n]}
    spelled = latin(list(at))
    for line in lines:
        line["course"] = [spelled[stop] for stop in line["course"]]
    lines.sort(key=lambda x: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", x["name"])])
    country = "china" if city == "beijing" else "taiwan"
    return {
        "name": city,
        "country": country,
        "city": CITIES[city],
        **SUBWAY_TOOLS,
        "places": {spelled[s]: at[s] for s in at},
        "lines": lines,
    }


def line_name(line: dict[str, Any]) -> str:
    """ "Line 4" where a number is its name, else the first English name that is its own."""
    aliases = line["aliases"]
    if re.match(r"S?\d", line["name"]):
        return next(a for a in aliases if re.fullmatch(r"Line S?\d+", a))
    own = [a for a in aliases if re.search("Branch", a)] or aliases
    return own[0].replace(" Branch", "")


def tube_map(path: Path, name: str, city: str) -> dict[str, Any]:
    data = json.loads(path.read_text())
    labels = {key: " ".join(s["label"].split()) for key, s in data["stations"].items()}
    twice = {label for label, count in Counter(labels.values()).items() if count > 1}
    for key, label in labels.items():
        if label in twice:  # "GreenManTrumpington"
            labels[key] = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key)
    places: dict[str, tuple[float, float]] = {}
    lines = []
    for line in data["lines"]:
        course: list[Any] = []
        for node in line["nodes"]:
            x, y = node["coords"]
            course.append(labels[node["name"]] if "name" in node else [x, -y])
            if "name" in node:
                places.setdefault(course[-1], (x, -y))
        if isinstance(course[-1], list) and tuple(course[-1]) == places.get(course[0]):
            course[-1] = course[0]
        lines.append({"name": f"{line['label']} Line", "colour": line["color"], "course": course})
    return {
        "name": name,
        "country": "united_kingdom",
        "city": city,
        **D3,
        "places": places,
        "lines": lines,
    }


def listed_city(path: Path) -> dict[str, Any]:
    found = station_list(path)
    courses_of = {
        line: [[plain_name(stop) for stop in c] for c in ([v] if isinstance(v[0], str) else v)]
        for line, v in found.items()
    }
    by_key: dict[str, str] = {}
    for stop in (stop for courses in courses_of.values() for c in courses for stop in c):
        by_key.setdefault(stop_key(stop), stop)  # "Union Station" is "Union"
    spelled = latin(list(by_key.values()))
    lines = []
    for i, (line, listed) in enumerate(courses_of.items()):
        courses = [
            [name for name, _ in groupby(spelled[by_key[stop_key(stop)]] for stop in course)]
            for course in listed
        ]
        shape = {"course": courses[0]} if len(courses) == 1 else {"courses": courses}
        lines.append({"name": latin_line(line), "colour": colour_of(i / len(found)), **shape})
    return {
        "name": path.stem,
        "country": path.parent.name,
        "city": {"kl": "Kuala Lumpur", "xian": "Xi'an", "huhehaote": "Hohhot"}.get(
            path.stem, path.stem.replace("_", " ").title()
        ),
        **REASONMAP,
        "straight": True,
        "places": laid_out([c for x in lines for c in x.get("courses", [x.get("course")])]),
        "lines": lines,
    }


def plain_name(stop: str) -> str:
    """A stop's name without "Station" or 站 at its end."""
    return re.sub(r"(?: Station)+$|站$", "", stop)


def latin_line(name: str) -> str:
    if name.isascii():
        return name if re.search(r"\bline\b", name, re.I) else f"Line {name}"
    word = name.removesuffix("线")
    return f"{latin([word])[word]} Line"


def colour_of(hue: float) -> str:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.85 if round(6 * hue) % 2 else 0.7)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def laid_out(courses: list[list[str]], rounds: int = 400) -> dict[str, list[int]]:
    """Places whose distances are near the numbers of rides between stops, 100 units a ride."""
    stops = list(dict.fromkeys(stop for course in courses for stop in course))
    number = {stop: i for i, stop in enumerate(stops)}
    n = len(stops)
    near = np.full((n, n), np.inf)
    np.fill_diagonal(near, 0)
    for course in courses:
        for a, b in pairwise(course):
            near[number[a], number[b]] = near[number[b], number[a]] = 1
    for k in range(n):
        near = np.minimum(near, near[:, k : k + 1] + near[k : k + 1])
    near[np.isinf(near)] = near[np.isfinite(near)].max() + 2  # parts that no line joins
    centred = -0.5 * (near**2 - (near**2).mean(0) - (near**2).mean(1)[:, None] + (near**2).mean())
    values, vectors = np.linalg.eigh(centred)
    at = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 1e-9))
    weights = 1 / np.maximum(near, 1) ** 2 * (1 - np.eye(n))
    inverse = np.linalg.pinv(np.diag(weights.sum(1)) - weights)
    for _ in range(rounds):
        gaps = np.linalg.norm(at[:, None] - at[None], axis=-1)
        pull = -weights * near / np.maximum(gaps, 1e-6)
        pull -= np.diag(pull.sum(1))
        at = inverse @ (pull @ at)
    at -= at.min(0)
    return {stop: [round(100 * x), round(100 * y)] for stop, (x, y) in zip(stops, at, strict=True)}


def main(subway_tools: str, tube: str, reasonmap: str) -> None:
    maps = [chinese_city(Path(subway_tools), city) for city in CITIES]
    maps.append(tube_map(Path(tube) / "london-tube.json", "london", "London"))
    for path in sorted(Path(reasonmap).glob("*/*.json")):
        if path.stem not in ("beijing", "new_york", "sydney"):
            maps.append(listed_city(path))
    for one in maps:
        text = json.dumps(one, ensure_ascii=False, separators=(",", ":"))
        (HERE / f"{one['name']}.json").write_text(text.replace('{"name":', '\n{"name":') + "\n")
        print(one["name"], len(one["places"]), "stops", len(one["lines"]), "lines", len(text))


if __name__ == "__main__":
    main(*sys.argv[1:])
