"""What may be written after `mmrl`: commands, their arguments and one line of help each."""

from __future__ import annotations

import argparse

from mmrl import __version__
from mmrl.cli import commands
from mmrl.cli.check import check
from mmrl.cli.doctor import doctor
from mmrl.cli.inspect import inspect
from mmrl.cli.replicate import replicate
from mmrl.cli.show import TOPICS, show

COMMANDS = (
    "train",
    "eval",
    "check",
    "show",
    "score",
    "report",
    "inspect",
    "watch",
    "replicate",
    "bench",
    "doctor",
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command; each command's function is `args.run`."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="tracebacks instead of messages")
    parser = argparse.ArgumentParser(
        prog="mmrl",
        formatter_class=_Help,
        description="Reinforcement learning of vision-language models.",
        epilog="First steps: mmrl doctor; mmrl train recipes/quickstart.yaml",
    )
    parser.add_argument("--version", action="version", version=f"mmrl {__version__}")
    parser.set_defaults(debug=False)
    names = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        made = names.add_parser(name, parents=[common], help=text, description=text)
        made.set_defaults(run=run)
        return made

    train = command("train", commands.train, "train a recipe; the same command again goes on")
    train.add_argument("recipe", metavar="RECIPE", help="YAML file")
    _overrides(train)
    train.add_argument("--quiet", action="store_true", help="no progress, only the run folder")
    train.add_argument("--fresh", action="store_true", help="delete an earlier run of that name")

    evaluate = command("eval", commands.evaluate, "evaluate a run or a model on a data set")
    evaluate.add_argument("model", metavar="RUN|MODEL", help="run folder or checkpoint folder")
    evaluate.add_argument(
        "--data",
        required=True,
        metavar="NAME",
        action="append",
        help="a task, a datasets_cfg file or a registered data set (may be given again)",
    )
    _overrides(evaluate)
    evaluate.add_argument("--split", default="test", help="default: test")
    evaluate.add_argument("--limit", type=_at_least_1, default=256, help="samples a data set (256)")
    evaluate.add_argument("--samples", type=_at_least_1, default=4, help="completions averaged (4)")
    evaluate.add_argument("--best-of", type=_at_least_1, default=8, help="the best of how many (8)")
    evaluate.add_argument("--seed", type=int, default=0, help="of the completions (0)")
    evaluate.add_argument("--out", metavar="DIR", help="writes items and predictions there")

    checked = command("check", check, "check a recipe or a data set before anything is trained")
    checked.add_argument("target", metavar="RECIPE|DATASET", help="YAML file or data set name")
    _overrides(checked)
    checked.add_argument("--rows", type=_at_least_1, default=64, metavar="N", help="read (64)")
    checked.add_argument("--split", metavar="NAME", help="of a data set; default: its first")
    checked.add_argument(
        "--dry-run",
        action="store_true",
        help="one step of every stage on a small random model; needs no weights, no data, no GPU",
    )

    shown = command("show", show, f"list or describe: {', '.join(TOPICS)}, a recipe, a name")
    shown.add_argument("topic", metavar="TOPIC", help="|".join((*TOPICS, "RECIPE", "NAME")))
    _overrides(shown)
    shown.add_argument(
        "--to", metavar="FILE.png", help="draw samples of a task or data set (worlds: to a folder)"
    )
    shown.add_argument("--samples", type=_at_least_1, default=4, help="on the sheet (4)")
    shown.add_argument("--split", metavar="NAME", help="of --to; default: train, or the first")
    shown.add_argument("--seed", type=int, default=0, help="of the samples that are drawn (0)")

    score = command("score", commands.score, "score stored completions with a reward")
    score.add_argument("reward", metavar="REWARD", help="its name, or file.py:function")
    score.add_argument("file", metavar="FILE.jsonl", help="rows with completions and targets")
    score.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="PART=COLUMN",
        help="where completion, target, id or question is, as target=meta.label",
    )
    score.add_argument(
        "--kind",
        choices=("mmrl", "trl", "verl", "easyr1"),
        default="mmrl",
        help="how a file.py:function is called (mmrl)",
    )
    score.add_argument(
        "--bounds",
        nargs=2,
        type=float,
        default=(0.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="of a file.py:function (0 1)",
    )
    score.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE.py",
        help="imported first: registers your own",
    )
    score.add_argument("--out", metavar="OUT.jsonl", help="writes id, score and failure a row")

    report = command("report", commands.report, "write report.html of a run, finished or not")
    report.add_argument("run_folder", metavar="RUN", help="run folder")
    report.add_argument("--to", metavar="FILE.html", help="instead of report.html in the folder")

    inspected = command("inspect", inspect, "a page in the browser that shows what the model does")
    inspected.add_argument(
        "runs", metavar="RUN", nargs="+", help="run folder, or a folder with runs"
    )
    inspected.add_argument(
        "--host", default="127.0.0.1", help="address to listen at; others than this machine's "
        "own need a password in MMRL_INSPECT_PASSWORD (127.0.0.1)",
    )  # fmt: skip
    inspected.add_argument("--port", type=_port, metavar="N", help="default: first free from 7860")
    inspected.add_argument(
        "--share", action="store_true", help="a public address through Gradio; needs a password"
    )
    inspected.add_argument(
        "--data-root",
        action="append",
        default=[],
        metavar="DIR",
        help="media and data set files in this folder may be shown (may be given again)",
    )
    inspected.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="DIR",
        help="a model to try, beside those of the runs (may be given again)",
    )

    watched = command("watch", commands.watch, "follow a run that is trained in another shell")
    watched.add_argument("run_folder", metavar="RUN", help="run folder; may start later")

    again = command("replicate", replicate, "try papers' claims on the shipped model")
    again.add_argument("papers", metavar="PAPER", nargs="*", help="default: all with a claims.yaml")
    again.add_argument("--seeds", metavar="0-4", help="or 0,1,2; default: as the claims say")
    again.add_argument("--jobs", type=_at_least_1, metavar="N", help="side by side (the cores)")
    again.add_argument(
        "--pilot",
        type=_at_least_1,
        default=0,
        metavar="N",
        help="N seeds on other items: to choose settings by",
    )
    again.add_argument("--arms", metavar="A,B", help="only these")
    again.add_argument(
        "--rerun", type=int, metavar="SEED", help="a fresh seed against the stored intervals"
    )
    again.add_argument("--table", action="store_true", help="result.json into the README, no run")
    again.add_argument("--dry-run", action="store_true", help="list what would be run")

    bench = command("bench", commands.bench, "measure a part; without a name, list what there is")
    bench.add_argument("name", metavar="NAME", nargs="?")
    bench.add_argument("arguments", nargs=argparse.REMAINDER, help="of the benchmark")

    command("doctor", doctor, "what this machine and installation can do, with fixes")
    return parser


class _Help(argparse.HelpFormatter):
    """Keeps each command on the line of its help: argparse counts their indent two short."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog)
        self._action_max_length = max(map(len, COMMANDS)) + 4


def _overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes a setting: train.steps=50"
    )


def _at_least_1(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"wanted at least 1; got {value}")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"wanted a port from 1 to 65535; got {value}")
    return value
