from __future__ import annotations

from pathlib import Path

import pytest

from amp_tuner.amp.pass_logs import find_logs, is_log_folder, lists_from_text, lists_to_text
from amp_tuner.amp.rules import rule_set, rule_set_names
from amp_tuner.errors import InputError


def test_files_of_both_families_are_found_by_time(tmp_path: Path) -> None:
    for name in ("preop_tf_graph_18", "preop_while_body_3_17", "AutoMixedPrecision_9", "preop_9"):
        (tmp_path / f"graphdef_{name}.pb").touch()
    (tmp_path / "graphdef_preop_tf_graph_18.pb.txt").touch()
    found = [(log.family, log.item, log.time_ms) for log in find_logs(tmp_path)]
    assert found == [
        ("itex", "", 9),
        ("tensorflow", "while_body_3", 17),
        ("tensorflow", "tf_graph", 18),
    ]
    itex, body, _ = find_logs(tmp_path)
    assert itex.after.exists()
    assert itex.lists.name == "paintbuckets_AutoMixedPrecision_9.txt"
    assert body.lists.name == "paintbuckets_AutoMixedPrecision_while_body_3_17.txt"


def test_only_a_folder_with_a_graph_in_it_is_a_log_folder(tmp_path: Path) -> None:
    assert not is_log_folder(tmp_path)
    assert not is_log_folder(tmp_path / "missing")
    (tmp_path / "saved_model.pb").touch()
    assert not is_log_folder(tmp_path)
    (tmp_path / "graphdef_preop_1.pb").touch()
    assert is_log_folder(tmp_path)


@pytest.mark.parametrize("name", rule_set_names())
def test_lists_are_read_as_they_are_written(name: str) -> None:
    lists = rule_set(name).lists
    assert lists_from_text(lists_to_text(lists), "here") == lists


def test_lists_have_the_layout_of_the_passes() -> None:
    text = "AllowList:\nB\nA\n\nDenyList:\n\nInferList:\nC\n\nClearList:\nD\n"
    lists = lists_from_text(text, "here")
    assert (lists.allow, lists.deny, lists.clear) == ({"A", "B"}, set(), {"D"})
    assert lists_to_text(lists) == text.replace("B\nA", "A\nB")


def test_the_empty_op_type_is_an_empty_line() -> None:
    text = "AllowList:\n\nA\n\nDenyList:\n\nInferList:\n\n\nClearList:\n\n"
    lists = lists_from_text(text, "here")
    assert (lists.allow, lists.deny) == ({"", "A"}, set())
    assert (lists.infer, lists.clear) == ({""}, {""})
    assert lists_to_text(lists) == text


def test_text_without_the_lists_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"there\.txt: has no DenyList:, InferList:, ClearList:"):
        lists_from_text("AllowList:\nMatMul\n", "there.txt")
