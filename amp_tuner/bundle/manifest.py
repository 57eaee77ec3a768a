"""What a bundle asks a device machine to measure, and what comes of each setting there.

Standard library only: both sides read this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from amp_tuner.records import Block

FORMAT = 1
#: Each setting is measured once for the search and, if it may be published, once more after all
#: others: for longer, and on the samples that are held back.
Stage = Literal["search", "again"]
SEARCH: Stage = "search"
AGAIN: Stage = "again"
STAGES = (SEARCH, AGAIN)
#: How files and messages call FP32 without and with TF32.
FORMS: Mapping[bool, str] = {False: "fp32", True: "tf32"}


def float32_name(*, tf32: bool) -> str:
    """The name of FP32 in one of its forms, among the settings."""
    return f"float32.{FORMS[tf32]}"


@dataclass(frozen=True)
class Entry:
    """A setting that is measured.

    Attributes:
        name: unique in a bundle; the effective graph's id, or FP32's name.
        label: for people.
        reference: measured again whatever its speed.
        artifacts: form of FP32 to the artifact (a file of the bundle).
        again_only: the search's measurement is known already.
    """

    name: str
    label: str
    reference: bool
    artifacts: Mapping[str, str]
    again_only: bool = False


@dataclass(frozen=True)
class Manifest:
    """A bundle's own description; the same in every part.

    Attributes:
        format: of this description.
        study: the study's name.
        token: makes the bundle another one than any before.
        device: JAX's name of a platform.
        threads: ``intra_op`` and ``inter_op``.
        baseline: ``fp32`` or ``tf32``, where the study file demands one.
        data: the fields of a DataSource; paths are files of the bundle.
        inputs: the signature's arguments, in order.
        output: the one that is judged.
        samples, searched: how many there are; trials are judged on the first ``searched``.
        rules: the fields of TimingRules.
        patience: measured again, a setting may be timed so many times as long.
        trial_seconds: what measuring one setting once may take.
        memory_bytes: what the runner may use of the machine's memory.
        settings: FP32 first.
        files: name to ``bytes`` and ``sha256``.
    """

    format: int
    study: str
    token: str
    device: str
    threads: Mapping[str, int]
    baseline: str | None
    data: Mapping[str, Any]
    inputs: tuple[str, ...]
    output: str
    samples: int
    searched: int
    rules: Mapping[str, Any]
    patience: float
    trial_seconds: float
    memory_bytes: int
    settings: tuple[Entry, ...]
    files: Mapping[str, Mapping[str, Any]]

    def to_bytes(self) -> bytes:
        """As JSON; the bundle's id is made from it."""
        return json.dumps(asdict(self), allow_nan=False).encode()

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The manifest of an unpacked bundle, whose checksum was compared."""
        value = json.loads(path.read_bytes())
        entries = tuple(Entry(**entry) for entry in value["settings"])
        return cls(**{**value, "settings": entries, "inputs": tuple(value["inputs"])})

    def judged(self, stage: Stage) -> range:
        """The samples whose outputs a stage computes."""
        if stage == SEARCH or self.searched == self.samples:
            return range(self.searched)
        return range(self.searched, self.samples)


@dataclass(frozen=True)
class Step:
    """What one stage of one setting gave; of a results file nothing in it is believed unchecked.

    Attributes:
        name: the setting's.
        stage: SEARCH or AGAIN.
        cause: why it failed; None where it did not.
        fatal, timed_out, last_words: as of a WorkerFailure.
        blocks: every timed block; None where nothing was timed.
        stop_reason: why timing ended.
        notices: what a reader of the timing must know.
        seconds: wall time of all of it.
        device_s: of which timed blocks and inference.
        compile_s: of which compiling; None for FP32, which is compiled once.
        machine: its state just before.
        outputs: the array of outputs of the stage's samples in the archive; None where it failed.
    """

    name: str
    stage: Stage
    cause: str | None = None
    fatal: bool = False
    timed_out: bool = False
    last_words: str = ""
    blocks: tuple[Block, ...] | None = None
    stop_reason: str | None = None
    notices: tuple[str, ...] = ()
    seconds: float = 0.0
    device_s: float = 0.0
    compile_s: float | None = None
    machine: Mapping[str, str | int | float | bool | None] | None = None
    outputs: str | None = None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Step:
        """From ``asdict`` through JSON."""
        blocks = value["blocks"]
        if blocks is not None:
            blocks = tuple(Block(**{**block, "run_s": tuple(block["run_s"])}) for block in blocks)
        return cls(**{**value, "blocks": blocks, "notices": tuple(value["notices"])})
