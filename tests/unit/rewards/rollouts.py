"""Small rollouts for tests of rewards."""

from pathlib import Path

from mmrl.parse.completion import parse_completion
from mmrl.types import MediaInfo, MediaRef, Prompt, Rollout, Sample, Segment, StopReason

PICTURE = MediaRef(kind="image", path=Path("a.png"))


def sample_of(target="B", **meta):
    return Sample(
        id="s1", task="demo", question="which?", media=(PICTURE,), target=target, meta=meta
    )


def rollout_of(text, *, vision=None, question="which?"):
    content = ({"type": "image", "media": PICTURE}, {"type": "text", "text": question})
    info = MediaInfo(
        kind="image",
        digest="d",
        original_size=(640, 480),
        processed_size=(308, 224),
        num_tokens=88,
    )
    prompt = Prompt(
        messages=({"role": "user", "content": content},),
        token_ids=(1, 2),
        vision=vision,
        media=(info,),
    )
    num = len(text.split())
    segment = Segment(
        token_ids=tuple(range(num)),
        sampled=True,
        logps=(-0.5,) * num,
        trainable=(True,) * num,
        vision=vision,
    )
    return Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(segment,),
        text=text,
        offsets=tuple(range(num)),
        parsed=parse_completion(text),
        stop=StopReason.EOS,
        policy_step=0,
    )
