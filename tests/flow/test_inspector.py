"""The page in a real browser: Chromium over runs by hand, and over one that was trained."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.inspector.building import append_step, write_run

pytest.importorskip("gradio", reason="the page needs gradio: pip install 'mmrl[inspect]'")
playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium"),
]
WAIT_MS = 120_000
FAMILIES = {
    "transit": True,
    "chart_brief": False,
    "gui_box": True,
    "gui_point": True,
    "digit_span": True,
    "tinted_choice": False,
    "picture_pair": False,
}
"""A task of each family, and whether its reference is drawn on the picture."""
HOSTILE = (
    "<script>window.hacked=1;alert(1)</script>",
    "<img src=x onerror='window.hacked=2'>",
    "<img src='http://203.0.113.7/leak.png'>",
    "<iframe src='javascript:parent.hacked=3'></iframe>",
    "<svg onload='window.hacked=4'>",
    "<a href='javascript:window.hacked=5'>click</a>",
    "</div></article><style>body{display:none}</style>",
    "${window.hacked=6}",
    "`${window.hacked=7}`",
    "{{constructor.constructor('window.hacked=8')()}}",
    "{{#with this}}{{lookup . 'x'}}{{/with}}",
    '"><b onmouseover="window.hacked=9">x</b>',
    "<link rel=stylesheet href=http://203.0.113.7/x.css>",
    "<meta http-equiv=refresh content='0;url=http://203.0.113.7/'>",
    "@children",
)


def hostile(record: dict[str, Any]) -> None:
    text = HOSTILE[record["rollout"] % len(HOSTILE)]
    record["text"] = f"<think>{text}</think><answer>{text}</answer>"
    record["question"] = "".join(HOSTILE)
    record |= {"target": text, "sample": HOSTILE[0], "verdict": "ok", "stop": text}
    record |= {"parts": {text: 0.5}, "failures": {text: text}, "evidence": {"Second": {"a": text}}}
    record |= {"reasoning_span": None, "answer_span": None, "score_name": text}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("runs")
    stages = ("warm", "main")
    write_run(base / "one", steps=6, groups=3, size=4, stages=stages)
    write_run(base / "two", steps=6, groups=3, size=4, seed=1, stages=stages)
    write_run(base / "growing", steps=2, groups=2, size=3, finished=False)
    write_run(base / "hostile", steps=2, groups=2, size=len(HOSTILE), change=hostile)
    return base


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page over the four runs by hand and a short quickstart run."""
    import mmrl
    from mmrl.inspector.page import Page
    from mmrl.inspector.serve import serve

    trained = tmp_path_factory.mktemp("trained") / "quickstart"
    small = {"train.steps": 2, "train.prompts_per_step": 2, "eval.limit": 4}
    small |= {"run_dir": str(trained), "log.console": "quiet", "log.rollouts_every": 1}
    mmrl.train("recipes/quickstart.yaml", small)
    families = tmp_path_factory.mktemp("families")
    for task in FAMILIES:
        data = [{"task": task}]
        one = small | {"train.steps": 1, "run_dir": str(families / task), "eval.limit": 2}
        one |= {"data": data, "eval.data": data, "name": task, "rollout.max_new_tokens": 64}
        mmrl.train("recipes/quickstart.yaml", one)
    kept = dict(os.environ)
    with Page.open([folder, trained, families]) as page:
        app = serve(page, block=False)
        yield app.local_url
        app.close()
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield chromium
        chromium.close()


class Tab:
    """A browser tab that notes what should not happen: outside requests, dialogs, script errors."""

    def __init__(self, browser: Any, url: str, scheme: str = "light") -> None:
        self.url, self.wrong = url, []
        self.context = browser.new_context(
            viewport={"width": 1440, "height": 900}, color_scheme=scheme, accept_downloads=True
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("request", self._asked)
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error {error}"))

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.wrong.append(f"request {request.url}")

    def _dialog(self, dialog: Any) -> None:
        self.wrong.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def open(self, query: str = "", shows: str = ".mi-card") -> Any:
        self.page.goto(self.url + query)
        self.page.wait_for_selector(shows)
        return self.page

    def until(self, condition: str) -> None:
        self.page.wait_for_function(condition)

    def draw(self) -> str:
        return str(self.page.evaluate("document.querySelector('.mi-on')?.dataset.draw"))

    def after(self, act: Any, was: str) -> str:
        """The chosen draw after an act that changes it."""
        act()
        self.until(
            f"!['{was}', undefined].includes(document.querySelector('.mi-on')?.dataset.draw)"
        )
        return self.draw()


@pytest.fixture
def tab(browser: Any, server: str) -> Iterator[Tab]:
    opened = Tab(browser, server)
    yield opened
    wrong = list(opened.wrong)
    opened.context.close()
    assert wrong == []


def test_the_newest_group_is_open_with_every_rollout(tab: Tab) -> None:
    page = tab.open("?run=one")
    assert page.locator(".mi-card").count() == 4
    assert page.locator(".mi-row").count() == 3
    tab.until("location.search.includes('step=5&draw=5.0')")
    widths = page.evaluate("[...document.querySelectorAll('.mi-picture')].map(i => i.naturalWidth)")
    assert widths and min(widths) > 100  # every picture was decoded
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_keys_walk_through_groups_and_steps_but_not_while_typing(tab: Tab) -> None:
    page = tab.open("?run=one")
    assert tab.after(lambda: page.keyboard.press("j"), "5.0") == "5.1"
    assert tab.after(lambda: page.keyboard.press("ArrowDown"), "5.1") == "5.2"
    assert tab.after(lambda: page.keyboard.press("k"), "5.2") == "5.1"
    assert tab.after(lambda: page.keyboard.press("["), "5.1") == "4.0"
    page.keyboard.press("?")
    page.wait_for_selector("#mi-help.mi-open")
    page.keyboard.press("Escape")
    assert page.locator("#mi-help.mi-open").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("jjkk?")
    assert page.locator("#mi-search textarea, #mi-search input").first.input_value() == "jjkk?"
    tab.until("document.querySelector('#mi-groups').innerText.includes('No group passes')")


def test_filters_narrow_the_list_and_are_in_the_link(tab: Tab, browser: Any, server: str) -> None:
    page = tab.open("?run=one&all=1")
    assert page.locator(".mi-row").count() == 18
    page.locator("#mi-search textarea, #mi-search input").first.fill("box of the 3")
    tab.until("document.querySelectorAll('.mi-row').length < 18")
    tab.until("[...document.querySelectorAll('.mi-asked')].every(e => e.innerText.endsWith(' 3'))")
    few = page.locator(".mi-row").count()
    tab.until("location.search.includes('text=box+of+the+3')")
    page.locator("#mi-filters button").first.click()
    page.get_by_label("Zero spread only").click()
    tab.until(f"document.querySelectorAll('.mi-row').length < {few}")
    tab.until("location.search.includes('flat=1')")
    flat, link = page.locator(".mi-row").count(), page.evaluate("location.search")
    again = Tab(browser, server)
    other = again.open(link, ".mi-row, #mi-groups .mi-note")
    assert other.locator(".mi-row").count() == flat
    again.context.close()


def test_tokens_are_coloured_and_the_link_keeps_it(tab: Tab) -> None:
    page = tab.open("?run=one&step=3&draw=3.1")
    assert tab.draw() == "3.1"
    page.get_by_label("entropy").click()
    page.wait_for_selector(".mi-legend .mm-legend")
    tab.until("location.search.includes('tokens=entropy')")
    page = tab.open(page.evaluate("location.search"), ".mi-legend .mm-legend")
    assert tab.draw() == "3.1"
    page.keyboard.press("j")
    tab.until("document.querySelector('.mi-on')?.dataset.draw === '3.2'")


def test_a_bad_link_is_told_and_shows_what_there_is(tab: Tab) -> None:
    page = tab.open("?run=../../etc&step=<b>&view=rollouts&tokens=all")
    told = page.locator("#mi-message").inner_text()
    assert "This link is not quite right" in told and "../../etc" in told
    page = tab.open("?run=one&step=3&draw=none", "#mi-group .mi-note")
    assert "has no draw" in page.locator("#mi-group").inner_text()


def test_a_group_is_exported_as_json_and_png(tab: Tab, folder: Path) -> None:
    page = tab.open("?run=one&step=2&draw=2.1")
    with page.expect_download() as download:
        page.locator("#mi-json").click()
    told = json.loads(Path(download.value.path()).read_text())
    lines = (folder / "one" / "rollouts" / "step-000002.jsonl").read_text().splitlines()
    assert told["rollouts"] == [r for r in map(json.loads, lines) if r["draw"] == "2.1"]
    assert download.value.suggested_filename == "one-step-2-draw-2-1.json"
    with page.expect_download() as download:
        page.locator("#mi-png").click()
    assert Path(download.value.path()).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_two_runs_are_compared_and_another_step_can_be_chosen(tab: Tab) -> None:
    page = tab.open("?view=compare&run=one&other=two", ".mi-versus")
    assert page.locator(".mi-versus").count() == 4
    assert page.locator("#mi-compared .mi-picture").count() == 1
    assert page.locator("#mi-compared ins").count() > 0
    tab.until("location.search.includes('step_b=')")
    before = page.evaluate("location.search")
    page.locator("#mi-at-b input").click()
    page.locator("#mi-at-b [role=option]").last.click()
    tab.until(f"location.search !== '{before}'")
    page = tab.open(page.evaluate("location.search"), ".mi-versus")


def test_from_a_group_to_its_comparison(tab: Tab) -> None:
    page = tab.open("?run=one&step=2&draw=2.1")
    page.locator("#mi-to-compare").click()
    page.wait_for_selector(".mi-versus")
    assert page.locator("#mi-sample input").input_value() == "digit_box-train-0-0"  # (2*7+1) % 5


def test_curves_of_all_runs_are_drawn_and_smoothing_is_in_the_link(tab: Tab) -> None:
    page = tab.open("?view=curves&keys=reward%0Azero_spread", ".js-plotly-plot")
    tab.until("document.querySelectorAll('.js-plotly-plot').length === 2")
    names = page.evaluate("document.querySelector('.js-plotly-plot').data.map(t => t.name)")
    assert any("2 seeds: mean" in name for name in names)
    page.locator("#mi-smoothing input[type=number]").fill("0.5")
    page.locator("#mi-smoothing input[type=number]").press("Enter")
    page.locator("#mi-smoothing input[type=range]").press("ArrowRight")
    tab.until("location.search.includes('keep=')")
    page = tab.open("?view=curves&runs=one", ".js-plotly-plot")
    tab.until("document.querySelectorAll('.js-plotly-plot').length > 6")


def test_a_growing_run_shows_new_steps_and_keeps_the_choice(tab: Tab, folder: Path) -> None:
    page = tab.open("?run=growing&step=1&draw=1.1")
    with (folder / "growing" / "rollouts" / "step-000002.jsonl").open("w") as file:
        file.write('{"step": 2, "draw": "2.0", "text": "half')
    page.wait_for_timeout(4000)
    assert page.locator("#mi-status .mi-bad").count() == 0
    append_step(folder / "growing", 2, groups=2, size=3)
    tab.until("document.querySelector('#mi-step input[type=range]').max === '2'")
    assert tab.draw() == "1.1"
    assert "step=1&draw=1.1" in page.evaluate("location.search")
    page.get_by_label("Follow newest").click()
    append_step(folder / "growing", 3, groups=2, size=3)
    tab.until("document.querySelector('.mi-on')?.dataset.draw === '3.0'")


def test_hostile_completions_are_text_and_nothing_more(tab: Tab) -> None:
    page = tab.open("?run=hostile")
    text = page.locator("#mi-group").inner_text()
    assert [part for part in HOSTILE if part not in text] == []
    for query in ("?run=hostile&tokens=logp", "?view=compare&run=hostile&other=hostile"):
        page = tab.open(query, ".mi-card, .mi-versus")
    page = tab.open(
        "?run=hostile&text=%3Cscript%3Ealert(1)%3C/script%3E&sample=${alert(1)}", "#mi-groups"
    )
    page.wait_for_timeout(1500)
    assert page.evaluate("window.hacked") is None
    strange = "#mi-group :is(script, iframe, svg, a, link, meta, style), #mi-group [onerror]"
    assert page.locator(strange).count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_and_its_button(browser: Any, server: str, scheme: str) -> None:
    tab = Tab(browser, server, scheme)
    page = tab.open("?run=one")
    dark = "document.body.classList.contains('dark')"
    assert page.evaluate(dark) is (scheme == "dark")
    ink = "getComputedStyle(document.querySelector('.mi-card')).backgroundColor"
    before = page.evaluate(ink)
    page.locator("#mi-theme").click()
    tab.until(f"{dark} === {str(scheme != 'dark').lower()}")
    assert page.evaluate(ink) != before
    page = tab.open("?run=one")
    tab.until(f"{dark} === {str(scheme != 'dark').lower()}")  # it is remembered
    assert tab.wrong == []
    tab.context.close()


def test_a_trained_run_opens_with_its_groups(tab: Tab) -> None:
    page = tab.open("?run=quickstart")
    assert page.locator(".mi-card").count() == 8
    assert page.locator(".mi-row").count() == 2
    assert "box_iou" in page.locator(".mi-card").first.inner_text()
    page = tab.open("?view=samples&run=quickstart", "#mi-shown-sample .mi-picture")
    page = tab.open("?view=try&run=quickstart", "#mi-model")
    assert "quickstart" in page.locator("#mi-model input").input_value()


@pytest.mark.parametrize("task", FAMILIES)
def test_a_run_of_every_family_shows_its_media_and_references(tab: Tab, task: str) -> None:
    page = tab.open(f"?run={task}")
    assert page.locator(".mi-card").count() == 8
    assert page.locator(".mi-row").count() == 2
    heights = page.evaluate(
        "[...document.querySelectorAll('.mi-head .mi-picture')].map(i => i.naturalHeight)"
    )
    assert len(heights) >= 1 and min(heights) > 100
    assert page.locator(".mi-key .mi-gold").count() == (1 if FAMILIES[task] else 0)


REFUSED = (
    "/gradio_api/file=/etc/passwd",
    "/gradio_api/file=../../etc/passwd",
    "/gradio_api/file={folder}/one/config.yaml",
    "/gradio_api/file={folder}/one/rollouts/step-000000.jsonl",
    "/gradio_api/file=README.md",
    "/file={folder}/one/config.yaml",
    "/gradio_api/file=http://203.0.113.7/x",
    "/monitoring",
    "/docs",
)


@pytest.mark.parametrize("path", REFUSED)
def test_no_file_is_served_by_its_path(server: str, folder: Path, path: str) -> None:
    address = server.rstrip("/") + path.format(folder=folder)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address, timeout=60)
    assert refused.value.code in (400, 401, 403, 404, 422)


def test_the_browser_is_told_to_ask_nobody_else(server: str) -> None:
    with urllib.request.urlopen(server, timeout=60) as answer:
        policy = answer.headers["content-security-policy"]
        page = answer.read().decode()
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "fonts.googleapis" not in page


def test_another_site_may_not_ask(server: str) -> None:
    request = urllib.request.Request(server + "config", headers={"Origin": "http://evil.example"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers.get("access-control-allow-origin") is None


def test_behind_a_password_nothing_is_shown_before_it(folder: Path) -> None:
    from mmrl.inspector.page import Page
    from mmrl.inspector.serve import serve

    with Page.open([folder / "one"]) as page:
        app = serve(page, password="correct horse", block=False)
        try:
            for path in ("config", "gradio_api/info", "gradio_api/file=/etc/passwd"):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(app.local_url + path, timeout=60)
                assert refused.value.code in (401, 403)
            for password, code in (("wrong", 400), ("correct horse", 200)):
                form = f"username=mmrl&password={password.replace(' ', '+')}".encode()
                try:
                    found = urllib.request.urlopen(app.local_url + "login", form, timeout=60).status
                except urllib.error.HTTPError as error:
                    found = error.code
                assert found == code
        finally:
            app.close()


def test_a_polite_kill_leaves_no_scratch_folder(folder: Path, tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-u", "-m", "mmrl", "inspect", str(folder / "one")]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert "http://127.0.0.1:" in server.stdout.readline()
        assert list(tmp_path.glob("mmrl-inspect-*"))
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 128 + signal.SIGTERM
    assert not list(tmp_path.glob("mmrl-inspect-*"))
