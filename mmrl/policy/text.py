"""Token ids to text: decoding, and the character at which every token begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_BROKEN = "\ufffd"
_LONGEST_CHARACTER = 16
"""Tokens that may pass before an incomplete character is taken as it stands."""


class Decoder:
    """Decodes with special tokens left out and spaces as they are."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._pieces: dict[int, str] = {}

    def text(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return self.tokenizer.batch_decode(
            [list(r) for r in rows], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def offsets(self, ids: Sequence[int], text: str) -> tuple[int, ...]:
        """Character offset in `text` (the decoding of `ids`) at which each token begins.

        The tokens of a character of several bytes all begin where it does; a token that decodes
        to nothing begins where the next one will.
        """
        pieces = [self._piece(i) for i in ids]
        if "".join(pieces) == text and _BROKEN not in text:
            offsets, at = [], 0
            for piece in pieces:
                offsets.append(at)
                at += len(piece)
            return tuple(offsets)
        return self._incremental(ids)

    def _piece(self, token: int) -> str:
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self.text([token])
        return piece

    def _incremental(self, ids: Sequence[int]) -> tuple[int, ...]:
        """Decodes a window that starts at the last settled token but one, as streamers do."""
        offsets: list[int] = []
        settled_chars, window, pending, before = 0, 0, 0, ""
        for t in range(len(ids)):
            offsets.append(settled_chars)
            now = self.text(ids[window : t + 1])
            whole = not now.endswith(_BROKEN) or t + 1 - pending > _LONGEST_CHARACTER
            if whole and len(now) >= len(before):
                settled_chars += len(now) - len(before)
                window, pending = pending, t + 1
                before = self.text(ids[window:pending])
        return tuple(offsets)
