"use strict";
/* Builds the page from the report's JSON. Text from telemetry only ever becomes text nodes. */
const report = JSON.parse(document.getElementById("report").textContent);
const charts = [];
window.selfheal = { report, charts };

const FIGURES = new Set(["count", "number", "ms", "share", "ratio"]);
const GRADES = {
  critical: "bad", high: "bad", error: "bad", failed: "bad", untested: "bad", slower: "bad", new: "bad",
  missing: "bad", extra: "bad", swapped: "bad", duplicated: "bad", rising: "bad", fails: "bad",
  medium: "warn", warning: "warn", inconclusive: "warn", undecided: "warn", partly: "warn", vanished: "warn",
  low: "calm", note: "calm", faster: "good", ok: "good", tested: "good", kept: "good", gone: "good",
};

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function milliseconds(value) {
  if (value >= 60000) return (value / 60000).toFixed(1) + " min";
  if (value >= 1000) return (value / 1000).toFixed(2) + " s";
  if (value >= 1 || value === 0) return value.toFixed(2) + " ms";
  return (value * 1000).toFixed(0) + " µs";
}

function written(value, kind) {
  if (value === null || value === undefined || value === "") return "–";
  switch (kind) {
    case "ms": return milliseconds(value);
    case "share": return (value * 100).toFixed(1) + " %";
    case "ratio": return "×" + value.toFixed(2);
    case "count": return value.toLocaleString("en");
    case "number": return String(Number(value.toPrecision(4)));
    default: return Array.isArray(value) ? value.join(", ") || "–" : String(value);
  }
}

function spark(values) {
  const top = Math.max(0, ...values.filter((value) => value !== null));
  return values
    .map((value) => (value === null ? "·" : "▁▂▃▄▅▆▇█"[top ? Math.round((value / top) * 7) : 0]))
    .join("");
}

function cell(row, column) {
  const value = row[column.key];
  if (FIGURES.has(column.kind)) return make("td", { class: "figure" }, written(value, column.kind));
  if (column.kind === "trend" && value) return make("td", {}, make("span", { class: "trend" }, spark(value)));
  if (column.kind === "grade" && value)
    return make("td", {}, make("span", { class: "grade " + (GRADES[value] || "calm") }, String(value)));
  if (column.kind === "trace" && value) {
    const names = Array.isArray(value) ? value : [value];
    const parts = names.slice(0, 3).flatMap((name, index) => [index ? " " : "", traceLink(name)]);
    return make("td", { class: "code" }, ...parts);
  }
  if (column.kind === "time" && value)
    return make("td", { class: "when", title: value }, String(value).replace("T", " ").replace(/(\.\d{3})?\d*Z$/, "$1"));
  return make("td", { class: column.kind === "place" ? "code" : "" }, written(value, column.kind));
}

function traceLink(name) {
  if (!report.traces[name])
    return make("span", { title: "selfheal report timeline --trace " + name }, name.slice(0, 12));
  return make("button", { class: "trace", title: "show the trace " + name, onclick: () => showTrace(name) }, name.slice(0, 12));
}

function compare(first, second) {
  const empty = (value) => value === null || value === undefined || value === "";
  if (empty(first) || empty(second)) return empty(first) - empty(second);
  if (typeof first === "number" && typeof second === "number") return first - second;
  return String(first).localeCompare(String(second), "en", { numeric: true });
}

function tableOf(table, shown = 50) {
  const state = { key: null, down: false, text: "", all: false };
  const body = make("tbody");
  const more = make("button", { onclick: () => { state.all = true; fill(); } });
  const heads = table.columns.map((column) =>
    make("th", { class: FIGURES.has(column.kind) ? "figure" : "", "aria-sort": "none" },
      make("button", { onclick: () => sort(column.key) }, column.title)));
  function sort(key) {
    const figure = FIGURES.has(table.columns.find((column) => column.key === key).kind);
    state.down = state.key === key ? !state.down : figure;
    state.key = key;
    heads.forEach((head, index) => head.setAttribute("aria-sort",
      table.columns[index].key === key ? (state.down ? "descending" : "ascending") : "none"));
    fill();
  }
  function fill() {
    let rows = table.rows;
    if (state.text)
      rows = rows.filter((row) => table.columns.some((column) =>
        String(row[column.key] ?? "").toLowerCase().includes(state.text)));
    if (state.key) {
      rows = [...rows].sort((a, b) => compare(a[state.key], b[state.key]));
      if (state.down) rows.reverse();
    }
    const visible = state.all ? rows : rows.slice(0, shown);
    body.replaceChildren(...visible.map((row) => make("tr", {}, ...table.columns.map((column) => cell(row, column)))));
    more.textContent = "show all " + rows.length;
    more.hidden = visible.length === rows.length;
  }
  fill();
  const filter = table.rows.length > 10
    ? make("div", { class: "tools" }, make("input", {
        type: "search", placeholder: "filter " + table.rows.length + " rows", "aria-label": "filter " + table.title,
        oninput: (event) => { state.text = event.target.value.toLowerCase(); fill(); } }))
    : null;
  const grid = table.rows.length
    ? make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body))
    : make("p", { class: "note" }, "none");
  return make("div", { class: "table" }, filter, grid, more);
}

function card(block, ...children) {
  return make("section", { class: "card", id: block.name, "data-kind": block.kind },
    make("h3", {}, block.title), block.note ? make("p", { class: "note" }, block.note) : null, ...children);
}

function showTrace(name) {
  const found = report.traces[name];
  const dialog = document.getElementById("trace");
  const area = make("div", { class: "chart" });
  dialog.replaceChildren(
    make("div", { class: "head" },
      make("div", {}, make("h3", {}, found.title),
        make("p", { class: "note" }, "trace " + name + ", began " + found.begun + (found.note ? "; " + found.note : ""))),
      make("button", { onclick: () => dialog.close() }, "close")),
    area,
    make("p", { class: "note" }, "selfheal report timeline --trace " + name + "   ·   selfheal replay-trace " + name),
    tableOf(spansOf(found.chart), 30));
  dialog.showModal();
  draw({ kind: "lanes", name: "trace-chart", title: found.title, data: found.chart }, area, dialog);
}

const SPAN_COLUMNS = [["name", "operation", "text"], ["at", "from", "ms"], ["lasts", "takes", "ms"], ["own", "own", "ms"],
  ["status", "status", "grade"], ["place", "code", "place"], ["statement", "statement", "text"], ["recorded", "recorded at", "place"]]
  .map(([key, title, kind]) => ({ key, title, kind }));

function spansOf(chart) {
  const rows = chart.bars.map((bar) => ({ ...bar, name: chart.names[bar.name], status: bar.bad ? "error" : "" }));
  return { title: "spans", columns: SPAN_COLUMNS, rows };
}

const BUILDERS = {
  facts: (block) => make("dl", { class: "facts" }, ...block.items.map(([label, text]) =>
    make("div", {}, make("dt", {}, label), make("dd", {}, text)))),
  table: (block) => card(block, tableOf(block)),
  code: (block) => card(block,
    make("div", { class: "tools" }, make("button", {
      onclick: (event) => navigator.clipboard.writeText(block.text).then(() => { event.target.textContent = "copied"; }) }, "copy")),
    make("pre", {}, block.text)),
  chapter: (block) => make("div", { class: "chapter" }, make("h2", {}, block.title),
    block.note ? make("p", { class: "note" }, block.note) : null, ...block.blocks.map(build)),
  chart: (block) => {
    const area = make("div", { class: "chart" });
    const element = card(block, area);
    pending.push([block, area, element]);
    return element;
  },
};
const pending = [];

function build(block) {
  return BUILDERS[block.kind](block);
}

document.getElementById("head").append(
  make("h1", {}, report.title), make("p", { class: "question" }, report.question),
  make("p", { class: "run" }, "run " + report.run_id));
const content = document.getElementById("content");
if (report.empty) content.append(make("p", { class: "empty" }, "Nothing to show: " + report.empty + "."));
content.append(...report.blocks.map(build));
if (report.notes.length)
  content.append(make("ul", { class: "notes" }, ...report.notes.map((note) => make("li", {}, note))));
document.getElementById("foot").append("selfheal " + report.version);
