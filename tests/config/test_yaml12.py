"""YAML as plain data: core schema scalars, duplicate keys, nothing executable, nothing huge."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amp_tuner.config.yaml12 import MAX_DEPTH, load_yaml, read_yaml
from amp_tuner.errors import InputError


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_yaml(text, "study.yaml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("+.5", 0.5),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-7", -7),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("2026-11-24", "2026-11-24"),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("8GiB", "8GiB"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_the_core_schema(text: str, value: object) -> None:
    found = load_yaml(f"key: {text}", "study.yaml")["key"]
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(load_yaml(".nan", "study.yaml"))


def test_a_merge_key_is_an_ordinary_key() -> None:
    assert load_yaml("a: &a {x: 1}\nb: {<<: *a}", "study.yaml")["b"] == {"<<": {"x": 1}}


def test_every_duplicate_key_is_a_problem_with_its_line() -> None:
    text = "name: a\nmodel:\n  path: x\n  path: y\nname: b\n"
    assert problems(text) == [
        "study.yaml, line 4: duplicate key 'path' (first on line 3)",
        "study.yaml, line 5: duplicate key 'name' (first on line 1)",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "study.yaml, line 1: not valid YAML: expected ',' or ']', but got"),
        ("a: 1\n\tb: 2", "study.yaml, line 2: not valid YAML: found character '\\t'"),
        ("a: *b", "study.yaml, line 1: not valid YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2", "study.yaml, line 2: not valid YAML: but found another document"),
        ("a: !!python/object/apply:os.system [ls]", "python/object/apply:os.system is not allowed"),
        ("a: !!binary aGk=", "binary is not allowed"),
        ("a: !!int x", "'x' is not a number"),
        ("? [1, 2]\n: x", "a key must be a plain word"),
        ("a: " + "9" * 5000, "a number of 5000 characters is too long"),
        ('a: "\\ud800"', "half of a surrogate pair"),
        ("a: \0", "study.yaml: not valid YAML"),
        ("a: &a [*a]", "aliases expand to more than"),
        ("[" * 10_000, f"nested deeper than {MAX_DEPTH} levels"),
        ("a: " + " " * (1 << 20), "the file is larger than"),
    ],
)
def test_what_is_no_plain_yaml_is_one_clear_problem(text: str, message: str) -> None:
    found = problems(text)
    assert len(found) == 1
    assert message in found[0]


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "aliases expand to more than 100000 nodes" in problems("\n".join(lines))[0]


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(
            exclude_categories=["Cs", "Cc"], exclude_characters="\x85\u2028\u2029\ufeff\ufffe\uffff"
        )
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc:-1 ", max_size=5), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(plain)
def test_json_reads_back_as_itself(value: object) -> None:
    """YAML 1.2 contains JSON: with quoted text nothing is left to resolvers but numbers."""
    assert load_yaml(json.dumps(value, ensure_ascii=False), "f") == value


@given(st.text(max_size=40))
def test_any_text_is_data_or_an_input_error(text: str) -> None:
    with contextlib.suppress(InputError):
        load_yaml(text, "f")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x]\nb: &b [*a, *a]\nc: *b\nd: &d [*d]", "aliases expand to more than"),
        ("[" * 5000, "nested deeper than 40 levels"),
        ("- " * 5000, "nested deeper than 40 levels"),
        ("? " * 5000, "nested deeper than 40 levels"),
        ("a: !!python/object/apply:os.system ['touch pwned']", "the tag"),
        ("!!python/name:os.system x", "the tag"),
        ("!<tag:yaml.org,2002:python/module:os> x", "the tag"),
        ("a: !!binary aGk=", "the tag"),
        (f"a: {'9' * 100_000}", "a number of 100000 characters is too long"),
        ("a: \x00", "not valid YAML"),
        ("a: \x1b[2J", "not valid YAML"),
        (f"a: {'x' * (1 << 20)}", "larger than"),
    ],
)
def test_what_an_attacker_writes_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_yaml(path)


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(InputError, match="larger than"):
        read_yaml(Path("/dev/zero"))
