from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.text import one_line, printable


@given(st.text())
def test_what_is_made_printable_can_only_be_read(text: str) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in printable(text))
    assert one_line(text).isprintable()


def test_what_can_be_printed_stays() -> None:
    assert printable("größer\n\tals 1 %") == "größer\n\tals 1 %"
    assert printable("a\x1b[2Jb\x9bc\u202e") == "a\\x1b[2Jb\\x9bc\\u202e"
