"""An EasyR1 reward file of the sequential kind."""

REWARD_NAME = "exact"
REWARD_TYPE = "sequential"


def compute_score(reward_input, **kwargs):
    if not isinstance(reward_input, dict):
        raise ValueError("Please use `reward_type=sequential` for this reward function.")
    right = float(reward_input["response"] == reward_input["ground_truth"])
    return {"overall": right, "accuracy": right}
