"""``amp-tune completion``: what the shells themselves make of the scripts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from amp_tuner.cli.options.results import EXPORT_FORMATS
from tests.cli.conftest import Command

#: Completes the last of its arguments as bash does: the function that the script has registered is
#: called with the words of the line.
_TAB = """\
source "$1"; shift
registered=$(complete -p amp-tune); name=${registered##*-F }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
${name%% *}
printf '%s\\n' "${COMPREPLY[@]}"
"""
Tab = Callable[..., set[str]]


@pytest.fixture
def tab(amp_tune: Command, tmp_path: Path) -> Tab:
    """What bash offers after the given words, in a folder with some files."""
    script = tmp_path / "script"
    script.write_text(amp_tune("completion", "bash").out)
    folder = tmp_path / "here"
    (folder / "studies").mkdir(parents=True)
    for name in ("study.yaml", "study.yml", "study.txt"):
        (folder / name).touch()

    def offered(*words: str) -> set[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", _TAB, "bash", script, "amp-tune", *words],
            check=True,
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=60,
        )
        assert done.stderr == ""
        return set(done.stdout.split())

    return offered


def test_bash_completes_verbs(tab: Tab) -> None:
    assert tab("exp") == {"export"}
    assert tab("in") == {"init", "inspect", "ingest"}


def test_bash_completes_the_options_of_each_verb(tab: Tab) -> None:
    assert tab("export", "--fo") == {"--format"}
    assert tab("check", "--") == {"--help", "--config", "--batch-size"}


def test_bash_completes_values_that_are_a_choice(tab: Tab) -> None:
    assert tab("export", "run", "--format", "") == set(EXPORT_FORMATS)
    assert tab("export", "run", "--format", "kub") == {"kubernetes"}


@pytest.mark.parametrize("verb", [(), ("run",), ("check",)], ids=" ".join)
def test_bash_completes_study_files_with_and_without_the_verb(
    tab: Tab, verb: tuple[str, ...]
) -> None:
    assert tab(*verb, "--conf") == {"--config"}
    assert tab(*verb, "--config", "st") == {"study.yaml", "study.yml", "studies"}


def test_bash_completes_study_files_of_a_batch(tab: Tab) -> None:
    assert tab("batch", "st") == {"study.yaml", "study.yml", "studies"}
    assert tab("batch", "study.yaml", "--su") == {"--summary"}


def test_bash_completes_folders_of_studies_and_other_files(tab: Tab) -> None:
    assert tab("report", "st") == {"studies"}
    assert tab("inspect", "--html", "study.t") == {"study.txt"}
    assert tab("check", "--config", "study.yaml", "--batch-size", "st") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_that_shell(amp_tune: Command, tmp_path: Path, shell: str) -> None:
    ended = amp_tune("completion", shell)
    assert (ended.code, ended.err) == (0, "")
    assert "kubernetes" in ended.out
    assert {"bash": "complete ", "zsh": "#compdef amp-tune", "fish": "complete -c amp-tune"}[
        shell
    ] in ended.out
    if shutil.which(shell) is not None:
        (tmp_path / "script").write_text(ended.out)
        subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=60)
