"""Every command and program of README and pages runs, in page order; see ``pages.py``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from amp_tuner.measure.hardware import hardware_facts
from tests.docs.conftest import DIGITS, put, run
from tests.docs.pages import PAGES, Block, blocks, name
from tests.environments import interpreter
from tests.instructions import convolves_in_16_bits

pytestmark = pytest.mark.timeout(900)
#: Minutes of commands on MobileNet and Inception v4, in both 16-bit types. What it says of the
#: former is held by ``tests/configs/test_guide.py``.
GUIDE = "docs/guide-replayed.md"
RUNNING = [
    pytest.param(
        page,
        marks=[pytest.mark.nightly, convolves_in_16_bits]
        if name(page) == GUIDE
        else pytest.mark.all_only,
        id=name(page),
    )
    for page in PAGES
    if any(block.runs for block in blocks(page))
]


def environment(marker: tuple[str, str]) -> Path | None:
    """The folder of the interpreter that a block is for; skips where there is none."""
    kind, wanted = marker
    if kind != "with":
        return None
    which, _, flag = wanted.partition(" and ")
    if flag and flag not in str(hardware_facts()["cpu_flags"]):
        pytest.skip(f"NOT TESTED: this CPU has no {flag}")
    return Path(interpreter(which)).parent


def command(block: Block) -> tuple[str, ...]:
    """What runs a block."""
    if block.language == "python":
        return ("python", "-c", block.text)
    return ("bash", "-euo", "pipefail", "-c", block.text)


def run_commands(page: Path, folder: Path) -> None:
    """Runs the commands and programs of a page in a folder, one after the other."""
    for block in blocks(page):
        kind, said = block.marker
        if block.title:
            put(folder, block.title, block.text)
        elif block.runs and kind != "not run" and block.text != DIGITS:
            code, output = run(folder, *command(block), first_on_path=environment(block.marker))
            expected = int(said) if kind == "exit code" else 0
            assert code == expected, f"{block.text}\n{output}"


@pytest.fixture(scope="module")
def pages(
    request: pytest.FixtureRequest, checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[Path, Future[None]]]:
    """Every page that is tested, two at a time: starting programs keeps one core busy."""
    tested = [item for item in request.session.items if item.path == request.path]
    with ThreadPoolExecutor(max_workers=2) as pool:
        started = {}
        for item in tested:
            page = item.callspec.params["page"]
            folder = tmp_path_factory.mktemp("page") / "checkout"
            shutil.copytree(checkout, folder, symlinks=True)
            started[page] = pool.submit(run_commands, page, folder)
        yield started


@pytest.mark.parametrize("page", RUNNING)
def test_the_commands_of_a_page_run(page: Path, pages: Mapping[Path, Future[None]]) -> None:
    pages[page].result()
