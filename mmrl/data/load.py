"""Opens a data set described by YAML: samples by number, rows streamed, media lazy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmrl.data.layouts import resolve_columns, to_sample
from mmrl.data.rows import HfRows, JoinedRows, JsonlRows, JsonRows, ParquetRows, Rows
from mmrl.data.spec import DEFAULT_SPLIT, DatasetSpec, load_spec
from mmrl.errors import ConfigError, DataError, nearest
from mmrl.tasks.base import TASKS
from mmrl.types import Sample


class RowData:
    """The samples of one split: `data[i]`, `len(data)`, iteration; nothing is held but an index.

    `where(i)` is the file and line of sample i; `raw(i)` its row as it stands.
    """

    def __init__(self, spec: DatasetSpec, split: str, rows: Rows) -> None:
        self.spec, self.split, self.name = spec, split, spec.name
        self._rows = rows
        if len(rows) == 0:
            raise DataError(f"{spec.file}: split {split} has no rows")
        self.columns: Mapping[str, str] = resolve_columns(spec, rows[0])
        self.task = task_name(spec)

    @property
    def size(self) -> int:
        return len(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int, /) -> Sample:
        if not 0 <= index < len(self._rows):
            raise IndexError(f"{self.name}[{self.split}] has {len(self)} rows, asked for {index}")
        fallback = f"{self.name}-{self.split}-{index}"
        row, where = self._rows[index], self._rows.where(index)
        return to_sample(row, self.spec, self.columns, self.task, fallback, where)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def raw(self, index: int) -> Mapping[str, Any]:
        return self._rows[index]

    def where(self, index: int) -> str:
        return self._rows.where(index)


def open_dataset(
    spec: DatasetSpec | str | Path, split: str = DEFAULT_SPLIT, *, cache: Path | None = None
) -> RowData:
    """The rows of a split; `cache` is where line indices of jsonl files are kept."""
    if not isinstance(spec, DatasetSpec):
        spec = load_spec(spec)
    entries = spec.split_entries(split)
    if spec.hub_id is not None:
        return RowData(spec, split, _hub_rows(spec, entries[0] if entries else split))
    source = spec.source_path()
    if not source.exists():
        beside = [p.name for p in source.parent.glob("*")] if source.parent.is_dir() else []
        raise ConfigError(
            f"{spec.file}: source {source}: no such file.{nearest(source.name, beside)}"
            f"{spec.how_to_get()}"
        )
    if source.is_dir() and (
        spec.format == "hf"
        or (source / "dataset_info.json").is_file()
        or (source / "dataset_dict.json").is_file()
    ):
        return RowData(spec, split, _saved_rows(spec, source, entries[0] if entries else split))
    return RowData(spec, split, _file_rows(spec, _files(spec, source, entries), cache))


def task_name(spec: DatasetSpec) -> str:
    """The task of the samples: that of the specification, or a copy of it with its template."""
    task = TASKS.get(spec.task)
    if spec.template is None:
        return spec.task
    name = f"{spec.task}:{spec.name}"
    if name not in TASKS or TASKS.get(name).template != spec.template:
        TASKS.add(name, dataclasses.replace(task, name=name, template=spec.template))
    return name


def _files(spec: DatasetSpec, source: Path, entries: list[str]) -> list[Path]:
    if source.is_file():
        if entries and entries != [source.name]:
            raise ConfigError(
                f"{spec.file}: source is the file {source.name} and splits name files; "
                "let source be the folder they lie in"
            )
        return [source]
    if not entries:
        if spec.format is None:
            raise ConfigError(
                f"{spec.file}: source is a folder; add `format`, or name its files under `splits`"
            )
        entries = [f"**/*.{spec.format}"]
    files: list[Path] = []
    for entry in entries:
        found = sorted(source.glob(entry))
        if not found:
            there = [p.name for p in source.iterdir()]
            raise ConfigError(
                f'{spec.file}: no file "{entry}" in {source}.{nearest(entry, there)}'
                f"{spec.how_to_get()}"
            )
        files += found
    return files


def _file_rows(spec: DatasetSpec, files: list[Path], cache: Path | None) -> Rows:
    parts: list[Rows] = []
    for path in files:
        match spec.format_of(path):
            case "jsonl":
                parts.append(JsonlRows(path, cache))
            case "json":
                parts.append(JsonRows(path))
            case "parquet":
                parts.append(ParquetRows([path]))
            case "hf":
                raise ConfigError(f"{spec.file}: format hf wants a folder or a hub id, not {path}")
    return parts[0] if len(parts) == 1 else JoinedRows(parts)


def _saved_rows(spec: DatasetSpec, folder: Path, split: str) -> Rows:
    """Rows of a folder that `datasets` saved, or of its parquet and json files by split."""
    import datasets

    if (folder / "dataset_dict.json").is_file() or (folder / "dataset_info.json").is_file():
        saved = datasets.load_from_disk(str(folder))
    else:
        saved = datasets.load_dataset(str(folder))
    return HfRows(_of_split(spec, saved, split), f"{folder}[{split}]")


def _hub_rows(spec: DatasetSpec, split: str) -> Rows:
    import datasets

    try:
        loaded = datasets.load_dataset(spec.hub_id, spec.config, revision=spec.revision)
    except (ConnectionError, FileNotFoundError, ValueError, OSError) as error:
        raise DataError(
            f"{spec.file}: the hub's {spec.hub_id} could not be read ({error}); "
            "download it (`hf download --repo-type dataset …`) and let source be its folder."
            f"{spec.how_to_get()}"
        ) from error
    return HfRows(_of_split(spec, loaded, split), f"hub:{spec.hub_id}[{split}]")


def _of_split(spec: DatasetSpec, loaded: Any, split: str) -> Any:
    if not isinstance(loaded, Mapping):
        return loaded
    if split not in loaded:
        raise ConfigError(f'{spec.file}: no split "{split}" in there.{nearest(split, loaded)}')
    return loaded[split]
