"""A folder as a reader has it after ``make tune``, only smaller: what pages' commands run in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.docs.pages import DOCS, ROOT, blocks

#: Studies of pages, and the quick start's, are run with these in place of their own values.
SMALL: Mapping[str, Mapping[str, Any]] = {
    "search": {"trials": 3},
    "measure": {"ci_half_width": 0.2, "max_seconds": 0.5, "min_block_ms": 2.0, "processes": 1},
    "limits": {"trial_seconds": 60, "worker_memory": "4GiB", "max_proposals": 12},
}
#: It made the model that several pages use, and is not run again.
DIGITS = "python make_digits.py\n"
_LIMIT_S = 400
_TABLE = """
import sys
sys.path.insert(0, "configs/models")
from pathlib import Path
from flight_delays import FactorizationMachine, save
save(FactorizationMachine(500, 16, 12), Path("models/flight_delays"))
"""
_FLIGHTS = 800
#: `make` in pages says what it would do: targets install, train or run all tests.
_MAKE = '#!/bin/sh\nexec {make} --dry-run --directory="{root}" "$@" >/dev/null\n'


def run(folder: Path, *command: str, first_on_path: Path | None = None) -> tuple[int, str]:
    """Runs a command as a reader would: exit code, and what it said."""
    before = [] if first_on_path is None else [first_on_path]
    places = [*before, folder / "bin", Path(sys.executable).parent]
    variables = {**os.environ, "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]])}
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT_S,
    )
    return done.returncode, done.stdout


def small(text: str) -> str:
    """A study file with little to do, for the CPU of a test; other files as they are."""
    plain = yaml.safe_load(text)
    if "model" not in plain:
        return text
    for section, values in SMALL.items():
        plain[section] = {**plain.get(section, {}), **values}
    plain["data"]["batch_size"] = min(plain["data"].get("batch_size", 1), 64)
    target = plain.setdefault("target", {})
    if target.get("runtime") == "xla":
        target["device"] = "cpu"
    return str(yaml.safe_dump(plain))


def put(folder: Path, name: str, text: str) -> None:
    """Writes a file that a page shows."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(small(text) if name.endswith(".yaml") else text, encoding="utf-8")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, with the quick start's study finished; only to be copied."""
    return made(tmp_path_factory.mktemp("checkout"))


def made(folder: Path) -> Path:
    """Fills the folder."""
    shutil.copytree(ROOT / "configs", folder / "configs")
    for name in (".environments", ".venv", "experiments"):
        (folder / name).symlink_to(ROOT / name)
    for name in ("bin", "data", "models"):
        (folder / name).mkdir()
    make = folder / "bin" / "make"
    make.write_text(_MAKE.format(make=shutil.which("make"), root=ROOT))
    make.chmod(0o755)
    generator = np.random.default_rng(0)
    ids = generator.integers(0, 500, (_FLIGHTS, 12)).astype(np.int32)
    np.savez(folder / "data/flight_delays.npz", ids=ids, late=generator.integers(0, 2, _FLIGHTS))
    for study in (folder / "configs").glob("*.yaml"):
        study.write_text(small(study.read_text().replace('"99.9%"', '"80%"')))
    digits = next(one for one in blocks(DOCS / "how-to" / "own-data.md") if one.title)
    put(folder, digits.title, digits.text)
    for command in (
        (sys.executable, "-c", _TABLE),
        DIGITS.split(),
        ("amp-tune", "--config", "configs/quickstart.yaml"),
    ):
        code, said = run(folder, *command)
        assert code == 0, said
    return folder
