"use strict";
// Names come from a model and are not trusted: they only ever become text, never markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { nodes, edges } = data;
  const count = nodes.name.length;
  const BOX = 30, DOT = 8, LEAST_ZOOM = 0.01, MOST_ZOOM = 4, SHOWN_RESULTS = 200;
  const OTHER = 0, FULL = 1, HALF = 2, TO_HALF = 3, TO_FULL = 4;
  const WORDS = { half: "16-bit", full: "FP32", mixed: "16-bit and FP32", other: "no float32 in it" };
  const canvas = document.getElementById("canvas");
  const context = canvas.getContext("2d");
  const view = { x: 0, y: 0, zoom: 1 };
  let colours = {}, chosen = -1, marked = null, hovered = -1, waiting = false;
  let isWhole = true;

  const reads = Array.from({ length: count }, () => []);
  const readers = Array.from({ length: count }, () => []);
  edges.forEach(([source, target], index) => {
    readers[source].push(index);
    reads[target].push(index);
  });
  const haystack = nodes.name.map((name, node) =>
    `${name}\n${nodes.op[node]}\n${nodes.reason[node]}`.toLowerCase());

  // ---- small helpers -------------------------------------------------------------------------
  const element = (tag, text, kind) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const size = (bytes) => {
    if (bytes < 1024) return `${bytes} B`;
    return bytes < 2 ** 20 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  };
  const height = (node) => (nodes.constant[node] ? DOT : BOX);
  const tail = (name) => {
    const last = name.split("/").slice(-2).join("/");
    return last.length > 22 ? `…${last.slice(-21)}` : last;
  };

  // ---- drawing -------------------------------------------------------------------------------
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    const names = ["paper", "ink", "quiet", "edge", "other", "line", "half", "half-text", "full",
      "full-text", "cast", "mark"];
    colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  };

  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };

  const edgeColour = (kind) => {
    if (kind === HALF || kind === TO_HALF) return colours.half;
    return kind === OTHER ? colours.edge : colours.full;
  };

  // Where an edge starts, its bends, where it ends.
  const wayOf = ([source, target, , bends]) => {
    if (nodes.constant[source]) return [nodes.x[source], nodes.y[source], nodes.x[target] - (nodes.constant[target] ? 0 : nodes.w[target] / 2), nodes.y[target]];
    const way = [nodes.x[source], nodes.y[source] + BOX / 2, ...bends];
    way.push(nodes.x[target], nodes.y[target] - BOX / 2);
    return way;
  };
  const ways = edges.map(wayOf);
  const boxes = ways.map((way) => {
    const xs = way.filter((_, index) => index % 2 === 0), ys = way.filter((_, index) => index % 2);
    return [Math.min(...xs) - 20, Math.min(...ys) - 20, Math.max(...xs) + 20, Math.max(...ys) + 20];
  });

  const isLong = ways.map((way) => Math.hypot(way[0] - way.at(-2), way[1] - way.at(-1)) > 150);

  const trace = (way) => {
    context.moveTo(way[0], way[1]);
    for (let index = 2; index < way.length; index += 2) {
      const [fromX, fromY, x, y] = way.slice(index - 2, index + 2);
      if (y - fromY > 1 && Math.abs(x - fromX) > 0.5 && way.length < 400) {
        const middle = (fromY + y) / 2;
        context.bezierCurveTo(fromX, middle, x, middle, x, y);
      } else context.lineTo(x, y);
    }
  };

  const triangle = (on, x, y, reach, kind) => {
    const down = kind === TO_HALF ? 1 : -1;
    on.beginPath();
    on.moveTo(x - reach, y - reach * 0.8 * down);
    on.lineTo(x + reach, y - reach * 0.8 * down);
    on.lineTo(x, y + reach * down);
    on.closePath();
    on.fillStyle = kind === TO_HALF ? colours.cast : colours.paper;
    on.strokeStyle = colours.cast;
    on.lineWidth = reach / 3;
    on.fill();
    on.stroke();
  };

  const shape = (on, colour, x, y, width, tall) => {
    const left = x - width / 2, top = y - tall / 2, round = Math.min(tall / 2, 11);
    on.lineWidth = 1;
    on.strokeStyle = colours.edge;
    on.beginPath();
    if (colour === "half") on.roundRect(left, top, width, tall, round);
    else if (colour === "other") on.roundRect(left, top, width, tall, 3);
    else on.rect(left, top, width, tall);
    on.fillStyle = colours[colour === "mixed" ? "full" : colour];
    on.fill();
    if (colour === "mixed") {
      on.beginPath();
      on.roundRect(left, top, width / 4, tall, [round, 0, 0, round]);
      on.fillStyle = colours.half;
      on.fill();
    }
    if (colour === "other") on.stroke();
  };

  const drawNode = (node) => {
    const colour = nodes.colour[node], x = nodes.x[node], y = nodes.y[node], width = nodes.w[node];
    const tall = height(node);
    shape(context, colour, x, y, width, tall);
    if (nodes.stayed[node]) {
      context.setLineDash([4, 3]);
      context.lineWidth = 2.5;
      context.strokeStyle = colours.mark;
      context.strokeRect(x - width / 2 - 2, y - tall / 2 - 2, width + 4, tall + 4);
      context.setLineDash([]);
    }
    if (node === chosen || node === hovered) {
      context.lineWidth = Math.max(3, 2 / view.zoom);
      context.strokeStyle = colours.mark;
      context.strokeRect(x - width / 2 - 5, y - tall / 2 - 5, width + 10, tall + 10);
    }
    if (nodes.constant[node] || view.zoom < 0.35) return;
    context.fillStyle = colour === "half" ? colours["half-text"] : colour === "other" ? colours.ink : colours["full-text"];
    const strip = colour === "mixed" ? width / 4 : 0;
    context.font = "600 12px system-ui, sans-serif";
    context.fillText(nodes.op[node], x + strip / 2, y - 6, width - strip - 6);
    context.font = "10px system-ui, sans-serif";
    context.fillText(tail(nodes.name[node]), x + strip / 2, y + 7, width - strip - 6);
  };

  const isDim = (node) => marked !== null && !marked.has(node) && node !== chosen &&
    !(chosen >= 0 && nodes.deciders[chosen].includes(node));

  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    context.setTransform(ratio * view.zoom, 0, 0, ratio * view.zoom, ratio * view.x, ratio * view.y);
    const left = -view.x / view.zoom, top = -view.y / view.zoom;
    const right = left + canvas.clientWidth / view.zoom, bottom = top + canvas.clientHeight / view.zoom;
    const visible = ([west, north, east, south]) => east > left && west < right && south > top && north < bottom;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    drawEdges(visible);
    for (let node = 0; node < count; node += 1) {
      const x = nodes.x[node], y = nodes.y[node], reach = nodes.w[node] / 2 + 8;
      if (nodes.constant[node] && view.zoom < 0.12) continue;
      if (!visible([x - reach, y - BOX, x + reach, y + BOX])) continue;
      context.globalAlpha = isDim(node) ? 0.15 : 1;
      drawNode(node);
    }
    context.globalAlpha = 1;
    drawCasts(visible);
    drawDeciders();
  };

  const drawEdges = (visible) => {
    edges.forEach((edge, index) => {
      const [source, target, kind] = edge;
      const close = source === chosen || target === chosen;
      // A weight's readers beyond its first are drawn on demand: they may be far away.
      if (nodes.constant[source] && (view.zoom < 0.35 || (isLong[index] && !close))) return;
      if (!visible(boxes[index])) return;
      context.globalAlpha = close ? 1 : isDim(source) && isDim(target) ? 0.12 : 0.8;
      context.beginPath();
      trace(ways[index]);
      context.lineWidth = (close ? 3.5 : nodes.constant[source] ? 0.8 : 1.8) * Math.max(1, 0.5 / view.zoom);
      context.strokeStyle = edgeColour(kind);
      context.stroke();
    });
    context.globalAlpha = 1;
  };

  const drawCasts = (visible) => {
    edges.forEach((edge, index) => {
      const kind = edge[2];
      if (kind < TO_HALF || !visible(boxes[index])) return;
      const way = ways[index], weight = nodes.constant[edge[0]];
      if (weight && view.zoom < 0.35) return;
      context.globalAlpha = isDim(edge[0]) && isDim(edge[1]) ? 0.15 : 1;
      if (weight) triangle(context, way[0], way[1], 3.5, kind);
      else triangle(context, way[0], way[1] + 9, Math.max(6, 2.5 / view.zoom), kind);
    });
    context.globalAlpha = 1;
  };

  const drawDeciders = () => {
    if (chosen < 0) return;
    context.setLineDash([6, 5]);
    context.lineWidth = Math.max(2, 1.5 / view.zoom);
    context.strokeStyle = colours.mark;
    nodes.deciders[chosen].forEach((node) => {
      context.strokeRect(nodes.x[node] - nodes.w[node] / 2 - 7, nodes.y[node] - height(node) / 2 - 7, nodes.w[node] + 14, height(node) + 14);
      // Bowed, so that it does not hide a straight chain.
      const fromX = nodes.x[node] + nodes.w[node] / 2, toX = nodes.x[chosen] + nodes.w[chosen] / 2;
      context.beginPath();
      context.moveTo(fromX + 7, nodes.y[node]);
      context.quadraticCurveTo(Math.max(fromX, toX) + 70, (nodes.y[node] + nodes.y[chosen]) / 2, toX + 5, nodes.y[chosen]);
      context.stroke();
    });
    context.setLineDash([]);
  };

  // ---- the view ------------------------------------------------------------------------------
  const resize = () => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (isWhole) showAll();
    // A new size empties the canvas: drawn at once, no frame shows it empty.
    draw();
  };
  const showAll = () => {
    const zoom = Math.min(canvas.clientWidth / data.width, canvas.clientHeight / data.height, 1.5);
    view.zoom = Math.max(zoom, LEAST_ZOOM);
    view.x = (canvas.clientWidth - data.width * view.zoom) / 2;
    view.y = (canvas.clientHeight - data.height * view.zoom) / 2;
    isWhole = true;
    later();
  };
  const zoomBy = (factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) => {
    const zoom = Math.min(MOST_ZOOM, Math.max(LEAST_ZOOM, view.zoom * factor));
    view.x = x - ((x - view.x) * zoom) / view.zoom;
    view.y = y - ((y - view.y) * zoom) / view.zoom;
    view.zoom = zoom;
    isWhole = false;
    later();
  };
  const centre = (node) => {
    view.zoom = Math.max(view.zoom, 0.9);
    view.x = canvas.clientWidth / 2 - nodes.x[node] * view.zoom;
    view.y = canvas.clientHeight / 2 - nodes.y[node] * view.zoom;
    isWhole = false;
    later();
  };
  const nodeAt = (x, y) => {
    const left = (x - view.x) / view.zoom, top = (y - view.y) / view.zoom;
    const slack = 3 / view.zoom;
    for (let node = count - 1; node >= 0; node -= 1) {
      if (Math.abs(left - nodes.x[node]) <= nodes.w[node] / 2 + slack &&
          Math.abs(top - nodes.y[node]) <= height(node) / 2 + slack) return node;
    }
    return -1;
  };

  // ---- the node that is looked at ------------------------------------------------------------
  const link = (node, words) => {
    const made = element("button", words ?? nodes.name[node], "text");
    made.type = "button";
    made.addEventListener("click", () => choose(node, true));
    return made;
  };
  const describeEdges = (title, indices, other) => {
    const made = [element("dt", title)];
    const cell = element("dd");
    const casts = ["", "", "", ", cast to 16 bits", ", cast to FP32"];
    indices.slice(0, 30).forEach((index) => {
      const line = element("div");
      const node = edges[index][other];
      line.append(link(node), ` ${nodes.op[node]}${casts[edges[index][2]]}`);
      cell.append(line);
    });
    if (indices.length > 30) cell.append(element("div", `and ${indices.length - 30} more`, "quiet"));
    if (!indices.length) cell.append("none");
    made.push(cell);
    return made;
  };
  const details = document.getElementById("details");
  const choose = (node, move) => {
    chosen = node;
    details.replaceChildren(element("h2", "Node"));
    if (node < 0) {
      details.append(element("p", "Click a node, or find one.", "quiet"));
      later();
      return;
    }
    const colour = nodes.colour[node];
    details.append(element("p", nodes.name[node]));
    details.append(element("span", WORDS[colour], `tag ${colour === "mixed" ? "half" : colour}`));
    const plain = ["half", "full"].includes(colour);
    const reason = plain ? nodes.reason[node].replace(/^(16-bit|FP32): /, "") : nodes.reason[node];
    if (colour !== "other") details.append(element("p", reason));
    nodes.deciders[node].forEach((decider) => {
      const line = element("p", "Show ");
      line.append(link(decider));
      details.append(line);
    });
    const facts = element("dl");
    const fact = (name, words) => facts.append(element("dt", name), element("dd", words));
    fact("op type", nodes.op[node]);
    fact("list", nodes.place[node]);
    if (nodes.shape[node]) fact("shape", nodes.shape[node]);
    if (nodes.constant[node]) fact("runs", "once: it follows from constants");
    facts.append(...describeEdges("reads", reads[node], 0), ...describeEdges("read by", readers[node], 1));
    details.append(facts);
    if (move) centre(node);
    later();
  };

  // ---- finding -------------------------------------------------------------------------------
  const search = document.getElementById("search");
  const results = document.getElementById("results");
  const found = document.getElementById("found");
  let matches = [], next = 0;
  const mark = (chosenNodes, words) => {
    marked = chosenNodes === null ? null : new Set(chosenNodes);
    found.textContent = words;
    later();
  };
  const clearRows = () => document.querySelectorAll(".on").forEach((row) => row.classList.remove("on"));
  const find = () => {
    const words = search.value.trim().toLowerCase();
    clearRows();
    results.replaceChildren();
    next = 0;
    matches = [];
    if (!words) {
      mark(null, "");
      return;
    }
    for (let node = 0; node < count; node += 1) if (haystack[node].includes(words)) matches.push(node);
    mark(matches, matches.length === 1 ? "1 node" : `${matches.length} nodes`);
    matches.slice(0, SHOWN_RESULTS).forEach((node) => {
      const item = element("li", `${nodes.op[node]}  ${nodes.name[node]}`);
      item.addEventListener("click", () => choose(node, true));
      results.append(item);
    });
    if (matches.length > SHOWN_RESULTS) results.append(element("li", "…"));
  };
  const markRow = (row, chosenNodes, words) => {
    const again = row.classList.contains("on");
    search.value = "";
    results.replaceChildren();
    matches = again ? [] : chosenNodes;
    next = 0;
    clearRows();
    if (!again) row.classList.add("on");
    mark(again ? null : chosenNodes, again ? "" : `${words}: ${chosenNodes.length === 1 ? "1 node" : `${chosenNodes.length} nodes`}; Enter shows one after the other`);
    if (!again && chosenNodes.length) choose(chosenNodes[0], false);
    showAll();
  };
  const showNext = (step) => {
    if (!matches.length) return;
    choose(matches[(next + matches.length) % matches.length], true);
    next = (next + step + matches.length) % matches.length;
  };

  // ---- the panel -----------------------------------------------------------------------------
  const fillPanel = () => {
    data.summary.forEach((line) => document.getElementById("summary").append(element("li", line)));
    const stayed = document.getElementById("stayed");
    if (!data.stayed.length) stayed.append(element("p", "Nothing.", "quiet"));
    data.stayed.forEach((one) => {
      const button = element("button", one.text);
      button.type = "button";
      button.addEventListener("click", () => markRow(button, one.nodes, one.op));
      const line = element("p");
      line.append(button);
      stayed.append(line);
    });
    const byOp = new Map();
    nodes.op.forEach((op, node) => byOp.set(op, [...(byOp.get(op) ?? []), node]));
    const table = document.getElementById("op-types");
    const head = element("tr");
    ["op type", "list", "nodes", "16-bit", "casts", "per run"].forEach((title) => head.append(element("th", title)));
    table.append(head);
    data.op_types.forEach((one) => {
      const row = element("tr", undefined, "link");
      const bytes = one.hidden ? (one.bytes ? `${size(one.bytes)} + ?` : "?") : size(one.bytes);
      const cells = [one.op, one.list, one.nodes, `${one.half} of ${one.attributes}`, one.casts, bytes];
      cells.forEach((words) => row.append(element("td", String(words))));
      row.firstChild.title = one.op;
      row.tabIndex = 0;
      const act = () => markRow(row, byOp.get(one.op), one.op);
      row.addEventListener("click", act);
      row.addEventListener("keydown", (event) => { if (event.key === "Enter") act(); });
      table.append(row);
    });
    const lists = document.getElementById("lists");
    Object.entries(data.lists).forEach(([name, ops]) => {
      const here = ops.filter((op) => byOp.has(op));
      const box = element("details");
      box.append(element("summary", `${name.toUpperCase()}: ${here.length} of ${ops.length} are in the graph`));
      box.append(element("p", `in the graph: ${here.join(", ") || "none"}`));
      box.append(element("p", `others: ${ops.filter((op) => !byOp.has(op)).join(", ") || "none"}`, "quiet"));
      lists.append(box);
    });
  };

  const fillLegend = () => {
    const legend = document.getElementById("legend");
    legend.replaceChildren();
    const rows = [
      ["16-bit", (on) => shape(on, "half", 17, 9, 30, 16)],
      ["FP32", (on) => shape(on, "full", 17, 9, 30, 16)],
      ["some of each", (on) => shape(on, "mixed", 17, 9, 30, 16)],
      ["no float32 in it", (on) => shape(on, "other", 17, 9, 30, 16)],
      ["stayed FP32, could be 16-bit", (on) => {
        shape(on, "full", 17, 9, 24, 10);
        on.setLineDash([4, 3]);
        on.lineWidth = 2;
        on.strokeStyle = colours.mark;
        on.strokeRect(3, 2, 28, 14);
      }],
      ["cast to 16 bits", (on) => triangle(on, 17, 9, 7, TO_HALF)],
      ["cast to FP32", (on) => triangle(on, 17, 9, 7, TO_FULL)],
      ["weights and other constants", (on) => [8, 17, 26].forEach((x) => shape(on, "full", x, 9, DOT, DOT))],
    ];
    rows.forEach(([words, paint]) => {
      const row = element("div"), sample = element("canvas");
      sample.width = 68;
      sample.height = 36;
      sample.setAttribute("aria-hidden", "true");
      const on = sample.getContext("2d");
      on.scale(2, 2);
      paint(on);
      row.append(sample, words);
      legend.append(row);
    });
  };

  // ---- what people do ------------------------------------------------------------------------
  const pointers = new Map();
  let moved = 0;
  const hint = document.getElementById("hint");
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    moved = 0;
    hint.hidden = true;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) {
      hover(event.offsetX, event.offsetY);
      return;
    }
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (others.length) {
      const [x, y] = others[0];
      const far = (place) => Math.hypot(place[0] - x, place[1] - y) || 1;
      zoomBy(far([event.offsetX, event.offsetY]) / far(before), (x + event.offsetX) / 2, (y + event.offsetY) / 2);
    } else {
      isWhole = false;
      view.x += event.offsetX - before[0];
      view.y += event.offsetY - before[1];
    }
    moved += Math.abs(event.offsetX - before[0]) + Math.abs(event.offsetY - before[1]);
    pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    canvas.classList.add("moving");
    later();
  });
  const release = (event) => {
    if (pointers.delete(event.pointerId) && event.type === "pointerup" && moved < 5) {
      choose(nodeAt(event.offsetX, event.offsetY), false);
    }
    canvas.classList.remove("moving");
  };
  ["pointerup", "pointercancel"].forEach((kind) => canvas.addEventListener(kind, release));
  const hover = (x, y) => {
    const node = nodeAt(x, y);
    canvas.classList.toggle("over", node >= 0);
    if (node !== hovered) {
      hovered = node;
      later();
    }
    hint.hidden = node < 0;
    if (node < 0) return;
    hint.textContent = `${nodes.op[node]} ${nodes.name[node]}: ${nodes.reason[node]}`;
    hint.style.left = `${Math.min(x + 14, Math.max(0, canvas.clientWidth - 430))}px`;
    hint.style.top = `${Math.min(y + 14, canvas.clientHeight - 60)}px`;
  };
  canvas.addEventListener("pointerleave", () => { hint.hidden = true; hovered = -1; later(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoomBy(Math.exp(-event.deltaY * lines * 0.0015), event.offsetX, event.offsetY);
  }, { passive: false });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === search) {
      if (event.key === "Enter") showNext(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") { search.value = ""; find(); canvas.focus(); }
      return;
    }
    const step = 80;
    const acts = {
      "/": () => search.focus(), Escape: () => { clearRows(); mark(null, ""); choose(-1, false); },
      "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8), 0: showAll,
      Enter: () => showNext(event.shiftKey ? -1 : 1),
    };
    if (event.target === canvas) Object.assign(acts, {
      ArrowLeft: () => { view.x += step; }, ArrowRight: () => { view.x -= step; },
      ArrowUp: () => { view.y += step; }, ArrowDown: () => { view.y -= step; },
    });
    if (!(event.key in acts) || (event.key === "Enter" && event.target.closest("button, tr, summary"))) return;
    event.preventDefault();
    acts[event.key]();
    later();
  });
  search.addEventListener("input", find);
  document.getElementById("closer").addEventListener("click", () => zoomBy(1.25));
  document.getElementById("farther").addEventListener("click", () => zoomBy(0.8));
  document.getElementById("whole").addEventListener("click", showAll);
  const recolour = () => { readColours(); fillLegend(); later(); };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", recolour);
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement.dataset;
    root.theme = (root.theme ?? (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
    recolour();
  });

  readColours();
  fillPanel();
  fillLegend();
  new ResizeObserver(resize).observe(canvas);
  resize();
  showAll();
})();
