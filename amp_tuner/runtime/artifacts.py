"""The folder of artifacts that :mod:`amp_tuner.runtime.lowering` writes: what is still needed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


def keep_only(folder: Path, manifests: Iterable[Path]) -> None:
    """Removes all artifacts but those of ``manifests``, and the weights that none of them reads."""
    kept: set[Path] = set()
    for manifest in manifests:
        described = json.loads(manifest.read_text(encoding="utf-8"))
        names = [described["module"], *(weight["file"] for weight in described["weights"])]
        kept |= {manifest, *(folder / name for name in names)}
    for path in [*folder.glob("*"), *folder.glob("weights/*")]:
        if path.is_file() and path not in kept:
            path.unlink()
