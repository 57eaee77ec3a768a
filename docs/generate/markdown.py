"""Markdown that GitHub and MkDocs read alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(text: str) -> str:
    """A cell that bars do not end: in code only HTML writes one that all readers take."""
    text = re.sub(r"`([^`]*\|[^`]*)`", r"<code>\1</code>", text)
    return text.replace("|", "&#124;")


def code(text: str) -> str:
    """Words as code."""
    return f"`{text}`"
