"""What is printed of a study where there is no live screen: lines for people, JSON for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable

import pytest
from rich.console import Console

from amp_tuner.cli.following import Following, FollowingJson, FollowingLive, follower
from amp_tuner.results.event_log import Event, event_line, new_event
from tests.cli import told
from tests.cli.screens import pseudo_terminal, set_environment
from tests.cli.test_live_screen import CONTROLS


def lines_of(events: Iterable[Event], *, quiet: bool = False) -> list[str]:
    output = io.StringIO()
    following = Following(
        Console(file=output, width=160, quiet=quiet, highlight=False, soft_wrap=True)
    )
    for event in events:
        following.follow(event)
    return output.getvalue().splitlines()


def test_plain_lines_tell_phases_notes_and_one_line_a_trial() -> None:
    after = told.progress()
    assert lines_of(
        [
            told.LOADING,
            told.STARTED,
            new_event("swept", {"trial": 3, "repeated": True}),
            new_event("distinct_graphs", {"found": "12 distinct 16-bit graphs"}),
            told.phase("trial", trial=7),
            told.phase("trial", trial=7, step="timing", at_most_s=8.0),
            told.measured(7, 1.31, 0.9991),
            after,
            told.ended(8, cached_from=7),
            after,
            told.failed(9, "SIGSEGV"),
            after,
            new_event("search_ended", {"why": "all 18 trials are measured"}),
            told.phase("confirming", trial=7, position=2, of=3),
            told.phase("confirming", trial=7, position=2, of=3, step="building"),
            new_event("not_confirmed", {"trial": 7, "cause": "SIGABRT"}),
            told.phase("repeating", trial=8, process=2, of=5),
        ]
    ) == [
        "starting a worker, loading the model",
        "note: trial 3 was interrupted; it is repeated",
        "note: 12 distinct 16-bit graphs",
        "trial 7 (3/18) float16: 1.310 [1.300, 1.320]x, agreement 0.9991 (meets)",
        "trial 9 (3/18) float16: failed: SIGSEGV",
        "note: all 18 trials are measured",
        "measuring the front again: 2/3",
        "note: trial 7 failed when it was measured again: SIGABRT",
        "measuring the front once more: trial 8, process 2/5",
    ]


def test_names_and_causes_in_lines_are_text_and_nothing_else() -> None:
    lines = lines_of(
        [
            told.failed(8, CONTROLS, anchor=CONTROLS),
            told.progress(),
            new_event("notice", {"text": CONTROLS}),
        ]
    )
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert "[/] [bold red]x :bomb:" in lines[0]


def test_quiet_says_nothing() -> None:
    assert lines_of(told.NIGHT, quiet=True) == []


def test_a_program_is_told_the_logs_own_lines(capsys: pytest.CaptureFixture[str]) -> None:
    following = FollowingJson(Console())
    for event in told.NIGHT:
        following.follow(event)
    following.recall([told.ended(7)])
    assert capsys.readouterr().out.splitlines() == [event_line(event) for event in told.NIGHT]
    following.follow(new_event("notice", {"text": CONTROLS}))
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed)["text"] == CONTROLS


@pytest.mark.parametrize(
    ("changes", "live"),
    [
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"TTY_INTERACTIVE": "0"}, False),
        ({"NO_COLOR": "1"}, True),
    ],
)
def test_a_terminal_has_a_live_screen_if_it_can_move_its_cursor(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], live: bool
) -> None:
    with (
        pseudo_terminal(columns=80, rows=24) as terminal,
        open(terminal.end, "w", encoding="utf-8", closefd=False) as stream,
    ):
        monkeypatch.setattr("sys.stdout", stream)
        set_environment(monkeypatch, **changes)
        assert isinstance(follower(), FollowingLive) == live
        assert not isinstance(follower(quiet=True), FollowingLive)
        assert isinstance(follower(json_progress=True), FollowingJson)


def test_colour_that_is_asked_for_in_a_pipe_is_no_live_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_environment(monkeypatch, FORCE_COLOR="1")
    assert type(follower()) is Following


def test_a_name_that_the_encoding_lacks_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    follower().note("modèle")
    stream.flush()
    assert written.getvalue() == b"note: mod\\xe8le\n"
