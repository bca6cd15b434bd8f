"""Users' rewards in killable processes: values, named failures, time limits, what may travel."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from mmrl.errors import ConfigError, RewardError
from mmrl.rewards.functions import address, load_user_function
from mmrl.rewards.outcome import Judged, classify
from mmrl.rewards.workers import RewardPool, lighten
from mmrl.roles import Reward
from mmrl.types import Clock, Group

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import user_rewards  # noqa: E402
from rollouts import rollout_of, sample_of  # noqa: E402

CLOCK = Clock(step=2, stage="a", stage_step=2, stage_steps=10)


def reward_of(fn, name="user", bounds=(0.0, 1.0), isolated=True):
    from mmrl.rewards.registry import check_reward_fn

    check_reward_fn(name, fn)
    return Reward(name=name, fn=fn, bounds=bounds, isolated=isolated)


BY_TEXT = reward_of(user_rewards.by_text)


@pytest.fixture(scope="module")
def pool():
    with RewardPool(workers=2, timeout_s=20.0) as pool:
        yield pool


def ask(pool, text, reward=BY_TEXT):
    return pool.submit_one(reward, rollout_of(text), sample_of(), {}, CLOCK).result(60)


def test_value_of_two_and_of_four_arguments(pool):
    answered = "<think>a</think><answer>four</answer>"
    assert ask(pool, answered, reward_of(user_rewards.length_of_answer)).value == 0.4
    # width 308 of the processed picture, step 2 of the clock
    seen = ask(pool, "x", reward_of(user_rewards.width_seen, bounds=(0, 5)))
    assert seen.value == pytest.approx(2.308)


def test_judging_happens_in_another_process(pool):
    value = ask(pool, "x", reward_of(user_rewards.process_id, bounds=(0, 1e9))).value
    assert value != os.getpid()


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("raise luck", "exception: ValueError: bad luck"),
        ("nan", "non-finite: nan"),
        ("inf", "non-finite: inf"),
        ("big", "out of bounds: 1.5 is not in [0.0, 1.0]"),
        ("text", "not a number: str '1'"),
        ("die", "crashed: the worker ended with exit code 3"),
        ("exit", "crashed: the worker ended with exit code 1"),
    ],
)
def test_failures_have_names_and_no_value(pool, text, failure):
    outcome = ask(pool, text)
    assert outcome.value is None and outcome.failure == failure


def test_none_is_unscorable_and_no_failure(pool):
    outcome = ask(pool, "none")
    assert (outcome.value, outcome.failure, outcome.kind) == (None, None, "")


def test_slow_reward_is_killed_and_does_not_stall_the_others():
    limits = {"slow": 0.5}
    slow = reward_of(user_rewards.by_text, name="slow")
    with RewardPool(workers=2, timeout_s=30.0, timeouts=limits) as pool:
        pool.check(slow)
        ask(pool, "x")  # both warm: imports are not what is timed
        start = time.perf_counter()
        late = pool.submit_one(slow, rollout_of("sleep 60"), sample_of())
        others = [pool.submit_one(BY_TEXT, rollout_of("x"), sample_of()) for _ in range(20)]
        assert [o.result(30).value for o in others] == [0.5] * 20
        outcome = late.result(30)
        assert time.perf_counter() - start < 15
        assert outcome.failure == "timeout: no value within 0.5 s"
        assert 0.5 <= outcome.seconds < 5
        assert pool.replaced == 1
        assert ask(pool, "x").value == 0.5


def test_native_code_that_holds_the_interpreter_lock_is_killed():
    with RewardPool(workers=1, timeout_s=1.0) as pool:
        pool.check(BY_TEXT)
        assert ask(pool, "spin").kind == "timeout"
        assert ask(pool, "x").value == 0.5


def test_what_a_reward_started_is_killed_with_it():
    with RewardPool(workers=1, timeout_s=1.0) as pool:
        pool.check(BY_TEXT)
        assert ask(pool, "child 98765").kind == "timeout"
    end = time.monotonic() + 10.0  # a killed process is there until it next gets the processor
    while (running := pgrep("sleep 98765")) and time.monotonic() < end:
        time.sleep(0.05)
    assert running == []


def pgrep(words):
    found = subprocess.run(["pgrep", "-f", words], capture_output=True, text=True)
    return found.stdout.split()


def test_group_protocol_and_logged_figures(pool):
    texts = ["x", "none", "raise a b", "sleep 0"]
    group = Group(draw_id="d", sample=sample_of(), rollouts=tuple(map(rollout_of, texts)))
    values, reasons = pool.result(pool.submit(BY_TEXT, group, CLOCK))
    assert values == [0.5, None, None, 1.0]
    assert reasons == [None, None, "exception: ValueError: bad a b", None]
    assert pool.figures() == {}


def test_submitting_does_not_wait():
    with RewardPool(workers=1, timeout_s=30.0) as pool:
        pool.check(BY_TEXT)
        start = time.perf_counter()
        future = pool.submit_one(BY_TEXT, rollout_of("sleep 0.4"), sample_of())
        assert time.perf_counter() - start < 0.2 and not future.done()
        assert future.result(30).value == 1.0


def test_two_workers_judge_at_the_same_time():
    with RewardPool(workers=2, timeout_s=30.0) as pool:
        warm = [pool.submit_one(BY_TEXT, rollout_of("sleep 0.5"), sample_of()) for _ in range(4)]
        [future.result(30) for future in warm]
        start = time.perf_counter()
        both = [pool.submit_one(BY_TEXT, rollout_of("sleep 1.0"), sample_of()) for _ in range(2)]
        assert [future.result(30).value for future in both] == [1.0, 1.0]
        assert time.perf_counter() - start < 1.9


def test_vision_tensors_are_not_sent(pool):
    lock = threading.Lock()  # cannot be pickled
    rollout = rollout_of("x", vision=lock)
    outcome = pool.submit_one(reward_of(user_rewards.no_vision), rollout, sample_of()).result(30)
    assert outcome.value == 1.0
    light = lighten(rollout)
    assert light.sampled_under is light.prompt and light.prompt.vision is None
    assert light.token_ids == rollout.token_ids and light.logps == rollout.logps


def test_sample_that_cannot_be_sent_is_refused_with_the_fix(pool):
    future = pool.submit_one(BY_TEXT, rollout_of("x"), sample_of(lock=threading.Lock()))
    with pytest.raises(RewardError, match=r'reward "user": .* cannot be sent .*in_process: true'):
        future.result(30)
    assert ask(pool, "x").value == 0.5


def test_lambda_and_closure_are_refused_or_run_in_process(pool):
    def closure(rollout, sample):
        return 0.125

    with pytest.raises(RewardError, match=r"defined inside another function .*in_process: true"):
        pool.submit_one(reward_of(closure), rollout_of("x"), sample_of())
    with pytest.raises(RewardError, match="is a lambda and cannot be sent"):
        address(lambda rollout, sample: 0.0)
    here = reward_of(closure, isolated=False)
    assert pool.submit_one(here, rollout_of("x"), sample_of()).result(1).value == 0.125
    failing = reward_of(user_rewards.by_text, isolated=False)
    outcome = pool.submit_one(failing, rollout_of("raise x"), sample_of()).result(1)
    assert outcome.failure == "exception: ValueError: bad x"


def test_decorated_function_dataclass_and_partial_travel(pool):
    assert ask(pool, "x", reward_of(user_rewards.decorated)).value == 0.25
    assert ask(pool, "x", reward_of(user_rewards.Scaled(0.5))).value == 0.5
    assert ask(pool, "x", reward_of(functools.partial(user_rewards.times, 0.75))).value == 0.75


def test_function_hidden_by_another_of_its_name_is_refused(monkeypatch):
    hidden = user_rewards.original
    monkeypatch.setattr(user_rewards, "original", user_rewards.decorated)
    with pytest.raises(RewardError, match=r"is .* and not the reward function of that name"):
        address(hidden)


def test_function_of_a_file_travels_by_its_path(pool, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def half(rollout, sample):\n    return 0.5\n")
    fn = load_user_function(f"{file}:half")
    assert ask(pool, "x", reward_of(fn)).value == 0.5


def test_file_that_cannot_be_imported_by_a_worker_is_an_error_of_the_run(pool, tmp_path):
    file = tmp_path / "once.py"
    file.write_text("def half(rollout, sample):\n    return 0.5\n")
    fn = load_user_function(f"{file}:half")
    file.write_text("import no_such_module_at_all\n")
    with pytest.raises(RewardError, match=r"could not import .*once\.py:half: .*no_such_module"):
        pool.check(reward_of(fn))


def test_user_function_names():
    with pytest.raises(
        ConfigError, match=r'no file .*user_reward\.py\. Did you mean "user_rewards'
    ):
        load_user_function(f"{HERE}/user_reward.py:by_text")
    with pytest.raises(ConfigError, match=r'no function "by_txt" .* Did you mean "by_text"'):
        load_user_function(f"{HERE}/user_rewards.py:by_txt")
    with pytest.raises(ConfigError, match=r"wanted path/to/file\.py:function"):
        load_user_function("user_rewards.py")
    assert load_user_function("math:floor")(1.5) == 1


def test_script_of_the_user_is_not_run_again_by_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = [{str(HERE)!r}]
            from rollouts import rollout_of, sample_of
            from mmrl.rewards.workers import RewardPool
            from mmrl.roles import Reward

            def mine(rollout, sample, evidence, clock):
                return 0.5

            if __name__ == "__main__":
                print("main")
                with RewardPool(workers=1) as pool:
                    reward = Reward(name="mine", fn=mine, isolated=True)
                    future = pool.submit_one(reward, rollout_of("x"), sample_of())
                    print(future.result(60).value)
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.stdout.split() == ["main", "0.5"], done.stderr


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, signal, sys
            sys.path[:0] = [{str(HERE)!r}]
            import user_rewards
            from rollouts import rollout_of, sample_of
            from mmrl.rewards.workers import RewardPool
            from mmrl.roles import Reward

            pool = RewardPool(workers=1)
            fn = user_rewards.process_id
            reward = Reward(name="pid", fn=fn, bounds=(0, 1e9), isolated=True)
            print(int(pool.submit_one(reward, rollout_of("x"), sample_of()).result(60).value))
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=120
    )
    worker = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{worker}/cmdline").exists():
            return
        if not Path(f"/proc/{worker}/cmdline").read_bytes():  # a zombie: it has ended
            return
        time.sleep(0.05)
    pytest.fail(f"worker {worker} outlived its parent")


def test_closed_pool_says_so():
    pool = RewardPool(workers=1)
    pool.close()
    with pytest.raises(RewardError, match="pool of reward workers is closed"):
        pool.submit_one(BY_TEXT, rollout_of("x"), sample_of())


def test_pool_inside_a_worker_is_refused(monkeypatch):
    monkeypatch.setenv("MMRL_REWARD_WORKER", "1")
    with pytest.raises(RewardError, match="main part under `if __name__ =="):
        RewardPool()


def test_rounding_beyond_a_bound_is_clipped_and_parts_are_kept():
    assert classify(1.0 + 1e-9, (0.0, 1.0), 0.0).value == 1.0
    assert classify(-1e-9, (0.0, 1.0), 0.0).value == 0.0
    assert classify(1.0 + 1e-4, (0.0, 1.0), 0.0).kind == "out of bounds"
    outcome = classify(Judged(0.5, {"accuracy": 1.0}), (0.0, 1.0), 0.0)
    assert outcome.value == 0.5 and outcome.parts == {"accuracy": 1.0}
    assert classify(True, (0.0, 1.0), 0.0).value == 1.0
