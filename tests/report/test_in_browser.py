"""The page in a real Chromium."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tests.report.pages import page_of
from tests.report.test_graph_page import CHAIN, HOSTILE, renamed
from tests.rewrite import graphs

pytestmark = pytest.mark.all_only
CLICK = """
const box = document.getElementById("canvas").getBoundingClientRect();
return [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)];
"""


@pytest.fixture
def opened(chromium, tmp_path):
    def open_(page):
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        chromium.open(path)
        assert chromium.complaints() == []
        return chromium

    return open_


def test_a_node_is_found_and_says_why(opened):
    page = opened(page_of(CHAIN))
    page.type("#search", "Sqrt3")
    # Its own name, and those that it decided on; the first is itself.
    page.type("#search", "Enter")
    details = page.text("#details")
    assert "INFER, downstream of Exp `Exp1` through 1 CLEAR node" in details
    assert "Relu4 Relu, cast to 16 bits" in details


def test_the_node_that_decided_is_one_click_away(opened):
    page = opened(page_of(CHAIN))
    page.type("#search", "Sqrt3")
    page.type("#search", "Enter")
    page.click("#details p button")
    assert page.text("#details p") == "Exp1"
    # Search has brought it to the middle: a click there chooses it again.
    page.type("body", "Escape")
    assert "Click a node" in page.text("#details")
    page.click_at(*page.script(CLICK))
    assert page.text("#details p") == "Exp1"


def test_what_stayed_is_marked_by_one_click(opened):
    page = opened(page_of(CHAIN))
    page.click("#stayed button")
    assert "1 node" in page.text("#found")


def test_zoom_and_pan_and_all_and_themes_work_without_errors(opened):
    page = opened(page_of(graphs.conv_net()))
    for button in ("#closer", "#farther", "#whole", "#theme", "#theme"):
        page.click(button)
    page.type("#canvas", "+")
    page.script(
        "document.getElementById('canvas').dispatchEvent("
        "new WheelEvent('wheel', {deltaY: -100, cancelable: true}))"
    )
    assert page.complaints() == []


def test_the_canvas_is_painted_in_both_themes(opened):
    page = opened(page_of(CHAIN))
    count = """
    const canvas = document.getElementById("canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let at = 0; at < pixels.length; at += 4) seen.add(pixels.slice(at, at + 3).join());
    return [...seen];
    """
    assert {"0,114,178", "230,159,0", "163,71,124"} <= set(page.script(count))
    page.click("#theme")
    page.script("return new Promise(requestAnimationFrame)")
    assert {"86,180,233", "230,159,0", "240,156,201"} <= set(page.script(count))


def test_a_hostile_name_does_nothing(opened):
    page = opened(page_of(renamed(CHAIN, "Exp1", HOSTILE), HOSTILE, [HOSTILE]))
    page.type("#search", "alert(2)")
    page.type("#search", "Enter")
    assert HOSTILE in page.text("#details")
    assert page.script("return document.images.length + document.scripts.length") == 2
    assert page.complaints() == []


def test_two_thousand_nodes_are_drawn_in_a_blink(opened):
    with graphs.building() as graph:
        y = graphs.v1.placeholder(tf.float32, [4, 4], "x")
        for step in range(330):
            y = tf.nn.relu(tf.matmul(y, graphs.matrix()) + graphs.matrix())
            y = tf.exp(y) if step % 7 == 0 else y
        tf.identity(y, name="out")
    graph_def = graph.as_graph_def()
    assert len(graph_def.node) > 1650
    page = opened(page_of(graph_def))
    page.type("#search", "MatMul_200")
    page.type("#search", "Enter")
    assert "MatMul_200" in page.text("#details")
    assert page.complaints() == []
