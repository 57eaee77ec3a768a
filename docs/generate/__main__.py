"""``python -m docs.generate``, in the checkout."""

from __future__ import annotations

from pathlib import Path

from docs.generate.events import events
from docs.generate.study_file import study_file
from docs.generate.variables import variables
from docs.generate.verbs import exit_codes, verbs

REFERENCE = Path(__file__).parents[1] / "reference"
_HEAD = "<!-- Written by docs/generate (make reference): change the code, not this page. -->\n"


def pages() -> dict[str, str]:
    """Each generated page's text by its name in docs/reference."""
    made = {
        "study-file.md": study_file(),
        "events.md": events(),
        "verbs.md": verbs(),
        "exit-codes.md": exit_codes(),
        "variables.md": variables(),
    }
    return {name: f"{_HEAD}\n{text.strip()}\n" for name, text in made.items()}


def main() -> None:
    """Writes the pages."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
