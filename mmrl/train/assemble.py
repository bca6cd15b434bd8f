"""A recipe's policy, sampler and media store."""

from __future__ import annotations

from pathlib import Path

from mmrl.config.load import LoadedRun
from mmrl.media.store import MediaStore
from mmrl.policy.load import load_policy
from mmrl.policy.parts import Lora
from mmrl.rollout.hf import HFSampler
from mmrl.train.models import Doors
from mmrl.train.rewards import reward_pool


def load_models(loaded: LoadedRun, *, quarantine: Path | None = None) -> Doors:
    """The policy, its sampler and the media store of a recipe.

    `quarantine` is the list of media that are not tried again.
    """
    run = loaded.run
    policy, media = run.policy, run.media
    store = MediaStore(
        cache_dir=Path(media.cache_dir) if media.cache_dir else None,
        cache_bytes=int(media.cache_gb * 2**30),
        memory_bytes=int(media.memory_gb * 2**30),
        workers=media.workers,
        timeout_s=media.timeout_s,
        quarantine_path=quarantine,
    )
    lora = Lora(**policy.lora.model_dump()) if policy.lora else None
    model = load_policy(
        policy.model,
        dtype=policy.dtype,
        device=policy.device,
        attention=policy.attention,
        lora=lora,
        freeze=policy.freeze,
        quantize=policy.quantize,
        gradient_checkpointing=policy.gradient_checkpointing,
        max_prompt_tokens=policy.max_prompt_tokens,
        over_budget=policy.over_budget,
        always_run_vision=policy.always_run_vision,
        form=policy.form,
        reuse_vision=policy.reuse_vision,
        image_budget=media.image.given(),
        video_budget=media.video.given(),
        store=store,
    )
    model.set_sampling(
        temperature=run.rollout.temperature, top_k=run.rollout.top_k, top_p=run.rollout.top_p
    )
    return Doors(
        model,
        HFSampler(model),
        run.rollout,
        seed=run.seed,
        media=store,
        isolated=reward_pool(run),
    )
