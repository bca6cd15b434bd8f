"""Serves the page: on loopback unless asked, elsewhere only behind a password.

Nothing of the page comes from, or goes to, another host: a content security policy says so to the
browser, fonts are the system's, and Gradio's analytics, history, addresses for programs and
monitoring are off. No file is served by its path: `allowed_paths` is empty, exports and uploads lie
in the page's scratch folder, which is removed at the end.
"""

from __future__ import annotations

import getpass
import hmac
import ipaddress
import os
import sys
from typing import Any

from mmrl.errors import ConfigError
from mmrl.inspector.page import Page

PASSWORD = "MMRL_INSPECT_PASSWORD"
"""The environment variable that holds the password."""
USER = "mmrl"
SHORTEST = 8
"""Characters of a password at least."""
MAX_UPLOAD = "64mb"
MAX_READERS = 64
"""Sessions whose state is remembered."""
_THREADS = 8
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def serve(
    page: Page,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    password: str | None = None,
    *,
    block: bool = True,
) -> Any:
    """Serves the page until Ctrl-C; with `block=False` returns the running app at once.

    `port` None takes the first free one from 7860 on. A host that is not this machine's own, and
    `share`, are refused without a password (ConfigError); the name to log in with is "mmrl".
    """
    secret = checked_password(host, share, password)
    settle_environment(page)
    gr = gradio()
    from mmrl.inspector.app import build_app
    from mmrl.inspector.script import HEAD
    from mmrl.inspector.style import CSS

    app = build_app(page)
    app.queue(default_concurrency_limit=_THREADS, max_size=256)
    try:
        app.launch(
            server_name=host,
            server_port=port,
            share=share,
            auth=None if secret is None else _door(secret),
            auth_message="The name is mmrl; the password was set where the page was started.",
            prevent_thread_lock=True,
            quiet=True,
            inbrowser=False,
            show_error=False,
            max_threads=_THREADS,
            max_file_size=MAX_UPLOAD,
            state_session_capacity=MAX_READERS,
            allowed_paths=[],
            strict_cors=True,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            app_kwargs={"middleware": [_policy()], "docs_url": None, "redoc_url": None},
            theme=theme(gr),
            css=CSS,
            head=HEAD,
        )
    except OSError as error:
        raise ConfigError(
            f"no page on {host}, port {port or '7860 to 7959'}: {error}. Name a free one: --port N"
        ) from None
    if not block:
        return app
    print(f"mmrl inspect: {app.local_url}", flush=True)
    if share and app.share_url:
        print(f"mmrl inspect: {app.share_url} (for anyone with the password)", flush=True)
    try:
        app.block_thread()
    finally:
        app.close()
    return app


def gradio() -> Any:
    """The package; ConfigError with what to install where it is missing."""
    try:
        import gradio as gr
    except ImportError as error:
        raise ConfigError(
            f"the inspector needs gradio: pip install 'mmrl[inspect]' ({error})"
        ) from error
    return gr


def checked_password(host: str, share: bool, password: str | None) -> str | None:
    """The password to ask visitors for; None where only this machine can look and none is set.

    It comes from the caller, from the environment or from the terminal.
    """
    given = password or os.environ.get(PASSWORD) or None
    outside = share or not is_loopback(host)
    if given is None and outside and sys.stdin.isatty():
        given = getpass.getpass("Password for visitors of the page: ") or None
    if given is None and outside:
        what = "--share" if share else f"--host {host}"
        raise ConfigError(
            f"{what} lets others look at your runs: set a password in the environment variable "
            f"{PASSWORD}, or leave it out to look from this machine alone"
        )
    if given is not None and len(given) < SHORTEST:
        raise ConfigError(f"the password has {len(given)} characters; wanted {SHORTEST} at least")
    return given


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def settle_environment(page: Page) -> None:
    """Turns off what Gradio would send, and keeps its files in the page's scratch folder."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(page.scratch / "gradio")
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def theme(gr: Any) -> Any:
    """Gradio's plain theme in the fonts of the reader's system."""
    words = ("ui-sans-serif", "system-ui", "Segoe UI", "Roboto", "Helvetica", "Arial", "sans-serif")
    code = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    return gr.themes.Base(
        primary_hue="blue",
        neutral_hue="slate",
        spacing_size="sm",
        radius_size="sm",
        text_size="sm",
        font=words,
        font_mono=code,
    )


def _door(secret: str) -> Any:
    def may_enter(name: str, password: str) -> bool:
        same = hmac.compare_digest(password.encode(), secret.encode())
        return hmac.compare_digest(name.encode(), USER.encode()) and same

    return may_enter


def _policy() -> Any:
    """A layer that puts our headers on every answer; it passes streams through as they come."""
    from starlette.middleware import Middleware

    class Headers:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def with_headers(message: Any) -> None:
                if message["type"] == "http.response.start":
                    ours = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]
                    message = {**message, "headers": [*message.get("headers", ()), *ours]}
                await send(message)

            await self.app(scope, receive, with_headers)

    return Middleware(Headers)
