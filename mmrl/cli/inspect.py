"""`mmrl inspect`: the page over run folders."""

from __future__ import annotations

import argparse
import signal
from types import FrameType


def inspect(args: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C or a polite kill; its scratch folder goes with it."""
    from mmrl.inspector.page import Page
    from mmrl.inspector.serve import checked_password, gradio, serve

    gradio()  # a missing package and a missing password are told before runs are read
    password = checked_password(args.host, args.share, None)
    signal.signal(signal.SIGTERM, _leave)
    with Page.open(args.runs, data_roots=args.data_root, models=args.model) as page:
        serve(page, args.host, args.port, args.share, password)
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
