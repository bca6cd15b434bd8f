"""`datasets_cfg/*.yaml`: where rows lie, what their columns mean and how they may be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, PrivateAttr, ValidationError

from mmrl.config.explain import describe, explain
from mmrl.config.schema import Section
from mmrl.config.yaml import load_yaml
from mmrl.errors import ConfigError, nearest

Format = Literal["jsonl", "json", "parquet", "hf"]
Layout = Literal["plain", "easyr1", "vlm_r1", "video_r1", "trl"]
CoordSpace = Literal["abs_original", "abs_resized", "norm_1", "norm_100", "norm_1000", "none"]
AnswerForm = Literal["as_is", "text", "json", "letters", "index"]

_SUFFIXES: Mapping[str, Format] = {".jsonl": "jsonl", ".json": "json", ".parquet": "parquet"}
DEFAULT_SPLIT = "train"
CFG_FOLDER = Path("datasets_cfg")


class FieldMap(Section):
    """Which column plays which part; a dotted path reaches inside (`meta.label`, `glue.0`).

    A part left out takes the column that the layout usually has, one set to "" none. All columns
    but media also arrive in `Sample.meta` under their own names.
    """

    id: str | None = None
    question: str | None = None
    answer: str | None = Field(default=None, validation_alias=AliasChoices("answer", "target"))
    images: str | None = None
    videos: str | None = None
    options: str | None = None
    """Answers to choose from; kept in `meta["options"]` as a tuple of texts."""

    def given(self) -> dict[str, str]:
        """The parts that were written down, with their columns."""
        return {part: column for part, column in self if column is not None}


class DatasetSpec(Section):
    """A data set, as its YAML says; paths are resolved against `file`'s folder."""

    name: str
    source: str
    """A file or folder (relative to the YAML), or `hub:owner/name`."""
    revision: str | None = None
    """Commit or tag of a hub data set: what makes a run repeatable."""
    config: str | None = None
    """Configuration name of a hub data set ("subset" on its page)."""
    format: Format | None = None
    """Read off the file name when left out; a folder needs it."""
    splits: Mapping[str, str | list[str]] = Field(default_factory=dict)
    """Split -> file or files inside `source` (or the split's name there, for `hf`).

    Left out, the whole source is the split "train"."""
    layout: Layout = "plain"
    fields: FieldMap = FieldMap()
    task: str
    """The task whose rewards judge an answer; `mmrl show tasks` lists them."""
    template: str | None = None
    """Replaces the task's template for this data set; holds `{question}` once."""
    answer_form: AnswerForm = "as_is"
    """How the answer column becomes the target: `text`, parsed `json`, `letters` ("(B),(C)" is
    "B,C"), or a 0-based option `index` turned into its letter."""
    media_first: Literal["images", "videos"] = "images"
    """What a prompt shows first of a row that has pictures and clips."""
    media_root: str | None = None
    """Folder (relative to the YAML) that media paths start from; default: the source's folder."""
    coord_space: CoordSpace | None = None
    """Of boxes and points in the answer; required for them. `none` says four numbers are no box."""
    answer_space: (
        Literal["abs_original", "abs_resized", "norm_1", "norm_100", "norm_1000"] | None
    ) = None
    """In which a template asks for boxes and points; default: as the model's family writes them."""
    span_unit: Literal["seconds", "share"] | None = None
    """Of spans in the answer: seconds (default), or shares of the column `video_length`."""
    licence: str
    """Of the data; `unknown` where nobody says."""
    fetch: str | None = None
    """How rows and media get to their places, where the repository does not hold them: a command
    or a sentence, told when they are missing."""
    expected_rows: int | Mapping[str, int] | None = None
    """Rows of the data set, or of each split: a short download is noticed by `mmrl check`."""
    _file: Path = PrivateAttr(default=Path("<memory>"))

    @property
    def file(self) -> Path:
        """The YAML this came from: relative paths start beside it, messages name it."""
        return self._file

    @property
    def hub_id(self) -> str | None:
        return self.source.removeprefix("hub:") if self.source.startswith("hub:") else None

    def source_path(self) -> Path:
        """The local file or folder of rows."""
        return self._beside(self.source)

    def media_folder(self) -> Path:
        """The folder that media paths start from and may not leave."""
        if self.media_root is not None:
            return self._beside(self.media_root)
        if self.hub_id is not None:
            return Path.cwd()
        source = self.source_path()
        return source if source.is_dir() else source.parent

    def how_to_get(self) -> str:
        """The end of a message about rows that are not there: " To get the rows: …", or nothing."""
        return f" To get the rows: {self.fetch}" if self.fetch else ""

    def split_names(self) -> list[str]:
        return sorted(self.splits) or [DEFAULT_SPLIT]

    def split_entries(self, split: str) -> list[str]:
        """File names (or `hf` split names) of a split; [] when the source is the split itself."""
        if not self.splits and (self.format == "hf" or self.hub_id is not None):
            return [split]  # its own splits: checked when it is open
        if split not in self.split_names():
            raise ConfigError(
                f'{self.file}: no split "{split}".{nearest(split, self.split_names())}'
            )
        entry = self.splits.get(split, [])
        return [entry] if isinstance(entry, str) else list(entry)

    def format_of(self, path: Path) -> Format:
        """The format written down, or that of the file's name."""
        if self.format is not None:
            return self.format
        if path.suffix in _SUFFIXES:
            return _SUFFIXES[path.suffix]
        raise ConfigError(
            f'{self.file}: cannot tell the format of "{path.name}"; '
            "add `format: jsonl`, `json`, `parquet` or `hf`"
        )

    def rows_expected(self, split: str) -> int | None:
        if isinstance(self.expected_rows, Mapping):
            return self.expected_rows.get(split)
        return self.expected_rows if len(self.split_names()) == 1 else None

    def _beside(self, path: str) -> Path:
        expanded = Path(path).expanduser()
        return expanded if expanded.is_absolute() else (self.file.parent / expanded).resolve()


def dataset_files(folder: Path = CFG_FOLDER) -> dict[str, Path]:
    """Name -> file of the data sets described in a folder, by file name."""
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_spec(path: str | Path) -> DatasetSpec:
    """The data set described by a YAML file; what is wrong in it is named by file, line and key."""
    values, lines = load_yaml(path)
    return parse_spec(values, Path(path), lines)


def parse_spec(values: Any, file: Path, lines: Mapping[str, int] | None = None) -> DatasetSpec:
    """A specification from plain values; `file` is what messages and relative paths refer to."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{file}: wanted a data set (key: value); got {describe(values)}")
    try:
        spec = DatasetSpec.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            "\n".join(
                f"{_place(file, lines or {}, key)}: {key}: {words}"
                for key, words in explain(DatasetSpec, error)
            )
        ) from None
    spec._file = file
    _check(spec)
    return spec


def _check(spec: DatasetSpec) -> None:
    template = spec.template
    if template is not None and template.count("{question}") != 1:
        raise ConfigError(
            f"{spec.file}: template must hold {{question}} exactly once, "
            f"it does {template.count('{question}')} times"
        )
    if isinstance(spec.expected_rows, Mapping):
        for split in spec.expected_rows:
            if split not in spec.split_names():
                known = nearest(split, spec.split_names())
                raise ConfigError(f"{spec.file}: expected_rows.{split}: no such split.{known}")


def _place(file: Path, lines: Mapping[str, int], key: str) -> str:
    """`file:line` of a key, or of the nearest section around it."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return f"{file}:{lines[key]}" if key in lines else str(file)
