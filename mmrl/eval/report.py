"""report.html: one file that shows what a run did, made from its folder alone.

It is made at the end of training and by `mmrl report`, also of a run that is not finished. Nothing
in it is loaded from elsewhere and no script runs in it; whatever models and data sets say is
escaped, with control characters made visible.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrl.config.schema import ORIGINS
from mmrl.errors import ConfigError, nearest
from mmrl.eval.lines import read_jsonl
from mmrl.eval.report_groups import groups_html
from mmrl.eval.report_page import page
from mmrl.eval.report_plots import plots_html
from mmrl.eval.run import Evaluation
from mmrl.eval.run_facts import config_of, steps_saved, summary_of, total_steps
from mmrl.eval.series import is_number, stage_borders
from mmrl.eval.summary import table
from mmrl.eval.warnings import alarms_of
from mmrl.media.confine import is_plain_file
from mmrl.parse.visible import safe_html

Record = Mapping[str, Any]


def write_report(folder: Path, to: Path | None = None) -> Path:
    """Writes the report of a run folder (to `report.html` in it) and returns its path.

    Raises ConfigError for a folder that is not one of a run, DataError for a log that is broken
    elsewhere than in its last line.
    """
    if not (folder / "config.yaml").is_file() and not (folder / "metrics.jsonl").is_file():
        beside = [p.parent.name for p in folder.parent.glob("*/config.yaml")]
        raise ConfigError(
            f"{folder}: not a run folder (no config.yaml, no metrics.jsonl)."
            f"{nearest(folder.name, beside)}"
        )
    records = read_jsonl(folder / "metrics.jsonl")
    steps = [r for r in records if r.get("kind") == "step" and is_number(r.get("step"))]
    evals = [r for r in records if r.get("kind") == "eval" and is_number(r.get("step"))]
    ends = [r for r in records if r.get("kind") == "stage"]
    config, summary = config_of(folder), summary_of(folder)
    name = str(config.get("name") or folder.resolve().name)
    body = [
        f"<h1>{safe_html(name)}</h1>",
        _what_ran(config, summary, steps, evals, ends),
        _warnings(records),
        _before_after(folder, summary, evals),
        plots_html(steps, evals),
        groups_html(folder),
        _settings(folder, summary),
    ]
    path = to or folder / "report.html"
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(page(name, "\n".join(body)), encoding="utf-8")
    aside.replace(path)
    return path


def _what_ran(
    config: Record,
    summary: Record,
    steps: Sequence[Record],
    evals: Sequence[Record],
    ends: Sequence[Record],
) -> str:
    done = int(steps[-1]["step"]) + 1 if steps else 0
    total = total_steps(config)
    total = None if total is None else total - steps_saved(ends)
    of = "" if total is None or total == done else f" of {total}"
    if summary.get("stopped"):
        state = f"{done}{of} steps, stopped early: {summary['stopped']}"
    elif summary and (total is None or done >= total):
        state = f"{done} steps, finished"
    else:
        state = f"{done}{of} steps, not finished"
    rows = {"state": state}
    rows["model"] = _word(config.get("policy"), "model")
    rows["method"] = _settings_line(config.get("method"))
    rows["stages"] = " → ".join(_stages(steps, ends))
    rows["data"] = _data(config.get("data"))
    rows["held-out data"] = _data((config.get("eval") or {}).get("data"))
    rows["seed"] = _word(config, "seed")
    rows["time"] = _time(summary, steps, evals)
    rows["machine"] = ", ".join(str(v) for v in (summary.get("machine") or {}).values())
    rows["versions"] = ", ".join(f"{k} {v}" for k, v in (summary.get("versions") or {}).items())
    cells = [
        f"<dt>{safe_html(k)}</dt><dd>{safe_html(v)}</dd>"
        for k, v in rows.items()
        if v and (k != "stages" or "→" in v)
    ]
    return f'<dl class="facts">{"".join(cells)}</dl>'


def _stages(steps: Sequence[Record], ends: Sequence[Record]) -> list[str]:
    """Where each stage began, and why it ended early where it did."""
    early = {r.get("stage"): r for r in ends if r.get("ended")}
    told = []
    for at, name in stage_borders(steps):
        end = early.get(name)
        why = f" ({end['ended']}: {end.get('steps')} of {end.get('of')} steps)" if end else ""
        told.append(f"{name} from step {at}{why}")
    return told


def _word(section: Any, key: str) -> str:
    value = section.get(key) if isinstance(section, Mapping) else None
    return "" if value is None else str(value)


def _settings_line(method: Any) -> str:
    if not isinstance(method, Mapping):
        return ""
    rest = [f"{k} {v}" for k, v in method.items() if k != "name"]
    return " · ".join([str(method.get("name")), *rest])


def _data(entries: Any) -> str:
    """Names of the data entries, with what is set in them."""
    named = []
    for entry in entries or ():
        given = {k: v for k, v in entry.items() if v not in (None, False, {}, [], ())}
        name = next((given.pop(k) for k in ORIGINS if k in given), "?")
        rest = ", ".join(f"{k} {v}" for k, v in given.items() if (k, v) != ("weight", 1.0))
        named.append(f"{name} ({rest})" if rest else str(name))
    return "; ".join(named)


def _time(summary: Record, steps: Sequence[Record], evals: Sequence[Record]) -> str:
    if is_number(summary.get("seconds_total")) and is_number(summary.get("seconds_train")):
        return (
            f"{summary['seconds_train'] / 60:.1f} minutes of training, "
            f"{summary['seconds_total'] / 60:.1f} in all"
        )
    logged = [v for r in (*steps, *evals) for k, v in r.items() if k.startswith("time/")]
    seconds = sum(v for v in logged if is_number(v))
    return f"{seconds / 60:.1f} minutes in the logged steps and evaluations" if seconds else ""


def _warnings(records: Sequence[Record]) -> str:
    alarms = alarms_of(records)
    if not alarms:
        steps = sum(r.get("kind") == "step" for r in records)
        few = " Too few steps to see a trend." if steps < 40 else ""
        return f"<h2>Warnings</h2><p>None.{few}</p>"
    stages = len({r["stage"] for r in records if "stage" in r})
    items = []
    for alarm in alarms:
        where = f"step {alarm.step}" + (f", stage {alarm.stage}" if stages > 1 else "")
        over = " It was over at the end." if alarm.over else ""
        items.append(
            f"<li{' class=over' if alarm.over else ''}><b>{safe_html(alarm.name)}</b> "
            f'<span class="dim">since {safe_html(where)}</span><br>'
            f"{safe_html(alarm.message)}{over}</li>"
        )
    return f'<h2>Warnings</h2><ul class="warnings">{"".join(items)}</ul>'


def _before_after(folder: Path, summary: Record, evals: Sequence[Record]) -> str:
    rows = summary.get("table") or _paired(folder, evals)
    if not rows:
        return ""
    out = []
    for row in rows:
        mark = "good" if row["low"] > 0 else "bad" if row["high"] < 0 else ""
        mark = "" if row["metric"] == "length" else mark
        name = row["metric"]
        out.append(
            f"<tr><td>{safe_html(name)}<td>{row['before']:.3f}{_ci(evals[:1], name)}"
            f"<td>{row['after']:.3f}{_ci(evals[-1:], name)}"
            f'<td class="{mark}">{row["difference"]:+.3f}'
            f"<td>[{row['low']:+.3f}, {row['high']:+.3f}]</tr>"
        )
    if evals:
        items = evals[-1].get("items", "?")
        note = f"{items} samples at step {evals[-1]['step']}; skipped {evals[-1].get('skipped', 0)}"
    else:
        note = ""
    return (
        "<h2>Held-out samples, before and after</h2><div class=wide><table><tr><th>measure"
        "<th>before [95 %]<th>after [95 %]<th>difference<th>95 % of it, item by item</tr>"
        f'{"".join(out)}</table></div><p class="dim">{safe_html(note)}</p>'
    )


def _ci(evals: Sequence[Record], name: str) -> str:
    interval: Sequence[Any] = (evals[0].get(f"{name}_ci95") if evals else None) or ()
    if len(interval) != 2 or not all(map(is_number, interval)):
        return ""
    return f' <span class="dim">[{interval[0]:.3f}, {interval[1]:.3f}]</span>'


def _paired(folder: Path, evals: Sequence[Record]) -> list[dict[str, Any]]:
    """The rows of a run without a summary, from its first and last evaluation's files."""
    if len(evals) < 2:
        return []
    ends = [(e["step"], folder / "evals" / f"step-{e['step']:06d}.jsonl") for e in evals]
    (first, before), (last, after) = ends[0], ends[-1]
    if first == last or not (before.is_file() and after.is_file()):
        return []
    return table(Evaluation.load(before, first), Evaluation.load(after, last))


def _settings(folder: Path, summary: Record) -> str:
    out = ["<h2>Settings</h2>"]
    path = folder / "config.yaml"
    if is_plain_file(path):
        text = safe_html(path.read_text())
        out.append(f"<details><summary>config.yaml</summary><pre>{text}</pre></details>")
    if summary:
        text = safe_html(json.dumps(summary, indent=1, ensure_ascii=False))
        out.append(f"<details><summary>summary.json</summary><pre>{text}</pre></details>")
    return "".join(out)
