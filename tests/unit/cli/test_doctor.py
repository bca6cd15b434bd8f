"""`mmrl doctor`: each finding at both ends."""

import os
from argparse import Namespace
from pathlib import Path

import pytest

from mmrl.cli import doctor
from mmrl.cli.doctor import Finding, Status
from mmrl.sandbox import walls
from mmrl.sandbox.walls import Wall


def test_python_versions() -> None:
    assert doctor.python_version((3, 10, 9)).status is Status.FAIL
    assert doctor.python_version((3, 11, 0)).status is Status.OK
    assert doctor.python_version((3, 13, 5)).status is Status.OK
    assert doctor.python_version((3, 14, 0)).status is Status.WARN


def test_memory_and_disk_warn_with_a_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "MIN_MEMORY_GB", 0)
    monkeypatch.setattr(doctor, "MIN_DISK_GB", 0)
    assert doctor.memory().status is Status.OK
    assert doctor.disk(tmp_path).status is Status.OK
    monkeypatch.setattr(doctor, "MIN_MEMORY_GB", 10**6)
    monkeypatch.setattr(doctor, "MIN_DISK_GB", 10**9)
    assert "media.memory_gb" in doctor.memory().fix
    assert doctor.disk(tmp_path).status is Status.WARN
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert doctor.disk(tmp_path).status is Status.FAIL


def test_a_broken_wheel_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torchmusic.py").write_text("raise OSError('libcudart.so.13: not there')\n")
    (tmp_path / "torchsound.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert doctor.cuda_only_wheels(("torchsound", "torchabsent")).status is Status.OK
    found = doctor.cuda_only_wheels(("torchsound", "torchmusic"))
    assert found.status is Status.FAIL
    assert found.fix.startswith("pip uninstall torchmusic (")


def test_readers_warn_while_one_is_left_and_fail_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(doctor, "_import", lambda n: ("", os) if n == "av" else ("gone", None))
    states = {f.what: f.status for f in doctor.readers()}
    assert states == {"av": Status.OK, "decord": Status.WARN, "cv2": Status.WARN}
    monkeypatch.setattr(doctor, "_import", lambda n: ("gone", None))
    assert {f.status for f in doctor.readers()} == {Status.FAIL}
    monkeypatch.setattr(doctor.platform, "machine", lambda: "aarch64")
    assert [f.status for f in doctor.readers()] == [Status.FAIL, Status.OK, Status.FAIL]


def test_untested_transformers_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, status in [
        ("5.16.9", Status.WARN),
        ("5.17.0", Status.OK),
        ("5.23.1", Status.OK),
        ("5.24.0", Status.WARN),
    ]:
        fake = type("Module", (), {"__version__": version})
        monkeypatch.setattr(doctor, "_import", lambda n, fake=fake: ("", fake))
        assert doctor.transformers_version().status is status, version


def test_a_missing_wall_warns_with_what_it_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "missing_walls", lambda: {})
    found = doctor.sandbox()
    assert found.status is Status.OK and "seccomp, landlock, namespaces stand" in found.says
    lacking = {Wall.LANDLOCK: "Function not implemented"}
    monkeypatch.setattr(walls, "missing_walls", lambda: lacking)
    found = doctor.sandbox()
    assert found.status is Status.WARN and "no landlock: Function not implemented" in found.says
    assert "Linux 5.13" in found.fix and "without: [landlock]" in found.fix


def test_exit_code_and_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = Finding(Status.OK, "a", "fine"), Finding(Status.FAIL, "b", "gone", "make venv")
    monkeypatch.setattr(doctor, "examine", lambda: iter([good]))
    assert doctor.doctor(Namespace()) == 0
    monkeypatch.setattr(doctor, "examine", lambda: iter([good, bad]))
    assert doctor.doctor(Namespace()) == 1
    out = capsys.readouterr().out
    assert "ok    a              fine\n" in out
    assert "fail  b              gone\n" in out
    assert "fix: make venv\n" in out
    assert "1 failed" in out


def test_this_machine_has_no_failure() -> None:
    """The tests run here, so the doctor must not say that nothing can."""
    failed = [str(f) for f in doctor.examine() if f.status is Status.FAIL]
    assert failed == []
