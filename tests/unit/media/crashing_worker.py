"""A decoding process that dies as a native reader does when a clip is named crash."""

import os
import signal

import mmrl.media.worker
from mmrl.media.decode import decode


def decode_or_die(ref, plan, count):
    if "crash" in ref.path.name:
        os.kill(os.getpid(), signal.SIGSEGV)
    return decode(ref, plan, count)


if __name__ == "__main__":
    mmrl.media.worker.decode = decode_or_die
    mmrl.media.worker.main()
