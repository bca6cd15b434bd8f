"""Messages to token ids: the model's chat template, with typed special tokens kept as text.

Where no message contains a special token's spelling (nearly always) the rendered prompt is
tokenised whole, exactly as the plain processor does. Otherwise each typed spelling travels through
the template as a private-use mark and is tokenised in two parts, so that it can never become the
id that it spells: a literal `<image>` in a question stays text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.errors import PolicyError
from mmrl.policy.messages import Messages
from mmrl.policy.vision import Kind, Layout

_OPEN, _CLOSE = "\ue000", "\ue001"
_TURN = "the assistant said this"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class Chat:
    """Renders messages and expands placeholders with the counts of a plan."""

    def __init__(
        self,
        processor: Any,
        placeholders: Mapping[Kind, str],
        clip_template: str | None = None,
    ) -> None:
        self.processor = processor
        self.clip_template = clip_template
        self.tokenizer = processor.tokenizer
        self.placeholders = dict(placeholders)
        specials = {*self.tokenizer.all_special_tokens, *placeholders.values()}
        for token in self.tokenizer.added_tokens_decoder.values():
            if token.special:
                specials.add(token.content)
        known = self.tokenizer.get_vocab()
        self.special_ids = frozenset(known[token] for token in specials if token in known)
        guarded = sorted((*specials, _OPEN, _CLOSE), key=len, reverse=True)
        self._guard = re.compile("|".join(map(re.escape, guarded)))
        self._place = re.compile("|".join(map(re.escape, placeholders.values())))

    def ids(self, messages: Messages, layouts: Sequence[Layout]) -> tuple[int, ...]:
        """Token ids of normalised messages, every medium written by its layout (in order)."""
        literals: list[str] = []
        text = self._expand(self._render(messages, literals), layouts)
        bos = self.tokenizer.bos_token
        begin = not (bos and text.startswith(bos))
        return tuple(self._pieces(text, literals, begin=begin))

    def text_ids(self, text: str) -> tuple[int, ...]:
        """Ids of plain text, without a template; typed special tokens stay text."""
        ids: list[int] = []
        last = 0
        for found in self._guard.finditer(text):
            ids += self._plain(text[last : found.start()]) + self._literal(found.group())
            last = found.end()
        return tuple(ids + self._plain(text[last:]))

    def between_turns(self, text: str, written: Sequence[int]) -> tuple[int, ...]:
        """Ids from the end of an assistant's turn over a user's `text` to the next turn's begin.

        Leading ids that are among `written` (the end of turn that was sampled) are left out.
        """
        literals: list[str] = []
        conversation = (
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": _TURN},
            {"role": "user", "content": text},
        )
        _, found, after = self._render(conversation, literals).partition(_TURN)
        if not found:
            raise PolicyError(
                "the chat template does not show an assistant's turn as it is, so observations "
                "cannot be put behind it"
            )
        ids = self._pieces(after, literals, begin=False)
        while ids and ids[0] in written:
            ids = ids[1:]
        return tuple(ids)

    def _render(self, messages: Messages, literals: list[str]) -> str:
        def mark(found: re.Match[str]) -> str:
            literals.append(found.group())
            return f"{_OPEN}{len(literals) - 1}{_CLOSE}"

        def safe(item: Mapping[str, Any]) -> dict[str, Any]:
            if item["type"] == "text":
                return {"type": "text", "text": self._guard.sub(mark, item["text"])}
            return {"type": item["type"]}

        conversation = []
        for message in messages:
            content = message["content"]
            items = [{"type": "text", "text": content}] if isinstance(content, str) else content
            conversation.append({**message, "content": [safe(item) for item in items]})
        return self.tokenizer.apply_chat_template(
            conversation,
            chat_template=self._template(conversation),
            tokenize=False,
            add_generation_prompt=True,
        )

    def _template(self, conversation: Sequence[Mapping[str, Any]]) -> str:
        shows_clip = any(c["type"] == "video" for m in conversation for c in m["content"])
        if shows_clip and self.clip_template is not None:
            return self.clip_template
        template = getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template
        if isinstance(template, Mapping):
            template = template.get("default")
        if not template:
            raise PolicyError(
                "this checkpoint has no chat template; put a chat_template.jinja into its folder"
            )
        return template

    def _expand(self, text: str, layouts: Sequence[Layout]) -> str:
        found = self._place.findall(text)
        if len(found) != len(layouts):
            raise PolicyError(
                f"the chat template wrote {len(found)} media placeholders for {len(layouts)} media "
                f"(looked for {', '.join(self.placeholders.values())}); a message's media belong "
                "into its content list, under a role whose template shows them"
            )
        each = iter(layouts)
        return self._place.sub(lambda _: next(each).text, text)

    def _pieces(self, text: str, literals: Sequence[str], *, begin: bool) -> list[int]:
        pieces = _MARK.split(text)
        ids = list(self.tokenizer(pieces[0], add_special_tokens=begin)["input_ids"])
        for number, after in zip(pieces[1::2], pieces[2::2], strict=True):
            ids += self._literal(literals[int(number)])
            ids += self._plain(after)
        return ids

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _literal(self, literal: str) -> list[int]:
        ids = self._plain(literal[:1]) + self._plain(literal[1:])
        if len(literal) > 1 and self.special_ids.intersection(ids):
            return [i for character in literal for i in self._plain(character)]
        return ids
