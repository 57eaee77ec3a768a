"""Small pieces of text that several messages share."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the closest allowed word, or nothing."""
    close = difflib.get_close_matches(found, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
