"""Measures the settings of a bundle on this machine; needs Python 3.10, NumPy, JAX and jaxlib.

    python run_bundle.py                        every part beside this file
    python run_bundle.py part-002-of-003.zip    one part; those that it needs lie beside it

The same command goes on after a kill: what ended is never run again. It writes one results file,
which `amp-tune ingest` reads. Exit codes: 0 done; 2 a part is missing or damaged; 3 this machine
cannot run the FP32 model; 130 interrupted (what ended is in the results file).

This file alone checks and unpacks parts, so it needs nothing but the standard library; what
measures comes out of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any

FORMAT = 1
#: The member of an archive that holds the others' checksums, as `sha256sum` writes them.
SUMS = "SHA256SUMS"
PACKAGE = "package/"
MANIFEST = "manifest.json"
PARTS = "part-*.zip"
CHUNK_BYTES = 1 << 20
_OLDEST = (3, 10)
_DAMAGE = (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError)


class BundleError(Exception):
    """An archive is missing, damaged, or none of ours; the message says which and why."""


@dataclass(frozen=True)
class Part:
    """One part, its checksums compared.

    Attributes:
        path: the archive.
        bundle: the bundle's id: the beginning of the SHA-256 of its manifest.
        number, parts: which part of how many.
        needs: numbers of the parts that its settings need as well.
        settings: names of its settings.
        pieces: (file of the bundle, offset in it, member).
    """

    path: Path
    bundle: str
    number: int
    parts: int
    needs: tuple[int, ...]
    settings: tuple[str, ...]
    pieces: tuple[tuple[str, int, str], ...]


def check_archive(path: Path) -> None:
    """Compares an archive's members with the checksums in it.

    Raises:
        BundleError: it is no whole archive, or a member is not what was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, archive, members)
    except _DAMAGE as error:
        message = f"{path} is damaged or was not copied whole ({error})"
        raise BundleError(message) from error


def _check_members(path: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> None:
    names = [info.filename for info in members]
    # What is stored as it is cannot unpack to more than was copied.
    if SUMS not in names or any(info.compress_type != zipfile.ZIP_STORED for info in members):
        raise BundleError(f"{path} was not written by amp-tune or run_bundle.py")
    lines = archive.read(SUMS).decode("utf-8", "replace").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if len(set(names)) != len(names) or sums.keys() != set(names) - {SUMS}:
        raise BundleError(f"{path} was altered: its members are not those of its checksums")
    for name, digest in sums.items():
        with archive.open(name) as file:
            if _sha256(iter(lambda: file.read(CHUNK_BYTES), b"")) != digest:
                raise BundleError(f"{path} was altered: {name} has another checksum (SHA-256)")


def _sha256(chunks: Iterator[bytes]) -> str:
    total = hashlib.sha256()
    for chunk in chunks:
        total.update(chunk)
    return total.hexdigest()


def read_part(path: Path) -> Part:
    """A part, checked.

    Raises:
        BundleError: see :func:`check_archive`; or it is of a newer format.
    """
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        try:
            described = json.loads(archive.read("part.json"))
            manifest = archive.read(MANIFEST)
        except KeyError as error:
            raise BundleError(f"{path} is no part of a bundle") from error
    if described["format"] != FORMAT:
        message = f"{path} has format {described['format']}; this run_bundle.py reads {FORMAT}"
        raise BundleError(message)
    if not hashlib.sha256(manifest).hexdigest().startswith(described["bundle"]):
        raise BundleError(f"{path} was altered: its manifest is not the bundle's")
    return Part(
        path=path,
        bundle=described["bundle"],
        number=described["part"],
        parts=described["parts"],
        needs=tuple(described["needs"]),
        settings=tuple(described["settings"]),
        pieces=tuple((file, offset, member) for file, offset, member in described["pieces"]),
    )


def chosen(paths: Sequence[Path], folder: Path) -> tuple[list[Part], list[Part]]:
    """The parts that are to be run, and those that they need besides.

    Args:
        paths: as the user named them; none: every part in ``folder``.
        folder: where needed parts are looked for.

    Raises:
        BundleError: there is none, one is missing, or they are of several bundles.
    """
    wanted = [read_part(path) for path in paths or sorted(folder.glob(PARTS))]
    if not wanted:
        raise BundleError(f"no parts ({PARTS}) lie in {folder}")
    bundles = sorted({part.bundle for part in wanted})
    if len(bundles) > 1:
        raise BundleError(f"these are parts of several bundles: {', '.join(bundles)}")
    held = {part.number: part for part in wanted}
    missing = {number for part in wanted for number in part.needs} - held.keys()
    if not paths:
        missing |= set(range(1, wanted[0].parts + 1)) - held.keys()
    for path in sorted(folder.glob(PARTS)) if missing else []:
        part = read_part(path)
        if part.bundle == bundles[0] and part.number in missing:
            held.setdefault(part.number, part)
    if missing - held.keys():
        lacking = ", ".join(map(str, sorted(missing - held.keys())))
        message = f"part {lacking} of {wanted[0].parts} of bundle {bundles[0]} is needed"
        raise BundleError(f"{message} (model weights, data or settings) and not in {folder}")
    return wanted, [part for part in held.values() if part not in wanted]


def unpack(parts: Sequence[Part], folder: Path) -> None:
    """Puts the bundle's files together that pieces of ``parts`` make up.

    A file that lies there whole is left as it is.

    Raises:
        BundleError: a file is not what was written.
    """
    with zipfile.ZipFile(parts[0].path) as archive:
        manifest = archive.read(MANIFEST)
        for name in archive.namelist():
            if name.startswith(PACKAGE):
                _write(_inside(folder, name), [archive.read(name)])
        _write(folder / MANIFEST, [manifest])
    files = json.loads(manifest)["files"]
    pieces: dict[str, list[tuple[int, Path, str]]] = {}
    for part in parts:
        for file, offset, member in part.pieces:
            pieces.setdefault(file, []).append((offset, part.path, member))
    for file, of_it in pieces.items():
        _put_together(_inside(folder, f"files/{file}"), sorted(of_it), files[file])


def _put_together(path: Path, pieces: list[tuple[int, Path, str]], info: Mapping[str, Any]) -> None:
    # What no setting of these parts reads may lie in others.
    whole = sum(_member_bytes(archive, member) for _, archive, member in pieces) == info["bytes"]
    if not whole or (path.exists() and _sha256(_read(path)) == info["sha256"]):
        return
    _write(path, (chunk for _, archive, member in pieces for chunk in _member(archive, member)))
    if _sha256(_read(path)) != info["sha256"]:
        raise BundleError(f"{path} was altered: it has another checksum (SHA-256)")


def _member_bytes(archive: Path, member: str) -> int:
    with zipfile.ZipFile(archive) as opened:
        return opened.getinfo(member).file_size


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")


def _member(archive: Path, member: str) -> Iterator[bytes]:
    with zipfile.ZipFile(archive) as opened, opened.open(member) as file:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")


def _write(path: Path, chunks: Iterator[bytes] | list[bytes]) -> None:
    """Writes a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        file.writelines(chunks)
    beside.replace(path)


def _inside(folder: Path, name: str) -> Path:
    if ".." in PurePosixPath(name).parts:
        raise BundleError(f"a file of the bundle is called {name}, which leads out of its folder")
    return folder / name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run_bundle.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", type=Path, nargs="*", metavar="PART", help="default: all parts")
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="default: results-ID.zip beside this file"
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="where parts are unpacked and progress is kept (default: work-ID beside this file)",
    )
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _refuse(why: str, code: int) -> int:
    sys.stderr.write(f"run_bundle: {why}\n")
    return code


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """Runs one command; returns its exit code."""
    if sys.version_info < _OLDEST:
        return _refuse(f"Python {sys.version.split()[0]} is too old; allowed: 3.10 or newer", 3)
    options = _parser().parse_args(arguments)
    here = Path(__file__).absolute().parent
    # Outputs of the model on your data pass through these files.
    os.umask(0o077)
    # A queue's end of time is treated as Ctrl-C: what ended is in the results file.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        folder = options.parts[0].absolute().parent if options.parts else here
        wanted, needed = chosen(options.parts, folder)
        bundle = wanted[0].bundle
        work: Path = (options.work or folder / f"work-{bundle}").absolute()
        unpack([*wanted, *needed], work)
    except BundleError as error:
        return _refuse(str(error), 2)
    sys.path.insert(0, str(work / PACKAGE))
    try:
        import numpy as np
    except ImportError as error:
        return _refuse(f"{sys.executable} has no NumPy ({error})", 3)
    from amp_tuner.bundle.device import run

    _say(f"bundle {bundle}, part {', '.join(str(part.number) for part in wanted)}")
    _say(f"Python {sys.version.split()[0]}, NumPy {np.__version__}")
    names = [name for part in wanted for name in part.settings]
    results = options.results or folder / f"results-{bundle}.zip"
    code, message = run(work, bundle, names, results.absolute(), _say)
    return code if message is None else _refuse(message, code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
