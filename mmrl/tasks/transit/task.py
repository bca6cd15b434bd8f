"""The map tasks: the world `transit` of drawn and real networks, and `reasonmap` for data set rows.

A sample's `meta` has ReasonMap's own columns (`type`, `station_1`, `station_2`, `difficulty_city`,
`question_transfer_count`, …), `lines` (the map as a graph) and `template`; the world adds `places`,
the stops on its picture in shares of the sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from mmrl.errors import ConfigError, nearest
from mmrl.parse.routes import Leg, Route, compact_text, parse_map_answer, route_text
from mmrl.rewards.builtin import MAP_RIGHT, ROUTE_DETAIL, ROUTE_VIA
from mmrl.rewards.map_score import map_score_long, map_score_short, question_weight
from mmrl.rewards.routes import gold_plan, map_right_reward, route_detail_reward
from mmrl.roles import Reward
from mmrl.tasks.base import SMALL_FORMAT, Measure, Task, levels_of, register_task
from mmrl.tasks.drawing import generator, png_bytes
from mmrl.tasks.transit.layout import Layout, Style, lay_out
from mmrl.tasks.transit.marks import map_marks
from mmrl.tasks.transit.octilinear import LEVELS, Level, draw_map
from mmrl.tasks.transit.overlay import ROUTE_MARKS
from mmrl.tasks.transit.questions import KINDS, Ask
from mmrl.tasks.transit.real import DRAWN, networks_of, real_network
from mmrl.tasks.transit.render import paint
from mmrl.tasks.transit.scene import TransitMap
from mmrl.types import MediaRef, Sample

MAP_REWARDS: tuple[Reward, ...] = (MAP_RIGHT, ROUTE_DETAIL, ROUTE_VIA)
MAP_MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "detail": route_detail_reward,
        "map_score_short": map_score_short,
        "map_score_long": map_score_long,
    }
)
_TRIES = 200
_PATIENCE = 40
"""Maps in vain after which a route may have another number of changes: small cities have few."""


def transit_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    questions: Sequence[str] = KINDS,
    difficulty: Sequence[str] = ("easy",),
    networks: Sequence[str] = ("drawn",),
    transfers: Sequence[int] = (0, 2),
    template: str = "compact",
    side: int | None = None,
    marks: bool = False,
) -> Sample:
    """A map and a question about it.

    `questions`, `difficulty`, `networks` and the changes of a route from the fewest to the most
    `transfers` are drawn evenly. A network is "drawn" (invented) or a real one of the split, of
    which a window is shown ("real" is all of them; see `mmrl.tasks.transit.real.SPLITS`).
    `template` is one of `mmrl.tasks.transit.questions.TEMPLATES`, `side` the picture's side in
    pixels where the level's own does not suit. With `marks`, `meta["marks"]` lists what can be seen
    and where (see `mmrl.tasks.transit.marks`).
    """
    for wanted in difficulty:
        if wanted not in LEVELS:
            raise ConfigError(f'transit: no difficulty "{wanted}".{nearest(wanted, LEVELS)}')
    known = networks_of(split, networks)
    rng = generator("transit", split, seed, index)
    kind = questions[int(rng.integers(len(questions)))]
    name = difficulty[int(rng.integers(len(difficulty)))]
    network = known[int(rng.integers(len(known)))] if len(known) > 1 else known[0]
    level = LEVELS[name]
    style = _style(level, name, network, side)
    wish = int(rng.integers(1 << 30))
    count = int(rng.integers(level.lines[0], level.lines[1] + 1))
    for tried in range(_TRIES):
        if kind == "planning":  # not every number of lines has every number of changes
            count = int(rng.integers(level.lines[0], level.lines[1] + 1))
            wish += tried > 0 and tried % _PATIENCE == 0
        if network == DRAWN:
            shown = draw_map(rng, level, count)
        else:
            shown = real_network(network).window(rng, level.window[0])
        layout = None if shown is None else lay_out(shown, style)
        if shown is None or layout is None:
            continue
        ask = Ask(
            network=shown.network,
            stops=[stop for stop in shown.network.stops if stop in layout.names],
            template=template,
            transfers=(transfers[0], transfers[1]),
            wish=wish,
            between=level.between,
        )
        asked = ask(rng, kind)
        if asked is not None:
            return Sample(
                id=f"transit-{split}-{seed}-{index}",
                task="transit",
                question=asked.question,
                media=(MediaRef(kind="image", data=png_bytes(paint(shown, layout, style))),),
                target=asked.target,
                meta={
                    "type": asked.kind,
                    "station_1": asked.stations[0],
                    "station_2": asked.stations[1],
                    "city": network,
                    "difficulty_city": name,
                    "city_line_count": len(shown.network.lines),
                    "city_transfer_count": len(shown.network.interchanges),
                    "question_transfer_count": asked.transfers,
                    "lines": shown.network.raw,
                    "places": _places(shown, layout, style.side),
                    "template": template,
                    "reason": asked.reason,
                    "split": split,
                    **({"marks": map_marks(shown, layout)} if marks else {}),
                },
            )
    raise ConfigError(
        f"transit: no {name} map of {_TRIES} ({network}) fits the question {kind} with "
        f"{list(transfers)} transfers on {style.side} pixels; allow fewer transfers, a larger side "
        "or other networks"
    )


def _places(shown: TransitMap, layout: Layout, side: int) -> dict[str, tuple[float, float]]:
    """Where the middles of the stops are, in shares of the picture's sides."""
    spots = {name: layout.where(at) for name, at in shown.places.items()}  # pixels, by their middle
    return {
        name: (round((x + 0.5) / side, 4), round((y + 0.5) / side, 4))
        for name, (x, y) in spots.items()
    }


def _style(level: Level, name: str, network: str, side: int | None) -> Style:
    if network != DRAWN:
        if not level.window[0]:
            have = [n for n, other in LEVELS.items() if other.window[0]]
            raise ConfigError(f'transit: real networks have no level "{name}"; they have {have}')
        return Style(side=side or level.window[1], text=11, line=4.0, legend=True, crowded=True)
    return Style(
        side=side or level.side,
        text=level.text,
        line=6.0 if level.cell else 5.0,
        stop=10.5 if level.cell else 4.5,
        legend=level.numbered,
        cell=level.cell,
    )


def gold_map_answer(sample: Sample) -> str:
    """The reference answer of any question about a map, in the form that it asks for."""
    target = sample.target
    answer = str(target)
    if not isinstance(target, str | int):
        gold_plan(sample)
        template = str(sample.meta.get("template", "short"))
        route = _route(target, template)
        answer = compact_text(route) if template == "compact" else route_text(route)
    return f"<think>{sample.meta.get('reason') or 'It is so.'}</think><answer>{answer}</answer>"


def _route(legs: Sequence[dict[str, object]], template: str) -> Route:
    route = []
    for leg in legs:
        via = leg.get("via_stops")
        stops = tuple(str(stop) for stop in via) if isinstance(via, list | tuple) else ()
        ends = (str(leg["route_name"]), str(leg["departure_stop"]), str(leg["arrival_stop"]))
        route.append(
            Leg(
                *ends,
                via=stops if template == "long_list" else None,
                num_via=len(stops) if template == "long_count" else None,
            )
        )
    return tuple(route)


TRANSIT = register_task(
    Task(
        name="transit",
        template="{question}",
        rewards=(*MAP_REWARDS, SMALL_FORMAT),
        score=map_right_reward,
        score_name="right",
        weight=question_weight,
        measures=MAP_MEASURES,
        gold=gold_map_answer,
        overlay=ROUTE_MARKS,
        world=transit_world,
        levels={
            **levels_of("difficulty", LEVELS, listed=True),
            "real": {"difficulty": ("hard",), "networks": ("real",)},
        },
    )
)
REASONMAP = register_task(
    Task(
        name="reasonmap",
        template="{question}",
        rewards=(*MAP_REWARDS, SMALL_FORMAT),
        score=map_right_reward,
        score_name="right",
        weight=question_weight,
        measures=MAP_MEASURES,
        gold=gold_map_answer,
        overlay=ROUTE_MARKS,
        parse=parse_map_answer,
    )
)
