"""`mmrl inspect`: the page over run folders."""

from __future__ import annotations

import argparse


def inspect(args: argparse.Namespace) -> int:
    """Serves the page until Ctrl-C."""
    from mmrl.inspector.page import Page
    from mmrl.inspector.serve import checked_password, gradio, serve

    gradio()  # a missing package and a missing password are told before runs are read
    password = checked_password(args.host, args.share, None)
    with Page.open(args.runs, data_roots=args.data_root, models=args.model) as page:
        serve(page, args.host, args.port, args.share, password)
    return 0
