"""Writes a bundle: a folder of parts that appears whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amp_tuner.bundle.archive import Member, read_range, write_archive
from amp_tuner.bundle.manifest import FORMAT, Entry, Manifest
from amp_tuner.bundle.parts import Plan, cut_files, plan_parts
from amp_tuner.bundle.proposing import artifact_files
from amp_tuner.bundle.run_bundle import MANIFEST, SUMS
from amp_tuner.bundle.shipped import script, shipped
from amp_tuner.data.arrays import read_headers, write_converted
from amp_tuner.errors import InputError
from amp_tuner.files import sync_folder, whole_file, write_text
from amp_tuner.judge.accuracy import chosen_output
from amp_tuner.study.confirming import PATIENCE
from amp_tuner.study.session import Session

DATA, ORDER = "data.npz", "order.npy"
_ID_LENGTH = 16
#: Less room for pieces makes more parts than anyone wants to carry.
_LEAST_ROOM_BYTES = 1 << 18
#: Room for what the description of a part says besides pieces and settings.
_SLACK_BYTES = 4096


@dataclass(frozen=True)
class Written:
    """A bundle that is there.

    Attributes:
        bundle: its id.
        folder: where.
        parts_bytes: size of each part.
        cut: files that no part could hold in one piece.
    """

    bundle: str
    folder: Path
    parts_bytes: tuple[int, ...]
    cut: tuple[str, ...]


def stage_data(session: Session, staged: Path) -> None:
    """Puts the model's inputs among what is gathered; labels and other arrays stay here."""
    data = session.data
    headers = read_headers(data.npz_path)
    arrays = {name: headers[name] for name in data.inputs.values()}
    kept = {name: header for name, header in arrays.items() if not isinstance(header, str)}
    dtypes = {name: header.dtype for name, header in kept.items()}
    with whole_file(staged / DATA) as file:
        write_converted(file, data.npz_path, kept, dtypes)
    shutil.copyfile(data.order_path, staged / ORDER)


def manifest_of(session: Session, entries: Sequence[Entry], staged: Path) -> Manifest:
    """The description of a bundle whose files are all gathered in ``staged``."""
    config, data = session.config, session.data
    measure, limits = config.measure, config.limits
    source = data.source(data.batch_size, measure.timing_batches)
    return Manifest(
        format=FORMAT,
        study=config.name,
        token=secrets.token_hex(8),
        device=config.target.device,
        threads=config.target.threads.model_dump(),
        baseline=config.target.baseline,
        data={
            "path": DATA,
            "order": ORDER,
            "inputs": dict(source.inputs),
            "batch_size": source.batch_size,
            "timing_batches": source.timing_batches,
        },
        inputs=tuple(info.name for info in session.loaded.inputs),
        output=chosen_output(config.accuracy, session.loaded.outputs).name,
        samples=data.samples,
        searched=len(data.search),
        rules={
            "ci_half_width": measure.ci_half_width,
            "max_seconds": measure.max_seconds,
            "min_block_ms": measure.min_block_ms,
            "percentiles": list(measure.percentiles),
        },
        patience=PATIENCE,
        trial_seconds=limits.trial_seconds,
        memory_bytes=limits.worker_memory_bytes,
        settings=tuple(entries),
        files={
            path.relative_to(staged).as_posix(): {
                "bytes": path.stat().st_size,
                "sha256": _sha256(path),
            }
            for path in sorted(staged.rglob("*"))
            if path.is_file()
        },
    )


def write_bundle(folder: Path, manifest: Manifest, staged: Path, part_bytes: int) -> Written:
    """Writes the parts, the command that runs them, and checksums for ``sha256sum -c``.

    Args:
        folder: where to; must not exist.
        manifest: what is in it.
        staged: where its files lie.
        part_bytes: what a part may take.

    Raises:
        InputError: the folder exists or cannot be made, or parts of that size hold nothing.
    """
    content = manifest.to_bytes()
    bundle = hashlib.sha256(content).hexdigest()[:_ID_LENGTH]
    fixed = {MANIFEST: content, **shipped()}
    room_bytes = part_bytes - _archive_bytes(fixed) - _SLACK_BYTES
    if room_bytes < _LEAST_ROOM_BYTES:
        least = part_bytes - room_bytes + _LEAST_ROOM_BYTES
        message = f"found {part_bytes} bytes; this bundle allows {least} bytes or more"
        raise InputError.one("--part-size", message)
    plans = _plans(manifest, staged, room_bytes)
    beside = folder.with_name(f".{folder.name}.{manifest.token}")
    try:
        if folder.exists():
            raise FileExistsError(17, "it exists already")
        beside.mkdir(parents=True)
        sizes = [
            _write_part(beside, plans, number, bundle, fixed, manifest.study, staged)
            for number in range(1, len(plans) + 1)
        ]
        _write_sums(beside)
        beside.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise InputError.one("--output", f"{folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Written(bundle, folder, tuple(sizes), tuple(cut_files(plans)))


def _plans(manifest: Manifest, staged: Path, room_bytes: int) -> tuple[Plan, ...]:
    needed = {entry.name: _files_of(entry, staged) for entry in manifest.settings}
    references = (name for name in needed if name.startswith("float32."))
    shared = [DATA, ORDER, *(file for name in references for file in needed[name])]
    sizes = {name: info["bytes"] for name, info in manifest.files.items()}
    return plan_parts(sizes, list(dict.fromkeys(shared)), needed, room_bytes)


def _files_of(entry: Entry, staged: Path) -> list[str]:
    found: list[str] = []
    for artifact in entry.artifacts.values():
        path = staged / artifact
        described = json.loads(path.read_text(encoding="utf-8"))
        folder = Path(artifact).parent
        found += [(folder / file).as_posix() for file in artifact_files(path.name, described)]
    return found


def _write_part(
    folder: Path,
    plans: Sequence[Plan],
    number: int,
    bundle: str,
    fixed: Mapping[str, bytes],
    study: str,
    staged: Path,
) -> int:
    plan = plans[number - 1]
    described = {
        "format": FORMAT,
        "bundle": bundle,
        "study": study,
        "part": number,
        "parts": len(plans),
        "needs": [position + 1 for position in plan.needs],
        "settings": list(plan.settings),
        "pieces": [
            [piece.file, piece.offset, _member(position)]
            for position, piece in enumerate(plan.pieces)
        ],
    }
    path = folder / f"part-{number:03d}-of-{len(plans):03d}.zip"
    with whole_file(path) as file:
        write_archive(file, _members(plan, described, fixed, staged))
    return path.stat().st_size


def _members(
    plan: Plan, described: Mapping[str, Any], fixed: Mapping[str, bytes], staged: Path
) -> Iterator[Member]:
    yield "part.json", [json.dumps(described).encode()]
    for name, content in fixed.items():
        yield name, [content]
    for position, piece in enumerate(plan.pieces):
        yield _member(position), read_range(staged / piece.file, piece.offset, piece.length)


def _member(position: int) -> str:
    return f"pieces/{position:06d}"


def _write_sums(folder: Path) -> None:
    with whole_file(folder / "run_bundle.py") as file:
        file.write(script())
    files = sorted(path for path in folder.iterdir() if path.is_file())
    lines = (f"{_sha256(path)}  {path.name}\n" for path in files)
    write_text(folder / SUMS, "".join(lines))


def _archive_bytes(members: Mapping[str, bytes]) -> int:
    content = io.BytesIO()
    write_archive(content, ((name, [data]) for name, data in members.items()))
    return content.getbuffer().nbytes


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
