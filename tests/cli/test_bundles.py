"""``bundle`` and ``ingest``: real models, real lowering, a device that is played.

The device machine's own code unpacks parts and writes results; only its figures are made up. With a
real JAX it is in ``test_bundles_with_jax.py``.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from amp_tuner.bundle.manifest import AGAIN, Entry, Step
from amp_tuner.cli.main import main
from amp_tuner.measure.cores import usable_cores
from tests import small_study
from tests.bundle.elsewhere import FACTS, answered, blocks, rewritten, unpacked
from tests.cli.conftest import Command, Ended
from tests.conftest import Files

FASTER = {"default bfloat16": 1.5, "everything": 2.0}


def study(small: Files, **changes: dict[str, Any]) -> dict[str, Any]:
    plain = small_study.study(small.model, small.data)
    # There is no such interpreter here: the device machine has its own.
    plain["target"] |= {"runtime": "xla", "python": "/no/python"}
    return small_study.changed(plain, **changes)


@pytest.fixture(scope="session")
def first_bundle(
    tmp_path_factory: pytest.TempPathFactory, small: Files, lent: Callable[[], Any]
) -> Path:
    """A study's folder with a study file and a bundle of four settings; only to be copied."""
    folder = tmp_path_factory.mktemp("bundled")
    path = small_study.write_study(folder, study(small))
    before = signal.getsignal(signal.SIGTERM)
    bundle = ["bundle", "--config", str(path), "--trials", "4", "--output", str(folder / "bundle")]
    with lent():
        assert main([*bundle, "--part-size", "1MiB"]) == 0
    signal.signal(signal.SIGTERM, before)
    return folder


@pytest.fixture
def bundled(first_bundle: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(first_bundle, tmp_path / "study")


@pytest.fixture
def ingest(quick: Command, bundled: Path) -> Callable[[Path], Ended]:
    """Takes in a results file."""
    return lambda results: quick("ingest", "--config", bundled / "study.yaml", results, "--quiet")


@pytest.fixture
def more(quick: Command, bundled: Path) -> Callable[[int], Path]:
    """Writes one more bundle."""

    def write(number: int) -> Path:
        folder = bundled / f"bundle-{number}"
        words = ("bundle", "--config", bundled / "study.yaml", "--trials", 2, "--output", folder)
        ended = quick(*words)
        assert ended.code == 0, ended.err
        return folder

    return write


def answer(bundled: Path, **how: Any) -> Path:
    return answered(bundled / "bundle", bundled / "device", FASTER, **how)


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=True)
    return content.getvalue()


def table(bundled: Path) -> pd.DataFrame:
    return pd.read_csv(bundled / "run/trials.csv", index_col=0)


def point(bundled: Path, number: int) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        (bundled / f"run/pareto/{number:03d}.yaml").read_text()
    )
    return content


def test_a_bundle_holds_fp32_default_amp_and_as_many_distinct_graphs_as_asked_for(
    bundled: Path, tmp_path: Path
) -> None:
    _, manifest = unpacked(bundled / "bundle", tmp_path / "work")
    labels = [entry.label for entry in manifest.settings]
    assert labels[0] == "FP32"
    assert sum("default" in label for label in labels) == 2
    assert len(labels) == 1 + 2 + 4
    assert len({entry.name for entry in manifest.settings}) == len(labels)
    with np.load(tmp_path / "work/files/data.npz") as arrays:
        assert arrays.files == ["keys"], "labels stay at home"


def test_weights_lie_in_a_bundle_once(bundled: Path, tmp_path: Path) -> None:
    unpacked(bundled / "bundle", tmp_path / "work")
    artifacts = tmp_path / "work/files/artifacts"
    read = [
        weight["file"]
        for path in artifacts.glob("*.json")
        for weight in json.loads(path.read_text())["weights"]
    ]
    assert len(set(read)) == len(list((artifacts / "weights").iterdir())) < len(read)


def test_results_become_trials_a_front_and_exports(
    ingest: Callable[[Path], Ended], bundled: Path
) -> None:
    ended = ingest(answer(bundled))
    assert ended.code == 0, ended.err
    assert "Best is trial" in ended.out
    trials = table(bundled)
    everything = trials[trials["anchor"] == "everything bfloat16"].iloc[0]
    assert everything["speedup"] == pytest.approx(2.0)
    assert (bundled / "run/best.env").exists()
    assert (bundled / "run/best.py").exists()
    (number,) = trials.index[trials["anchor"] == "default bfloat16"]
    published = point(bundled, int(number))
    assert published["speedup"]["value"] == pytest.approx(1.5)
    assert published["hardware"] == FACTS["hardware"]
    assert published["software"]["jaxlib"] == "0.10.2"
    trial = json.loads((bundled / f"run/trials/{int(number):04d}.json").read_text())["trial"]
    assert trial["seconds"] >= 2.0
    assert trial["measurement"]["machine"] == {"load_average": 1}
    assert len(trial["measurement"]["timing"]["blocks"]) == len(blocks(1.5))


@pytest.mark.all_only
def test_what_is_published_was_measured_once_more_on_samples_that_were_held_back(
    ingest: Callable[[Path], Ended], bundled: Path
) -> None:
    def luckier(entry: Entry, step: Step) -> Step:
        lucky = step.stage != AGAIN and "default bfloat16" in entry.label
        return replace(step, blocks=blocks(3.0)) if lucky else step

    assert ingest(answer(bundled, change=luckier)).code == 0
    (number,) = table(bundled).query("anchor == 'default bfloat16'").index
    published = point(bundled, int(number))
    assert published["speedup"]["search_time"] == pytest.approx(3.0)
    assert published["speedup"]["value"] == pytest.approx(1.5)
    assert published["accuracy"]["samples"] == small_study.SAMPLES // 2
    assert "not measured again: the figures are the search's" not in published["notices"]


@pytest.mark.all_only
def test_what_was_not_measured_once_more_says_so_and_is_in_the_next_bundle(
    ingest: Callable[[Path], Ended], bundled: Path, more: Callable[[int], Path], tmp_path: Path
) -> None:
    def interrupted(_: Entry, step: Step) -> Step | None:
        return None if step.stage == AGAIN else step

    ended = ingest(answer(bundled, change=interrupted))
    assert ended.code == 0, ended.err
    (number,) = table(bundled).query("anchor == 'everything bfloat16'").index
    notice = "not measured again: the figures are the search's"
    assert notice in point(bundled, int(number))["notices"]
    folder = more(2)
    _, manifest = unpacked(folder, tmp_path / "look")
    again = [entry.label for entry in manifest.settings if entry.again_only]
    assert any(f"trial {number}," in label for label in again)
    ended = ingest(answered(folder, bundled / "device-2", {f"trial {number},": 1.9}))
    assert ended.code == 0, ended.err
    assert notice not in point(bundled, int(number))["notices"]
    assert point(bundled, int(number))["speedup"]["value"] == pytest.approx(1.9)


@pytest.mark.all_only
def test_a_goal_that_is_missed_is_missed_and_nothing_meets_it_ends_with_1(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    plain = {**study(small), "accuracy": {"metric": "auc", "goal": {"min": 0.99}}}
    path = small_study.write_study(tmp_path, plain)
    words = ("--config", path, "--trials", 1, "--output", tmp_path / "bundle")
    assert quick("bundle", *words).code == 0
    results = answered(tmp_path / "bundle", tmp_path / "device")
    ended = quick("ingest", "--config", path, results, "--quiet")
    assert ended.code == 1, ended.err
    assert "Nothing certainly meets the goal" in ended.out
    assert not (tmp_path / "run/best.env").exists()


@pytest.mark.all_only
def test_wrong_outputs_keep_a_fast_setting_from_being_the_best(
    ingest: Callable[[Path], Ended], bundled: Path
) -> None:
    assert ingest(answer(bundled, wrong=["everything"])).code == 0
    trials = table(bundled)
    assert not trials.loc[trials["anchor"] == "everything bfloat16", "feasible"].any()
    (number,) = trials.index[trials["anchor"] == "default bfloat16"]
    assert yaml.safe_load((bundled / "run/pareto/front.yaml").read_text())["best"] == number


def test_a_second_round_goes_on_with_other_graphs(
    ingest: Callable[[Path], Ended], bundled: Path, more: Callable[[int], Path]
) -> None:
    assert ingest(answer(bundled)).code == 0
    before = table(bundled)
    assert ingest(answered(more(2), bundled / "device-2")).code == 0
    after = table(bundled)
    pd.testing.assert_frame_equal(after[: len(before)], before, check_dtype=False)
    measured = after[after["cached_from"].isna() & (after["state"] == "COMPLETE")]
    assert measured["graph_id"].is_unique
    assert len(measured) == before["cached_from"].isna().sum() + 2


@pytest.mark.all_only
def test_bundles_that_are_under_way_at_once_ask_for_different_graphs(
    ingest: Callable[[Path], Ended], bundled: Path, more: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = more(2)
    _, first = unpacked(bundled / "bundle", tmp_path / "1")
    _, second = unpacked(folder, tmp_path / "2")
    names = [{one.name for one in manifest.settings} for manifest in (first, second)]
    assert names[0] & names[1] == {"float32.fp32"}
    # Whichever comes home first.
    for results in (answered(folder, bundled / "device-2"), answer(bundled)):
        ended = ingest(results)
        assert ended.code == 0, ended.err
    trials = table(bundled)
    assert not trials["state"].isin(["RUNNING"]).any()
    assert set(trials.index) == set(range(len(trials)))


@pytest.mark.all_only
def test_half_of_the_results_are_taken_in_and_the_rest_later(
    ingest: Callable[[Path], Ended], bundled: Path, quick: Command
) -> None:
    def half(entry: Entry, step: Step) -> Step | None:
        return None if "everything" in entry.label else step

    partial = answer(bundled, change=half)
    ended = quick("ingest", "--config", bundled / "study.yaml", partial)
    assert ended.code == 0, ended.err
    assert re.search(r"of a run that was not complete: \d+ trials wait for more", ended.out)
    assert "everything bfloat16" not in set(table(bundled)["anchor"].dropna())
    whole = answered(bundled / "bundle", bundled / "device-2", FASTER)
    assert ingest(whole).code == 0
    assert "everything bfloat16" in set(table(bundled)["anchor"].dropna())


@pytest.mark.all_only
def test_a_setting_that_failed_there_has_failed_and_the_others_have_not(
    ingest: Callable[[Path], Ended], bundled: Path
) -> None:
    def memory(entry: Entry, step: Step) -> Step:
        cause = "XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory"
        failed = replace(step, blocks=None, stop_reason=None, cause=cause)
        died = replace(failed, cause="SIGSEGV", fatal=True, last_words="a kernel fell over")
        if "everything bfloat16" in entry.label:
            return failed
        return died if "everything float16" in entry.label else step

    assert ingest(answer(bundled, change=memory)).code == 0
    trials = table(bundled).set_index("anchor")
    assert "RESOURCE_EXHAUSTED" in trials.loc["everything bfloat16", "cause"]
    assert trials.loc["everything float16", "cause"] == "SIGSEGV"
    assert trials.loc["default bfloat16", "state"] == "COMPLETE"
    assert "a kernel fell over" in "".join(
        path.read_text() for path in (bundled / "run/failures").iterdir()
    )


def refused(ended: Ended, bundled: Path, *words: str) -> None:
    assert ended.code == 2
    for word in words:
        assert word in ended.err
    assert not (bundled / "run/pareto").exists()
    assert not (bundled / "run/baseline.json").exists()


def test_results_are_taken_in_once(ingest: Callable[[Path], Ended], bundled: Path) -> None:
    results = answer(bundled)
    assert ingest(results).code == 0
    before = (bundled / "run/trials.csv").read_text()
    ended = ingest(results)
    assert ended.code == 2
    assert "was taken in before" in ended.err
    assert (bundled / "run/trials.csv").read_text() == before


def test_results_of_another_bundle_are_refused_with_both_names(
    ingest: Callable[[Path], Ended], bundled: Path
) -> None:
    results = answer(bundled)
    record = next((bundled / "run/bundles").iterdir())
    content = json.loads(record.read_text())
    record.unlink()
    other = record.with_name("0123456789abcdef.json")
    other.write_text(json.dumps({**content, "bundle": "0123456789abcdef"}))
    said = f"results of bundle {content['bundle']} of a study called small; bundles of this study"
    refused(ingest(results), bundled, said, "0123456789abcdef")


def test_altered_results_are_refused(ingest: Callable[[Path], Ended], bundled: Path) -> None:
    invented = {"outputs-0000.npy": npy(np.ones((small_study.SAMPLES // 2, 1)))}
    results = rewritten(answer(bundled), invented, sums=False)
    refused(ingest(results), bundled, "altered: outputs-0000.npy has another checksum")
    flipped = bytearray(answer(bundled).read_bytes())
    flipped[flipped.index(b"outputs-0000") + 200] ^= 1
    results.write_bytes(flipped)
    refused(ingest(results), bundled, "is damaged")


def test_half_a_file_is_refused(ingest: Callable[[Path], Ended], bundled: Path) -> None:
    results = answer(bundled)
    results.write_bytes(results.read_bytes()[:-5000])
    refused(ingest(results), bundled, "is damaged or was not copied whole")


def test_a_file_that_is_not_there_is_named(ingest: Callable[[Path], Ended], bundled: Path) -> None:
    refused(ingest(bundled / "nothing.zip"), bundled, "nothing.zip: no such file")


@pytest.mark.all_only
@pytest.mark.parametrize(
    ("kind", "fact", "value"), [("software", "jaxlib", "0.11.0"), ("hardware", "cores", 128)]
)
def test_results_of_another_machine_than_the_last_rounds_are_refused(
    ingest: Callable[[Path], Ended],
    bundled: Path,
    more: Callable[[int], Path],
    kind: str,
    fact: str,
    value: Any,
) -> None:
    assert ingest(answer(bundled)).code == 0
    facts = {**FACTS, kind: {**FACTS[kind], fact: value}}
    ended = ingest(answered(more(2), bundled / "device-2", facts=facts))
    assert ended.code == 2
    said = f"{kind}: {fact}: {FACTS[kind][fact]!r} before, {value!r} now"
    assert f"other hardware or software than the last round: {said}" in ended.err


#: What is found before a worker is started, and what only the data show.
WRONG = {
    "outputs of other samples": ({"outputs-0000.npy": npy(np.zeros((7, 1)))}, "samples are judged"),
    "outputs of another shape": (
        {"outputs-0001.npy": npy(np.zeros((small_study.SAMPLES // 2, 3)))},
        "have shape (3,) a sample, others (1,)",
    ),
    "outputs that are no numbers": (
        {"outputs-0000.npy": npy(np.array(["x"] * (small_study.SAMPLES // 2)))},
        "samples are judged",
    ),
    "a pickle among the outputs": (
        {"outputs-0000.npy": npy(np.array([{}] * 300, object))},
        "Python objects",
    ),
    "no JSON": ({"step-0000.json": b"{"}, "step-0000.json: broken, or not written by amp-tune"),
    "wrong types": ({"step-0000.json": b'{"name": 1}'}, "step-0000.json: broken"),
    "a newer format": ({"results.json": b'{"format": 2}'}, "format 2 is newer"),
}


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.all_only if "outputs" in kind else ()) for kind in WRONG],
)
def test_a_file_with_right_checksums_and_wrong_content_is_refused_before_anything_is_told(
    ingest: Callable[[Path], Ended], bundled: Path, kind: str
) -> None:
    changes, said = WRONG[kind]
    refused(ingest(rewritten(answer(bundled), changes)), bundled, said)


@pytest.mark.all_only
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seconds", -1.0, "took an impossible time"),
        ("outputs", None, "has neither outputs nor a cause of failure"),
        ("stop_reason", "luck", "was not timed"),
        ("blocks", [], "the timed blocks are not whole groups of A B B A and B A A B"),
        (
            "blocks",
            [
                {"side": side, "phase": "timed", "started_s": 0.0, "run_s": [0.0]}
                for side in ("baseline", "candidate", "candidate", "baseline")
            ],
            "a block has no run times above 0 s",
        ),
    ],
)
def test_figures_that_no_machine_gives_are_refused(
    ingest: Callable[[Path], Ended], bundled: Path, field: str, value: Any, said: str
) -> None:
    results = answer(bundled)
    with zipfile.ZipFile(results) as archive:
        step = json.loads(archive.read("step-0001.json"))
    step[field] = value
    refused(
        ingest(rewritten(results, {"step-0001.json": json.dumps(step).encode()})), bundled, said
    )


def test_results_without_fp32_say_nothing(ingest: Callable[[Path], Ended], bundled: Path) -> None:
    def lost(entry: Entry, step: Step) -> Step | None:
        return None if entry.name.startswith("float32") else step

    refused(ingest(answer(bundled, change=lost)), bundled, "holds no measurement of FP32")


def test_a_study_without_bundles_takes_nothing_in(
    quick: Command, small: Files, bundled: Path, tmp_path: Path
) -> None:
    path = small_study.write_study(tmp_path, study(small))
    ended = quick("ingest", "--config", path, answer(bundled))
    assert ended.code == 2
    assert "has written no bundle: use amp-tune bundle first" in ended.err


def test_another_model_is_another_study(
    quick: Command, small: Files, bundled: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"accuracy": {"metric": "agreement", "goal": "50%"}}
    path = small_study.write_study(bundled, study(small, **changes))
    ended = quick("ingest", "--config", path, answer(bundled))
    refused(ended, bundled, "$.accuracy.goal", "holds another study")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trials", "0"), "'0' is not a whole number above 0"),
        (("--trials", "x"), "'x' is not a whole number above 0"),
        (("--trials", "1", "--part-size", "48"), "'48' is no size; allowed: a number and a unit"),
        (("--trials", "1", "--part-size", "1kB"), "1kB is too small; allowed: 1MiB or more"),
        (("--trials", "1", "--stablehlo", "new"), "'new' is no version; allowed: such as 1.9.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    bundled: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bundle", "--config", str(bundled / "study.yaml"), *words])
    assert said in capsys.readouterr().err


def test_another_runtime_and_a_folder_that_exists_are_told_at_once(
    amp_tune: Command, small: Files, tmp_path: Path
) -> None:
    changes = {"search": {"granularity": "node"}, "target": {"cores": str(min(usable_cores()))}}
    plain = small_study.study(small.model, small.data, **changes)
    path = small_study.write_study(tmp_path, plain)
    ended = amp_tune("bundle", "--config", path, "--trials", 1, "--output", tmp_path)
    assert ended.code == 2
    assert "$.target.cores: pins processes of this machine, but a bundle" in ended.err
    assert "$.target.runtime: found engine; a bundle needs xla" in ended.err
    assert "$.search.granularity: found node; a bundle needs op_type" in ended.err
    assert f"--output: {tmp_path} exists already; allowed: a new folder" in ended.err
    assert not (tmp_path / "run").exists()


def test_a_study_of_bundles_is_not_measured_here_and_the_other_way_round(
    amp_tune: Command, small: Files, bundled: Path, tmp_path: Path
) -> None:
    ended = amp_tune("--config", bundled / "study.yaml")
    assert ended.code == 2
    assert "is measured by bundles: use amp-tune bundle and ingest" in ended.err
    shutil.move(bundled / "run/bundles", tmp_path / "bundles")
    (bundled / "run/trials").mkdir()
    ended = amp_tune("bundle", "--config", bundled / "study.yaml", "--trials", 1)
    assert ended.code == 2
    assert "was measured by amp-tune run: name another folder" in ended.err


@pytest.mark.all_only
def test_a_gpu_that_was_never_seen_gets_fp32_and_tf32(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    path = small_study.write_study(tmp_path, study(small, target={"device": "gpu"}))
    words = ("--config", path, "--trials", 1, "--output", tmp_path / "bundle")
    assert quick("bundle", *words).code == 0
    _, manifest = unpacked(tmp_path / "bundle", tmp_path / "work")
    forms = [entry for entry in manifest.settings if entry.name.startswith("float32")]
    assert [(entry.name, *entry.artifacts) for entry in forms] == [
        ("float32.fp32", "fp32"),
        ("float32.tf32", "tf32"),
    ]
    others = [entry for entry in manifest.settings if entry not in forms]
    assert all(set(entry.artifacts) == {"fp32", "tf32"} for entry in others)
    facts = {**FACTS, "software": {**FACTS["software"], "platform": "gpu"}}

    def without_tf32(entry: Entry, step: Step) -> Step | None:
        return None if entry.name == "float32.tf32" else step

    results = answered(tmp_path / "bundle", tmp_path / "device", change=without_tf32, facts=facts)
    ended = quick("ingest", "--config", path, results, "--quiet")
    assert ended.code == 0, ended.err
    trials = pd.read_csv(tmp_path / "run/trials.csv").set_index("anchor")
    assert trials.loc["TF32", "cause"] == "refused: this target has no TF32"
    assert not trials.loc["default bfloat16", "tf32"]


@pytest.mark.all_only
def test_a_gpu_with_tf32_is_measured_against_tf32(
    quick: Command, small: Files, tmp_path: Path
) -> None:
    path = small_study.write_study(tmp_path, study(small, target={"device": "gpu"}))
    words = ("--config", path, "--trials", 1, "--output", tmp_path / "bundle")
    assert quick("bundle", *words).code == 0
    software = {**FACTS["software"], "platform": "gpu", "compute_capability": "9.0"}
    facts = {**FACTS, "software": software}
    results = answered(tmp_path / "bundle", tmp_path / "device", FASTER, facts=facts)
    ended = quick("ingest", "--config", path, results, "--quiet")
    assert ended.code == 0, ended.err
    trials = pd.read_csv(tmp_path / "run/trials.csv").set_index("anchor")
    assert trials.loc[["FP32", "TF32"], "state"].tolist() == ["COMPLETE"] * 2
    assert trials.loc["default bfloat16", "tf32"]
    assert json.loads((tmp_path / "run/baseline.json").read_text())["tf32"] is True
    assert "as fast as TF32" in ended.out
