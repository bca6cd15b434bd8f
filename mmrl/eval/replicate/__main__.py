"""One arm and seed in a process of its own: `python -m mmrl.eval.replicate FOLDER ARM SEED RUNS …`.

`mmrl replicate` starts it and holds the other end of its standard input: when that closes, because
of Ctrl-C or because the parent is gone, the job stops as by Ctrl-C, with a checkpoint.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from mmrl.errors import MmrlError
from mmrl.eval.replicate.claims import load_claims
from mmrl.eval.replicate.job import run_arm, run_folder, write_json
from mmrl.eval.replicate.keys import line_key

STOPPED = 130
"""Exit code of a job that was asked to stop."""
LINE = "line.json"
"""In the run folder: the line for the log."""
CHANGED = "{}: claims, recipe or code changed while this ran; start it again"


def main() -> int:
    parser = argparse.ArgumentParser(prog="mmrl.eval.replicate")
    parser.add_argument("folder", type=Path)
    parser.add_argument("arm")
    parser.add_argument("seed", type=int)
    parser.add_argument("runs", type=Path)
    parser.add_argument("least_items", type=int)
    parser.add_argument("key")
    args = parser.parse_args()
    # a shell starts its background jobs, and so their children, to ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_stop_with_the_parent, daemon=True).start()
    try:
        paper = load_claims(args.folder, least_items=args.least_items)
        arm = paper.arms[args.arm]
        if line_key(paper, arm) != args.key:
            print(CHANGED.format(args.folder))
            return 2
        line = run_arm(paper, arm, args.seed, args.runs)
        if line["key"] != args.key:  # between the look above and the run's own
            print(CHANGED.format(args.folder))
            return 2
        write_json(run_folder(args.runs, paper, arm.name, args.seed) / LINE, line)
    except MmrlError as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        return STOPPED
    return 0


def _stop_with_the_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
