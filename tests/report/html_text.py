"""A page as tests read it: its tags, its text, its data, its policy."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re
from typing import Any

_VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(html.parser.HTMLParser):
    """A parsed page.

    Attributes:
        source: as it was.
        tags: each with its attributes.
        text: what people read, white space made single spaces.
        data: what the script is given.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[tuple[str, str]] = []
        self._pieces: list[tuple[tuple[tuple[str, str], ...], str]] = []
        self.feed(source)
        shown = (
            text for tags, text in self._pieces if not {"script", "style"} & {t for t, _ in tags}
        )
        self.text = " ".join("".join(shown).split(" ")).strip()
        self.text = re.sub(r"[ \n]*\n[ \n]*", " ", self.text)
        self.data: dict[str, Any] = json.loads(self._scripts()[0])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag
        self._pieces.append((tuple(self._open), " "))

    def handle_data(self, data: str) -> None:
        self._pieces.append((tuple(self._open), data))

    def texts(self, kind: str) -> str:
        """The text of the elements of a class."""
        return "".join(text for tags, text in self._pieces if kind in {k for _, k in tags})

    def policy(self) -> str:
        """The content security policy."""
        (found,) = (a["content"] for _, a in self.tags if a.get("http-equiv"))
        return found or ""

    def allowed_scripts(self) -> list[str]:
        """Digests that the policy allows."""
        return re.findall(r"'(sha256-[^']+)'", self.policy().partition("script-src")[2])

    def script_digests(self) -> list[str]:
        """Digests of the scripts that would run."""
        return [
            f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
            for text in self._scripts()[1:]
        ]

    def _scripts(self) -> list[str]:
        found: list[str] = []
        previous: tuple[tuple[str, str], ...] = ()
        for tags, text in self._pieces:
            inside = bool(tags) and tags[-1][0] == "script"
            if inside and previous == tags:
                found[-1] += text
            elif inside:
                found.append(text)
            previous = tags
        return found
