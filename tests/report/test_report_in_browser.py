"""The report in a real Chromium: what is seen, chosen, hovered and copied, at three widths."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amp_tuner.report.runs_page import Outcome, runs_page
from amp_tuner.report.study_folder import read_study
from amp_tuner.report.study_page import study_page
from tests.packaged import packaged, script
from tests.report import studies
from tests.report.browser import Browser
from tests.report.test_graph_page import HOSTILE
from tests.report.test_study_page import hostile_folder

pytestmark = pytest.mark.all_only
WIDTHS = (360, 800, 1440)
MOST_BYTES = 5 * 10**6
AXE = "axe-core@4.14.1"
AXE_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
#: Marks of the front's plot.
MARKS = "document.querySelectorAll('#front-chart .mark-symbol path')"
#: Pairs of neighbours that cover each other, and what sticks out at the right.
OVERLAPS = """
const isApart = (one) => one && getComputedStyle(one).position === "absolute";
const isSeen = (one) => one.checkVisibility() && !isApart(one) && !isApart(one.closest("thead"));
const name = (one) => `${one.tagName}#${one.id}.${one.className} ${one.textContent.slice(0, 30)}`;
const wrong = [];
const own = ":not(svg, svg *, #vg-tooltip-element *)";
for (const parent of document.body.querySelectorAll(own)) {
  const seen = [...parent.children].filter(isSeen);
  const boxes = seen.map((one) => [one, one.getBoundingClientRect()]);
  boxes.forEach(([one, box], index) => {
    if (box.right > innerWidth + 0.5) wrong.push(`sticks out: ${name(one)}`);
    if (getComputedStyle(one).display.startsWith("inline")) return;
    for (const [other, next] of boxes.slice(index + 1)) {
      const across = Math.min(box.right, next.right) - Math.max(box.left, next.left);
      const along = Math.min(box.bottom, next.bottom) - Math.max(box.top, next.top);
      const isInline = getComputedStyle(other).display.startsWith("inline");
      if (!isInline && across > 1 && along > 1) wrong.push(`${name(one)} | ${name(other)}`);
    }
  });
}
return wrong;
"""
#: The middle of a point of the front's plot, in the window.
PLACE = """
const marks = [...document.querySelectorAll("#front-chart .mark-symbol path")];
const mark = marks.find((one) => one.__data__?.datum?.n === arguments[0]);
mark.scrollIntoView({block: "center"});
const box = mark.getBoundingClientRect();
return [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)];
"""
SETTLED = "return document.querySelectorAll('.chart:not([hidden]) svg').length"
Open = Callable[[str], Browser]


@pytest.fixture
def opened(chromium: Browser, tmp_path: Path) -> Iterator[Open]:
    def open_(text: str) -> Browser:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        chromium.open(path)
        chromium.wait_for(SETTLED)
        assert chromium.complaints() == []
        return chromium

    yield open_
    chromium.emulate(1440, "light")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    return study_page(read_study(studies.write_folder(tmp_path_factory.mktemp("run") / "run")))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    return study_page(read_study(hostile_folder(tmp_path_factory.mktemp("runs"))))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs")
    other = {"name": "boats", "accuracy": {"metric": "sqnr", "goal": {"min": 40}}}
    roots = [
        studies.write_folder(folder / "one"),
        studies.write_folder(folder / "other", config=other, hardware={"cpu": "A" * 90}),
        studies.write_folder(folder / "third", trials=9),
    ]
    return runs_page([read_study(root) for root in roots])


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = studies.write_folder(tmp_path_factory.mktemp("runs") / "one", trials=9)
    failed = Outcome(
        "n" * 100, "", "failed", "6.1 s", f"$.model.path: /{'long/' * 40}model is gone"
    )
    ended = Outcome("flights", "one/report.html", "ended", "40 s of 2 min 00 s", "")
    return runs_page([read_study(root)], [failed, ended])


@pytest.mark.parametrize("kind", ["report", "hostile", "several", "batch"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overlaps_or_sticks_out(
    opened: Open, kind: str, width: int, request: pytest.FixtureRequest
) -> None:
    page = opened(request.getfixturevalue(kind))
    page.emulate(width, "light")
    assert page.script("return document.documentElement.scrollWidth <= innerWidth")
    assert page.script(OVERLAPS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_both_papers(opened: Open, report: str, scheme: str) -> None:
    page = opened(report)
    page.emulate(1440, scheme)
    ink, paper = page.script(
        "const text = document.querySelector('#front-chart svg text');"
        "return [getComputedStyle(text).fill, getComputedStyle(document.body).backgroundColor]"
    )
    assert abs(_lightness(ink) - _lightness(paper)) > 150


def _lightness(colour: str) -> float:
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(","))) / 3


def test_a_click_on_a_point_chooses_it(opened: Open, report: str) -> None:
    page = opened(report)
    page.click_at(*page.script(PLACE, 0))
    page.wait_for("return document.querySelector('#card h3').textContent.startsWith('Trial 0 ')")
    assert "FP32" in page.text("#card")
    assert page.script("return document.querySelector('[data-choose=\"0\"]').ariaPressed") == "true"
    assert page.script("return document.querySelector('#lists [data-point=\"0\"]').hidden") is False


def test_hovering_a_point_tells_its_moves(opened: Open, report: str) -> None:
    page = opened(report)
    first = page.script("return JSON.parse(document.getElementById('data').textContent).first")
    page.hover_at(*page.script(PLACE, first))
    page.wait_for("return document.querySelector('#vg-tooltip-element.visible') !== null")
    assert "to allow" in page.text("#vg-tooltip-element")


def test_the_keyboard_alone_chooses_and_copies(opened: Open, report: str) -> None:
    page = opened(report)
    page.type("[data-choose='0']", "Enter")
    assert page.text("#card h3").startswith("Trial 0 ")
    page.type("#copy", "Enter")
    page.wait_for("return document.querySelector('#copy').textContent !== 'Copy the variables'")


def test_what_is_hidden_at_first_can_be_shown(opened: Open, report: str) -> None:
    page = opened(report)
    count = f"return {MARKS}.length"
    for name in ("misses", "cached"):
        before = page.script(count)
        page.click(f"#show-{name}")
        page.wait_for(f"{count} > {before}")
    page.click("#show-unplaced")
    page.wait_for("return document.querySelector('#unplaced-chart svg') !== null")
    assert page.complaints() == []


def test_layers_can_be_narrowed_down(opened: Open, report: str) -> None:
    page = opened(report)
    rows = "return document.querySelectorAll('#layers-body tbody tr').length"
    every = page.script(rows)
    page.click("#layers-16bit")
    assert 0 < page.script(rows) < every
    page.type("#layers-filter", "no such node")
    assert page.script(rows) == 0


def test_hostile_names_do_nothing(opened: Open, hostile: str) -> None:
    page = opened(hostile)
    for number in page.script(
        "return [...document.querySelectorAll('[data-choose]')].map((one) => one.dataset.choose)"
    ):
        page.click(f"[data-choose='{number}']")
        page.hover_at(*page.script(PLACE, int(number)))
    assert page.script("return document.images.length") == 0
    assert page.script("return document.scripts.length") == 3
    assert HOSTILE in page.script("return document.body.textContent")
    assert page.complaints() == []


def test_two_thousand_trials_are_drawn_and_stay_below_five_megabytes(
    opened: Open, tmp_path: Path
) -> None:
    root = studies.write_folder(tmp_path / "run", trials=2000, cached=False)
    text = study_page(read_study(root))
    assert len(text.encode()) < MOST_BYTES
    page = opened(text)
    page.click("#show-misses")
    page.wait_for(f"return {MARKS}.length > 1000")
    assert page.complaints() == []


@pytest.mark.parametrize("kind", ["report", "hostile", "several"])
@pytest.mark.parametrize(
    ("width", "scheme"), list(itertools.product((360, 1440), ("light", "dark")))
)
def test_axe_finds_no_serious_violation(
    opened: Open, kind: str, width: int, scheme: str, axe: str, request: pytest.FixtureRequest
) -> None:
    page = opened(request.getfixturevalue(kind))
    page.emulate(width, scheme)
    # The page's own policy stands: the driver runs the checker, not the page.
    page.script(f"{axe}; window.axe = axe;")
    found: list[dict[str, Any]] = page.script("return axe.run().then((one) => one.violations)")
    serious = [
        (one["id"], [node["html"][:120] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core."""
    if shutil.which("npm") is None:
        pytest.skip("NOT TESTED: there is no npm to download axe-core")
    making = script("making")
    archive = making.downloaded(AXE, AXE_SHA256, client=making.npm_pack)
    folder = tmp_path_factory.mktemp("axe")
    packaged().unpack(archive, "package/axe.min.js", folder)
    return (folder / "package" / "axe.min.js").read_text(encoding="utf-8")
