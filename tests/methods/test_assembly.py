"""A wrong assembly fails when the method is built, in words; states are found by their paths."""

from dataclasses import dataclass

import pytest
from builders import a_group

from mmrl.credit.gates import keep_all
from mmrl.credit.group import Standardised, per_group
from mmrl.errors import ConfigError, MethodError
from mmrl.methods.base import (
    METHODS,
    Method,
    MethodSpec,
    method_spec,
    register_method,
    stateful_parts,
    unit_balance,
    unit_weights,
)
from mmrl.objective.clipped import Clipped
from mmrl.objective.reduction import token_mean
from mmrl.policy.companions import Ema
from mmrl.rewards.builtin import FORMAT
from mmrl.rewards.combine import Gated
from mmrl.roles import Reward, Term
from mmrl.tasks.base import Task


class Likelihood:
    """Evidence that says where it comes from."""

    provided_by = 'probes.likelihood(model="ema")'


class OwnLikelihood(Likelihood):
    pass


class Entropy:
    """Evidence that does not."""


@dataclass
class AProbe:
    provides: type

    def __call__(self, groups, models, clock, /):
        return []


@dataclass
class ABonus:
    name: str
    needs: tuple[type, ...] = ()
    reads: tuple[str, ...] = ()

    def __call__(self, scored, clock, /):
        return []


TERM = Term(name="policy", objective=Clipped(), reduction=token_mean, needs=frozenset({"old"}))


def built(**changes):
    parts = {
        "name": "m",
        "group_size": 4,
        "rewards": (FORMAT,),
        "credit": per_group(Standardised()),
        "terms": (TERM,),
    }
    return Method(**{**parts, **changes})


def term(**changes):
    fields = {"name": "t", "objective": Clipped(), "reduction": token_mean}
    return Term(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"bonuses": (ABonus("care", needs=(Likelihood,)),)},
            r'bonus "care" needs Likelihood; no probe provides it; '
            r'add probes\.likelihood\(model="ema"\)$',
        ),
        (
            {"rewards": (Reward(name="calm", fn=FORMAT.fn, needs=(Entropy,)),)},
            r'reward "calm" needs Entropy; no probe provides it; add a probe',
        ),
        (
            {
                "bonuses": (ABonus("care", needs=(Likelihood,)),),
                "probes": (AProbe(Entropy),),
            },
            r"there is Entropy",
        ),
        ({"bonuses": (ABonus("b", reads=("fromat",)),)}, r'"fromat".*Did you mean "format"'),
        ({"bonuses": (ABonus("format"),)}, r'two rewards are called "format"'),
        ({"combine": Gated(gate="correct")}, r'combine reads the reward part "correct"'),
        ({"terms": ()}, "at least one loss term"),
        ({"terms": (TERM, TERM)}, 'two terms are called "policy"'),
        ({"terms": (term(advantages="side"),)}, r'advantages "side".*no credit'),
        ({"terms": (term(needs=frozenset({"entrpy"})),)}, r'needs "entrpy".*mean "entropy"'),
        ({"rewards": ()}, "no reward"),
        ({"group_size": 1}, "group_size of at least 2; it is 1"),
        ({"more_credit": {"b": per_group(Standardised(), min_group=8)}}, 'credit "b".*at least 8'),
        ({"epochs": 0}, "epochs should be at least 1"),
    ],
)
def test_what_does_not_fit_is_said_in_words(changes, message):
    with pytest.raises(MethodError, match=message):
        built(**changes)


def test_what_fits_is_built():
    method = built(
        probes=(AProbe(OwnLikelihood),),
        bonuses=(ABonus("care", needs=(Likelihood,)), ABonus("b", reads=("format", "care"))),
        combine=Gated(gate="format"),
        more_credit={"side": per_group(Standardised())},
        terms=(TERM, term(advantages="side", needs=frozenset({"reference"}))),
    )
    assert method.needs == {"old", "reference"}
    assert method.needs_reference and not built().needs_reference


def test_neutral_parts():
    method = built()
    assert (method.gate, method.balance, method.token_weights) == (
        keep_all, unit_balance, unit_weights,
    )  # fmt: skip
    assert unit_weights(a_group([0.0, 1.0], [1, 3])) == [[1.0], [1.0] * 3]


class Counter:
    def state_dict(self):
        return {}

    def load_state_dict(self, state, /):
        pass


@dataclass(frozen=True)
class HoldsCounter:
    inner: object

    def __call__(self, *arguments):
        return {}


def test_stateful_parts_are_found_by_walking_the_fields():
    ema, counter, other = Ema(), Counter(), Counter()
    method = built(
        companions=(ema,), balance=HoldsCounter(counter), more_credit={"side": HoldsCounter(other)}
    )
    assert stateful_parts(method) == {
        "companions.0": ema,
        "balance.inner": counter,
        "more_credit.side.inner": other,
    }
    assert stateful_parts(built()) == {}


TASK = Task(
    name="t", template="{question}", rewards=(FORMAT,), score=FORMAT.fn, gold=lambda sample: ""
)


def test_a_spec_of_ones_own_is_registered_by_its_name():
    @register_method
    class MineForTest(MethodSpec):
        name: str = "mine_for_test"
        heat: float = 0.5
        """How warm."""

        def build(self, task):
            return built(name=self.name, rewards=self.rewards(task))

    spec = method_spec({"name": "mine_for_test", "heat": 1})
    assert METHODS.get("mine_for_test") is MineForTest
    assert spec.heat == 1.0 and spec.build(TASK).rewards == (FORMAT,)
    assert MineForTest.model_json_schema()["properties"]["heat"]["description"] == "How warm."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "method has no name. Known: .*grpo"),
        ({"name": "grop"}, r'no method "grop".*"grpo"'),
        ({"name": "dapo", "clip_hihg": 0.3}, r'clip_hihg.*dapo.*Did you mean "clip_high"'),
        ({"name": "grpo", "clip_low": -1}, r"method\.clip_low.*greater than 0 \(it is -1\)"),
        ({"name": "grpo", "normalize": "stdd"}, r"method\.normalize.*mean_only"),
        ({"name": "grpo", "group_size": 2.5}, r"method\.group_size"),
        ({"name": "cispo", "dual_clip": 3.0}, "dual_clip belongs to objective: clip"),
        ({"name": "cispo", "ratio": "sequence"}, "ratio: sequence belongs"),
    ],
)
def test_settings_that_cannot_be_are_config_errors(settings, message):
    with pytest.raises(ConfigError, match=message):
        method_spec(settings)


def test_the_samplers_limit_stands_in_for_max_length():
    assert (
        method_spec({"name": "dr_grpo"}, max_length=64).build(TASK).terms[0].reduction.length == 64
    )
    own = method_spec({"name": "dr_grpo", "max_length": 32}, max_length=64)
    assert own.build(TASK).terms[0].reduction.length == 32
    with pytest.raises(ConfigError, match=r"reduction of dr_grpo reads method\.max_length"):
        method_spec({"name": "dr_grpo"}).build(TASK)
    with pytest.raises(ConfigError, match="overlong_share of dapo"):
        method_spec({"name": "dapo"}).build(TASK)


def test_specs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        method_spec({"name": "grpo"}).clip_low = 0.5
