"""Lets `import torchvision` work on a CPU build of torch.

The published torchvision wheel's compiled operators need a CUDA torch; on the CPU build its import
stops at `operator torchvision::nms does not exist`. Declaring the two schemas first is enough for
`transforms.v2` and every image processor of transformers. On a build whose operators load, this
does nothing.
"""

from __future__ import annotations

import sys

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_library = None


def ensure_torchvision() -> None:
    """Makes torchvision importable; call before anything that imports it."""
    global _library
    if "torchvision" in sys.modules:
        return
    import torch

    try:
        import torchvision
    except (RuntimeError, OSError) as error:
        if "nms" not in str(error) and not isinstance(error, OSError):
            raise
        for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        if _library is None:
            _library = torch.library.Library("torchvision", "DEF")
            for schema in _SCHEMAS.values():
                _library.define(schema)
        import torchvision  # noqa: F401
