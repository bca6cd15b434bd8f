"""Recipes: extends, overrides, messages with key, place and nearest name."""

from pathlib import Path

import pytest

from mmrl.config.load import (
    dump_run,
    json_schema,
    load_recipe,
    load_run,
    stage_optimizer,
)
from mmrl.config.schema import Run, Section
from mmrl.errors import ConfigError

BASE = """\
name: base
policy: {model: tiny, freeze: [vision]}
method: {name: grpo, group_size: 8}
optimizer:
  lr: 1e-6
  betas: [0.9, 0.95]
data:
  - {task: digits}
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path, "base.yaml", BASE)


def test_numbers_and_texts_arrive_typed(tmp_path: Path) -> None:
    run = load_run(write(tmp_path, "r.yaml", BASE.replace("name: base", "name: no")))
    assert run.optimizer.lr == 1e-6
    assert run.name == "no"
    assert run.optimizer.betas == (0.9, 0.95)
    assert run.policy.freeze == ("vision",)


def test_extends_merges_mappings_and_replaces_lists(tmp_path: Path, base: Path) -> None:
    (tmp_path / "sub").mkdir()
    top = write(
        tmp_path / "sub",
        "top.yaml",
        "extends: ../base.yaml\noptimizer: {lr: 2e-5}\nmethod: {group_size: 4}\n"
        "data:\n  - {task: spans, weight: 2}\n",
    )
    loaded = load_recipe(top)
    assert loaded.run.optimizer.lr == 2e-5
    assert loaded.run.optimizer.betas == (0.9, 0.95)
    assert loaded.run.method == {"name": "grpo", "group_size": 4}
    assert [d.task for d in loaded.run.data] == ["spans"]
    below = tmp_path / "sub" / ".." / "base.yaml"
    assert loaded.where("optimizer.lr") == f"{top}:2"
    assert loaded.where("optimizer.betas") == f"{below}:6"
    assert loaded.where("method.name") == f"{below}:3"
    assert loaded.where("data.0.task") == f"{top}:5"
    assert loaded.where("data.0.limit") == f"{top}:5"  # unwritten: its entry
    assert loaded.where("train.steps") == str(top)  # unwritten: the file


def test_error_below_names_the_file_it_stands_in(tmp_path: Path, base: Path) -> None:
    base.write_text(BASE.replace("betas", "betass"))
    top = write(tmp_path, "top.yaml", "extends: base.yaml\nseed: 3\n")
    with pytest.raises(ConfigError, match=r'base\.yaml:6: optimizer\.betass: .*"betas"'):
        load_run(top)


def test_a_chain_of_two_is_refused(tmp_path: Path, base: Path) -> None:
    write(tmp_path, "mid.yaml", "extends: base.yaml\n")
    top = write(tmp_path, "top.yaml", "seed: 1\nextends: mid.yaml\n")
    with pytest.raises(ConfigError, match=r"top\.yaml:2: extends: .*mid\.yaml itself extends base"):
        load_run(top)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("extends: nope.yaml", r"t\.yaml:1: extends: no file .*nope\.yaml"),
        ("extends: [a, b]", "wanted the path of one recipe; got a list of 2"),
    ],
)
def test_bad_extends(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_run(write(tmp_path, "t.yaml", line))


def test_overrides_from_a_command_line(base: Path) -> None:
    loaded = load_recipe(
        base,
        [
            "train.steps=50",
            "optimizer.lr=1e-5",
            "name=off",
            "policy.freeze=[projector, language]",
            "policy.lora.r=4",
            "data.0.options={digits: 3}",
            'run_dir="7"',
            "rollout.stop=['</answer>']",
            "method.clip_high=0.3",
        ],
    )
    run = loaded.run
    assert (run.train.steps, run.optimizer.lr, run.name) == (50, 1e-5, "off")
    assert run.policy.freeze == ("projector", "language")
    assert run.policy.lora is not None
    assert run.policy.lora.r == 4
    assert run.data[0].options == {"digits": 3}
    assert run.run_dir == "7"
    assert run.rollout.stop == ("</answer>",)
    assert run.method == {"name": "grpo", "group_size": 8, "clip_high": 0.3}
    assert loaded.where("train.steps") == "override"
    assert loaded.where("policy.freeze.0") == "override"
    assert loaded.where("policy.freeze.1") == "override"
    assert loaded.where("optimizer.betas") == f"{base}:6"


def test_overrides_from_python_keep_their_types(base: Path) -> None:
    run = load_run(base, {"train.steps": 50, "name": "5", "run_dir": Path("a/b"), "stages": ()})
    assert (run.train.steps, run.name, run.run_dir) == (50, "5", str(Path("a/b")))
    assert load_run(run, {"seed": 9}).seed == 9
    assert load_run({"policy": {"model": "m"}}).policy.model == "m"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stpes=3", r'override: train\.stpes: no such setting\. Did you mean "steps"'),
        ("trian.steps=3", r'override: trian\.steps: no such setting\. Did you mean "train"'),
        ("policy.lora.rr=3", r'policy\.lora\.rr: no such setting\. Did you mean "r"'),
        ("data.0.taks=x", r'data\.0\.taks: no such setting\. Did you mean "task"'),
        ("data.1.limit=3", "data has no entry 1; there are 0 to 0"),
        ("stages.0.steps=3", "stages has no entries in the recipe"),
        ("policy.model.x=3", r'policy\.model is text "tiny", it has no setting x'),
        ("train.steps", "wanted key=value"),
        ("=3", "wanted key=value"),
        ("train.steps=0", r"override: train\.steps: wanted at least 1; got the number 0"),
        ("train.steps=2.5", "wanted a whole number; got the number 2.5"),
        ("policy.freeze=[a", "not YAML"),
        ("log.wandb=yes", r'wanted true or false; got text "yes" \(yes, no, on'),
        ("policy.dtype=float61", r'one of float32, bfloat16, float16; .*mean "float16"'),
        ("policy.freeze=[vison]", r'freeze\.0: wanted one of vision.* Did you mean "vision"'),
        ("optimizer.betas=[0.9]", r"optimizer\.betas\.1: is required"),
        ("optimizer.betas=[1,2,3]", "wanted a list of 2; got a list of 3"),
        ("policy=null", r"policy: wanted a section \(key: value\); got nothing"),
    ],
)
def test_bad_override(base: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_run(base, [override])


def test_python_values_that_no_file_could_hold_are_refused(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"override: method\.f: a setting is plain data"):
        load_run(base, {"method.f": object()})


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "r.yaml", "policy: {modle: x}\nseed: -1\nmedia: 5\ndata: {task: x}\n")
    with pytest.raises(ConfigError) as caught:
        load_run(path)
    lines = str(caught.value).splitlines()
    assert f"{path}:1: policy.model: is required and not given" in lines[0]
    assert lines[1] == f'{path}:1: policy.modle: no such setting. Did you mean "model"?'
    assert lines[2] == f"{path}:2: seed: wanted at least 0; got the number -1"
    assert lines[3] == f"{path}:3: media: wanted a section (key: value); got the number 5"
    assert lines[4] == f"{path}:4: data: wanted a list; got a mapping with task"


def test_stage_optimizer_takes_the_recipes_and_changes_what_it_says(base: Path) -> None:
    run = load_run(base, {"stages": [{"name": "a", "steps": 1, "optimizer": {"lr": 0.5}}]})
    merged = stage_optimizer(run, run.stages[0])
    assert (merged.lr, merged.betas) == (0.5, (0.9, 0.95))
    with pytest.raises(ConfigError, match=r'override: stages\.0\.optimizer\.lrr: .*"lr"'):
        load_run(base, {"stages": [{"name": "a", "steps": 1, "optimizer": {"lrr": 0.5}}]})


def test_two_origins_of_one_data_entry_are_refused(base: Path) -> None:
    with pytest.raises(ConfigError, match=r"base\.yaml:8: data\.0: .*exactly one of task, cfg"):
        load_run(base, ["data.0.cfg=x.yaml"])


def test_a_list_is_not_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a recipe is a mapping"):
        load_run(write(tmp_path, "r.yaml", "- a\n"))


def test_dumped_run_loads_back_equal(tmp_path: Path, base: Path) -> None:
    run = load_run(
        base,
        ['name="1e-6"', "rewards=[{name: no, kwargs: {a: [1, null]}}]", "policy.lora={r: 2}"],
    )
    assert run.name == "1e-6"
    again = load_run(write(tmp_path, "dumped.yaml", dump_run(run)))
    assert again == run
    assert again != load_run(base)


def test_schema_describes_every_setting() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["extends"]["type"] == "string"
    assert set(schema["properties"]) == {"extends", *Run.model_fields}
    lr = schema["$defs"]["OptimizerConfig"]["properties"]["lr"]
    assert lr["default"] == 1e-6
    assert "learning rate" in lr["description"]


def test_every_section_has_its_words() -> None:
    for section in Section.__subclasses__():
        assert section.__doc__, section
