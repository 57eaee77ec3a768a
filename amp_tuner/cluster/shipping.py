"""A study's model, data and functions as one archive: each machine unpacks it once.

The archive holds files' content alone, and :mod:`zipfile` writes no file outside the folder that it
unpacks to: nothing in it runs. (:mod:`tarfile` has no such filter before Python 3.11.4.)
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amp_tuner.config.model import StudyConfig
from amp_tuner.files import private_files

#: The study's own folder within the archive: what functions are imported from.
_FOLDER = "study"


@dataclass(frozen=True)
class Shipment:
    """What a machine needs for a study.

    Attributes:
        archive: its files, a zip archive.
        config: the study file's keys; paths are relative to where the archive is unpacked.
        name: of the folder where it is unpacked; the same files have the same one.
    """

    archive: bytes
    config: dict[str, Any]
    name: str


def packed(config: StudyConfig) -> Shipment:
    """A study's files, gathered.

    Raises:
        OSError: one cannot be read.
    """
    plain = config.to_plain()
    places = {"model": config.model.path, "data": config.data.path}
    gathered = {f"{key}/{path.name}": path for key, path in places.items() if path is not None}
    for key, path in places.items():
        if path is not None:
            plain[key]["path"] = f"{key}/{path.name}"
    if config.target.profile is not None:
        plain["target"]["profile"] = f"profile/{config.target.profile.name}"
        gathered[plain["target"]["profile"]] = config.target.profile
    gathered |= {f"{_FOLDER}/{path.name}": path for path in sorted(config.folder.glob("*.py"))}
    plain["output"] = f"{_FOLDER}/runs/{config.name}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, path in gathered.items():
            _add(archive, name, path)
    content = buffer.getvalue()
    return Shipment(content, plain, f"amp-tune-{hashlib.sha256(content).hexdigest()[:32]}")


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """A file, or a folder with all that is in it, without when it was written and by whom."""
    if path.is_dir():
        archive.mkdir(name)
        for item in sorted(path.iterdir()):
            _add(archive, f"{name}/{item.name}", item)
        return
    entry = zipfile.ZipInfo(name)
    with path.open("rb") as content, archive.open(entry, "w", force_zip64=True) as member:
        shutil.copyfileobj(content, member)


@contextlib.contextmanager
def unpacked(shipment: Shipment) -> Iterator[dict[str, Any]]:
    """A shipment's files on this machine, for as long as anybody uses them.

    Yields:
        ``config``, with the paths of this machine, and ``study_file``.
    """
    root = Path(tempfile.gettempdir(), f"{shipment.name}-{os.getuid()}")
    with private_files(), root.with_suffix(".lock").open("w") as lock:
        # Between two kinds of a lock nobody holds it, so each is followed by a look.
        while not _shared(lock.fileno(), root):
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not root.exists():
                _unpack(shipment.archive, root)
        try:
            yield {"config": _placed(shipment.config, root), "study_file": f"{root}/{_FOLDER}/x"}
        finally:
            _remove_unless_used(root, lock.fileno())


def _shared(lock: int, root: Path) -> bool:
    """Keeps others from removing the files, if they are there."""
    fcntl.flock(lock, fcntl.LOCK_SH)
    return root.exists()


def _unpack(archive: bytes, root: Path) -> None:
    parts = root.with_suffix(".part")
    # What somebody who failed in the middle of it left behind.
    shutil.rmtree(parts, ignore_errors=True)
    (parts / _FOLDER).mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(parts)
    parts.rename(root)


def _placed(config: dict[str, Any], root: Path) -> dict[str, Any]:
    """The keys with paths of this machine."""

    def here(path: str | None) -> str | None:
        return None if path is None else str(root / path)

    model, data, target = (dict(config[name]) for name in ("model", "data", "target"))
    model["path"], data["path"] = here(model["path"]), here(data["path"])
    target["profile"] = here(target["profile"])
    output = here(config["output"])
    return {**config, "model": model, "data": data, "target": target, "output": output}


def _remove_unless_used(root: Path, lock: int) -> None:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(root, ignore_errors=True)
