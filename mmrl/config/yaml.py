"""YAML as recipes write it: numbers are numbers, `no` stays text, every key knows its line.

The scalars are those of YAML 1.2's core schema, narrowed: only true and false are booleans (so a
choice named `no` or `on` stays text), `1e-6` is a number, dates and `1:30` stay text. Keys are
always text. Duplicate keys, tags that build objects, merge keys and files that explode through
aliases are refused with the line.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from mmrl.errors import ConfigError, nearest

MAX_BYTES = 4 * 2**20
"""A recipe is a page; a larger file is not one."""
MAX_DEPTH = 40
MAX_NODES = 200_000
"""Values after aliases are written out."""

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"~|null|Null|NULL|")


def load_yaml(path: str | Path) -> tuple[Any, dict[str, int]]:
    """The file's data, and the line (from 1) of every key by its dotted path.

    List items are keyed by their index (`stages.0.steps`); "" is the document itself.
    """
    file = Path(path)
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file{_neighbours(file)}") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{file}: {len(raw)} bytes; a YAML file here has at most {MAX_BYTES}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not UTF-8 text (byte {error.start})") from None
    return parse_yaml(text, name=str(file))


def parse_yaml(text: str, *, name: str = "text") -> tuple[Any, dict[str, int]]:
    """The data and key lines of a YAML text; `name` is how errors call it."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{name}{line}: not YAML: {problem}") from None
    finally:
        loader.dispose()
    if node is None:
        return None, {"": 1}
    builder = _Builder(name)
    return builder.build(node, "", 0), builder.lines


def parse_scalar(text: str) -> Any:
    """The value of a plain scalar as a recipe would read it: "5" is 5, "no" stays text.

    >>> parse_scalar("1e-6"), parse_scalar("no"), parse_scalar("true")
    (1e-06, 'no', True)
    """
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _NULL.fullmatch(text):
        return None
    if _INT.fullmatch(text):
        digits = text.lstrip("+-")
        if digits.startswith(("0x", "0o")):
            return int(text, 0)
        return int(text) if len(digits) <= 400 else text
    if _FLOAT.fullmatch(text):
        special = text[-4:].lower() in (".inf", ".nan")
        number = float(text.replace(".", "")) if special else float(text)
        whole = "." not in text and math.isfinite(number) and abs(number) < 2**53
        return int(number) if whole and number == int(number) else number
    return text


def dump_yaml(data: Any) -> str:
    """YAML text that `parse_yaml` reads back as equal data (texts like "1e-6" are quoted)."""
    try:
        return str(
            yaml.dump(
                data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
            )
        )
    except yaml.YAMLError as error:
        raise ConfigError(f"cannot be written as YAML: {error}") from None


class _Loader(yaml.SafeLoader):
    """Composes nodes with our scalar rules and a bounded depth."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own form
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(
                problem=f"nested deeper than {MAX_DEPTH} levels", problem_mark=mark
            )
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML's own form

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _cls in (_Loader, _Dumper):
    for _tag, _pattern in (("bool", _BOOL), ("int", _INT), ("float", _FLOAT), ("null", _NULL)):
        _cls.add_implicit_resolver(_TAG + _tag, re.compile(rf"(?:{_pattern.pattern})$"), None)


class _Builder:
    """Turns composed nodes into plain data, noting where each key stands."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[str, int] = {"": 1}
        self.num_nodes = 0

    def build(self, node: yaml.Node, path: str, depth: int) -> Any:
        self.num_nodes += 1
        if self.num_nodes > MAX_NODES or depth > MAX_DEPTH:
            raise self._refuse(node, "aliases make this file too large or endless")
        tag = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.MappingNode) and tag == "map":
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and tag == "seq":
            items = []
            for i, child in enumerate(node.value):
                inner = f"{path}.{i}" if path else str(i)
                self.lines[inner] = child.start_mark.line + 1
                items.append(self.build(child, inner, depth + 1))
            return items
        if isinstance(node, yaml.ScalarNode):
            if tag == "str":
                return node.value
            if tag in ("int", "float", "bool", "null"):
                return parse_scalar(node.value)
        raise self._refuse(node, f"the tag {node.tag!r} builds an object; only plain data is read")

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        built: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refuse(key_node, "a key is a text, not a list or mapping")
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key == "<<":
                raise self._refuse(key_node, 'the merge key "<<" is not read; use `extends`')
            if key in built:
                raise self._refuse(
                    key_node, f'key "{key}" is given twice, first in line {first[key]}'
                )
            first[key] = line
            inner = f"{path}.{key}" if path else key
            self.lines[inner] = line
            built[key] = self.build(value_node, inner, depth + 1)
        return built

    def _refuse(self, node: yaml.Node, why: str) -> ConfigError:
        return ConfigError(f"{self.name}:{node.start_mark.line + 1}: {why}")


def _neighbours(file: Path) -> str:
    """What stands beside a file that is not there."""
    if not file.parent.is_dir():
        return f" ({file.parent} is not a folder)"
    names = [p.name for p in file.parent.iterdir() if p.suffix in (".yaml", ".yml")]
    return f".{nearest(file.name, names)}" if names else ""
