/** The pages of the lab in a browser: Debian's Chromium, without a network. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { folder, needs } from "../../../../test/support/processes.ts";
import { SUITE_TIMEOUT_MS } from "../../../../test/support/suite.ts";
import { enginesLab } from "../../src/lab/engines.ts";
import { idleLab } from "../../src/lab/idle-report.ts";
import { modelsLab } from "../../src/lab/models.ts";
import { openCharts } from "../../src/measure/chart.ts";
import { reportPage } from "../../src/measure/page.ts";
import type { LabReport } from "../../src/measure/report.ts";
import { wholeEngines, wholeIdle, wholeModels } from "./results.ts";

const skip = needs("chromium");
/** Screenshots for review; not committed. */
const OUT: string = fileURLToPath(new URL("../../../../../test/out/", import.meta.url));

/** The least contrast of text and of lines. Source: WCAG 2.2, 1.4.3 and 1.4.11. */
const READABLE = 4.5;
const SEEN = 3;

const REPORTS: Readonly<Record<string, LabReport>> = {
  idle: idleLab.report(wholeIdle()),
  models: modelsLab.report(wholeModels()),
  engines: enginesLab.report(wholeEngines()),
};

/** The contents of a page. */
interface Look {
  /** The size of each visible chart, its number of lines, and elements that extend beyond it. */
  readonly charts: readonly {
    readonly width: number;
    readonly height: number;
    readonly name: string;
    readonly lines: number;
    readonly outside: readonly string[];
  }[];
  /** The least contrast of text and of lines, and the element that has it. */
  readonly text: { readonly contrast: number; readonly what: string };
  readonly marks: { readonly contrast: number; readonly what: string };
  readonly tooWide: readonly string[];
}

/** The part of the DOM that {@link look} uses: the library's types would apply to every file here. */
interface Element {
  readonly parentElement: Element | null;
  readonly textContent: string | null;
  readonly tagName: string;
  closest(selector: string): Element | null;
  matches(selector: string): boolean;
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): Iterable<Element>;
  getBoundingClientRect(): Readonly<
    Record<"left" | "right" | "top" | "bottom" | "width" | "height", number>
  >;
}
declare const document: Pick<Element, "querySelectorAll"> & {
  readonly documentElement: { readonly clientWidth: number; readonly scrollWidth: number };
};
declare function getComputedStyle(
  element: Element,
): Readonly<Record<"fill" | "stroke" | "strokeWidth" | "color" | "backgroundColor", string>>;

/** Runs in the browser, so it uses nothing outside itself. */
function look(): Look {
  type Rgb = readonly [number, number, number];
  const rgb = (text: string): Rgb | null => {
    const [r, g, b, a = 1] = (text.match(/[\d.]+/g) ?? []).map(Number);
    return r === undefined || g === undefined || b === undefined || a === 0 ? null : [r, g, b];
  };
  const luminance = (colour: Rgb): number => {
    const [r = 0, g = 0, b = 0] = colour.map((each) => {
      const share = each / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one: Rgb, other: Rgb): number => {
    const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (element: Element): Rgb => {
    const svg = element.closest("svg.chart");
    if (svg !== null) {
      const background = svg.querySelector("rect");
      const colour = background === null ? null : rgb(getComputedStyle(background).fill);
      if (colour !== null) return colour;
    }
    for (let each: Element | null = element; each !== null; each = each.parentElement) {
      const colour = rgb(getComputedStyle(each).backgroundColor);
      if (colour !== null) return colour;
    }
    return [255, 255, 255];
  };
  // A horizontal line has no height.
  const shown = (element: Element): boolean => {
    const { width, height } = element.getBoundingClientRect();
    return width + height > 0;
  };
  const text = { contrast: 21, what: "" };
  const marks = { contrast: 21, what: "" };
  const judge = (least: typeof text, element: Element, colour: Rgb | null, what: string): void => {
    if (colour === null) return;
    const found = contrast(colour, behind(element));
    if (found < least.contrast) Object.assign(least, { contrast: found, what });
  };
  for (const element of document.querySelectorAll(
    "h1,h2,p,li,th,td,caption,figcaption,pre,summary,button",
  )) {
    if (!shown(element)) continue;
    judge(
      text,
      element,
      rgb(getComputedStyle(element).color),
      element.textContent?.slice(0, 40) ?? "",
    );
  }
  const charts = [...document.querySelectorAll("svg.chart")].filter(shown).map((svg) => {
    const box = svg.getBoundingClientRect();
    const labels = [...svg.querySelectorAll("text")].filter(shown);
    for (const label of labels) {
      judge(text, label, rgb(getComputedStyle(label).fill), label.textContent ?? "");
    }
    const lines = [...svg.querySelectorAll("path")].filter((path) => {
      const { stroke, strokeWidth, fill } = getComputedStyle(path);
      return (
        shown(path) &&
        fill === "none" &&
        rgb(stroke) !== null &&
        Number.parseFloat(strokeWidth) >= 2
      );
    });
    for (const line of lines) judge(marks, line, rgb(getComputedStyle(line).stroke), "a line");
    const outside = [...labels, ...lines].filter((each) => {
      const { left, right, top, bottom } = each.getBoundingClientRect();
      return (
        left < box.left - 1 || right > box.right + 1 || top < box.top - 1 || bottom > box.bottom + 1
      );
    });
    return {
      width: box.width,
      height: box.height,
      name: svg.querySelector("title")?.textContent ?? "",
      lines: lines.length,
      outside: outside.map((each) => each.textContent || "a line"),
    };
  });
  const most = document.documentElement.clientWidth;
  const tooWide = [...document.querySelectorAll("body *")]
    .filter((each) => each.closest(".wide-table,pre") === null || each.matches(".wide-table,pre"))
    .filter((each) => each.getBoundingClientRect().right > most + 1)
    .map((each) => `${each.tagName} ${each.textContent?.slice(0, 30) ?? ""}`);
  if (document.documentElement.scrollWidth > most) tooWide.push("the page");
  return { charts, text, marks, tooWide };
}

describe("the pages of the lab in a browser", { skip, timeout: SUITE_TIMEOUT_MS }, () => {
  const at = folder();
  let browser: Browser;

  before(async () => {
    const charts = await openCharts();
    for (const [name, report] of Object.entries(REPORTS)) {
      writeFileSync(join(at.path, `${name}.html`), reportPage(charts, report));
    }
    mkdirSync(OUT, { recursive: true });
    browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu"],
    });
  });
  after(async () => {
    await browser?.close();
    at[Symbol.dispose]();
  });

  /** Opens a page and records its errors and requests. */
  async function open(name: string): Promise<{ page: Page; errors: string[]; requests: string[] }> {
    const page = await browser.newPage();
    const errors: string[] = [];
    const requests: string[] = [];
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) errors.push(message.text());
    });
    page.on("pageerror", (error) => errors.push(error.message));
    const address = pathToFileURL(join(at.path, `${name}.html`)).href;
    page.on("request", (request) => {
      const url = request.url();
      if (url !== address && !url.startsWith("data:")) requests.push(url);
    });
    await page.goto(address);
    return { page, errors, requests };
  }

  for (const [name, report] of Object.entries(REPORTS)) {
    test(`lab ${name}: in light and dark mode, on a desktop and on a phone, charts are legible and nothing overflows`, async () => {
      const { page, errors, requests } = await open(name);
      const drawn = report.figures.flatMap(({ chart }) => chart ?? []);
      for (const colorScheme of ["light", "dark"] as const) {
        for (const width of [1280, 380]) {
          await page.emulateMedia({ colorScheme });
          await page.setViewportSize({ width, height: 900 });
          const { charts, text, marks, tooWide } = await page.evaluate(look);
          const where = `${colorScheme}, ${width}`;
          assert.equal(charts.length, drawn.length, where);
          for (const [i, chart] of charts.entries()) {
            const what = `${where}: ${chart.name}`;
            assert.ok(chart.width > width * 0.6 && chart.height > 250, `${what} is small`);
            // A single point has no line.
            const lines = drawn[i]?.series.filter(({ points }) => points.length > 1) ?? [];
            assert.ok(lines.length > 0 && chart.lines >= lines.length, `${what} lacks a line`);
            assert.deepEqual(chart.outside, [], `${what} is cut off`);
            assert.ok(chart.name.startsWith(drawn[i]?.title ?? "?"), what);
          }
          assert.ok(text.contrast >= READABLE, `${where}: ${text.what}: ${text.contrast}`);
          assert.ok(marks.contrast >= SEEN, `${where}: ${marks.what}: ${marks.contrast}`);
          assert.deepEqual(tooWide, [], where);
        }
      }
      await page.screenshot({ path: join(OUT, `lab-${name}.png`) });
      await page.close();
      assert.deepEqual(errors, []);
      assert.deepEqual(requests, [], "the page loads another file");
    });
  }

  test("a chart is saved as PNG under its own name", async () => {
    const { page, errors } = await open("models");
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.locator("figure button").first().click(),
    ]);
    assert.equal(download.suggestedFilename(), "lab-models-throughput.png");
    const path = join(OUT, "lab-models-saved.png");
    await download.saveAs(path);
    await page.close();
    assert.deepEqual(errors, []);
  });
});
