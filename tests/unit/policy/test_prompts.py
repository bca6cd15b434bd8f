"""Messages to prompts: what typed text may not become, what is refused, what the plan reduces."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
import zoo
from PIL import Image
from plain import plain_inputs

from mmrl.errors import MediaError, PolicyError
from mmrl.types import MediaRef


@pytest.fixture(scope="module")
def qwen():
    return zoo.policy("qwen2.5-vl")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return zoo.clip(tmp_path_factory.mktemp("clips") / "c.mp4", frames=24, size=(56, 56))


@pytest.mark.parametrize("name", zoo.FAMILY_NAMES)
def test_typed_placeholders_stay_text(name):
    policy = zoo.policy(name)
    spelled = sorted({*policy.encoder.chat.placeholders.values(), "<|im_end|>"})
    typed = "a" + "b".join(spelled) + "c"
    plain = policy.encode(zoo.user("abc", zoo.picture(3)))
    prompt = policy.encode(zoo.user(typed, zoo.picture(3)))
    specials = policy.encoder.chat.special_ids
    count = sum(i in specials for i in prompt.token_ids)
    assert count == sum(i in specials for i in plain.token_ids)
    assert typed in policy.decode(prompt.token_ids)
    assert not specials & set(policy.encode_text(typed))
    assert policy.decode(policy.encode_text(typed)) == typed


def test_typed_marks_of_ours_stay_text(qwen):
    typed = "\ue000" + "0\ue001 \ue000<|image_pad|>\ue001"
    assert typed in qwen.decode(qwen.encode(zoo.user(typed)).token_ids)


def test_nested_spelling_never_becomes_a_special_id(qwen):
    typed = "<|im<|im_end|>_end|><<|image_pad|>|image_pad|>"
    assert qwen.decode(qwen.encode_text(typed)) == typed


def test_every_way_to_give_a_picture_is_the_same(qwen, tmp_path):
    picture = zoo.picture(5)
    path = tmp_path / "p.png"
    picture.save(path)
    data = path.read_bytes()
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    ways = [picture, path, str(path), f"file://{path}", data, uri]
    items = [{"type": "image", "image": way} for way in ways]
    items += [{"image": str(path)}]
    items += [{"type": "image", "media": MediaRef(kind="image", path=path)}]
    prompts = [qwen.encode(zoo.user(item, "what?")) for item in items]
    pixels = [p.vision.media[0].tensors["pixels"] for p in prompts]
    assert all(p.token_ids == prompts[0].token_ids for p in prompts)
    assert all(torch.equal(p, pixels[0]) for p in pixels)
    assert len({p.media[0].digest for p in prompts[1:]}) == 1


def test_system_role_and_plain_string_content(qwen):
    prompt = qwen.encode(
        [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    )
    text = qwen.tokenizer.decode(prompt.token_ids)
    assert text == (
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert prompt.vision is None


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "at least one message"),
        ([{"role": "usr", "content": "x"}], r"messages\[0\]\.role is 'usr'"),
        ([{"role": "user", "content": 3}], r"messages\[0\]\.content is a int"),
        (zoo.user({"type": "picture", "image": "x"}), "'picture'; an item is text, image or video"),
        (zoo.user({"type": "image"}), "neither 'image' nor 'media'"),
        (zoo.user({"type": "image", "image": 7}), "is a int; wanted a path"),
        (zoo.user({"type": "image", "image": "https://x.y/z.png"}), "download it first"),
        (zoo.user({"type": "image", "image": "data:image/png;base64,@@"}), "not base64"),
        (
            zoo.user({"type": "video", "video": "a.mp4", "nframe": 3}),
            r'nframe: no such setting of a video. Did you mean "nframes"',
        ),
        (
            zoo.user({"type": "video", "media": MediaRef(kind="image", data=b"x")}),
            "has type video, its media refers to a image",
        ),
    ],
)
def test_what_is_no_message_is_refused(qwen, messages, said):
    with pytest.raises(PolicyError, match=said):
        qwen.encode(messages)


def test_missing_picture_is_a_media_error(qwen):
    with pytest.raises(MediaError, match="no such file") as caught:
        qwen.encode(zoo.user({"type": "image", "image": "/nowhere/at/all.png"}))
    assert caught.value.reason == "missing"


def test_prompt_over_the_limit_names_sample_sizes_and_limit():
    policy = zoo.policy("qwen2.5-vl", max_prompt_tokens=30)
    assert len(policy.encode(zoo.user(zoo.picture(1))).token_ids) <= 30
    with pytest.raises(
        PolicyError, match=r"sample row-7: the prompt has 33 tokens \(7 of them"
    ) as e:
        policy.encode(zoo.user(zoo.picture(1), zoo.picture(2, 90, 40), "two"), name="row-7")
    assert "max_prompt_tokens = 30" in str(e.value)
    assert "image 90x40 -> 84x28: 3 tokens" in str(e.value)


def test_frames_are_reduced_until_the_prompt_fits(clip):
    free = zoo.policy("qwen2.5-vl")
    tight = zoo.policy("qwen2.5-vl", max_prompt_tokens=45, over_budget="reduce_frames")
    messages = zoo.user({"type": "video", "video": str(clip), "fps": 4}, "when?")
    many, few = free.plan(messages), tight.plan(messages)
    assert [len(p.media[0].seconds) for p in (many, few)] == [24, 8]
    assert many.num_tokens - few.num_tokens == (24 - 8) // 2 * 4
    assert few.num_tokens <= 45 < few.num_tokens + 4
    prompt = tight.encode(messages)
    assert prompt.token_ids == few.token_ids
    assert sum(i == tight.core.config.video_token_id for i in prompt.token_ids) == 16
    hopeless = zoo.policy("qwen2.5-vl", max_prompt_tokens=25, over_budget="reduce_frames")
    with pytest.raises(PolicyError, match="2 frames: 4 tokens"):
        hopeless.plan(messages)


def test_plan_decodes_nothing(qwen, tmp_path):
    """A picture whose data are cut off behind its header has a plan, and no pixels."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (90, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, format="PNG")
    broken = tmp_path / "cut.png"
    broken.write_bytes(buffer.getvalue()[:400])
    assert qwen.plan(zoo.user({"type": "image", "image": str(broken)})).media[0].num_tokens == 6
    with pytest.raises(MediaError):
        qwen.encode(zoo.user({"type": "image", "image": str(broken)}))


@pytest.mark.parametrize("name", ["qwen2-vl", "qwen2.5-vl", "qwen3-vl"])
def test_pixels_and_grids_equal_qwen_vl_utils(name, tmp_path):
    """Pictures bit for bit. Frames within one level of 255 where they are resized (two bicubic
    kernels round a tie differently), bit for bit where they are not."""
    policy = zoo.policy(name)
    side = policy.family.media_factor(policy.processor)
    area = side * side
    for seed, (width, height) in enumerate([(60, 45), (91, 40), (33, 120), (20, 20), (200, 150)]):
        item = {"type": "image", "image": zoo.picture(seed, width, height)}
        item |= {"min_pixels": area, "max_pixels": 12 * area}
        messages = zoo.user(item, "x")
        mine, plain = policy.encode(messages), plain_inputs(policy, messages)
        assert torch.equal(mine.vision.media[0].tensors["pixels"], plain["pixel_values"])
        assert torch.equal(mine.vision.media[0].tensors["grid"], plain["image_grid_thw"])
    level = 1.01 / 255 / min(policy.processor.video_processor.image_std)
    for size in [(2 * side, 2 * side), (80, 60)]:
        path = zoo.clip(tmp_path / f"{size[0]}.mp4", size=size)
        for asked in ({"nframes": 4}, {"fps": 2.0}, {"nframes": 6, "video_start": 0.5}):
            item = {"type": "video", "video": str(path), **asked}
            item |= {"min_pixels": area, "max_pixels": 4 * area}
            messages = zoo.user(item, "x")
            mine, plain = policy.encode(messages), plain_inputs(policy, messages)
            tensors = mine.vision.media[0].tensors
            assert list(mine.token_ids) == plain["input_ids"][0].tolist()
            assert torch.equal(tensors["grid"], plain["video_grid_thw"])
            off = (tensors["pixels"] - plain["pixel_values_videos"]).abs()
            assert off.max() <= (0 if size[0] == 2 * side else level)
            assert (off > 0).float().mean() < 0.01
            if "second_per_grid_ts" in plain:
                seconds = torch.as_tensor(plain["second_per_grid_ts"]).float()
                torch.testing.assert_close(tensors["seconds"].float(), seconds)


def test_offsets_of_bytes_and_whole_words(qwen):
    text = "aé<think>本\n"
    ids = qwen.encode_text(text)
    # é and 本 are two and three byte tokens, the tag is one token
    assert qwen.decode(ids) == text
    assert qwen.offsets(ids) == (0, 1, 1, 2, 9, 9, 9, 10)
    assert qwen.offsets((*ids, qwen.eos_ids[0]))[-1] == 11
    assert qwen.offsets(()) == ()


def test_offsets_of_a_broken_character_move_on(qwen):
    cut = qwen.encode_text("本")[:2]
    ids = (*qwen.encode_text("a"), *cut, *qwen.encode_text("bc"))
    text = qwen.decode(ids)
    offsets = qwen.offsets(ids)
    assert text[offsets[-1] :] == "c"
    assert list(offsets) == sorted(offsets)
