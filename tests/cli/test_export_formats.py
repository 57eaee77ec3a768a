"""`export` for containers and servers: what is written, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests import small_study
from tests.cli.conftest import Command
from tests.conftest import Files

SAVED_MODEL_CLI = Path(sys.executable).with_name("saved_model_cli")
SIGNATURE = "--signature_def=serving_default"


def numbered(finished: Path, anchor: str) -> str:
    table = pd.read_csv(finished / "run" / "trials.csv").set_index("anchor")
    return str(table.loc[anchor, "number"])


def signature_of(model: Path) -> list[str]:
    """What a client sees: arguments, types, shapes; not how the graph calls its tensors."""
    ended = subprocess.run(
        [SAVED_MODEL_CLI, "show", "--dir", model, "--tag_set=serve", SIGNATURE],
        check=True,
        capture_output=True,
        text=True,
    )
    lines = [line.strip() for line in ended.stdout.splitlines()]
    assert len(lines) > 5
    return [line for line in lines if not line.startswith("name: ")]


@pytest.mark.parametrize("form", ["docker", "kubernetes"])
def test_what_was_measured_is_the_baked_model_so_no_lists_are_set(
    amp_tune: Command, finished: Path, form: str
) -> None:
    words = ["export", finished / "run", "--point", numbered(finished, "default float16")]
    ended = amp_tune(*words, "--format", form)
    assert ended.code == 0
    assert "export --format savedmodel" in ended.out
    assert "TF_ENABLE_ONEDNN_OPTS" in ended.out
    assert "EMULATE_FP16" not in ended.out.split("# These must not be set")[1].split("\n", 1)[1]


def test_another_family_is_labelled_as_predicted_in_every_form(
    quick: Command, finished: Path, tmp_path: Path
) -> None:
    words = ["export", finished / "run", "--point", numbered(finished, "default bfloat16")]
    ended = quick(*words, "--format", "docker", "--runtime", "itex")
    assert "predicted, not measured" in ended.out.splitlines()[0]
    assert "\nITEX_AUTO_MIXED_PRECISION=1\n" in ended.out
    ended = quick(*words, "--format", "kubernetes", "--runtime", "tensorflow")
    assert "predicted, not measured" in ended.out.splitlines()[0]
    assert yaml.safe_load(ended.out)["data"]["TF_ENABLE_ONEDNN_OPTS"] == "1"
    ended = quick(*words, "--format", "itex-python", "--output", tmp_path / "best.py")
    assert (ended.code, ended.out) == (0, "")
    text = (tmp_path / "best.py").read_text()
    assert "options = config.graph_options.auto_mixed_precision_options" in text
    assert "for itex it is predicted, not measured" in text


@pytest.mark.all_only
def test_a_served_folder_holds_the_baked_model_and_how_it_is_started(
    quick: Command, finished: Path, small: Files, tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    words = ["export", finished / "run", "--point", numbered(finished, "default float16")]
    ended = quick(*words, "--format", "tf-serving", "--output", folder)
    assert ended.code == 0
    assert "start it with serve.sh" in ended.out
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["model", "platform.config", "serve.sh", "variables.env"]
    assert signature_of(folder / "model" / "1") == signature_of(small.model)
    config = (folder / "platform.config").read_text()
    assert "intra_op_parallelism_threads: " in config
    assert "rewrite_options" not in config, "the model is rewritten already"
    assert [path.name for path in tmp_path.iterdir()] == sorted(["finished", "served"])


@pytest.mark.all_only
def test_a_study_of_the_stock_pass_serves_its_own_model_and_switches_the_pass_on(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    plain = small_study.study(small.model, small.data, target={"runtime": "tensorflow"})
    path = small_study.write_study(tmp_path, plain)
    assert quick("--config", path, "--trials", 5).code == 0
    table = pd.read_csv(tmp_path / "run" / "trials.csv").set_index("anchor")
    number = str(table.loc["default bfloat16", "number"])
    words = ["export", tmp_path / "run", "--point", number, "--format", "tf-serving"]
    ended = quick(*words, "--output", tmp_path / "served")
    assert ended.code == 0, ended.err
    config = (tmp_path / "served" / "platform.config").read_text()
    assert "auto_mixed_precision_onednn_bfloat16: ON" in config
    assert "predicted" not in config
    served = tmp_path / "served" / "model" / "1" / "saved_model.pb"
    assert served.read_bytes() == (small.model / "saved_model.pb").read_bytes()


def test_what_cannot_be_served_is_refused_and_leaves_nothing(
    quick: Command, finished: Path, tmp_path: Path
) -> None:
    words = ["export", finished / "run", "--format", "tf-serving"]
    ended = quick(*words)
    assert (ended.code, "tf-serving is a folder; name a new one" in ended.err) == (2, True)
    ended = quick(*words, "--output", finished)
    assert (ended.code, "exists; name a new path" in ended.err) == (2, True)
    ended = quick("export", finished / "run", "--format", "itex-python", "--runtime", "tensorflow")
    assert (ended.code, "--format python has the others" in ended.err) == (2, True)
    ended = quick("export", finished / "run", "--format", "yaml", "--runtime", "itex")
    assert (ended.code, "yaml is what was measured" in ended.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["finished"]
