"""The `mmrl` command: thin faces of library calls, one function a command.

Exit codes: 0 done, 1 a check found something wrong, 2 an error in words (a traceback only with
--debug), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from mmrl.cli.parser import COMMANDS, build_parser
from mmrl.errors import MmrlError, nearest

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: the process's own) and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        return _say(f'no command "{words[0]}".{nearest(words[0], COMMANDS)}')
    if not words:
        build_parser().print_help()
        return 0
    args = _parse(words)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except MmrlError as error:
        if args.debug:
            raise
        return _say(str(error))
    except KeyboardInterrupt:
        again = (
            f"; go on with: mmrl {shlex.join(words)}"
            if args.command in ("train", "replicate")
            else ""
        )
        print(f"\nmmrl: stopped{again}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output (`| head`) has gone: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parse(words: list[str]) -> argparse.Namespace:
    """Parsed arguments; key=value overrides may stand before, between and after options."""
    parser = build_parser()
    args, extra = parser.parse_known_args(words)
    if hasattr(args, "overrides"):
        args.overrides += [word for word in extra if "=" in word and not word.startswith("-")]
        extra = [word for word in extra if word not in args.overrides]
    if extra:
        parser.error(f"not understood: {' '.join(extra)} (see mmrl {args.command or ''} --help)")
    return args


def _say(message: str) -> int:
    print(f"mmrl: {message}", file=sys.stderr)
    return 2
