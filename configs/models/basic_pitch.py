"""Makes the model and the data of basic_pitch.yaml: which notes are in a piece of sound?

    python configs/models/basic_pitch.py

The model is Spotify's basic-pitch (Apache-2.0), the SavedModel that its Python package carries,
unpacked and not installed. The sounds are chords of decaying tones with some noise: there are no
labels, and none are needed to compare 16 bits with FP32. Made are

    models/basic_pitch         SavedModel: input_2, float32 (batch, 43844, 1), three outputs
    data/basic_pitch.npz       windows of 2 s at 22,050 Hz
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from making import ROOT, run
from numpy.typing import NDArray
from packaged import packaged_model

RATE_HZ = 22_050
SAMPLES = 43_844
WINDOWS = 64
SEED = 0


def chord(generator: np.random.Generator) -> NDArray[np.float32]:
    """Three to five notes between A2 and A6, each with harmonics, starting at random moments."""
    time_s = np.arange(SAMPLES) / RATE_HZ
    sound = generator.normal(0, 0.002, SAMPLES)
    for pitch in generator.choice(np.arange(45, 94), generator.integers(3, 6), replace=False):
        frequency_hz = 440 * 2 ** ((pitch - 69) / 12)
        begin_s, loudness = generator.uniform(0, 1.5), generator.uniform(0.05, 0.2)
        since_s = np.maximum(time_s - begin_s, 0)
        envelope = loudness * np.exp(-2 * since_s) * (time_s >= begin_s)
        for harmonic in range(1, 6):
            sound += envelope / harmonic * np.sin(2 * np.pi * harmonic * frequency_hz * since_s)
    return sound.astype(np.float32)


def make(model_path: Path, data_path: Path) -> None:
    """Unpacks and writes."""
    shutil.copytree(packaged_model("basic-pitch"), model_path, dirs_exist_ok=True)
    generator = np.random.default_rng(SEED)
    sounds = np.stack([chord(generator) for _ in range(WINDOWS)])
    np.savez(data_path, sounds=sounds[..., None])


if __name__ == "__main__":
    run(Path(__file__), make, ROOT / "models" / "basic_pitch", ROOT / "data" / "basic_pitch.npz")
