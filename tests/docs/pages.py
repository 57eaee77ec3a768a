"""README and pages as tests see them: fenced blocks, links, headings.

What a page shows as a command is run by ``test_commands.py``. The convention:

- ``sh`` and ``python`` blocks are run in page order, in a folder that looks like a checkout after
  ``make tune`` (see ``conftest.py``). Output and drawings stand in ``text`` blocks.
- A block with a title (```` ```yaml title="study.yaml" ````) is a file: it is written under that
  name, and not run.
- A comment above a block says what is special: ``<!-- exit code: 1 -->``, ``<!-- with: jax -->``
  (the block is for another machine: an interpreter of ``make environments`` is the first on PATH),
  ``<!-- not run: the reason -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)(?P<options>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)
_MARKER = re.compile(r"<!-- ([a-z ]+): ([^\n]+?) -->\s*\Z")
_TITLE = re.compile(r'title="([^"]+)"')
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the first word behind the fence.
        text: what stands between the fences.
        title: the file that it is; empty: none.
        marker: of the comment above it, its name and what it says; two empty texts: none.
    """

    language: str
    text: str
    title: str
    marker: tuple[str, str]

    @property
    def runs(self) -> bool:
        """Whether it is a command or a program that a reader may copy."""
        return self.language in ("sh", "python") and not self.title


def name(page: Path) -> str:
    """The page's path in the checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """The page's blocks, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        title = _TITLE.search(found["options"])
        marker = _MARKER.search(text[: found.start()])
        indent = re.compile(f"^{found['indent']}", re.MULTILINE)
        yield Block(
            found["language"],
            indent.sub("", found["text"]),
            "" if title is None else title[1],
            ("", "") if marker is None else (marker[1], marker[2]),
        )


def prose(page: Path) -> str:
    """The page without its blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where the page's links and pictures lead, but for addresses of other sites."""
    return [link for link in _LINK.findall(prose(page)) if not re.match(r"[a-z]+://", link)]


def anchors(page: Path) -> set[str]:
    """The headings' anchors, as GitHub and MkDocs make them of plain words."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
