"""What Try it shows, as HTML: the upload, how far a question is, and its answers."""

from __future__ import annotations

from typing import Any

from mmrl.errors import MediaError
from mmrl.inspector.html_group import Look, group_html
from mmrl.inspector.html_parts import number, picture, short
from mmrl.inspector.load import load_ref
from mmrl.inspector.pictures import MOST_MEDIA, Loaded, data_uri, drawn
from mmrl.inspector.rows import Stored
from mmrl.inspector.safe import inert
from mmrl.inspector.text import completion_html
from mmrl.inspector.try_it import Asked
from mmrl.inspector.uploads import Upload
from mmrl.media.workers import DecodePool
from mmrl.tasks.base import TASKS
from mmrl.types import MediaRef

_UNSCORED = ("correct", "score")


def upload_html(upload: Upload, pool: DecodePool) -> str:
    """A small picture of an upload, or frames of it, with size and length."""
    loaded = load_ref(upload.ref, most=6, pool=pool)
    width, height = upload.size
    length = f", {upload.seconds:.1f} s" if upload.kind == "video" else ""
    words = f"{upload.kind}, {width} × {height} pixels{length}"
    shown = drawn(loaded, None, (), side=320, frame=72)
    seen = picture(data_uri(shown), words)
    return f'<figure class="mi-upload">{seen}<figcaption>{words}</figcaption></figure>'


def progress_html(status: str, share: float) -> str:
    """How far a question is."""
    width = 100 * min(1.0, max(0.0, share))
    return (
        f'<div class="mi-note" role="status">{inert(status[:200])}…'
        f'<div class="mi-track mi-progress"><b style="width:{width:.1f}%"></b></div></div>'
    )


def asked_html(asked: Asked, pool: DecodePool, model: str) -> str:
    """All answers: the media with everything drawn, and a card for each completion."""
    records = [dict(record) for record in asked.records]
    if not asked.scored:
        for record in records:
            for key in _UNSCORED:
                record.pop(key, None)
    stored = [Stored(record=record, rank=0, line=g) for g, record in enumerate(records)]
    media = [_loaded(ref, pool) for ref in asked.sample.media[:MOST_MEDIA]]
    body = group_html(stored, media, {}, Look())
    tokens = sum(len_of(record) for record in records)
    facts = (
        f"<b>{short(model, 120)}</b> · task <b>{short(asked.sample.task, 80)}</b> · "
        f"{len(records)} completions, {tokens} tokens in {number(asked.seconds, 2)} s · "
        f"prompt of {asked.prompt_tokens} tokens"
    )
    gold = _gold(asked) if asked.gold is not None else ""
    kind = "mi-tried" if asked.scored else "mi-tried mi-unscored"
    return f'<div class="{kind}"><div class="mi-where">{facts}</div>{gold}{body}</div>'


def len_of(record: dict[str, Any]) -> int:
    """Tokens of a completion."""
    return int(record.get("num_tokens") or 0)


def _gold(asked: Asked) -> str:
    text = asked.gold or ""
    parsed = TASKS.get(asked.sample.task).parse(text)
    said = completion_html(
        text, reasoning_span=parsed.reasoning_span, answer_span=parsed.answer_span
    )
    return f'<details class="mi-meta-rows"><summary>gold answer</summary>{said}</details>'


def _loaded(ref: MediaRef, pool: DecodePool) -> Loaded | MediaError:
    try:
        return load_ref(ref, pool=pool)
    except MediaError as error:
        return error


# The page's own sheet is put under a longer selector by Gradio: what differs from it is !important.
CSS = """
.mi-upload{margin:.2rem 0!important}
.mi-upload .mi-picture{max-height:9rem!important}
#mi-upload .wrap{font-size:.8rem!important;line-height:1.25!important;min-height:0!important;
padding-top:1.3rem!important}
#mi-upload .wrap svg{width:1.1rem}
.mi-upload figcaption{font-size:.76rem;color:var(--mi-dim)}
.mi-track.mi-progress{height:4px!important;margin-top:.35rem}
.mi-progress b{left:0;background:var(--mi-accent)}
.mi-tried .mi-group .mi-where{display:none!important}
.mi-tried>.mi-where{margin-bottom:.5rem}
.mi-tried details{margin:0 0 .5rem}
.mi-unscored .mi-facts,.mi-unscored .mi-spread,.mi-unscored .mi-target,.mi-unscored .mi-reward,
.mi-tried .mi-gain,.mi-unscored .mi-meta span:first-child{display:none!important}
"""
