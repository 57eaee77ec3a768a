"""The log folders of the real passes: their files' names, and the lists as they print them.

| | stock TensorFlow | ITEX |
|---|---|---|
| before | ``graphdef_preop_<item>_<ms>.pb`` | ``graphdef_preop_<ms>.pb`` |
| after | ``graphdef_AutoMixedPrecision_<item>_<ms>.pb`` | ``graphdef_AutoMixedPrecision_<ms>.pb`` |
| lists | ``paintbuckets_AutoMixedPrecision_<item>_<ms>.txt`` | ``paintbuckets_…_<ms>.txt`` |

Each ``.pb`` has a ``.pb.txt`` beside it. A pass that fails leaves the first pair alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amp_tuner.amp.lists import AmpLists
from amp_tuner.amp.rules import ITEX, TENSORFLOW
from amp_tuner.errors import InputError

#: The item of stock TensorFlow that holds a session's own graph; others are functions.
MAIN_ITEM = "tf_graph"
_BEFORE = re.compile(r"graphdef_preop_(?:(.+)_)?([0-9]+)\.pb")
# In the order in which the passes print them.
_HEADS = {"AllowList:": "allow", "DenyList:": "deny", "InferList:": "infer", "ClearList:": "clear"}


@dataclass(frozen=True)
class LogFiles:
    """The files of one run of a pass; those after the first may be missing.

    Attributes:
        folder: where they are.
        item: which graph: MAIN_ITEM or a function's name; empty in ITEX's folders.
        time_ms: milliseconds since 1970.
    """

    folder: Path
    item: str
    time_ms: int

    @property
    def family(self) -> str:
        """Whose pass wrote them: ``tensorflow`` or ``itex``."""
        return TENSORFLOW if self.item else ITEX

    @property
    def before(self) -> Path:
        """The graph that the pass was given."""
        return self._file("graphdef_preop", ".pb")

    @property
    def after(self) -> Path:
        """What it made of the graph."""
        return self._file("graphdef_AutoMixedPrecision", ".pb")

    @property
    def lists(self) -> Path:
        """The four lists, the user's changes included."""
        return self._file("paintbuckets_AutoMixedPrecision", ".txt")

    def _file(self, kind: str, suffix: str) -> Path:
        item = f"_{self.item}" if self.item else ""
        return self.folder / f"{kind}{item}_{self.time_ms}{suffix}"


def find_logs(folder: Path) -> tuple[LogFiles, ...]:
    """All runs of a pass in its log folder, by time, then by item."""
    matches = filter(None, (_BEFORE.fullmatch(file.name) for file in folder.iterdir()))
    logs = (LogFiles(folder, match[1] or "", int(match[2])) for match in matches)
    return tuple(sorted(logs, key=lambda log: (log.time_ms, log.item)))


def is_log_folder(path: Path) -> bool:
    """Whether a pass has written its dumps there."""
    return path.is_dir() and bool(find_logs(path))


def lists_from_text(text: str, where: str) -> AmpLists:
    """The lists in a ``paintbuckets`` file.

    Raises:
        InputError: the text has not the four lists; ``where`` names the file.
    """
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line in _HEADS:
            current = found[_HEADS[line]] = []
        elif found:
            current.append(line)
    # An empty line ends each list but the last; any other is the empty op type.
    for members in list(found.values())[:-1]:
        if members[-1:] == [""]:
            members.pop()
    missing = [head for head, name in _HEADS.items() if name not in found]
    if missing:
        raise InputError.one(where, f"has no {', '.join(missing)}: not lists that a pass printed")
    lists: dict[str, Any] = {name: frozenset(members) for name, members in found.items()}
    return AmpLists(**lists)


def lists_to_text(lists: AmpLists) -> str:
    """The lists as a ``paintbuckets`` file, op types sorted."""
    sections = ([head, *sorted(getattr(lists, name))] for head, name in _HEADS.items())
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)
