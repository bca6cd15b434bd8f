"""A decoding process: one JSON job a line on stdin, one JSON answer a line on stdout.

Started by `mmrl.media.workers` as `python -m mmrl.media.worker`; it shares no memory, no lock and
no thread with the trainer, so killing it harms nobody. Pixels go to the npy file that a job names.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import numpy as np

from mmrl.errors import MediaError
from mmrl.media.decode import decode, plan_from_json, ref_from_job
from mmrl.media.video import FallbackCount


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Decodes one job; a medium that cannot be read is an answer, not an end."""
    count = FallbackCount()
    try:
        pixels = decode(ref_from_job(job), plan_from_json(job["plan"]), count)
        with open(job["out"], "wb") as file:
            np.save(file, pixels, allow_pickle=False)
    except MediaError as error:
        return {"ok": False, "reason": error.reason, "message": str(error)}
    except MemoryError:
        return {"ok": False, "reason": "too_large", "message": f"{job['path']}: out of memory"}
    return {"ok": True, "fallbacks": count.counts()}


def main() -> None:
    """Answers jobs until stdin closes."""
    # decoders print to stdout: keep the answers' channel for ourselves
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    print(json.dumps({"ready": True}), file=channel, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        # should the trainer die while native code spins here, the kernel ends this process
        signal.setitimer(signal.ITIMER_REAL, 2 * float(job["timeout_s"]) + 5)
        print(json.dumps(answer(job)), file=channel, flush=True)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
