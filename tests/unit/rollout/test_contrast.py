"""Groups with a contrast: shuffled frames, no picture; scored, compared, never packed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import CLOCK, a_group, a_rollout, a_sample

from mmrl.config.schema import RolloutConfig
from mmrl.errors import ConfigError
from mmrl.policy.load import load_policy
from mmrl.policy.scripted import Scripted
from mmrl.probes.contrast import ContrastScores
from mmrl.rewards.contrast import ContrastBonus, ContrastScore, LengthWindow
from mmrl.rollout.contrast import WithContrast, shuffled_frames, without_media
from mmrl.rollout.hf import HFSampler
from mmrl.tasks.base import TASKS
from mmrl.train.models import Doors
from mmrl.types import Group, MediaRef, Sample

TINY = Path(__file__).parents[3] / "assets" / "tiny-vlm"
PICTURE = MediaRef(kind="image", data=b"png")
CLIP = MediaRef(kind="video", data=b"mp4", options={"fps": 4.0})


def a_clip(name: str = "a", *media: MediaRef) -> Sample:
    question = f"{name} which: A red B blue"
    return Sample(id=name, task="clip_order", question=question, media=media or (CLIP,), target="A")


class Blind(Scripted):
    """Sees from the messages whether the frames are in order: right if so, else every other one."""

    def _texts(self, prompt, group_size):
        items = [item for m in prompt.messages for item in m["content"]]
        clips = [item["media"] for item in items if item["type"] == "video"]
        mixed = any(c.options.get("strategy") == "shuffled" for c in clips)
        texts = ["<think>x</think><answer>A</answer>", "<think>x</think><answer>B</answer>"]
        return [texts[g % 2 if mixed else 0] for g in range(group_size)]


def doors(policy=None):
    policy = policy or Blind({"which": ["x"]})
    return Doors(policy, policy, RolloutConfig(max_new_tokens=60), seed=3)


def test_only_the_order_of_frames_is_changed():
    sample = a_clip("a", PICTURE, CLIP)
    mixed = shuffled_frames(sample, 9)
    assert mixed.media[0] is PICTURE
    assert {**mixed.media[1].options, "seed": 0} == {"fps": 4.0, "strategy": "shuffled", "seed": 0}
    assert (mixed.id, mixed.question, mixed.target) == (sample.id, sample.question, sample.target)
    assert shuffled_frames(sample, 9) == mixed != shuffled_frames(sample, 10)
    assert shuffled_frames(a_clip("a", PICTURE), 9) is None


def test_clips_of_one_sample_are_shuffled_each_in_its_own_way():
    one, two = shuffled_frames(a_clip("a", CLIP, CLIP), 9).media
    assert one.options["seed"] != two.options["seed"]


def test_another_strategy_is_refused_by_name():
    clip = replace(CLIP, options={"strategy": "uniform", "num_frames": 8})
    with pytest.raises(ConfigError, match='sample "a": its clip asks for strategy "uniform"'):
        shuffled_frames(a_clip("a", clip), 0)


def test_contrast_groups_stand_beside_their_own_group():
    samples = [a_clip("a"), a_clip("pic", PICTURE), a_clip("b")]
    draws = [(f"7.{i}", sample) for i, sample in enumerate(samples)]
    groups = WithContrast(size=4)(draws, doors(), CLOCK)
    assert [g.draw_id for g in groups] == ["7.0", "7.1", "7.2"]
    assert [len(g) for g in groups] == [4, 4, 4]
    assert [len(g.contrast) for g in groups] == [1, 0, 1]
    for group, sample in zip(groups, samples, strict=True):
        assert group.sample is sample
        for other in group.contrast:
            assert other.sample.id == sample.id and len(other) == 2
            assert other.draw_id == f"{group.draw_id}.contrast"
    assert groups[0].contrast[0].sample.media != groups[2].contrast[0].sample.media


def test_no_clip_at_all_is_a_plain_group():
    (group,) = WithContrast(size=3)([("0.0", a_clip("p", PICTURE))], doors(), CLOCK)
    assert group.contrast == () and len(group) == 3


@pytest.mark.parametrize(("size", "contrast", "want"), [(8, None, 4), (1, None, 1), (4, 3, 3)])
def test_half_a_group_unless_said(size, contrast, want):
    assert WithContrast(size=size, contrast_size=contrast).num_contrast == want


@pytest.mark.parametrize("sizes", [{"size": 0}, {"size": 4, "contrast_size": 0}])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(ConfigError, match="at least one rollout"):
        WithContrast(**sizes)


def test_without_media_asks_the_question_alone():
    assert without_media(a_clip(), 0).media == ()
    assert without_media(replace(a_clip(), media=()), 0) is None


def test_scores_of_the_contrast_are_evidence_for_each_rollout():
    draws = [("0.0", a_clip("a")), ("0.1", a_clip("p", PICTURE))]
    groups = WithContrast(size=4, contrast_size=3)(draws, doors(), CLOCK)
    first, second = ContrastScores()(groups, doors(), CLOCK)
    assert first == [ContrastScore(scores=(1.0, 0.0, 1.0))] * 4
    assert first[0].mean == pytest.approx(2 / 3)
    assert second == [ContrastScore(scores=())] * 4 and second[0].mean is None


def scored_with(scores, contrast, lengths=None):
    scored = a_group(scores, lengths or [400] * len(scores))
    evidence = {ContrastScore: (ContrastScore(scores=tuple(contrast)),) * len(scores)}
    return replace(scored, group=replace(scored.group, evidence=evidence))


@pytest.mark.parametrize(
    ("scores", "contrast", "want"),
    [
        ([1.0, 0.0], [1.0, 0.0], [0.3, 0.0]),  # 0.5 >= 0.8 * 0.5
        ([1.0, 0.0, 0.0], [1.0, 0.0], [0.0, 0.0, 0.0]),  # 1/3 < 0.8 / 2
        ([0.8, 0.1, 0.11], [0.0], [0.3, 0.0, 0.3]),  # above 0.1, exclusive
        ([0.0, 0.0], [0.0], [0.0, 0.0]),
        ([1.0, None], [1.0], [0.3, 0.0]),  # the mean is of what could be scored
        ([1.0, 0.0], [], [None, None]),
        ([None, None], [1.0], [None, None]),
    ],
)
def test_bonus_where_the_order_does_not_hurt(scores, contrast, want):
    bonus = ContrastBonus(factor=0.8)
    assert bonus(scored_with(scores, contrast), CLOCK) == pytest.approx(want)


def test_factor_one_asks_for_as_much_as_the_contrast():
    scored = scored_with([1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0])  # 0.667 against 0.75
    assert ContrastBonus(factor=0.8)(scored, CLOCK) == [0.3, 0.0, 0.3]
    assert ContrastBonus(factor=1.0)(scored, CLOCK) == [0.0, 0.0, 0.0]


def test_the_window_holds_both_its_ends_and_needs_two_right_ones():
    lengths = [319, 320, 512, 513]
    bonus = LengthWindow()
    assert bonus(scored_with([1.0] * 4, [], lengths), CLOCK) == [0.0, 0.2, 0.2, 0.0]
    assert bonus(scored_with([0, 1.0, 0, 0], [], lengths), CLOCK) == [0.0] * 4
    assert bonus(scored_with([0, 1.0, 0.1, 1.0], [], lengths), CLOCK) == [0.0, 0.2, 0.0, 0.0]
    with pytest.raises(ConfigError, match="shortest <= longest"):
        LengthWindow(shortest=9, longest=8)


def test_only_sampled_tokens_are_counted():
    rollout = a_rollout(length=400)
    (said,) = rollout.segments
    heard = replace(said, sampled=False)
    rollouts = (rollout, replace(rollout, segments=(said, heard)))
    scored = a_group([1.0, 1.0], rollouts=rollouts, sample=a_sample())
    assert LengthWindow()(scored, CLOCK) == [0.2, 0.2]


def test_a_real_policy_sees_the_same_frames_in_another_order():
    policy = load_policy(TINY)
    models = Doors(policy, HFSampler(policy), RolloutConfig(max_new_tokens=24), seed=1)
    task = TASKS.get("clip_order")
    samples = [task.world(i, split="val", seed=0) for i in range(2)]
    groups = WithContrast(size=4)([(f"0.{i}", s) for i, s in enumerate(samples)], models, CLOCK)
    for group in groups:
        (other,) = group.contrast
        straight, mixed = group.rollouts[0].prompt, other.rollouts[0].prompt
        assert straight.token_ids == mixed.token_ids
        assert straight.media[0].seconds == mixed.media[0].seconds
        one, two = (frames_of(p) for p in (straight, mixed))
        assert one != two and sorted(one) == sorted(two)
    found = ContrastScores()(groups, models, CLOCK)
    assert [len(evidence[0].scores) for evidence in found] == [2, 2]
    assert isinstance(groups[0].contrast[0], Group)


def frames_of(prompt) -> list[bytes]:
    """The pixels of each frame, as the tower gets them (two frames a patch)."""
    (medium,) = prompt.vision.media
    pixels = medium.tensors["pixels"]  # [8 pairs of frames x 16 patches, 3 x 2 x 14 x 14]
    pairs = pixels.reshape(8, 16, 3, 2, -1).permute(0, 3, 1, 2, 4)
    return [frame.contiguous().numpy().tobytes() for pair in pairs for frame in pair]
