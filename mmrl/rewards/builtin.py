"""The rewards that come with mmrl, by name."""

from __future__ import annotations

from mmrl.rewards.actions import action_kind_reward, action_place_reward
from mmrl.rewards.answer_form import box_format_reward, span_format_reward
from mmrl.rewards.answer_kinds import (
    answer_kind_reward,
    near_number_reward,
    rouge_reward,
    rounded_number_reward,
    transcript_reward,
)
from mmrl.rewards.bleu import bleu_reward
from mmrl.rewards.box_size import box_l1_reward, box_size_reward
from mmrl.rewards.charts import (
    chart_answer_reward,
    chart_data_reward,
    chart_decision_reward,
    chart_format_reward,
)
from mmrl.rewards.choice import (
    choice_reward,
    choices_exact_reward,
    choices_f1_reward,
    choices_reward,
)
from mmrl.rewards.choice_consistency import Consistency
from mmrl.rewards.exact import number_reward, text_reward
from mmrl.rewards.format import format_reward
from mmrl.rewards.grounded import count_agreement_reward, grounded_format_reward
from mmrl.rewards.iou import (
    box_giou_reward,
    box_iou_50_reward,
    box_iou_reward,
    boxes_iou_reward,
    span_iou_reward,
)
from mmrl.rewards.points import hit_reward, near_reward
from mmrl.rewards.registry import REWARDS
from mmrl.rewards.repetition import fresh_reward
from mmrl.rewards.routes import map_right_reward, route_detail_reward, route_via_reward
from mmrl.rewards.things import box_confidence_reward, detection_reward, things_reward
from mmrl.roles import Reward

FORMAT = REWARDS.add("format", Reward(name="format", fn=format_reward))
BOX_IOU = REWARDS.add("box_iou", Reward(name="box_iou", fn=box_iou_reward))
BOX_GIOU = REWARDS.add("box_giou", Reward(name="box_giou", fn=box_giou_reward))
BOXES_IOU = REWARDS.add("boxes_iou", Reward(name="boxes_iou", fn=boxes_iou_reward))
HIT = REWARDS.add("hit", Reward(name="hit", fn=hit_reward))
NEAR = REWARDS.add("near", Reward(name="near", fn=near_reward))
BOX_IOU_50 = REWARDS.add("box_iou_50", Reward(name="box_iou_50", fn=box_iou_50_reward))
BOX_SIZE = REWARDS.add("box_size", Reward(name="box_size", fn=box_size_reward))
BOX_L1 = REWARDS.add("box_l1", Reward(name="box_l1", fn=box_l1_reward))
BOX_FORMAT = REWARDS.add("box_format", Reward(name="box_format", fn=box_format_reward))
THINGS = REWARDS.add("things", Reward(name="things", fn=things_reward))
DETECTION = REWARDS.add("detection", Reward(name="detection", fn=detection_reward))
BOX_CONFIDENCE = REWARDS.add(
    "box_confidence", Reward(name="box_confidence", fn=box_confidence_reward)
)
GROUNDED_FORMAT = REWARDS.add(
    "grounded_format", Reward(name="grounded_format", fn=grounded_format_reward)
)
COUNT_AGREEMENT = REWARDS.add(
    "count_agreement", Reward(name="count_agreement", fn=count_agreement_reward)
)
FRESH = REWARDS.add("fresh", Reward(name="fresh", fn=fresh_reward))
BLEU = REWARDS.add("bleu", Reward(name="bleu", fn=bleu_reward))
ACTION_KIND = REWARDS.add("action_kind", Reward(name="action_kind", fn=action_kind_reward))
ACTION_PLACE = REWARDS.add("action_place", Reward(name="action_place", fn=action_place_reward))
SPAN_FORMAT = REWARDS.add("span_format", Reward(name="span_format", fn=span_format_reward))
SPAN_IOU = REWARDS.add("span_iou", Reward(name="span_iou", fn=span_iou_reward))
CHOICE = REWARDS.add("choice", Reward(name="choice", fn=choice_reward))
CHOICES = REWARDS.add("choices", Reward(name="choices", fn=choices_reward))
CHOICES_EXACT = REWARDS.add("choices_exact", Reward(name="choices_exact", fn=choices_exact_reward))
CHOICES_F1 = REWARDS.add("choices_f1", Reward(name="choices_f1", fn=choices_f1_reward))
CONSISTENCY = REWARDS.add("consistency", Consistency().reward())
ROUNDED_NUMBER = REWARDS.add(
    "rounded_number", Reward(name="rounded_number", fn=rounded_number_reward)
)
NEAR_NUMBER = REWARDS.add("near_number", Reward(name="near_number", fn=near_number_reward))
TRANSCRIPT = REWARDS.add("transcript", Reward(name="transcript", fn=transcript_reward))
ROUGE = REWARDS.add("rouge", Reward(name="rouge", fn=rouge_reward))
ANSWER_KIND = REWARDS.add("answer_kind", Reward(name="answer_kind", fn=answer_kind_reward))
NUMBER = REWARDS.add("number", Reward(name="number", fn=number_reward))
TEXT = REWARDS.add("text", Reward(name="text", fn=text_reward))
MAP_RIGHT = REWARDS.add("map_right", Reward(name="map_right", fn=map_right_reward))
ROUTE_DETAIL = REWARDS.add("route_detail", Reward(name="route_detail", fn=route_detail_reward))
ROUTE_VIA = REWARDS.add("route_via", Reward(name="route_via", fn=route_via_reward))
CHART_ANSWER = REWARDS.add(
    "chart_answer", Reward(name="chart_answer", fn=chart_answer_reward, weight=0.8)
)
CHART_DECISION = REWARDS.add(
    "chart_decision", Reward(name="chart_decision", fn=chart_decision_reward, weight=0.3)
)
CHART_DATA = REWARDS.add("chart_data", Reward(name="chart_data", fn=chart_data_reward, weight=0.15))
CHART_FORMAT = REWARDS.add(
    "chart_format", Reward(name="chart_format", fn=chart_format_reward, weight=0.05)
)
