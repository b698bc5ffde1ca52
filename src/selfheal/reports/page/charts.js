"use strict";
/* Charts by kind. Tooltips are rich text, never HTML, because names come from telemetry. */
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const PALETTE = ["#4e79a7", "#f28e2b", "#59a14f", "#b07aa1", "#76b7b2", "#edc948", "#9c755f", "#af7aa1",
  "#86bcb6", "#d4a6c8", "#8cd17d", "#499894", "#b6992d", "#79706e", "#d37295", "#a0cbe8"];
const colourOf = (index) => PALETTE[index % PALETTE.length];
const short = (text, length = 38) => (text.length > length ? text.slice(0, length - 1) + "…" : text);

function frame(more) {
  return {
    animation: false,
    textStyle: { color: ink("--ink"), fontFamily: "inherit" },
    tooltip: { renderMode: "richText", confine: true, backgroundColor: ink("--card"), borderColor: ink("--line"),
      textStyle: { color: ink("--ink"), fontSize: 12 } },
    ...more,
  };
}

function axis(more) {
  return {
    axisLabel: { color: ink("--soft") }, nameTextStyle: { color: ink("--soft") },
    axisLine: { lineStyle: { color: ink("--line") } }, splitLine: { lineStyle: { color: ink("--line") } }, ...more,
  };
}

function start(area, height, option) {
  area.style.height = height + "px";
  const chart = echarts.init(area, null, { renderer: "canvas" });
  chart.setOption(frame(option));
  new ResizeObserver(() => chart.resize()).observe(area);
  charts.push(chart);
  return chart;
}

const DRAW = {
  bars({ data }, area) {
    const count = data.labels.length;
    return start(area, Math.max(120, count * 24 + 70), {
      color: data.colours || PALETTE,
      grid: { left: 8, right: 70, top: 30, bottom: 8, containLabel: true },
      legend: data.series.length > 1 ? { top: 0, textStyle: { color: ink("--soft") } } : undefined,
      tooltip: { trigger: "axis", renderMode: "richText", axisPointer: { type: "shadow" },
        valueFormatter: (value) => written(value, data.unit) },
      xAxis: axis({ type: "value", axisLabel: { color: ink("--soft"), formatter: (value) => written(value, data.unit) } }),
      yAxis: axis({ type: "category", inverse: true, data: data.labels,
        axisLabel: { color: ink("--ink"), formatter: (value) => short(value, 44) } }),
      series: data.series.map((series) => ({ type: "bar", name: series.name, data: series.values,
        stack: data.stacked ? "all" : undefined, barMaxWidth: 16,
        label: data.series.length === 1
          ? { show: true, position: "right", color: ink("--soft"), formatter: ({ value }) => written(value, data.unit) }
          : undefined })),
    });
  },

  lines({ data }, area) {
    return start(area, 320, {
      color: PALETTE,
      grid: { left: 8, right: 24, top: 40, bottom: 44, containLabel: true },
      legend: { top: 0, type: "scroll", textStyle: { color: ink("--soft") } },
      tooltip: { trigger: "axis", renderMode: "richText", valueFormatter: (value) => written(value, data.unit) },
      dataZoom: [{ type: "inside" }, { type: "slider", height: 18, bottom: 6 }],
      xAxis: axis({ type: "category", data: data.x }),
      yAxis: axis({ type: data.log ? "log" : "value",
        axisLabel: { color: ink("--soft"), formatter: (value) => written(value, data.unit) } }),
      series: data.series.map((series) => ({ type: "line", name: series.name, data: series.values,
        showSymbol: false, connectNulls: false, lineStyle: { type: series.dashed ? "dashed" : "solid" } })),
    });
  },

  heat({ data }, area, element) {
    const measures = data.measures;
    const select = make("select", { "aria-label": "what the colour shows", onchange: () => show(select.value) },
      ...measures.map((measure) => make("option", { value: measure.key }, measure.title)));
    if (measures.length > 1)
      element.insertBefore(make("div", { class: "tools" }, make("span", { class: "note" }, "colour"), select), area);
    const drill = make("div", { class: "drill" });
    drill.hidden = true;
    element.append(drill);
    const below = data.slanted ? 150 : 70, line = data.y.length > 8 ? 24 : 32;
    const height = data.y.length * line + below + 30;
    const labelled = data.cells.length <= 150;
    const chart = start(area, height, {
      grid: data.slanted ? { left: 190, right: 20, top: 10, bottom: below } : { left: 8, right: 20, top: 10, bottom: below, containLabel: true },
      xAxis: axis({ type: "category", data: data.x, splitArea: { show: false }, axisTick: { show: false },
        axisLabel: { color: ink("--soft"), hideOverlap: true, rotate: data.slanted ? 30 : 0,
          formatter: (value) => short(value, data.slanted ? 34 : 24) } }),
      yAxis: axis({ type: "category", data: data.y, inverse: true, axisTick: { show: false },
        axisLabel: { color: ink("--ink"), formatter: (value) => short(value, data.slanted ? 28 : 44) } }),
    });
    function show(key) {
      const measure = measures.find((one) => one.key === key);
      const scale = (value) => (measure.linear ? value : Math.log10(Math.max(value, 1e-6)));
      const cells = data.cells.filter((one) => one[key] !== null && one[key] !== undefined && (measure.linear || one[key] > 0));
      const values = cells.map((one) => scale(one[key]));
      const low = Math.min(...values), high = Math.max(...values);
      chart.setOption({
        tooltip: { formatter: ({ value: [, , , index] }) => {
          const one = cells[index];
          return [data.y[one.y], data.x[one.x], ...measures.map((m) => m.title + "  " + written(one[m.key], m.kind)),
            ...(data.drill ? ["click for traces"] : [])].join("\n");
        } },
        visualMap: { show: high > low, min: high > low ? low : low - 1, max: high, calculable: true, orient: "horizontal", left: "center", bottom: 0,
          itemHeight: 160, dimension: 2, textStyle: { color: ink("--soft") }, inRange: { color: [ink("--low"), ink("--accent"), ink("--high")] },
          formatter: (value) => written(measure.linear ? value : 10 ** value, measure.kind === "count" ? "number" : measure.kind) },
        series: [{ id: "cells", type: "heatmap", data: cells.map((one, index) => ({ value: [one.x, one.y, values[index], index],
            label: { color: ink(values[index] > (low + high) / 2 || low === high ? "--card" : "--ink") } })),
          label: { show: labelled, fontSize: 11, formatter: ({ value: [, , , index] }) => written(cells[index][key], measure.kind) },
          itemStyle: { borderColor: ink("--card"), borderWidth: 1 }, emphasis: { itemStyle: { borderColor: ink("--ink") } } }],
      });
      chart.off("click");
      chart.on("click", ({ value: [, , , index] }) => open(cells[index]));
    }
    function open(one) {
      if (!data.drill) return;
      const rows = data.drill.rows.filter((row) => row.x === one.x && row.y === one.y);
      drill.hidden = false;
      drill.replaceChildren(make("h3", {}, data.y[one.y] + ", " + data.x[one.x]),
        make("p", { class: "note" }, measures.map((m) => m.title + " " + written(one[m.key], m.kind)).join("  ·  ")),
        tableOf({ title: "traces", columns: data.drill.columns, rows }));
    }
    show(measures[0].key);
    return chart;
  },

  graph({ data }, area) {
    const groups = [...new Set(data.nodes.map((node) => node.group))];
    const heaviest = Math.max(...data.edges.map((edge) => edge.weight), 1e-9);
    const largest = Math.max(...data.nodes.map((node) => node.weight), 1e-9);
    const lowest = Math.max(...data.nodes.map((node) => node.y)), last = Math.max(...data.nodes.map((node) => node.x));
    const height = Math.max(200, (lowest + 1) * 34 + 70);
    // One unit is one pixel in both directions, else circles become ellipses.
    const wide = Math.min((area.clientWidth - 290) / Math.max(last, 1), 420), tall = (height - 60) / Math.max(lowest, 1);
    return start(area, height, {
      legend: groups.length > 1 && groups.length < 9 ? { top: 0, data: groups, textStyle: { color: ink("--soft") } } : undefined,
      tooltip: { formatter: ({ data: one }) => one.told.join("\n") },
      series: [{
        type: "graph", layout: "none", roam: true, scaleLimit: { min: 0.3, max: 4 }, left: 30, top: 40, width: wide * last || 1, height: tall * lowest || 1,
        categories: groups.map((name, index) => ({ name, itemStyle: { color: colourOf(index) } })),
        edgeSymbol: ["none", "arrow"], edgeSymbolSize: 7, emphasis: { focus: "adjacency" },
        label: { show: true, position: "right", color: ink("--ink"), fontSize: 11, backgroundColor: ink("--card"), padding: [1, 3], formatter: ({ data: one }) => short(one.label, 34) },
        lineStyle: { color: ink("--idle"), curveness: 0.08, opacity: 0.75 },
        data: data.nodes.map((node) => ({ ...node, name: node.id, x: node.x * wide, y: node.y * tall, category: groups.indexOf(node.group),
          symbolSize: 8 + 16 * Math.sqrt(node.weight / largest), itemStyle: node.bad ? { borderColor: ink("--bad"), borderWidth: 3 } : undefined })),
        links: data.edges.map((edge) => ({ ...edge, lineStyle: { width: 1 + 5 * Math.sqrt(edge.weight / heaviest), color: edge.bad ? ink("--bad") : undefined },
          label: { show: Boolean(edge.label) && data.edges.length <= 30, formatter: edge.label, color: ink("--soft"), fontSize: 10 } })),
      }],
    });
  },

  dumbbell({ data }, area) {
    const rows = data.rows;
    return start(area, Math.max(140, rows.length * 24 + 80), {
      grid: { left: 8, right: 24, top: 52, bottom: 8, containLabel: true },
      legend: { top: 0, data: data.names, textStyle: { color: ink("--soft") } },
      tooltip: { formatter: ({ dataIndex }) => {
        const row = rows[dataIndex];
        return [row.label, data.names[0] + "  " + written(row.from, data.unit), data.names[1] + "  " + written(row.to, data.unit)].join("\n");
      } },
      xAxis: axis({ type: "log", position: "top", min: Math.min(...rows.flatMap((row) => [row.from, row.to])) * 0.8,
        axisLabel: { color: ink("--soft"), formatter: (value) => written(value, data.unit) } }),
      yAxis: axis({ type: "category", inverse: true, data: rows.map((row) => row.label),
        axisLabel: { color: ink("--ink"), formatter: (value) => short(value, 44) } }),
      series: [
        { type: "custom", silent: true, data: rows.map((row, index) => [row.from, row.to, index]), encode: { x: [0, 1], y: 2 },
          renderItem: (parameters, api) => {
            const [x1, y] = api.coord([api.value(0), api.value(2)]);
            const [x2] = api.coord([api.value(1), api.value(2)]);
            const bad = rows[api.value(2)].bad;
            return { type: "line", shape: { x1, y1: y, x2, y2: y }, style: { stroke: bad ? ink("--bad") : ink("--idle"), lineWidth: 3 } };
          } },
        { type: "scatter", name: data.names[0], symbolSize: 9, itemStyle: { color: ink("--idle") }, data: rows.map((row, index) => [row.from, index]) },
        { type: "scatter", name: data.names[1], symbolSize: 11, itemStyle: { color: ink("--accent") },
          data: rows.map((row, index) => ({ value: [row.to, index], itemStyle: row.bad ? { color: ink("--bad") } : undefined })) },
      ],
    });
  },

  scatter({ data }, area) {
    const groups = [...new Set(data.points.map((point) => point.group))];
    return start(area, 380, {
      grid: { left: 24, right: 24, top: 40, bottom: 40, containLabel: true },
      legend: { top: 0, textStyle: { color: ink("--soft") } },
      tooltip: { formatter: ({ data: one }) => one.told.join("\n") },
      xAxis: axis({ type: data.x.log ? "log" : "value", name: data.x.title, nameLocation: "middle", nameGap: 28 }),
      yAxis: axis({ type: "value", name: data.y.title, max: data.y.max, min: 0,
        axisLabel: { color: ink("--soft"), formatter: (value) => written(value, data.y.kind) } }),
      series: groups.map((name) => ({ type: "scatter", name, symbolSize: 11,
        itemStyle: { opacity: 0.8, color: ink({ bad: "--bad", warn: "--warn", good: "--good", calm: "--idle" }[data.colours[name]]) },
        data: data.points.filter((point) => point.group === name).map((point) => ({ value: [point.x, point.y], told: point.told })) })),
    });
  },

  lanes({ data }, area) {
    const rows = data.rows.length;
    const height = 19, visible = Math.min(rows, 34);
    const point = data.unit === "share" ? (value) => written(value, "share") : milliseconds;
    const stretch = (kind) => (parameters, api) => {
      const [x, y] = api.coord([api.value(1), api.value(0)]);
      const [end] = api.coord([api.value(2), api.value(0)]);
      const size = api.size([0, 1])[1];
      const shape = echarts.graphic.clipRectByRect(
        { x, y: y + 1, width: Math.max(end - x, 1), height: Math.max(size - 2, 2) },
        { x: parameters.coordSys.x, y: parameters.coordSys.y, width: parameters.coordSys.width, height: parameters.coordSys.height });
      if (!shape || (kind === "idle" && shape.width < 26)) return null;
      const bar = (kind === "idle" ? data.idle : data.bars)[parameters.dataIndex];
      const text = kind === "idle" ? "idle " + milliseconds(bar.lasts) : data.names[bar.name];
      const style = kind === "idle"
        ? { fill: "rgba(128,128,128,.10)", stroke: ink("--idle"), lineDash: [3, 3], lineWidth: 1 }
        : { fill: colourOf(bar.name), stroke: bar.bad ? ink("--bad") : ink("--card"), lineWidth: bar.bad ? 2 : 0.5 };
      return { type: "rect", shape: { ...shape, r: 2 }, style,
        textContent: shape.width > 46 && size > 11
          ? { style: { text, fontSize: 11, fill: kind === "idle" ? ink("--soft") : "#fff", width: shape.width - 8, overflow: "truncate" } } : undefined,
        textConfig: { position: "insideLeft", distance: 4, inside: true } };
    };
    const told = (kind) => ({ dataIndex }) => {
      if (kind === "idle") return "idle " + milliseconds(data.idle[dataIndex].lasts) + ", from " + milliseconds(data.idle[dataIndex].at);
      const bar = data.bars[dataIndex];
      return [data.names[bar.name], ...(bar.told || []), bar.place, bar.statement, "takes " + point(bar.lasts),
        bar.own === null || bar.own === undefined ? "" : "of it own " + point(bar.own), data.aggregate ? "" : "from " + point(bar.at),
        bar.bad ? "failed" : ""].filter(Boolean).join("\n");
    };
    const series = (kind, items) => ({
      id: kind, type: "custom", renderItem: stretch(kind), encode: { x: [1, 2], y: 0 }, tooltip: { formatter: told(kind) },
      data: items.map((bar) => [bar.row, bar.at, bar.at + bar.lasts]), clip: true });
    const chart = start(area, visible * height + 100, {
      grid: { left: 8, right: rows > visible ? 36 : 16, top: 10, bottom: 64, containLabel: true },
      dataZoom: [
        { type: "inside", xAxisIndex: 0, filterMode: "weakFilter" },
        { type: "slider", xAxisIndex: 0, bottom: 8, height: 22, filterMode: "weakFilter", labelFormatter: point },
        ...(rows > visible ? [{ type: "slider", yAxisIndex: 0, right: 4, width: 14, startValue: 0, endValue: visible, filterMode: "none", zoomLock: true, showDetail: false }] : []),
      ],
      xAxis: axis({ type: "value", min: 0, max: data.lasts, axisLabel: { color: ink("--soft"), formatter: point, showMaxLabel: false } }),
      yAxis: axis({ type: "value", min: 0, max: rows, inverse: true, interval: 1, splitLine: { show: false },
        axisLabel: { color: ink("--ink"), verticalAlign: "top", showMaxLabel: false, formatter: (value) => short(data.rows[value] || "", 30) } }),
      series: [series("idle", data.idle), series("bars", data.bars)],
    });
    if (data.zoom) {
      chart.on("click", ({ seriesId, dataIndex }) => {
        const bar = (seriesId === "idle" ? data.idle : data.bars)[dataIndex];
        chart.dispatchAction({ type: "dataZoom", dataZoomIndex: 0, startValue: bar.at, endValue: bar.at + bar.lasts });
      });
      chart.getZr().on("dblclick", () => chart.dispatchAction({ type: "dataZoom", dataZoomIndex: 0, start: 0, end: 100 }));
    }
    return chart;
  },
};

function draw(block, area, element) {
  const chart = DRAW[block.kind === "chart" ? block.chart : block.kind](block, area, element);
  chart.named = block.name;
}

for (const [block, area, element] of pending) draw(block, area, element);
document.documentElement.dataset.ready = "true";
