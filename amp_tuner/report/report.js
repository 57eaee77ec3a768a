"use strict";
// Names, paths and causes come from a model or from its failures and are not trusted: they only
// ever become text, never markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const element = (tag, text, attributes = {}) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };

  // ---- plots ---------------------------------------------------------------------------------
  // Without eval, which the page's policy forbids: expressions are interpreted.
  const options = {
    mode: "vega", ast: true, renderer: "svg", actions: false, defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };
  const embedded = new Map();
  const plot = (id, spec, rows, signals = {}) => {
    if (embedded.has(id)) return embedded.get(id);
    const own = structuredClone(spec);
    own.data.forEach((set) => { if (set.name in rows) set.values = rows[set.name]; });
    own.signals.forEach((one) => { if (one.name in signals) one.value = signals[one.name]; });
    const made = vegaEmbed(byId(id), own, options).then((result) => result.view);
    embedded.set(id, made);
    return made;
  };
  // What is below the first screen is drawn once that is on it.
  const later = (work) => requestAnimationFrame(() => setTimeout(work));

  for (const one of data.charts ?? []) plot(one.id, data.specs[one.spec], one.rows);
  if (data.trials === undefined) return;

  // ---- the front -----------------------------------------------------------------------------
  const cards = new Map(data.cards.map((one) => [one.n, one]));
  let chosen = data.first;
  const front = plot("front-chart", data.specs.front, { trials: data.trials }, { chosen });
  const choosesOnClick = (view) => view.addEventListener("click", (_, item) => {
    const number = item?.datum?.n;
    if (cards.has(number)) choose(number);
  });
  front.then(choosesOnClick);
  for (const name of ["misses", "cached"]) {
    byId(`show-${name}`).addEventListener("change", async (event) => {
      (await front).signal(name, event.target.checked).runAsync();
    });
  }
  byId("show-unplaced").addEventListener("change", (event) => {
    const isNew = !embedded.has("unplaced-chart");
    byId("unplaced-chart").hidden = !event.target.checked || !data.unplaced.length;
    if (byId("unplaced-chart").hidden || !isNew) return;
    plot("unplaced-chart", data.specs.unplaced, { unplaced: data.unplaced }).then(choosesOnClick);
  });

  // ---- the card of what is chosen ------------------------------------------------------------
  const facts = (pairs) => {
    const list = element("dl");
    for (const [name, value] of pairs) {
      if (value !== undefined) list.append(element("dt", name), element("dd", value));
    }
    return list;
  };
  const copyText = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    throw new Error("no clipboard");
  };
  const copied = (pre, button) => copyText(pre.textContent).then(
    () => { button.textContent = "Copied"; },
    () => {
      // A page from a disk may not write there: the text is selected for the user's own key.
      getSelection().selectAllChildren(pre);
      button.textContent = "Selected: press Ctrl+C";
    });
  const variables = (text) => {
    const pre = element("pre", text, { tabindex: "0", "aria-label": "Environment variables" });
    const button = element("button", "Copy the variables", { type: "button", id: "copy" });
    button.addEventListener("click", () => copied(pre, button));
    return [button, pre];
  };
  const movesOf = (one) => {
    if (!one.moves.length) return element("p", "No moves: the lists are the default ones.");
    const list = element("ul");
    for (const [op, place] of one.moves) list.append(element("li", `${op} to ${place}`));
    return list;
  };
  const showCard = (one) => {
    const name = one.names?.length ? ` (${one.names.join(", ")})` : "";
    const told = one.cached_from === undefined ? one.outcome
      : `told the result of trial ${one.cached_from}, whose graph is equal`;
    const body = byId("card-body");
    body.replaceChildren(
      element("h3", `Trial ${one.n}${name}: ${one.setting}`), movesOf(one),
      facts([
        ["Measured again", one.confirmed?.join("; ")],
        ["In the search", one.searched?.join("; ")],
        ["Outcome", told], ["Cause", one.cause], ["When measured again", one.not_confirmed],
        ["16-bit nodes", one.nodes], ["Casts", one.casts],
      ]),
    );
    if (one.variables) body.append(...variables(one.variables));
    for (const notice of one.notices ?? []) body.append(element("p", `Note: ${notice}`, { class: "quiet" }));
  };

  // ---- layers --------------------------------------------------------------------------------
  const WORDS = { h: "16-bit", f: "FP32", m: "16-bit and FP32", o: "no float32" };
  const MOST_ROWS = 400;
  const COLUMNS = ["Node", "Op type", "Computes in", "Casts after it"];
  const cell = (tag, role, label, content) => {
    const made = element(tag, undefined, { role, "data-label": label });
    made.append(content);
    return made;
  };
  const layersTable = (rows) => {
    const table = element("table", undefined, { role: "table" });
    const head = element("tr", undefined, { role: "row" });
    for (const name of COLUMNS) head.append(element("th", name, { role: "columnheader", scope: "col" }));
    const top = element("thead", undefined, { role: "rowgroup" });
    top.append(head);
    const body = element("tbody", undefined, { role: "rowgroup" });
    for (const { name, op, colour, casts } of rows) {
      const row = element("tr", undefined, { role: "row" });
      const tag = element("span", WORDS[colour], { class: colour === "f" ? "tag" : "tag half" });
      const first = cell("th", "rowheader", COLUMNS[0], name);
      first.setAttribute("scope", "row");
      row.append(first, cell("td", "cell", COLUMNS[1], op), cell("td", "cell", COLUMNS[2], tag),
        cell("td", "cell", COLUMNS[3], casts));
      body.append(row);
    }
    table.append(element("caption", `${rows.length} nodes`), top, body);
    return table;
  };
  const layerRows = (layers, graph) => {
    const casts = new Map();
    for (const [node, toHalf, readers] of layers.casts) {
      const text = `to ${toHalf ? "16 bits" : "FP32"}, for ${readers.map((one) => graph.names[one]).join(", ")}`;
      casts.set(node, [...(casts.get(node) ?? []), text]);
    }
    const shown = [...new Set([...graph.shown, ...casts.keys()])].sort((a, b) => a - b);
    return shown.map((node) => ({
      name: graph.names[node], op: graph.ops[node], colour: layers.colours[node],
      casts: (casts.get(node) ?? []).join("; "),
    }));
  };
  const showLayers = () => {
    const layers = data.layers[chosen], body = byId("layers-body");
    byId("layers-tools").hidden = !layers;
    if (!layers) {
      body.replaceChildren(element("p", data.points.includes(chosen)
        ? "Nothing to show: FP32, or a folder that does not hold the graph."
        : "Shown for points of the front only."));
      return;
    }
    const wanted = byId("layers-filter").value.toLowerCase();
    const rows = layerRows(layers, data.graphs[layers.data_type]).filter((row) =>
      `${row.name}\n${row.op}`.toLowerCase().includes(wanted)
      && (!byId("layers-16bit").checked || row.colour === "h" || row.colour === "m")
      && (!byId("layers-casts").checked || row.casts));
    body.replaceChildren(layersTable(rows.slice(0, MOST_ROWS)));
    if (rows.length > MOST_ROWS) {
      body.append(element("p", `${rows.length - MOST_ROWS} more; narrow them down above.`));
    }
  };
  for (const id of ["layers-filter", "layers-16bit", "layers-casts"]) byId(id).addEventListener("input", showLayers);

  // ---- block times ---------------------------------------------------------------------------
  const SIDES = ["FP32", "this setting"], PHASES = ["timed", "warmup", "repeated"];
  const blockRows = (number) => {
    const columns = data.blocks[number];
    return columns ? columns.s.map((s, index) => ({
      s, ms: columns.ms[index], side: SIDES[columns.side[index]], phase: PHASES[columns.phase[index]],
    })) : [];
  };
  const showBlocks = async () => {
    const rows = blockRows(chosen);
    byId("blocks-none").hidden = rows.length > 0;
    byId("blocks-chart").hidden = !rows.length;
    if (!rows.length) return;
    const view = await plot("blocks-chart", data.specs.blocks, { blocks: rows });
    view.data("blocks", rows).runAsync();
  };

  // ---- choosing ------------------------------------------------------------------------------
  const choose = (number) => {
    chosen = number;
    showCard(cards.get(number));
    front.then((view) => view.signal("chosen", number).runAsync());
    for (const one of document.querySelectorAll("[data-point]")) one.hidden = Number(one.dataset.point) !== number;
    for (const one of document.querySelectorAll("[data-elsewhere]")) one.hidden = data.points.includes(number);
    for (const one of document.querySelectorAll("[data-choose]")) {
      one.setAttribute("aria-pressed", String(Number(one.dataset.choose) === number));
    }
    for (const one of document.querySelectorAll("[data-row]")) one.classList.toggle("chosen", Number(one.dataset.row) === number);
    later(showLayers);
    later(showBlocks);
  };
  for (const one of document.querySelectorAll("[data-choose]")) {
    one.addEventListener("click", () => choose(Number(one.dataset.choose)));
  }
  choose(data.first);
  if (data.effects.length) later(() => plot("effects-chart", data.specs.effects, { effects: data.effects }));
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("details")) one.open = true;
  });
})();
