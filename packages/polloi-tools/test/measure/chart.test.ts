import assert from "node:assert/strict";
import { test } from "node:test";
import { assertWellFormed } from "../../../polloi/test/support/well-formed.ts";
import { openCharts } from "../../src/measure/chart.ts";
import type { BarChart, LineChart } from "../../src/measure/chart-options.ts";

const LINES: LineChart = {
  title: "Cost <of> a wait & more",
  subtitle: "median, smallest-largest",
  footer: "a machine",
  x: { label: "idle", scale: "log" },
  y: { label: "time", scale: "log" },
  series: [
    { name: "poll", points: [10, 100, 1000].map((x) => ({ x, y: x / 2, low: x / 3, high: x })) },
    { name: "epoll, edge", key: "epoll-edge", points: [10, 1000].map((x) => ({ x, y: 5 })) },
  ],
};

const BARS: BarChart = {
  title: "Messages per second",
  x: { label: "of the C loop", format: (value) => value.toFixed(2) },
  groups: ["50 connections", "500 connections"],
  series: [
    { name: "polloi", key: "epoll", values: [{ value: 0.95, low: 0.9, high: 1 }, undefined] },
    { name: "node:net", values: [{ value: 0.6 }, { value: 0.7 }] },
  ],
  reference: 1,
};

const charts = await openCharts();
const drawn: Readonly<Record<string, string>> = {
  lineChart: charts.lineChart(LINES),
  barChart: charts.barChart(BARS),
};

for (const [name, svg] of Object.entries(drawn)) {
  test(`${name} returns a well-formed SVG document without references to other files`, () => {
    assertWellFormed(svg);
    assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    const addresses = svg.match(/(?:href|src)="[^"]*"|url\([^)]*\)|https?:[^"]*/g) ?? [];
    const outside = addresses.filter((text) => !/^url\(#|^http:\/\/www\.w3\.org\//.test(text));
    assert.deepEqual(outside, []);
  });

  test(`${name} has a rule for dark mode for each of its colours`, () => {
    const [head = "", body = ""] = svg.split("</style>");
    const colours = [...body.matchAll(/(fill|stroke)="(#[0-9a-f]{6})"/g)];
    assert.ok(colours.length > 0);
    for (const [, what, colour] of colours) {
      assert.ok(head.includes(`[${what}="${colour}"]`), `${what} ${colour} has no rule`);
    }
  });
}

test("a chart is the same text each time, independent of charts drawn before", () => {
  assert.equal(charts.lineChart(LINES), drawn.lineChart);
  assert.equal(charts.barChart(BARS), drawn.barChart);
});

test("an engine has the same colour as a line and as a bar, at any position", () => {
  const colour = (svg: string): string | undefined => /stroke="(#0969da)"/.exec(svg)?.[1];
  const alone = charts.lineChart({
    ...LINES,
    series: [LINES.series[0], { name: "epoll", points: [{ x: 10, y: 1 }] }].flatMap(
      (each) => each ?? [],
    ),
  });
  assert.equal(colour(alone), "#0969da");
  assert.match(drawn.barChart as string, /fill="#0969da"/);
});

test("characters with a meaning in XML are escaped", () => {
  assert.match(drawn.lineChart as string, /Cost &lt;of&gt; a wait &amp; more/);
});
