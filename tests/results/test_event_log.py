from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from amp_tuner.errors import InputError
from amp_tuner.results.event_log import Event, EventLog, event_line, new_event, read_events


def test_each_event_is_one_line_of_json_there_at_once(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log.jsonl")
    log.write("asked", {"trial": 3, "text": "two\nlines \ud800"})
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert (event["format"], event["event"], event["trial"]) == (1, "asked", 3)
    log.close()
    log.close()


def test_events_of_several_threads_come_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    told: list[Event] = []
    log = EventLog(path, told.append)

    def write(thread: int) -> None:
        for number in range(50):
            log.write("asked", {"thread": thread, "trial": number})

    threads = [threading.Thread(target=write, args=(one,)) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert told == list(read_events(path))
    assert len(told) == 200


def test_who_follows_is_told_each_event_once_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    told = []

    def follow(event: Event) -> None:
        assert path.read_text(encoding="utf-8").splitlines()[-1] == event_line(event)
        told.append(event)

    log = EventLog(path, follow)
    log.write("asked", {"trial": 3})
    log.write("ended", {"trial": 3})
    log.close()
    assert told == list(read_events(path))


def test_what_was_told_before_comes_first_and_is_not_told_again(tmp_path: Path) -> None:
    told: list[Event] = []
    before = new_event("phase", {"phase": "loading"})
    log = EventLog(tmp_path / "log.jsonl", told.append, [before])
    log.write("started")
    log.close()
    assert list(read_events(tmp_path / "log.jsonl")) == [before, *told]
    assert [event["event"] for event in told] == ["started"]


def test_opening_again_appends(tmp_path: Path) -> None:
    for name in ("first", "second"):
        log = EventLog(tmp_path / "log.jsonl")
        log.write(name)
        log.close()
    assert [event["event"] for event in read_events(tmp_path / "log.jsonl")] == ["first", "second"]


@pytest.mark.parametrize("torn", [b'{"format": 1, "ev', b"x" * 10_000])
def test_a_torn_last_line_is_skipped_by_readers_and_cut_off_when_writing(
    tmp_path: Path, torn: bytes
) -> None:
    path = tmp_path / "log.jsonl"
    EventLog(path).write("whole")
    path.write_bytes(path.read_bytes() + torn)
    assert [event["event"] for event in read_events(path)] == ["whole"]
    EventLog(path).write("next")
    assert [event["event"] for event in read_events(path)] == ["whole", "next"]


def test_a_log_of_nothing_but_a_torn_line_starts_empty(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"{" * 5000)
    EventLog(path).write("next")
    assert [event["event"] for event in read_events(path)] == ["next"]


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'{"format": 2}\n'])
def test_a_damaged_or_newer_line_is_an_error_with_its_place(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "log.jsonl"
    EventLog(path).write("whole")
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(InputError, match="line 2"):
        list(read_events(path))


def test_a_log_that_has_grown_is_put_aside_and_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amp_tuner.results.event_log.ROTATED_BYTES", 1000)
    path = tmp_path / "log.jsonl"
    for start in (0, 30):
        log = EventLog(path)
        for number in range(start, start + 30):
            log.write("count", {"number": number}, durable=number % 2 == 0)
        log.close()
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"log.jsonl", "log.1.jsonl", "log.2.jsonl", "log.3.jsonl"}
    assert all(file.stat().st_size <= 1000 for file in tmp_path.iterdir())
    numbers = [event["number"] for event in read_events(path)]
    assert numbers == list(range(numbers[0], 60))
    assert len(numbers) > 25


def test_what_is_not_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = EventLog(path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        log.write("bad", {"value": float("nan")})
    assert path.read_bytes() == b""


WRITER = """
import sys
import threading
from pathlib import Path
from amp_tuner.results.event_log import EventLog
log = EventLog(Path(sys.argv[1]))
number = 0
while True:
    number += 1
    log.write("count", {"number": number, "padding": "x" * 3000})
    print(number, flush=True)
"""


def test_a_killed_writer_loses_no_event_that_it_had_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        seen = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
    numbers = [event["number"] for event in read_events(path)]
    assert numbers[: len(seen)] == seen
    assert numbers == list(range(1, len(numbers) + 1))


FULL = """
import signal, sys
from pathlib import Path
from amp_tuner.results.event_log import EventLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = EventLog(Path(sys.argv[1]))
log.write("fits")
try:
    log.write("does not fit", {"padding": "x" * 20000})
except OSError:
    log.write("fits again")
"""


def test_a_full_disk_leaves_the_lines_before_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    # Bytecode files would hit the limit, too.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "-c", FULL, str(path)], check=True, preexec_fn=limit, env=environment
    )
    assert [event["event"] for event in read_events(path)] == ["fits", "fits again"]
