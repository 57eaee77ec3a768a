"""The live lines: what they say, that they fit, and that nothing in a name is more than text."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from amp_tuner.cli.followed import Followed
from amp_tuner.cli.front_plot import ASCII, UNICODE, Marks
from amp_tuner.cli.live_screen import LiveScreen, marks_of, screen_lines
from amp_tuner.records import Setting
from amp_tuner.results.event_log import Event, new_event
from tests.cli import told
from tests.cli.screens import Screen
from tests.results.examples import HOSTILE

#: What moves a cursor, sets a title, colours, or is markup or an emoji's name to rich.
CONTROLS = "\x1b[2J\x1b]0;owned\x07[/] [bold red]x :bomb: \r\u202e\u200b" + HOSTILE


def lines_of(
    events: Iterable[Event], *, marks: Marks = UNICODE, width: int = 80, height: int = 40
) -> list[str]:
    followed = Followed()
    for event in events:
        followed.take(event)
    return [line.plain for line in screen_lines(followed, marks, width=width, height=height)]


def test_a_night_is_told_on_a_few_lines() -> None:
    lines = lines_of(told.NIGHT)
    assert lines[0] == f"flights  3/18 trials {'━' * 2}{'─' * 14}"
    assert lines[1].startswith("trial 10, accuracy on 4,096 samples, since ")
    assert lines[2:7] == [
        "  float16: GatherV2 to allow, Sum to allow",
        "about 3 min 20 s left, 2 cached, 1 failed",
        "best 1.310 [1.300, 1.320]x (trial 7, float16)",
        "trial 8 failed: SIGSEGV",
        "agreement: ● front · other ◆ FP32",
    ]
    assert lines[7].lstrip().startswith("1│")
    assert lines[-1].split() == ["0.8x", "1x", "1.31x"]
    assert sum(line.count("●") for line in lines[7:]) == 1
    assert len(lines) == 17


def test_before_anything_is_known_nothing_is_claimed() -> None:
    lines = lines_of([told.LOADING, told.STARTED])
    assert lines[0] == "flights"
    assert lines[1].startswith("starting a worker, loading the model, since ")
    assert len(lines) == 2
    unknown = told.progress(left_s=None, best=None, best_speedup=None, front=(), failed=0)
    lines = lines_of([told.LOADING, told.STARTED, unknown])
    assert lines[2:] == ["2 cached, 0 failed", "best: none certainly meets the goal so far"]


def test_after_the_search_no_time_left_is_claimed() -> None:
    over = [*told.NIGHT, new_event("search_ended", {"why": "all 18 trials are measured"})]
    confirming = told.phase("confirming", trial=7, position=1, of=3, step="timing", at_most_s=16.0)
    lines = lines_of([*over, confirming])
    assert lines[1].startswith("measuring the front again: 1/3, timing for 16 s at most, since ")
    assert lines[2] == "2 cached, 1 failed"


def test_quarantined_and_refused_proposals_are_counted_where_there_are_any() -> None:
    lines = lines_of([*told.NIGHT, told.progress(refused=4, quarantined=5, left_s=None)])
    assert "2 cached, 1 failed, 4 refused, 5 quarantined" in lines


def test_a_modelled_speed_up_says_so() -> None:
    assert any("best modelled 1.310" in line for line in lines_of([told.progress(modelled=True)]))


def test_a_low_terminal_has_no_picture_and_a_narrow_one_a_narrow_picture() -> None:
    assert len(lines_of(told.NIGHT, height=12)) == 6
    narrow = lines_of(told.NIGHT, width=40)
    assert len(narrow) == 17
    assert max(map(len, narrow)) <= 40
    assert narrow[0] == f"flights  3/18 trials {'━' * 1}{'─' * 7}"
    assert narrow[4] == "best 1.310 [1.300, 1.320]x (trial 7, fl…"


def test_fp32_is_in_the_picture_in_the_form_that_settings_are_held_against() -> None:
    float32 = Setting("float32")
    forms = [
        told.measured(0, 1.28, 1.0, setting=float32, anchor="FP32, oneDNN off"),
        told.measured(1, 1.0, 1.0, setting=float32, anchor="FP32, oneDNN on"),
    ]
    picture = "\n".join(lines_of([told.STARTED, *forms])[2:])
    assert picture.count("◆") == 2, "the legend's and its own"
    assert "1.28" not in picture


def test_without_unicode_every_line_is_ascii() -> None:
    lines = lines_of(told.NIGHT, marks=ASCII, width=40)
    assert all(line.isascii() for line in lines)
    assert lines[0] == "flights  3/18 trials #-------"
    assert "agreement: * front . other F FP32" in lines


@given(st.integers(1, 200), st.integers(1, 60), st.text(), st.text())
def test_no_line_is_wider_than_the_terminal_and_all_of_them_fit(
    width: int, height: int, study: str, cause: str
) -> None:
    events = [*told.NIGHT, told.phase("loading", study=study), told.failed(11, cause)]
    followed = Followed()
    for event in events:
        followed.take(event)
    lines = screen_lines(followed, UNICODE, width=width, height=height)
    assert all(line.cell_len <= width for line in lines)
    assert all(line.plain.isprintable() for line in lines)
    assert len(lines) < max(height, 8)


@pytest.mark.parametrize("width", [40, 120])
def test_names_and_causes_are_text_and_nothing_else(width: int) -> None:
    output = io.StringIO()
    console = Console(
        file=output, force_terminal=True, width=width, height=50, _environ={"TERM": "xterm"}
    )
    screen = LiveScreen(console)
    events = [
        told.phase("loading", study=CONTROLS),
        told.measured(7, 1.31, 0.9991, anchor=CONTROLS),
        told.failed(8, CONTROLS),
        told.progress(),
        told.measuring(9, Setting("float16", {CONTROLS: "allow"}), anchor=CONTROLS),
    ]
    with screen.shown():
        for event in events:
            screen.take(event)
    # Controls that live lines do not need are an error, and so is a line that does not fit.
    frames = Screen(width).write(output.getvalue()).frames
    assert "[2J ]0;owned [/]" in "\n".join(frames[-1])


def test_the_screen_is_drawn_a_few_times_a_second_and_leaves_nothing_behind() -> None:
    output = io.StringIO()
    console = Console(
        file=output, force_terminal=True, width=80, height=50, _environ={"TERM": "xterm"}
    )
    screen = LiveScreen(console)
    began = time.monotonic()
    with screen.shown():
        for _ in range(200):
            for event in told.NIGHT:
                screen.take(event)
    took_s = time.monotonic() - began
    shown = Screen(80).write(output.getvalue())
    # The last one comes with the end.
    assert 1 <= len(shown.frames) <= 4 * took_s + 2
    assert "trial 10, accuracy on 4,096 samples" in "\n".join(shown.frames[-1])
    assert "".join(shown.rows) == ""


@pytest.mark.parametrize(
    ("encoding", "environment", "marks"),
    [
        ("utf-8", {"LANG": "en_GB.UTF-8"}, UNICODE),
        ("utf-8", {"LANG": "C.utf8"}, UNICODE),
        ("utf-8", {"LANG": "C", "LC_ALL": "de_DE.UTF-8"}, UNICODE),
        ("utf-8", {"LANG": "C"}, ASCII),
        ("utf-8", {}, ASCII),
        # What Python makes of a C locale.
        ("utf-8", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, ASCII),
        ("utf-8", {"LANG": "en_GB.UTF-8", "LC_ALL": "C"}, ASCII),
        ("iso8859-1", {"LANG": "en_GB.UTF-8"}, ASCII),
    ],
)
def test_marks_are_what_the_terminal_is_said_to_show(
    encoding: str, environment: dict[str, str], marks: Marks
) -> None:
    assert marks_of(encoding, environment) is marks
