"""An EasyR1 reward file of the batch kind."""

import re
from typing import Any

REWARD_NAME = "math"
REWARD_TYPE = "batch"


def compute_score(
    reward_inputs: list[dict[str, Any]], format_weight: float = 0.1
) -> list[dict[str, float]]:
    if not isinstance(reward_inputs, list):
        raise ValueError("Please use `reward_type=batch` for this reward function.")
    scores = []
    for reward_input in reward_inputs:
        response = re.sub(r"\s*(<|>|/)\s*", r"\1", reward_input["response"])
        formatted = float(re.fullmatch(r"<think>.*</think>.*", response, re.DOTALL) is not None)
        accurate = float(reward_input["ground_truth"] in response.split("</think>")[-1])
        scores.append(
            {
                "overall": (1 - format_weight) * accurate + format_weight * formatted,
                "format": formatted,
                "accuracy": accurate,
                "length": float(reward_input["response_length"]),
            }
        )
    return scores
