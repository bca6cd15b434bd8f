"""Names to parts: data sets, rewards, tasks, methods and plug-ins.

Built-in parts register when their module is imported; packages outside mmrl announce themselves by
the entry point group `mmrl` (each entry point is a module that registers on import).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from mmrl.errors import ConfigError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """A named collection; `builtin` modules are imported on the first look-up.

    "package.*" stands for every module of that package: a new file there needs no entry anywhere.
    """

    def __init__(self, kind: str, builtin: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self._builtin = builtin
        self._parts: dict[str, T] = {}
        self._loaded = False

    def add(self, name: str, part: T) -> T:
        """Registers `part`; the same name twice is an error unless it is the same definition."""
        known = self._parts.get(name)
        if known is not None and _identity(known) != _identity(part):
            raise ConfigError(f'{self.kind} "{name}" is registered twice')
        self._parts[name] = part
        return part

    def remove(self, name: str) -> None:
        """Forgets a part that was only there for a while; no error where it is not."""
        self._parts.pop(name, None)

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of `add`."""
        return lambda part: self.add(name, part)

    def get(self, name: str) -> T:
        """The part of that name; an unknown one is an error that names the nearest."""
        self._load()
        if name not in self._parts:
            raise ConfigError(f'no {self.kind} "{name}".{nearest(name, self._parts)}')
        return self._parts[name]

    def names(self) -> list[str]:
        self._load()
        return sorted(self._parts)

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for name in self._builtin:
            for module in _modules_of(name):
                importlib.import_module(module)
        load_plugins()


def _modules_of(name: str) -> list[str]:
    """The module of that name, or those of a package named "package.*"."""
    package, star, _ = name.partition(".*")
    if not star:
        return [name]
    path = importlib.import_module(package).__path__
    return [f"{package}.{found.name}" for found in pkgutil.iter_modules(path)]


def _identity(part: object) -> object:
    """A reloaded module defines the same part again: compare by where it was written."""
    return (
        getattr(part, "__module__", None),
        getattr(part, "__qualname__", None) or id(part),
    )


_plugins_loaded = False


def load_plugins() -> None:
    """Imports every module announced under the entry point group `mmrl`, once."""
    global _plugins_loaded
    if _plugins_loaded:
        return
    _plugins_loaded = True
    for entry in entry_points(group="mmrl"):
        entry.load()
