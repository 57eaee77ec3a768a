"""What is read from packages is what was trained: pictures whose answer is plain."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.rewrite.packaged_models import BUILT

pytestmark = pytest.mark.all_only


def run(name: str, pictures: np.ndarray) -> np.ndarray:
    graph_def = BUILT[name]()
    (x,) = (node.name for node in graph_def.node if node.op == "Placeholder")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run("Identity:0", {f"{x}:0": pictures})


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("nsfwjs MobileNet v2, a graph", 224),
        ("nsfwjs MobileNet v2", 224),
        ("nsfwjs Inception v3", 299),
    ],
)
def test_nsfwjs_finds_an_empty_picture_harmless(name: str, side: int) -> None:
    (chances,) = run(name, np.ones((1, side, side, 3), np.float32))
    drawing, _, neutral, _, _ = chances  # the classes' order in the package
    assert drawing + neutral > 0.9


def test_hed_finds_the_edge_between_two_halves() -> None:
    picture = np.full((1, 64, 96, 3), -100, np.float32)
    picture[:, :, 40:] = 100
    edges = run("HED", picture)[0, :, :, 0]
    assert edges.shape == (64, 96)
    assert abs(int(edges[16:48].mean(axis=0).argmax()) - 40) <= 2
