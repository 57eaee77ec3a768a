"""The JSON Schema of study files: what editors complete and check."""

from __future__ import annotations

from typing import Any

from amp_tuner.config.model import StudyFile

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def study_schema() -> dict[str, Any]:
    """The schema, from the classes that read study files.

    What it accepts may still be refused: what several keys may be together, and whether files
    exist, is checked when a study is opened.
    """
    return {
        "$schema": _DIALECT,
        **StudyFile.model_json_schema(),
        "title": "amp-tune study",
        "description": "What amp-tune --config FILE reads.",
    }
