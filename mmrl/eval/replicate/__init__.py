"""A paper's claims, tried on the shipped model: arms, seeds in pairs, intervals, verdicts.

    claims.yaml    what is claimed, how it is measured, which arms are compared (`claims`)
    log.jsonl      one line a finished arm and seed, pilots too (`log`)
    result.json    the verdicts, made from the log alone (`result`)

One arm and seed is one process that trains and evaluates (`job`); `replicate` runs what the log
does not hold yet.
"""

from __future__ import annotations

from mmrl.eval.replicate.fresh import rerun
from mmrl.eval.replicate.run import Outcome, replicate
from mmrl.eval.replicate.trained import Trained

__all__ = ["Outcome", "Trained", "replicate", "rerun"]
