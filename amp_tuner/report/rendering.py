"""Pages from templates, with every value escaped that is not one of the page's own parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from amp_tuner.report.inline import chart_library, json_in_html, policy

_FOLDER = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(template: str, data: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """A whole page, with the plots' library and the script that reads ``data``.

    Args:
        template: a file of ``templates/``.
        data: plain values for the script.
        values: what the template puts in; texts are escaped.
    """
    style = (_FOLDER / "report.css").read_text(encoding="utf-8")
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    library = chart_library()
    # These four are the page's own: nothing in them comes from a model or a study.
    own = {"style": style, "script": script, "library": library, "data": json_in_html(data)}
    parts = {name: Markup(text) for name, text in own.items()}  # noqa: S704
    found = _TEMPLATES.get_template(template).render(
        **values, **parts, policy=policy(style, [library, script])
    )
    return f"{found}\n"
