"""Values and gradients of TRL, verl, OpenRLHF and the papers' copies of verl, case by case.

Every variant that our parts express runs on every case of its file. `DIFFERENT` lists the cases
where ours differs on purpose; `NOT_OURS` the variants that are other methods.
"""

import json
from pathlib import Path

import pytest
import torch
from builders import CLOCK, a_pack, counts_of, output

from mmrl.objective.clipped import Cispo, Clipped, Reinforce
from mmrl.objective.corrected import Corrected
from mmrl.objective.kl import Kl, kl_estimate
from mmrl.objective.reduction import SequenceSumNorm, sequence_mean, sequence_sum, token_mean

VECTORS = Path(__file__).parents[2] / "vectors"
GSPO = Clipped(low=3e-4, high=4e-4, ratio="sequence")

# variant -> objective, reduction
TRL = {
    "grpo": (Clipped(), sequence_mean),
    "bnpo": (Clipped(), token_mean),  # one micro-batch: its tokens are those of the update
    "dr_grpo": (Clipped(), "dr_grpo"),
    "dapo": (Clipped(), token_mean),
    "dapo_cliphigher": (Clipped(high=0.28), token_mean),
    "grpo_delta4": (Clipped(delta=4.0), sequence_mean),
    "grpo_delta1.1": (Clipped(delta=1.1), sequence_mean),
    "cispo5": (Cispo(low=1.0, high=4.0), token_mean),
    "cispo_default_eps": (Cispo(low=1.0, high=-0.8), token_mean),
    "gspo": (GSPO, sequence_mean),
    "gspo_eps.2": (Clipped(ratio="sequence"), sequence_mean),
    "gspo_token": (GSPO, sequence_mean),
    "gspo_wrong_dapo": (Clipped(ratio="sequence"), token_mean),
    "kl": (Clipped(), sequence_mean),
    "luspo": (Clipped(ratio="sequence"), sequence_sum),
}
VERL_REDUCTION = {
    "token-mean": token_mean,
    "seq-mean-token-mean": sequence_mean,
    "seq-mean-token-sum": sequence_sum,
    "seq-mean-token-sum-norm": "padded",
    "fixed": sequence_mean,
}
OPENRLHF = {
    "ppo_token": (Clipped(), token_mean),
    "ppo_seq": (Clipped(), sequence_mean),
    "ppo_dual3": (Clipped(dual=3.0), token_mean),
    "ppo_cliphigher": (Clipped(high=0.27), token_mean),
    "gspo": (GSPO, sequence_mean),
    "tis": (Corrected(inner=Clipped(), cap=5.0, floor=0.5), token_mean),
    "icepop": (Corrected(inner=Clipped(), cap=5.0, floor=0.5, drop=True), token_mean),
}
NOT_OURS = {
    "sapo", "vespo", "gmpo", "geo_mean", "opsm", "top20_entropy", "kl_bias_corr",
    "rloo_loss", "seq-mask-tis",
}  # fmt: skip

ROW = "TRL counts a row without a trained token among the rows it divides by; ours is absent"
EDGE = "the ratio is 1.2 + 2e-10 once the input is rounded as printed: ours is cut, theirs was not"
K3 = "TRL does not bound k3; ours follows verl and stops at 10, against exploding gradients"
# (file, variant, case) -> why ours differs on purpose
DIFFERENT = {
    ("trl-losses", "grpo", "fully_masked_row"): ROW,
    ("trl-losses", "dr_grpo", "fully_masked_row"): ROW,
    ("trl-losses", "grpo_delta4", "fully_masked_row"): ROW,
    ("trl-losses", "grpo_delta1.1", "fully_masked_row"): ROW,
    ("trl-losses", "gspo", "fully_masked_row"): ROW,
    ("trl-losses", "gspo_eps.2", "fully_masked_row"): ROW,
    ("trl-losses", "gspo_token", "fully_masked_row"): ROW,
    ("trl-losses", "luspo", "fully_masked_row"): ROW,
    ("trl-losses", "kl", "fully_masked_row"): ROW,
    ("trl-losses", "kl", "large_drift"): K3,
    ("trl-losses", "kl", "clamp20"): K3,
    ("verl-losses", "vanilla", "exact_hi_edge"): EDGE,
}


def objective_of(result):
    """Objective and reduction of a verl result."""
    cfg, name = result["cfg"], result["loss_fn"]
    low = cfg["clip_ratio_low"] or cfg["clip_ratio"]
    high = cfg["clip_ratio_high"] or cfg["clip_ratio"]
    objective = {
        "vanilla": Clipped(low=low, high=high, dual=cfg.get("clip_ratio_c", 3.0)),
        "gspo": GSPO,
        "gpg": Reinforce(),
        "cispo": Cispo(low=low, high=high),
    }[name]
    return objective, VERL_REDUCTION[result["agg"]]


def cases():
    for file, key, known in (
        ("trl-losses", "cases", TRL),
        ("verl-losses", "cases", None),
        ("openrlhf", "loss_cases", OPENRLHF),
    ):
        for case in json.loads((VECTORS / f"{file}.json").read_text())[key]:
            for number, result in enumerate(case["results"]):
                variant = result.get("variant") or result["loss_fn"]
                if variant in NOT_OURS:
                    continue
                parts = known[variant] if known else objective_of(result)
                label = f"{file}/{variant}/{result.get('agg', '')}{number}/{case['name']}"
                yield pytest.param(file, variant, case, result, parts, id=label)


def ours(case, objective, reduction, beta=0.0):
    """Loss and gradient [R][T] of our parts."""
    pack = a_pack(
        case["lengths"],
        case["old_log_prob"],
        advantages=case["advantage"],
        reference=case.get("ref_log_prob"),
        behaviour=case.get("rollout_log_prob"),
    )
    out, counts = output(case["log_prob"]), counts_of(pack)
    per_token, _ = objective(out, pack, pack.advantages["main"], CLOCK)
    loss = reduction(per_token, pack, counts)
    if beta:
        kl, _ = Kl("k3")(out, pack, pack.advantages["main"], CLOCK)
        loss = loss + beta * reduction(kl, pack, counts)
    loss.backward()
    return loss.item(), out.logp.grad.reshape(len(case["lengths"]), -1)


def scale_of(file, reduction, case):
    """Reduction, and the factor by which the peer's divisor differs by definition."""
    width = len(case["log_prob"][0])
    if reduction == "dr_grpo":
        return SequenceSumNorm(case["max_completion_length"])
    if reduction == "padded":  # verl divides by the padded width and not by the rows
        rows = sum(length > 0 for length in case["lengths"])
        return lambda *args: sequence_sum(*args) * rows / width
    return reduction


@pytest.mark.parametrize(("file", "variant", "case", "result", "parts"), list(cases()))
def test_loss_and_gradient_of_a_peer(file, variant, case, result, parts):
    objective, reduction = parts
    beta = result["cfg"].get("beta", 0.0)
    loss, grad = ours(case, objective, scale_of(file, reduction, case), beta)
    expected = torch.tensor(result["grad"], dtype=torch.float64)
    same = loss == pytest.approx(result["loss"], abs=1e-6, rel=1e-6) and torch.allclose(
        grad, expected, atol=1e-6, rtol=1e-6
    )
    reason = DIFFERENT.get((file, variant, case["name"]))
    wide = result["cfg"].get("clip_ratio_high") == 0.28  # 1.2 is no edge there
    if reason and not wide:
        assert not same, f"ours agrees after all: take it off the table ({reason})"
    else:
        assert loss == pytest.approx(result["loss"], abs=1e-6, rel=1e-6)
        torch.testing.assert_close(grad, expected, atol=1e-6, rtol=1e-6)


def test_the_masked_row_differs_by_the_number_of_rows_alone():
    """TRL divides by 3 rows where 2 train: its loss is ours times 2/3."""
    data = json.loads((VECTORS / "trl-losses.json").read_text())
    case = next(c for c in data["cases"] if c["name"] == "fully_masked_row")
    theirs = next(r for r in case["results"] if r["variant"] == "grpo")
    loss, _ = ours(case, Clipped(), sequence_mean)
    assert loss * 2 / 3 == pytest.approx(theirs["loss"], abs=1e-6)


def kl_cases():
    """(file, our estimator, logp, reference, value, gradient or None)."""
    verl = json.loads((VECTORS / "verl-losses.json").read_text())["kl_cases"]
    for c in verl:
        for kind in ("k1", "k2", "k3"):
            out = c["out"][kind]
            yield "verl", kind, c["logprob"], c["ref_logprob"], out["value"], out["grad"]
    copies = json.loads((VECTORS / "verl-core-grpo.json").read_text())["kl_cases"]
    for c in copies:
        for kind, name in (("k1", "kl"), ("k2", "mse"), ("k3", "low_var_kl")):
            yield "copies", kind, c["logprob"], c["ref_logprob"], c[name], None
    for c in json.loads((VECTORS / "openrlhf.json").read_text())["kl_cases"]:
        if abs(c["lp"] - c["ref"]) > 10.0:
            continue  # OpenRLHF clamps log-ratios at 10 for k1 and k2 too; ours, as verl, does not
        yield "openrlhf", c["est"], c["lp"], c["ref"], c["out"], None


@pytest.mark.parametrize(("file", "kind", "logp", "ref", "value", "grad"), list(kl_cases()))
def test_kl_estimators_of_the_peers(file, kind, logp, ref, value, grad):
    leaf = torch.tensor(float(logp), dtype=torch.float64, requires_grad=True)
    estimate = kl_estimate(kind, leaf, torch.tensor(float(ref), dtype=torch.float64))
    assert estimate.item() == pytest.approx(value, abs=2e-6)
    if grad is not None:
        estimate.backward()
        assert leaf.grad.item() == pytest.approx(grad, abs=2e-6)


def test_policy_losses_of_the_papers_copies_of_verl():
    data = json.loads((VECTORS / "verl-core-grpo.json").read_text())["policy_loss_cases"]
    for case in data:
        num, clip = len(case["adv"]), case["clip"]
        pack = a_pack(case["mask"], [[x] for x in case["old_logp"]], advantages=case["adv"])
        assert pack.num_rows == num
        out = output([[x] for x in case["logp"]])
        objective = Clipped(low=clip, high=clip)
        per_token, metrics = objective(out, pack, pack.advantages["main"], CLOCK)
        loss = token_mean(per_token, pack, counts_of(pack))
        assert loss.item() == pytest.approx(case["loss"], abs=1e-6), case["name"]
        cut = (metrics["clip_low"] + metrics["clip_high"]) * pack.mask
        assert (cut.sum() / pack.mask.sum()).item() == pytest.approx(case["clipfrac"]), case
        kl = (metrics["kl_old"] * pack.mask).sum() / pack.mask.sum()
        assert kl.item() == pytest.approx(case["approx_kl"], abs=1e-6), case["name"]
