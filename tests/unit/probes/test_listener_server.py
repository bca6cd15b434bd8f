"""A listener behind a server, against a fake one on this machine: numbers, votes and failures."""

from __future__ import annotations

import base64
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from builders import CLOCK, a_rollout

from mmrl.errors import ConfigError
from mmrl.probes.listener import ListenerProbe, Question
from mmrl.probes.listener_server import ServerListener, data_url, option_scores
from mmrl.rewards.listener import ListenerReward
from mmrl.tasks.base import TASKS
from mmrl.types import Group, MediaRef

NO_MODELS = SimpleNamespace(policy=None)
SAMPLE = TASKS.get("picture_pair").world(0, split="val", seed=3)
LETTERS = ("A", "B")
SENTENCES = ("Image 1 is better", "Image 2 is better")


class Fake:
    """A server that answers request n by `answers[n]` (the last one again and again).

    An answer is a body, a status, or seconds of silence; `seen` are the requests.
    """

    def __init__(self, *answers):
        self.answers, self.seen, self.keys = list(answers), [], []
        lock, fake = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    answer = fake.answers[min(len(fake.seen), len(fake.answers) - 1)]
                    fake.seen.append({"path": self.path, **body})
                    fake.keys.append(self.headers.get("Authorization"))
                answer = answer(body) if callable(answer) else answer
                if isinstance(answer, float):
                    fake.done.wait(answer)
                    return
                if answer == "trickle":
                    self.trickle()
                    return
                status, content = (answer, "no") if isinstance(answer, int) else (200, answer)
                data = (
                    content.encode() if isinstance(content, str) else json.dumps(content).encode()
                )
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:9/")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def trickle(self):
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                while not fake.done.wait(0.05):
                    self.wfile.write(b" ")

            def log_message(self, *args):
                pass

        self.done = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.done.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def listener(self, **changes):
        given = {"timeout_s": 5.0, "retries": 0, "pause_s": 0.0, "workers": 1}
        return ServerListener(base_url=self.url, model="m", **{**given, **changes})


def token(text, **alternatives):
    top = [{"token": t, "logprob": math.log(p)} for t, p in alternatives.items()]
    return {"token": text, "logprob": -0.1, "top_logprobs": top}


def completion(*tokens):
    text = "".join(t["token"] for t in tokens)
    return {"choices": [{"message": {"content": text}, "logprobs": {"content": list(tokens)}}]}


def said(*texts):
    return {"choices": [{"message": {"content": text}} for text in texts]}


def question(options=LETTERS, sample=SAMPLE):
    return Question(sample=sample, reasoning="A: red. B: blue", options=options)


def ask(listener, *questions):
    return listener(questions or [question()], NO_MODELS)


def test_log_probs_of_the_token_that_decides():
    with Fake(completion(token("B", A=0.2, B=0.6, C=0.1))) as fake:
        (reply,) = ask(fake.listener())
    assert reply.scores == pytest.approx((math.log(0.2), math.log(0.6)))
    (seen,) = fake.seen
    assert seen["path"] == "/v1/chat/completions" and seen["model"] == "m"
    assert (seen["temperature"], seen["logprobs"], seen["top_logprobs"]) == (0, True, 20)
    assert fake.keys == [None]


def test_pictures_go_as_data_urls_in_order_with_the_reasoning():
    with Fake(completion(token("B", A=0.2, B=0.6))) as fake:
        ask(fake.listener())
    (message,) = fake.seen[0]["messages"]
    *pictures, text = message["content"]
    found = [p["image_url"]["url"].removeprefix("data:image/png;base64,") for p in pictures]
    assert [base64.b64decode(f) for f in found] == [m.data for m in SAMPLE.media]
    assert SAMPLE.question in text["text"] and "A: red. B: blue" in text["text"]


def test_sentences_are_told_apart_at_their_number():
    tokens = (token("Image", Image=1.0), token(" 2", **{" 1": 0.3, " 2": 0.7}), token(" is"))
    assert option_scores(completion(*tokens)["choices"], SENTENCES) == pytest.approx(
        (math.log(0.3), math.log(0.7))
    )


@pytest.mark.parametrize(
    ("tokens", "scores"),
    [
        ([token("**", **{"**": 0.9}), token("A", A=0.5, B=0.25)], (0.5, 0.25)),
        ([token("A", **{"A": 0.5, " A": 0.25, "B": 0.125})], (0.75, 0.125)),  # both spellings
        ([token("A", A=0.9, Z=0.01)], (0.9, 0.01)),  # B has at most the least of the list
        ([token("Well", A=0.4, B=0.4), token(" A", A=0.5, B=0.5)], None),  # other text before
        ([token("C", A=0.4, B=0.4)], None),
        ([], None),
    ],
)
def test_alternatives(tokens, scores):
    got = option_scores(completion(*tokens)["choices"], LETTERS)
    assert got == (None if scores is None else pytest.approx(tuple(map(math.log, scores))))


def test_without_log_probs_replies_vote():
    # 3 of 4 valid votes for A: (3 + 1/2) / (4 + 1)
    votes = said("A", "**B**", "a.", "the cat", "The answer is A")
    with Fake(said("A"), votes) as fake:
        (reply,) = ask(fake.listener(votes=5))
    assert reply.scores == pytest.approx((math.log(0.7), math.log(0.3)))
    assert (fake.seen[1]["n"], fake.seen[1]["temperature"]) == (5, 1)


def test_a_server_that_refuses_log_probs_or_gives_one_reply_at_a_time_is_asked_on():
    with Fake(400, said("Image 2 is better"), said("image 1 is better."), said("?")) as fake:
        (reply,) = ask(fake.listener(votes=3), question(SENTENCES))
    assert reply.scores == pytest.approx((math.log(0.5), math.log(0.5)))
    assert [seen.get("n") for seen in fake.seen] == [None, 3, 2, 1]


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (401, "http 401: no"),
        (500, "http 500: no"),
        (302, "http 302: no"),  # never followed
        ("{not json", "malformed answer: {not json"),
        ({"error": 1}, "malformed answer"),
        ({"choices": []}, "malformed answer: there are no choices"),
        ({"choices": ["x"]}, "malformed answer: there are no choices"),
        (said("neither"), "no verdict: none of 2 replies is 'A' or 'B'"),
        ({"choices": [{"message": None, "logprobs": [1]}]}, "no verdict"),
        (30.0, "timeout: no answer within 0.2 s"),
        ("trickle", "timeout: no answer within 0.2 s"),
    ],
)
def test_every_failure_has_its_name_and_is_no_score(answer, failure):
    with Fake(answer) as fake:
        (reply,) = ask(fake.listener(timeout_s=0.2, votes=2))
    assert reply.scores is None
    assert reply.failure.startswith(failure)


def test_a_server_that_is_not_there():
    with Fake(200) as fake:
        listener = fake.listener(retries=1)
    (reply,) = ask(listener)
    assert reply.scores is None and reply.failure.startswith("connection: ConnectionRefusedError")


def test_what_passes_is_tried_again_and_what_does_not_is_not():
    fine = completion(token("A", A=0.5, B=0.5))
    with Fake(503, 429, fine) as fake:
        assert ask(fake.listener(retries=2))[0].scores == pytest.approx((math.log(0.5),) * 2)
    assert len(fake.seen) == 3
    with Fake(503, 503, fine) as fake:
        assert ask(fake.listener(retries=1))[0].failure.startswith("http 503")
    with Fake(403, fine) as fake:
        assert ask(fake.listener(retries=2))[0].failure.startswith("http 403")
    assert len(fake.seen) == 1


def test_replies_come_in_the_order_of_the_questions():
    def by_reasoning(body):
        p = float(body["messages"][0]["content"][-1]["text"].split("p=")[1].split()[0])
        return completion(token("A", A=p, B=1 - p))

    chances = [0.1, 0.9, 0.3, 0.7, 0.5]
    asked = [Question(sample=SAMPLE, reasoning=f"p={p} ", options=LETTERS) for p in chances]
    with Fake(by_reasoning) as fake:
        replies = ask(fake.listener(workers=4), *asked)
    assert [math.exp(r.scores[0]) for r in replies] == pytest.approx(chances)


def test_media_that_cannot_be_sent_are_named_failures(tmp_path):
    from mmrl.probes.listener_server import Failed

    jpeg = tmp_path / "a.jpg"
    jpeg.write_bytes(b"\xff\xd8\xff rest")
    assert data_url(MediaRef(kind="image", path=jpeg)).startswith("data:image/jpeg;base64,")
    webp = MediaRef(kind="image", data=b"RIFF\0\0\0\0WEBPVP8 ")
    assert data_url(webp).startswith("data:image/webp;base64,")
    for media, reason in (
        (MediaRef(kind="video", data=b"x"), "this is a video"),
        (MediaRef(kind="image", data=b"text"), "no PNG, JPEG"),
        (MediaRef(kind="image", path=tmp_path / "none.png"), "unreadable medium"),
    ):
        with pytest.raises(Failed, match=reason):
            data_url(media)


def test_keys_come_from_the_environment_and_stay_on_safe_ways(monkeypatch):
    monkeypatch.setenv("LISTENER_KEY", "secret")
    with Fake(completion(token("A", A=0.5, B=0.5))) as fake:
        ask(fake.listener(api_key_env="LISTENER_KEY"))
    assert fake.keys == ["Bearer secret"]
    with pytest.raises(ConfigError, match="variable NOT_THERE is not set"):
        ServerListener(base_url=fake.url, model="m", api_key_env="NOT_THERE")
    with pytest.raises(ConfigError, match="only sent over https or to this machine"):
        ServerListener(base_url="http://example.org/v1", model="m", api_key_env="LISTENER_KEY")
    ServerListener(base_url="https://example.org/v1", model="m", api_key_env="LISTENER_KEY")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_url": "127.0.0.1:8000"}, "wanted the address of a server"),
        ({"base_url": "ftp://x/v1"}, "wanted the address of a server"),
        ({"base_url": "http://me:key@127.0.0.1/v1"}, "keep keys out of base_url"),
        ({"timeout_s": 0.0}, "timeout_s above 0"),
        ({"votes": 0}, "votes from 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ServerListener(**{"base_url": "http://127.0.0.1/v1", "model": "m", **changes})


def test_a_rollout_is_scored_by_the_server_and_unscorable_without_it():
    rollout = a_rollout("<think>A: red. B: blue</think><answer>A</answer>")
    group = Group(draw_id="0", sample=SAMPLE, rollouts=(rollout,))
    with Fake(
        completion(token("A", A=0.75, B=0.25)), completion(token("B", A=0.25, B=0.75))
    ) as fake:
        ((evidence,),) = ListenerProbe(fake.listener())([group], NO_MODELS, CLOCK)
        late = fake.listener(timeout_s=0.5)
    assert evidence.probabilities == pytest.approx((0.75, 0.25))
    ((silent,),) = ListenerProbe(late)([group], NO_MODELS, CLOCK)
    assert silent.failure.startswith("connection")
    assert ListenerReward()(rollout, SAMPLE, {type(silent): silent}, CLOCK) is None
