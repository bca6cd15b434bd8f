"""Who may look: loopback alone without a password; and what the page is told to leave off."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest
from building import write_run

from mmrl.cli import main
from mmrl.cli.inspect import inspect
from mmrl.errors import ConfigError
from mmrl.inspector import serve as serving
from mmrl.inspector.page import Page

OUTSIDE = ["0.0.0.0", "::", "192.168.1.7", "example.org", "", "127.0.0.1.evil.org", "localhost.x"]


@pytest.fixture(autouse=True)
def _no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(serving.PASSWORD, raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_this_machine_may_look_without_a_password(host: str) -> None:
    assert serving.checked_password(host, False, None) is None


@pytest.mark.parametrize("host", OUTSIDE)
def test_other_hosts_are_refused_without_a_password(host: str) -> None:
    with pytest.raises(ConfigError, match="MMRL_INSPECT_PASSWORD"):
        serving.checked_password(host, False, None)
    assert serving.checked_password(host, False, "correct horse") == "correct horse"


def test_sharing_is_refused_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--share lets others look"):
        serving.checked_password("127.0.0.1", True, None)
    monkeypatch.setenv(serving.PASSWORD, "from the environment")
    assert serving.checked_password("127.0.0.1", True, None) == "from the environment"


def test_a_short_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(serving.PASSWORD, "1234567")
    with pytest.raises(ConfigError, match="has 7 characters; wanted 8"):
        serving.checked_password("127.0.0.1", False, None)


def test_a_password_is_asked_for_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(serving.getpass, "getpass", lambda _: "typed by hand")
    assert serving.checked_password("0.0.0.0", False, None) == "typed by hand"
    assert serving.checked_password("127.0.0.1", False, None) is None


def test_the_door_opens_to_the_name_and_the_password_alone() -> None:
    door = serving._door("pass wörd")
    tried = [
        ("mmrl", "pass wörd"),
        ("mmrl", "pass word"),
        ("root", "pass wörd"),
        ("", ""),
        ("é", "é"),
    ]
    assert [door(*pair) for pair in tried] == [True, False, False, False, False]


def test_gradio_sends_nothing_and_keeps_its_files_in_the_scratch_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "before")
    write_run(tmp_path / "a", steps=1)
    with Page.open([tmp_path / "a"]) as page:
        serving.settle_environment(page)
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
        assert Path(os.environ["GRADIO_TEMP_DIR"]).is_relative_to(page.scratch)


def test_the_policy_names_no_other_host() -> None:
    words = {word for rule in serving._POLICY.split(";") for word in rule.split()[1:]}
    assert words == {
        "'self'", "data:", "blob:", "'unsafe-inline'", "'unsafe-eval'", "'none'",
    }  # fmt: skip


def test_a_missing_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ConfigError, match=r"pip install 'mmrl\[inspect\]'"):
        serving.gradio()


def test_the_command_tells_what_is_wrong_before_it_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gradio")
    assert main(["inspect", str(tmp_path / "none")]) == 2
    assert "none: no such folder" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path), "--host", "0.0.0.0"]) == 2
    assert "MMRL_INSPECT_PASSWORD" in capsys.readouterr().err
    write_run(tmp_path / "a", steps=1)
    assert main(["inspect", str(tmp_path / "a"), "--data-root", str(tmp_path / "x")]) == 2
    assert f"--data-root {tmp_path / 'x'}: no such folder" in capsys.readouterr().err


def test_the_command_serves_what_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gradio")
    served: list[tuple[object, ...]] = []
    monkeypatch.setattr(
        serving, "serve", lambda page, *rest: served.append((list(page.runs), *rest, page.models))
    )
    write_run(tmp_path / "a", steps=1)
    (tmp_path / "model").mkdir()
    given = argparse.Namespace(
        runs=[tmp_path / "a"], host="127.0.0.1", port=7999, share=False, data_root=[tmp_path],
        model=[tmp_path / "model"],
    )  # fmt: skip
    assert inspect(given) == 0
    models = {"model": tmp_path / "model"}
    assert served == [(["a"], "127.0.0.1", 7999, False, None, models)]
