"""A listener behind an OpenAI-compatible server (vLLM, SGLang, llama.cpp, a vendor's).

One chat completion a question, pictures as data URLs. Where the server returns log-probs, the two
options are compared at the token that decides; otherwise sampled replies vote. What goes wrong is a
named failure of that one question (unscorable), never a score of 0. Only the URL given is ever
asked; a key comes from an environment variable and is sent over https or to this machine alone.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import math
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import SplitResult, urlsplit

from mmrl.errors import ConfigError
from mmrl.parse.verdicts import parse_verdict
from mmrl.probes.listener import Question, Reply, ask_messages
from mmrl.roles import Models
from mmrl.types import MediaRef

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
_MOST_BYTES = 16 << 20
"""A longer answer is not read."""
_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
"""Statuses that are worth another try."""


class Failed(Exception):
    """One question could not be answered; the text begins with the kind of failure."""


class ServerListener:
    """Asks `base_url` + `/chat/completions` for the verdict of each question.

    `base_url` ends where an OpenAI client's would (`http://127.0.0.1:8000/v1`). `api_key_env` names
    the environment variable of the key. `votes` replies are sampled at temperature 1 where the
    server gives no log-probs; k of n votes count as (k + 1/2) / (n + 1).
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key_env: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 2,
        pause_s: float = 1.0,
        workers: int = 8,
        votes: int = 8,
        max_tokens: int = 12,
    ) -> None:
        self._url = _checked_url(base_url)
        self._key = _key(api_key_env, self._url)
        if timeout_s <= 0 or retries < 0 or workers < 1 or votes < 1:
            raise ConfigError(
                f"listener server: timeout_s above 0, retries from 0, workers and votes from 1; "
                f"got {timeout_s}, {retries}, {workers}, {votes}"
            )
        self.model, self.timeout_s, self.retries, self.pause_s = model, timeout_s, retries, pause_s
        self.workers, self.votes, self.max_tokens = workers, votes, max_tokens

    def __call__(self, questions: Sequence[Question], models: Models, /) -> list[Reply]:
        """A reply to each question, in order."""
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(self._ask, questions))

    def _ask(self, question: Question) -> Reply:
        try:
            messages = _messages(question)
            scores = self._compared(messages, question.options)
            if scores is None:
                scores = self._voted(messages, question.options)
        except Failed as failure:
            return Reply(scores=None, failure=str(failure))
        return Reply(scores=scores)

    def _compared(
        self, messages: Sequence[Mapping[str, Any]], options: tuple[str, str]
    ) -> tuple[float, float] | None:
        """From the log-probs of one greedy reply; None where the server gives none."""
        body = {"messages": messages, "temperature": 0, "logprobs": True, "top_logprobs": 20}
        try:
            return option_scores(self._complete(body), options)
        except Failed as failure:
            if str(failure).startswith(("http 400", "http 422")):  # it knows no log-probs
                return None
            raise

    def _voted(
        self, messages: Sequence[Mapping[str, Any]], options: tuple[str, str]
    ) -> tuple[float, float]:
        """Log-odds from sampled replies; a server that gives fewer than asked is asked again."""
        counts, asked = [0, 0], 0
        while asked < self.votes:
            body = {"messages": messages, "temperature": 1, "n": self.votes - asked}
            choices = self._complete(body)
            for choice in choices[: self.votes - asked]:
                asked += 1
                side = _side(_content(choice), options)
                if side is not None:
                    counts[side] += 1
        valid = sum(counts)
        if not valid:
            raise Failed(f"no verdict: none of {asked} replies is {options[0]!r} or {options[1]!r}")
        return (
            math.log((counts[0] + 0.5) / (valid + 1)),
            math.log((counts[1] + 0.5) / (valid + 1)),
        )

    def _complete(self, body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The choices of one request, tried again where that may help."""
        data = json.dumps({"model": self.model, "max_tokens": self.max_tokens, **body}).encode()
        for turn in range(self.retries + 1):
            try:
                return _choices(*self._post(data))
            except _Again as again:
                if turn == self.retries:
                    raise Failed(str(again)) from again
                time.sleep(self.pause_s * 2**turn)
        raise Failed("no try")

    def _post(self, data: bytes) -> tuple[int, bytes]:
        """Status and content of one request; redirects are not followed."""
        connection = _connection(self._url, self.timeout_s)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            connection.request("POST", f"{self._url.path}/chat/completions", data, headers)
            answer = connection.getresponse()
            return answer.status, _read(answer, time.monotonic() + self.timeout_s)
        except TimeoutError as error:
            raise _Again(f"timeout: no answer within {self.timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise _Again(f"connection: {type(error).__name__}: {error}") from error
        finally:
            connection.close()


class _Again(Exception):
    """A failure that another try may mend."""


def option_scores(
    choices: Sequence[Mapping[str, Any]], options: tuple[str, str]
) -> tuple[float, float] | None:
    """Log-probs of the two options at the token that decides between them; None without any.

    The deciding token is the one that begins what is left of an option behind the text that both
    share. An option that is not among its alternatives has at most the probability of the least
    likely one there, and counts as that.
    """
    shared = next(
        (i for i, (a, b) in enumerate(zip(*options, strict=False)) if a != b),
        min(map(len, options)),
    )
    rests = [option[shared:].strip() for option in options]
    said = ""
    for token in _tokens(choices):
        text = str(token.get("token", ""))
        if said.strip(_MARKUP) == options[0][:shared].strip() and _begins(text, rests):
            return _compared(token, rests)
        said += text
    return None


_MARKUP = " \t\r\n*_`\"'"


def _tokens(choices: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The tokens of the first choice with their alternatives, where the server gives them."""
    logprobs = choices[0].get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    tokens = content if isinstance(content, list) else []
    return [t for t in tokens if isinstance(t, Mapping) and isinstance(t.get("top_logprobs"), list)]


def _begins(text: str, rests: Sequence[str]) -> list[int]:
    """The one option that a token begins, or none."""
    text = text.strip(_MARKUP)
    found = [i for i, rest in enumerate(rests) if text and rest.startswith(text)]
    return found if len(found) == 1 else []


def _compared(token: Mapping[str, Any], rests: Sequence[str]) -> tuple[float, float] | None:
    """Summed log-probs of the alternatives that begin each option."""
    mass, least = [0.0, 0.0], 1.0
    for other in token["top_logprobs"]:
        logp = other.get("logprob") if isinstance(other, Mapping) else None
        if not isinstance(logp, int | float) or not -math.inf < logp <= 0.0:
            continue
        least = min(least, math.exp(logp))
        for side in _begins(str(other.get("token", "")), rests):
            mass[side] += math.exp(logp)
    if not any(mass):
        return None
    return math.log(max(mass[0], least, 1e-30)), math.log(max(mass[1], least, 1e-30))


def _choices(status: int, content: bytes) -> list[Mapping[str, Any]]:
    """The choices of an answer, or what is wrong with it."""
    if status in _AGAIN:
        raise _Again(f"http {status}: {content[:200].decode(errors='replace')}")
    if status != 200:
        raise Failed(f"http {status}: {content[:200].decode(errors='replace')}")
    if len(content) > _MOST_BYTES:
        raise Failed(f"malformed answer: more than {_MOST_BYTES} bytes")
    try:
        choices = json.loads(content)["choices"]
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(f"malformed answer: {content[:200].decode(errors='replace')}") from error
    if (
        not isinstance(choices, list)
        or not choices
        or not all(isinstance(c, dict) for c in choices)
    ):
        raise Failed("malformed answer: there are no choices")
    return choices


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """The content, up to what is read at most; one that only trickles in is a timeout."""
    content = bytearray()
    while len(content) <= _MOST_BYTES and (part := answer.read1(1 << 16)):
        content += part
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(content)


def _content(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else None
    return text if isinstance(text, str) else ""


def _side(text: str, options: tuple[str, str]) -> int | None:
    """Which option a reply is: word for word, or as a verdict."""
    plain = text.strip(" \t\r\n*_`\"'.").lower()
    if plain in (lowered := [o.lower() for o in options]):
        return lowered.index(plain)
    said, wanted = parse_verdict(text), [parse_verdict(o) for o in options]
    return wanted.index(said) if said is not None and said in wanted else None


def _messages(question: Question) -> list[Mapping[str, Any]]:
    """The question's turn in the server's form."""
    parts = []
    for part in ask_messages(question)[0]["content"]:
        if part["type"] == "text":
            parts.append({"type": "text", "text": part["text"]})
        else:
            parts.append({"type": "image_url", "image_url": {"url": data_url(part["media"])}})
    return [{"role": "user", "content": parts}]


def data_url(media: MediaRef) -> str:
    """A picture as a data URL, its bytes as they are; a clip or an unknown format is a failure."""
    if media.kind != "image":
        raise Failed(f"unsupported medium: a server is shown pictures, this is a {media.kind}")
    try:
        data = media.data if media.path is None else media.path.read_bytes()
    except OSError as error:
        raise Failed(f"unreadable medium: {error}") from error
    data = data or b""
    kind = next((name for magic, name in _MAGIC if data.startswith(magic)), None)
    if kind is None and data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None:
        raise Failed("unsupported medium: no PNG, JPEG, WebP, GIF or BMP")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _connection(url: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(host, url.port, timeout=timeout_s)


def _checked_url(base_url: str) -> SplitResult:
    url = urlsplit(base_url.rstrip("/"))
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        raise ConfigError(
            f'listener server: base_url is "{base_url}", wanted the address of a server as '
            "http://127.0.0.1:8000/v1"
        )
    if url.username or url.password:
        raise ConfigError("listener server: keep keys out of base_url; name api_key_env instead")
    return url


def _key(name: str | None, url: SplitResult) -> str | None:
    if name is None:
        return None
    key = os.environ.get(name)
    if not key:
        raise ConfigError(f"listener server: the environment variable {name} is not set")
    if url.scheme != "https" and not _is_this_machine(url.hostname or ""):
        raise ConfigError(
            f"listener server: a key is only sent over https or to this machine, not to "
            f"http://{url.hostname}"
        )
    return key


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
