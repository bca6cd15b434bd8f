"""The training loop. The package is callable: `mmrl.train("recipes/quickstart.yaml")`.

`mmrl.train` is both a room and a public name; a callable module lets both stand, whichever is
imported first.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Trains a recipe: see `mmrl.train.run.train`."""
        from mmrl.train.run import train

        return train(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
