from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import re

from tests.report.pages import RULES, data_of, page_of
from tests.rewrite import graphs

CHAIN = graphs.chain("Exp", "Relu", "Sqrt", "Relu", "MatMul", "Relu", "Log", source="x")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Tags(html.parser.HTMLParser):
    """Tags with their attributes, and what scripts hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags[-1][0] == "script" if self.tags else False:
            self.scripts[-1] += data


def renamed(graph_def, old, new):
    changed = type(graph_def).FromString(graph_def.SerializeToString())
    for node in changed.node:
        node.name = node.name.replace(old, new)
        node.input[:] = [name.replace(old, new) for name in node.input]
    return changed


def test_every_node_has_its_colour_its_reason_and_who_decided():
    nodes = data_of(CHAIN)["nodes"]
    by_name = {name: index for index, name in enumerate(nodes["name"])}
    sqrt = by_name["Sqrt3"]
    assert nodes["colour"][sqrt] == "full"
    assert nodes["reason"][sqrt] == ("FP32: INFER, downstream of Exp `Exp1` through 1 CLEAR node")
    assert nodes["deciders"][sqrt] == [by_name["Exp1"]]
    assert nodes["colour"][by_name["MatMul5"]] == "half"
    assert nodes["stayed"][sqrt] == 1
    assert nodes["constant"][by_name["Const"]] == 1
    assert len({len(column) for column in nodes.values()}) == 1


def test_edges_say_what_flows_and_what_is_cast():
    data = data_of(CHAIN)
    names = data["nodes"]["name"]
    kinds = {(names[source], names[target]): kind for source, target, kind, _ in data["edges"]}
    other, full, half, to_half, to_full = range(5)
    assert kinds["Exp1", "Relu2"] == full
    assert kinds["Sqrt3", "Relu4"] == to_half
    assert kinds["Relu4", "MatMul5"] == half
    assert kinds["Relu6", "Log7"] == to_full
    assert kinds["Const", "MatMul5"] == to_half
    assert other not in kinds.values()
    shapes = data_of(graphs.lists_of_types())
    assert other in [kind for _, _, kind, _ in shapes["edges"]]


def test_op_types_and_lists_are_there():
    data = data_of(CHAIN, {"Exp": "allow"})
    assert "Exp" in data["lists"]["allow"]
    assert data["lists"]["deny"] == sorted(RULES.lists.deny - {"Exp"})
    assert {"op": "Relu", "list": "clear"}.items() <= next(
        one for one in data["op_types"] if one["op"] == "Relu"
    ).items()
    assert data["summary"] == ["one line"]


def test_the_page_loads_nothing():
    page = page_of(CHAIN)
    assert not re.findall(r"(?:src|href)\s*=|@import|url\(|https?://", page)
    assert "@@" not in page


def test_only_the_pages_own_script_and_style_may_run():
    page = page_of(CHAIN)
    policy = dict(Tags(page).tags[[tag for tag, _ in Tags(page).tags].index("meta") + 1][1])
    script = page[page.rindex("<script>") + len("<script>") : page.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy["content"]
    assert policy["content"].startswith("default-src 'none'")


def test_a_hostile_name_stays_text():
    page = page_of(renamed(CHAIN, "Exp1", HOSTILE), HOSTILE, [HOSTILE])
    found = Tags(page)
    plain = Tags(page_of(CHAIN))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert not [key for _, attributes in found.tags for key in attributes if key.startswith("on")]
    assert "alert(1)</script>" not in page
    data = json.loads(found.scripts[0])
    assert HOSTILE in data["nodes"]["name"]
    assert data["summary"] == [HOSTILE]


def test_names_that_look_like_the_templates_own_marks_stay_text():
    page = page_of(renamed(CHAIN, "Exp1", "@@SCRIPT@@"))
    assert page.count('"use strict";') == 1
    assert "@@SCRIPT@@" in page
