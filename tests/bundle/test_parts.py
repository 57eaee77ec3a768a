"""Which files of a bundle go into which part."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from amp_tuner.bundle.parts import PIECE_BYTES, SETTING_BYTES, Plan, cut_files, plan_parts

LEAST = PIECE_BYTES + SETTING_BYTES
SIZES = st.integers(0, 20_000)


@st.composite
def bundles(draw: Any) -> tuple[dict[str, int], list[str], dict[str, list[str]], int]:
    """Files with sizes, shared ones, and settings that share some of the rest."""
    files = {f"file{number}": size for number, size in enumerate(draw(st.lists(SIZES, min_size=2)))}
    names = list(files)
    shared = names[: draw(st.integers(1, len(names)))]
    others = st.lists(st.sampled_from(names), min_size=1, unique=True)
    owned = draw(st.lists(others, max_size=8))
    room = draw(st.integers(2 * LEAST, 30_000))
    return files, shared, {f"setting{n}": own for n, own in enumerate(owned)}, room


def held_bytes(plan: Plan) -> int:
    pieces = sum(piece.length + PIECE_BYTES for piece in plan.pieces)
    return pieces + SETTING_BYTES * bool(plan.settings)


@given(bundles())
@settings(max_examples=60)
def test_every_file_lies_in_the_parts_once_and_in_order(bundle: Any) -> None:
    files, shared, needed, room = bundle
    plans = plan_parts(files, shared, needed, room)
    wanted = {*shared, *(file for own in needed.values() for file in own)}
    found = dict.fromkeys(wanted, 0)
    for plan in plans:
        for piece in plan.pieces:
            assert piece.offset == found[piece.file]
            found[piece.file] += piece.length
    assert found == {file: files[file] for file in wanted}


@given(bundles())
@settings(max_examples=60)
def test_no_part_is_larger_than_its_room(bundle: Any) -> None:
    files, shared, needed, room = bundle
    for plan in plan_parts(files, shared, needed, room):
        assert held_bytes(plan) <= room
        # Several settings that add no file share the place of one.
        assert len(plan.settings) <= max(1, len(needed))


@given(bundles())
@settings(max_examples=60)
def test_each_setting_is_in_one_part_which_names_the_others_that_it_reads(bundle: Any) -> None:
    files, shared, needed, room = bundle
    plans = plan_parts(files, shared, needed, room)
    assert sorted(name for plan in plans for name in plan.settings) == sorted(needed)
    for position, plan in enumerate(plans):
        assert position not in plan.needs
        held = dict.fromkeys(files, 0)
        for number in (position, *plan.needs):
            for piece in plans[number].pieces:
                held[piece.file] += piece.length
        for name in plan.settings:
            assert all(held[file] == files[file] for file in (*shared, *needed[name]))


@given(bundles())
@settings(max_examples=60)
def test_only_what_no_part_can_hold_is_cut(bundle: Any) -> None:
    files, shared, needed, room = bundle
    for file in cut_files(plan_parts(files, shared, needed, room)):
        assert files[file] + LEAST > room


def test_weights_that_two_settings_read_lie_there_once() -> None:
    files = {"data": 10, "shared": 1000, "one": 10, "two": 10}
    needed = {"a": ["shared", "one"], "b": ["shared", "two"]}
    first, second = plan_parts(files, ["data"], needed, 2010 + 2 * PIECE_BYTES + LEAST - 1000)
    assert [piece.file for piece in first.pieces] == ["data", "shared"]
    assert [piece.file for piece in second.pieces] == ["one", "two"]
    assert (first.settings, second.settings) == ((), ("a", "b"))
    assert (first.needs, second.needs) == ((), (0,))
