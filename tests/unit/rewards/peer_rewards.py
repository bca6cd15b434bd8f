"""Reward functions as users of TRL and verl write them; they know nothing of mmrl."""

import re

# ---- TRL


def format_reward(completions, **kwargs):
    """1.0 where the completion has both tags."""
    contents = [completion[0]["content"] for completion in completions]
    pattern = r"^<think>.*?</think>\s*<answer>.*?</answer>$"
    return [1.0 if re.match(pattern, content, re.DOTALL) else 0.0 for content in contents]


def accuracy_reward(completions, solution, level, **kwargs):
    """Compares with the `solution` column; harder rows count more."""
    rewards = []
    for completion, sol, hard in zip(completions, solution, level, strict=True):
        found = re.search(r"<answer>(.*?)</answer>", completion[0]["content"])
        gold = re.search(r"<answer>(.*?)</answer>", sol).group(1).strip()
        if found is None:
            rewards.append(None)
        else:
            rewards.append(float(found.group(1).strip() == gold) * (0.5 + 0.1 * hard))
    return rewards


def scheduled(prompts, completions, completion_ids, trainer_state, log_metric, log_extra, **kwargs):
    assert prompts[0][0]["role"] == "user"
    assert prompts[0][0]["content"] == [
        {"type": "image"},
        {"type": "text", "text": "which?"},
    ]
    log_metric("tokens", len(completion_ids[0]))
    log_extra("said", [c[0]["content"] for c in completions])
    return [trainer_state.global_step / trainer_state.max_steps]


async def patient(completions, **kwargs):
    import asyncio

    await asyncio.sleep(0)
    return [0.5 for _ in completions]


def plain_text(prompts, completions, **kwargs):
    return [
        float(isinstance(p, str) and "which?" in p and c == "B")
        for p, c in zip(prompts, completions, strict=True)
    ]


def sees_pictures(completions, images, **kwargs):
    return [len(pictures) / 10 + pictures[0].width / 1000 for pictures in images]


# ---- verl


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    if data_source != "hiyouga/geometry3k":
        raise NotImplementedError(f"Reward function is not implemented for {data_source=}")
    boxed = re.findall(r"\\boxed\{(.*?)\}", solution_str)
    acc = 1.0 if boxed and boxed[-1] == ground_truth else 0.0
    form = 1.0 if re.fullmatch(r"<think>.*</think>.*\\boxed\{.*\}.*", solution_str, re.S) else 0.0
    return {"score": 0.9 * acc + 0.1 * form, "acc": acc, "split": extra_info["split"]}


async def compute_score_async(data_source, solution_str, ground_truth, extra_info=None, weight=1.0):
    return weight * float(solution_str == ground_truth)


def compute_scores(data_sources, solution_strs, ground_truths, extra_infos, **kwargs):
    return [float(s == g) for s, g in zip(solution_strs, ground_truths, strict=True)]


def no_score(data_source, solution_str, ground_truth, extra_info=None):
    return {"reward": 1.0}
