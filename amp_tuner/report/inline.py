"""What a page that loads nothing holds inline: data that stay data, and the policy that says so."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable
from typing import Any

import vl_convert


def digest(inline: str) -> str:
    """What a content security policy calls an inline script or style."""
    found = hashlib.sha256(inline.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(found).decode()}'"


def policy(style: str, scripts: Iterable[str]) -> str:
    """A content security policy: these run, nothing else does, nothing is loaded."""
    digests = " ".join(map(digest, scripts))
    return f"default-src 'none'; style-src {digest(style)}; script-src {digests}"


def json_in_html(data: Any) -> str:
    """JSON that no HTML parser can see an end or a comment in."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@functools.cache
def chart_library() -> str:
    """Vega with Vega-Embed, as one script that defines ``vegaEmbed``."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # An HTML parser ends a script at the first such tag, in a string or not.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")
