"""The public names of mmrl: pinned, each resolves, and importing mmrl is cheap."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mmrl

NAMES = {
    "__version__",
    "train",
    "evaluate",
    "load_run",
    "dump_run",
    "Run",
    "RunResult",
    "VLMPolicy",
    "register_reward",
    "register_dataset",
    "register_task",
    "register_method",
    "from_trl",
    "from_verl",
    "from_easyr1",
    "check_data",
    "Task",
    "Reward",
    "Method",
    "MethodSpec",
    "Sample",
    "MediaRef",
    "Prompt",
    "Parsed",
    "Verdict",
    "Rollout",
    "Group",
    "ScoredGroup",
    "Demonstration",
    "Clock",
    "MmrlError",
    "ConfigError",
    "DataError",
    "MediaError",
    "MethodError",
    "PolicyError",
    "RewardError",
}


def test_the_list_is_what_was_promised() -> None:
    assert set(mmrl.__all__) == NAMES
    assert len(mmrl.__all__) == len(NAMES)
    assert dir(mmrl) == sorted(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_resolves_to_something_documented(name: str) -> None:
    value = getattr(mmrl, name)
    if name == "__version__":
        assert value[0].isdigit()
        return
    assert callable(value)
    assert value.__doc__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'mmrl' has no attribute 'trian'"):
        mmrl.trian


def test_version_is_the_packages() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert mmrl.__version__ == project["project"]["version"]


def test_import_is_cheap_and_brings_no_torch() -> None:
    code = (
        "import sys, time; t = time.process_time(); import mmrl; t = time.process_time() - t;"
        "heavy = {'torch', 'transformers', 'numpy', 'pydantic', 'PIL'} & set(sys.modules);"
        "print(t); print(sorted(heavy))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert float(out[0]) < 0.3
    assert out[1] == "[]"


def test_train_is_a_function_and_a_package_whichever_comes_first() -> None:
    code = "import {}mmrl; import mmrl.train as t; assert t is mmrl.train; assert callable(t)"
    for first in ("", "mmrl.train, "):
        subprocess.run([sys.executable, "-c", code.format(first)], check=True, capture_output=True)
