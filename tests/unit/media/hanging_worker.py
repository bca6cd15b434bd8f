"""A decoding process that hangs as decord does: in native code, holding the interpreter lock.

`PyDLL` keeps the lock during the call, so no signal handler and no thread of this process runs.
"""

import ctypes

import mmrl.media.worker
from mmrl.media.decode import decode


def decode_or_hang(ref, plan, count):
    if "hang" in ref.path.name:
        ctypes.PyDLL(None).sleep(3600)
    return decode(ref, plan, count)


if __name__ == "__main__":
    mmrl.media.worker.decode = decode_or_hang
    mmrl.media.worker.main()
