"""The policy's other doors: reference, states, saving, freezing, rates, dummy vision, errors."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import zoo
from plain import make_pack

from mmrl.errors import PolicyError
from mmrl.policy.load import load_policy
from mmrl.policy.parts import Lora


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_pack(policy, *contents):
    contents = contents or (("words",), (zoo.picture(1), "what?"))
    prompts = [policy.encode(zoo.user(*c)) for c in contents]
    ids = list(policy.encode_text("an answer"))
    return make_pack(prompts, [(p, ids[: 3 + 2 * p]) for p in range(len(prompts))])


def nudge(policy, scale=0.05):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for tensor in policy.trainable().values():
            tensor.add_(torch.randn(tensor.shape, generator=generator) * scale)


def logp(policy, pack, **asked):
    with torch.no_grad():
        return policy(pack, **asked).logp


@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_reference_is_what_was_kept(lora):
    policy = zoo.policy("qwen2.5-vl", lora=lora)
    pack = small_pack(policy)
    before = logp(policy, pack)
    if lora is None:
        with pytest.raises(PolicyError, match="call keep_reference"):
            policy(pack, reference=True)
        policy.keep_reference()
    nudge(policy)
    moved = logp(policy, pack)
    assert (moved - before).abs().max() > 1e-2
    assert torch.equal(logp(policy, pack, reference=True), before)
    assert torch.equal(logp(policy, pack), moved)
    policy.keep_reference()  # a reset: the reference is now the moved policy
    state = policy.reference_state()
    nudge(policy)
    assert torch.equal(logp(policy, pack, reference=True), moved)
    policy.load_reference_state({})
    policy.load_reference_state(state)
    assert torch.equal(logp(policy, pack, reference=True), moved)
    assert not policy(pack, reference=True).logp.requires_grad


def test_reference_does_not_disturb_a_pending_backward():
    policy = zoo.policy("qwen2.5-vl")
    pack = small_pack(policy)
    policy.keep_reference()
    nudge(policy)

    def gradient(ask):
        for tensor in policy.trainable().values():
            tensor.grad = None
        out = policy(pack).logp
        if ask:
            policy(pack, reference=True)
        out.sum().backward()
        return {n: t.grad.clone() for n, t in policy.trainable().items() if t.grad is not None}

    plain, asked = gradient(False), gradient(True)
    assert all(torch.equal(plain[n], asked[n]) for n in plain)


@pytest.mark.parametrize("lora", [None, Lora(r=2)])
def test_trainable_state_round_trip(lora):
    policy = zoo.policy("smolvlm", lora=lora)
    pack = small_pack(policy)
    state, before = policy.trainable_state(), logp(policy, pack)
    nudge(policy)
    assert not torch.equal(logp(policy, pack), before)
    policy.load_trainable_state(state)
    assert torch.equal(logp(policy, pack), before)
    name = next(iter(state))
    with pytest.raises(PolicyError, match=f"{name} is not in the state; was it saved"):
        policy.load_trainable_state({n: t for n, t in state.items() if n != name})
    with pytest.raises(PolicyError, match="shape"):
        policy.load_trainable_state({**state, name: torch.zeros(1, 1, 1)})


@pytest.mark.parametrize("name", zoo.FAMILY_NAMES)
def test_saved_checkpoint_loads_in_plain_transformers(name, tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    policy = zoo.policy(name, seed=5)
    pack = small_pack(policy)
    folder = policy.save(tmp_path / "saved")
    assert list(folder.glob("*.safetensors"))
    assert not list(folder.glob("*.bin"))
    plain = AutoModelForImageTextToText.from_pretrained(folder)
    mine = policy.core.state_dict()
    assert all(torch.equal(mine[n], t) for n, t in plain.state_dict().items())
    assert AutoProcessor.from_pretrained(folder).tokenizer.get_vocab() == (
        policy.tokenizer.get_vocab()
    )
    again = load_policy(folder)
    assert again.family is policy.family
    assert again.banned_ids == policy.banned_ids
    assert torch.equal(logp(again, small_pack(again)), logp(policy, pack))


def test_adapter_loads_in_plain_peft(tmp_path):
    import peft
    from transformers import Qwen2_5_VLForConditionalGeneration

    base = zoo.policy("qwen2.5-vl", seed=2).save(tmp_path / "base")
    policy = load_policy(base, lora=Lora(r=2, alpha=8.0))
    nudge(policy)
    folder = policy.save(tmp_path / "adapter")
    assert (folder / "adapter_model.safetensors").is_file()
    assert not (folder / "model.safetensors").exists()
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(base)
    plain = peft.PeftModel.from_pretrained(model, folder).state_dict()
    mine = policy.model.state_dict()
    assert plain.keys() == mine.keys()
    assert all(torch.equal(plain[n], mine[n]) for n in plain)
    again = load_policy(folder)
    assert again.trainable().keys() == policy.trainable().keys()
    assert torch.equal(logp(again, small_pack(again)), logp(policy, small_pack(policy)))
    with pytest.raises(PolicyError, match=r"is an adapter already; leave policy\.lora out"):
        load_policy(folder, lora=Lora())


def test_lora_trains_the_language_model_only():
    names = zoo.policy("qwen2.5-vl", lora=Lora(r=2)).trainable()
    assert all("language_model" in n and "lora_" in n for n in names)
    assert not any("lm_head" in n for n in names)
    # two layers of q, k, v, o, gate, up, down with two factors each
    assert len(names) == 2 * 7 * 2
    few = zoo.policy("qwen2.5-vl", lora=Lora(r=2, targets=("q_proj",))).trainable()
    assert len(few) == 4
    with pytest.raises(PolicyError, match=r'no linear layer "q_pro".* Did you mean "q_proj"'):
        zoo.policy("qwen2.5-vl", lora=Lora(targets=("q_pro",)))


def test_freeze_names_its_parts():
    names = zoo.policy("qwen2.5-vl", freeze=["vision", "language"]).trainable()
    assert names
    assert all(n.startswith("model.visual.merger.") for n in names)
    with pytest.raises(PolicyError, match=r'no part "visoin".* Did you mean "vision"'):
        zoo.policy("qwen2.5-vl", freeze=["visoin"])
    with pytest.raises(PolicyError, match="nothing would train"):
        zoo.policy("qwen2.5-vl", freeze=["vision", "projector", "language"])


def test_rates_by_part_and_prefix():
    policy = zoo.policy("qwen2.5-vl")
    groups = policy.parameter_groups(
        1.0, {"vision": 0.1, "projector": 0.2, "model.language_model.layers.1.": 0.3}
    )
    rate = {n: g["lr"] for g in groups for n in g["names"]}
    assert set(rate) == set(policy.trainable())
    assert rate["model.visual.blocks.0.norm1.weight"] == 0.1
    assert rate["model.visual.merger.ln_q.weight"] == 0.2
    assert rate["model.language_model.layers.1.mlp.up_proj.weight"] == 0.3
    assert rate["model.language_model.layers.0.mlp.up_proj.weight"] == 1.0
    assert sum(len(g["params"]) for g in groups) == len(rate)
    with pytest.raises(PolicyError, match='rates: "visual" names nothing that trains'):
        policy.parameter_groups(1.0, {"visual": 0.1})
    adapted = zoo.policy("qwen2.5-vl", lora=Lora(r=2))
    groups = adapted.parameter_groups(1.0, {"model.language_model.layers.0.": 0.5})
    assert sorted(g["lr"] for g in groups) == [0.5, 1.0]


@pytest.mark.parametrize("name", zoo.FAMILY_NAMES)
def test_text_batch_runs_the_tower_with_zero_weight(name):
    policy = zoo.policy(name)
    pack = small_pack(policy, ("words",), ("more words",))

    def gradients():
        for tensor in policy.trainable().values():
            tensor.grad = None
        out = policy(pack).logp
        out.sum().backward()
        return out.detach(), {n: t.grad for n, t in policy.trainable().items()}

    logp_without, without = gradients()
    policy.always_run_vision = True
    logp_with, with_tower = gradients()
    assert torch.equal(logp_with, logp_without)
    vision = [n for n in without if without[n] is None and with_tower[n] is not None]
    parts = (*policy.family.vision, *policy.family.projector)
    assert any(n.startswith(policy.family.projector) for n in vision)
    assert vision
    assert all(n.startswith(parts) for n in vision)
    assert all(with_tower[n].abs().max() == 0 for n in vision)
    rest = [n for n in without if n not in vision and without[n] is not None]
    assert rest
    assert all(torch.equal(with_tower[n], without[n]) for n in rest)


def test_entropy_and_order_of_rows():
    policy = zoo.policy("llava-onevision")
    prompts = [policy.encode(zoo.user(t)) for t in ("a", "a much longer prompt than that")]
    ids = list(policy.encode_text("some text"))
    pack = make_pack(prompts, [(1, ids), (0, ids[:2]), (1, []), (0, ids[3:8])])
    with torch.no_grad():
        out = policy(pack, entropy=True)
    assert out.logp.shape == out.entropy.shape == (9 + 2 + 5,)
    assert ((out.entropy > 0) & (out.entropy < 6)).all()
    alone = logp(policy, make_pack(prompts, [(0, ids[3:8])]))
    torch.testing.assert_close(out.logp[-5:], alone, atol=1e-5, rtol=0)
    empty = policy(make_pack(prompts, [(0, [])]), entropy=True)
    assert empty.logp.shape == empty.entropy.shape == (0,)


def test_training_mode_only_while_checkpointing():
    policy = zoo.policy("internvl", gradient_checkpointing=True)
    seen = []
    layer = policy.core.model.language_model.layers[0]
    layer.register_forward_pre_hook(lambda module, args: seen.append(module.training))
    pack = small_pack(policy)
    policy(pack).logp.sum().backward()
    logp(policy, pack)
    assert seen[0] is True
    assert len(seen) >= 3  # recomputed in the backward
    assert seen[-1] is False
    assert not policy.model.training


def test_changed_file_between_plan_and_pixels_is_named(tmp_path):
    policy = zoo.policy("internvl")
    prompt = zoo.user(zoo.picture(1))
    reader = policy.encoder.reader
    reader.count = lambda kind, tensors, alone: 999
    with pytest.raises(PolicyError, match=r"sample s1: .* gives 999 visual tokens and its plan"):
        policy.encode(prompt, name="s1")


def test_features_that_do_not_fit_name_sample_and_sizes():
    """A checkpoint whose processor merges other patches than its model."""
    policy = zoo.policy("qwen2.5-vl")
    prompt = policy.encode(zoo.user(zoo.picture(1, 60, 45), "what?"))
    vision = prompt.vision
    vision = replace(vision, media=(replace(vision.media[0], num_tokens=5),))
    pack = make_pack([replace(prompt, vision=vision)], [(0, [40])], sample_ids=("row-9",))
    said = r"sample row-9: image 0 .* has 5 placeholder tokens and 4 features \(original \(60, 45\)"
    with pytest.raises(PolicyError, match=said):
        policy(pack)


def test_adapter_dropout_is_honoured_and_off_by_default():
    policy = zoo.policy("qwen2.5-vl", lora=Lora(r=2, dropout=0.5))
    nudge(policy, 0.5)
    pack = small_pack(policy)
    assert not torch.equal(policy(pack).logp, policy(pack).logp)
    assert torch.equal(logp(policy, pack), logp(policy, pack))
    plain = zoo.policy("qwen2.5-vl", lora=Lora(r=2), gradient_checkpointing=True)
    nudge(plain, 0.5)
    assert torch.equal(plain(pack).logp, plain(pack).logp)


def test_folders_that_are_no_checkpoints(tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(PolicyError, match=r"no such folder.* holds: other"):
        load_policy(tmp_path / "nothing")
    with pytest.raises(PolicyError, match=r"config\.json is missing"):
        load_policy(tmp_path / "other")
    folder = zoo.policy("qwen2-vl").save(tmp_path / "good")
    (folder / "model.safetensors").rename(tmp_path / "away.safetensors")
    with pytest.raises(PolicyError, match=r"no \*\.safetensors file"):
        load_policy(folder)
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(PolicyError, match=r"pickled \(pytorch_model\.bin\), which can run code"):
        load_policy(folder)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/no"}))
    with pytest.raises(PolicyError, match="names the base model '/no', which is no folder"):
        load_policy(adapter)


def test_settings_that_cannot_be(tmp_path):
    folder = zoo.policy("qwen2-vl").save(tmp_path / "good")
    with pytest.raises(PolicyError, match="4-bit weights do not train"):
        load_policy(folder, quantize="4bit")
    with pytest.raises(PolicyError, match=r"needs (bitsandbytes|a CUDA device)"):
        load_policy(folder, quantize="4bit", lora=Lora(), device="cpu")
    with pytest.raises(PolicyError, match='no "float8"'):
        load_policy(folder, dtype="float8")
    with pytest.raises(PolicyError, match=r"family smolvlm reads configurations of type smolvlm"):
        load_policy(folder, family="smolvlm")
    if not torch.cuda.is_available():
        with pytest.raises(PolicyError, match='"cuda" and this machine has none'):
            load_policy(folder, device="cuda")
    assert load_policy(folder, dtype="bfloat16").dtype is torch.bfloat16
