"""Functions by address: how a reward reaches another process, and how a user names one.

A function travels as the module and file it was written in and its name there, never as code. A
frozen dataclass travels as its class and its fields, a `functools.partial` as its parts.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from mmrl.errors import ConfigError, RewardError, nearest

_USER_PREFIX = "mmrl_user_"


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A function or class by module, file (where there is one) and name."""

    module: str
    file: str | None
    qualname: str

    def load(self) -> Any:
        """The function; a module that cannot be imported by name is read from its file."""
        by_file = self.module == "__main__" or self.module.startswith(_USER_PREFIX)
        if not by_file:
            try:
                return _attribute(importlib.import_module(self.module), self.qualname)
            except ModuleNotFoundError as error:
                missing = error.name or ""
                if self.file is None or not (self.module + ".").startswith(missing + "."):
                    raise
        return _attribute(module_of_file(Path(str(self.file))), self.qualname)


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A dataclass or partial: what makes it, with its arguments (themselves perhaps addresses)."""

    make: FunctionRef
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def load(self) -> Any:
        arguments = [_arrived(value) for value in self.args]
        named = {name: _arrived(value) for name, value in self.kwargs.items()}
        return self.make.load()(*arguments, **named)


Ref = FunctionRef | ObjectRef
Parts = tuple[FunctionRef, tuple[Any, ...], Mapping[str, Any]]


def address(fn: Callable[..., Any]) -> Ref:
    """Where `fn` can be found by another process; what cannot travel is refused with the fix."""
    if isinstance(fn, functools.partial):
        partial = FunctionRef("functools", None, "partial")
        keywords = {k: _packed(v) for k, v in fn.keywords.items()}
        return ObjectRef(partial, (address(fn.func), *map(_packed, fn.args)), keywords)
    if isinstance(fn, FunctionType | type):
        return _named(fn)
    if dataclasses.is_dataclass(fn):
        values = {f.name: _packed(getattr(fn, f.name)) for f in dataclasses.fields(fn) if f.init}
        return ObjectRef(_named(type(fn)), (), values)
    raise RewardError(
        f"{fn!r:.80} cannot be sent to a reward worker: it is neither a function of a module nor a "
        "dataclass; write it as one, or ask for `in_process: true` (no time limit then)"
    )


def load_user_function(name: str) -> Callable[..., Any]:
    """The function that `path/to/file.py:name` or `package.module:name` names."""
    where, colon, qualname = name.rpartition(":")
    if not colon or not where:
        raise ConfigError(f'"{name}": wanted path/to/file.py:function or package.module:function')
    if where.endswith(".py"):
        path = Path(where).expanduser()
        if not path.is_file():
            beside = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
            raise ConfigError(f'"{name}": no file {path}.{nearest(path.name, beside)}')
        module = module_of_file(path)
    else:
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f'"{name}": {error}; a file is named with its ending, as path/to/file.py:function'
            ) from None
    try:
        found = _attribute(module, qualname)
    except AttributeError:
        functions = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
        raise ConfigError(
            f'"{name}": no function "{qualname}" in {where}.{nearest(qualname, functions)}'
        ) from None
    if not callable(found):
        raise ConfigError(f'"{name}" is {type(found).__name__}, wanted a function')
    fn: Callable[..., Any] = found
    return fn


def module_of_file(path: Path) -> ModuleType:
    """The module in a file, read once a process, under a private name."""
    path = path.resolve()
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    name = f"{_USER_PREFIX}{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _named(fn: Any) -> FunctionRef:
    module, qualname = fn.__module__, fn.__qualname__
    if "<lambda>" in qualname or "<locals>" in qualname:
        kind = "a lambda" if "<lambda>" in qualname else "defined inside another function"
        raise RewardError(
            f"reward function {qualname} is {kind} and cannot be sent to a worker; move it to the "
            "top level of a file, or ask for `in_process: true` (no time limit then)"
        )
    owner = sys.modules.get(module)
    file = getattr(owner, "__file__", None)
    if module == "__main__" and (file is None or not Path(file).is_file()):
        raise RewardError(
            f"reward function {qualname} was typed in and lies in no file, so that no worker can "
            "import it; save it to a file, or ask for `in_process: true` (no time limit then)"
        )
    if owner is not None:
        try:
            found = _attribute(owner, qualname)
        except AttributeError:
            found = None
        if found is not fn:
            raise RewardError(
                f"{module}.{qualname} is {found!r:.80} and not the reward function of that name "
                "(a decorator in between?); a worker could not import it. Give the function a "
                "name of its own, or ask for `in_process: true` (no time limit then)"
            )
    return FunctionRef(module, str(Path(file).resolve()) if file else None, qualname)


def _packed(value: Any) -> Any:
    if isinstance(value, FunctionType | functools.partial):
        return address(value)
    if dataclasses.is_dataclass(value) and callable(value) and not isinstance(value, type):
        return address(value)
    return value


def _arrived(value: Any) -> Any:
    return value.load() if isinstance(value, FunctionRef | ObjectRef) else value


def _attribute(module: ModuleType, qualname: str) -> Any:
    found: Any = module
    for name in qualname.split("."):
        found = getattr(found, name)
    return found
