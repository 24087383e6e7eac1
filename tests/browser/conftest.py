"""One browser for the tests of this folder, a fresh profile for each, and a watch on what a page says and asks for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser import chromium
from tests.support.stacks import ROOT
from tests.unit.zt.report import stack as stacks
from zt.cluster.access import Access
from zt.report.build import Request, report
from zt.report.page import page as html

HERE = Path(__file__).parent
# A machine may be busy with a control plane.
_MILLISECONDS = 20_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = chromium.ensure()
    expect.set_options(timeout=_MILLISECONDS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=found.executable, args=chromium.FLAGS, env=dict(found.environment)
        )
        yield running
        running.close()


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Say nothing: the pages keep what was asked for."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The reports behind a server on loopback: over HTTP a browser also asks for what a page forgot to rule out."""
    root = tmp_path_factory.mktemp("reports")
    measured = stacks.project(tmp_path_factory.mktemp("fifty"), changes={"phases": {"disallow-latest-tag": "warn"}})
    day, attacks = stacks.NOW.date(), (stacks.attacks(measured),)
    requests = {
        "fifty": Request("production", measured, stacks.NOW, day, Access(embedded=True), attacks),
        "open": Request("dev", ROOT, stacks.NOW, day),
    }
    for name, request in requests.items():
        (root / f"{name}.html").write_text(html(report(request, lambda _: stacks.cluster())))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(root)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@dataclass
class Seen:
    """A page, and what it said and asked for."""

    page: Page
    said: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])


Open = Callable[..., Seen]


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Open]:
    """Opens a report, in a profile of its own; when the test ends, no page may have complained or asked for more."""
    opened: list[Seen] = []

    def visit(name: str = "fifty", **options: Any) -> Seen:
        size = {"width": 1280, "height": 900}
        context = browser.new_context(**{"viewport": size, "reduced_motion": "reduce", **options})
        context.set_default_timeout(_MILLISECONDS)
        seen = Seen(context.new_page())
        opened.append(seen)
        seen.page.on("console", lambda message: seen.said.append(message.text))
        seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
        seen.page.on("request", lambda request: seen.asked.append(request.url))
        seen.page.goto(f"{site}/{name}.html")
        return seen

    yield visit
    for seen in opened:
        name = seen.page.url.partition("#")[0]
        seen.page.context.close()
        assert (seen.said, seen.asked) == ([], [name])
