"""What pages say is true: links lead somewhere, studies load, tables name all there is."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import amp_tuner
from amp_tuner.config.load import load_study
from amp_tuner.config.model import StudyFile
from amp_tuner.output.folder import RunFolder
from amp_tuner.results import effects_csv, points, trials_csv
from amp_tuner.results.points import read_lists
from docs.generate.__main__ import REFERENCE, pages
from tests.config.test_schema import SMALLEST, VALIDATOR
from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, links, name, prose

FILES = REFERENCE / "output-files.md"
#: The only commands that are not run: page, first line, reason. Those that need a database are what
#: ``tests/cli/test_fleet.py`` runs.
NOT_RUN = {
    (
        "docs/how-to/clusters.md",
        "kubectl apply -f configs/deploy/kuberay-job.yaml",
        "it needs KubeRay",
    ),
    (
        "docs/how-to/clusters.md",
        "for host in node1 node2 node3; do",
        "it needs other machines",
    ),
    (
        "docs/how-to/clusters.md",
        "sbatch configs/deploy/slurm.sbatch study.yaml",
        "it needs Slurm",
    ),
    (
        "docs/how-to/clusters.md",
        "kubectl create secret generic amp-tune-storage --from-file=url=storage-address.txt",
        "it needs a cluster",
    ),
    (
        "docs/how-to/gpus.md",
        "python experiments/accelerator/run.py --device gpu",
        "needs a GPU and a night",
    ),
    ("docs/how-to/batch.md", "amp-tune worker --config studies/*.yaml", "needs a database"),
    ("docs/how-to/fleet.md", "amp-tune run --config study.yaml", "needs a database"),
    ("docs/how-to/fleet.md", "amp-tune worker --config study.yaml", "needs a database"),
}


def found(language: str) -> list[Any]:
    """Every block of a language, as parameters."""
    return [
        pytest.param(block, id=f"{name(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page), start=1)
        if block.language == language
    ]


def test_the_reference_is_what_the_code_says() -> None:
    for page, text in pages().items():
        stored = (REFERENCE / page).read_text(encoding="utf-8")
        assert stored == text, f"docs/reference/{page} is out of date: make reference"


def test_the_site_is_built_without_a_broken_link_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = [path for path in tmp_path.rglob("*.html") if path.name != "404.html"]
    assert len(built) == len(PAGES) - 1
    for path in built:
        loaded = re.findall(r"<(?:script|link|img|iframe)[^>]* (?:src|href)=\S+", path.read_text())
        assert not [tag for tag in loaded if "//" in tag], path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@pytest.mark.parametrize("block", found("yaml"))
def test_yaml_is_a_study_a_part_of_one_or_a_file_of_moves(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(block.text, encoding="utf-8")
    plain = yaml.safe_load(block.text)
    if "moves" in plain:
        assert read_lists(path).moves
        return
    assert plain.keys() <= StudyFile.model_fields.keys()
    study = plain if "model" in plain else {**SMALLEST, **plain}
    VALIDATOR.validate(study)
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    load_study(path, check_files=False)


@pytest.mark.parametrize("block", found("python"))
def test_python_imports_what_there_is(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("amp_tuner"):
            names = {alias.name for alias in node.names}
            if node.module == "amp_tuner":
                assert names <= set(amp_tuner.__all__)
                continue
            source = (ROOT / str(node.module).replace(".", "/")).with_suffix(".py")
            defined = {one.name for one in ast.parse(source.read_text()).body if _is_named(one)}
            assert names <= defined


def _is_named(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.ClassDef))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_has_the_targets_that_are_named(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`make ([a-z][a-z-]*)`|^make ([a-z][a-z-]*)", text, re.MULTILINE)
    assert {one or other for one, other in named} <= targets


def test_what_is_not_run_is_known() -> None:
    shown = {
        (name(page), block.text.split("\n")[0], block.marker[1])
        for page in PAGES
        for block in blocks(page)
        if block.runs and block.marker[0] == "not run"
    }
    assert shown == NOT_RUN


def test_commands_stand_in_blocks_that_are_run() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert block.language in ("sh", "python", "yaml", "text"), name(page)


def named_in(page: Path) -> set[str]:
    """Everything that stands in backticks on a page."""
    return set(re.findall(r"`([^`\n]+)`", prose(page)))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_in_the_checkout_exist(page: Path) -> None:
    for path in named_in(page):
        if re.fullmatch(r"(configs|experiments|tests|docs)/[\w.*/-]+", path):
            assert list(ROOT.glob(path.rstrip("/"))), path


def test_every_file_of_a_study_is_in_the_reference() -> None:
    folder = RunFolder(Path())
    paths = [getattr(folder, key) for key, value in vars(RunFolder).items() if _is_path(value)]
    named = " ".join(named_in(FILES))
    assert [path for path in paths if path.as_posix() not in named] == []


def _is_path(value: object) -> bool:
    return isinstance(value, property)


def test_every_column_and_key_is_in_the_reference() -> None:
    columns = {*trials_csv.COLUMNS, *effects_csv.COLUMNS, *points._POINT_KEYS}
    assert columns <= named_in(FILES)


def test_every_event_is_in_the_reference() -> None:
    written = {
        event
        for path in (ROOT / "amp_tuner").rglob("*.py")
        for event in re.findall(r"log\.write\(\s*\"(\w+)\"", path.read_text())
    }
    assert {"asked", "measured", "ended"} <= written
    assert written <= named_in(REFERENCE / "events.md")
