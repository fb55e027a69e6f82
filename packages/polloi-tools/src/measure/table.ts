/** Numbers and tables as text and as Markdown. */
import type { Spread } from "./spread.ts";

/** A table before it is text, Markdown or HTML. */
export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A table as text, with its first column to the left and the others to the right. */
export function textTable({ header, rows }: Table): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] as number;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width));
  return [header, rule, ...rows].map(line).join("\n");
}

/** A table as Markdown, aligned in the same way. Its cells are Markdown. */
export function markdownTable({ header, rows }: Table): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = header.map((_, column) => (column === 0 ? "---" : "---:"));
  return [header, rule, ...rows].map(line).join("\n");
}

/** `123,456`. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** `1.23`. */
export function twoDecimals(value: number): string {
  return value.toFixed(2);
}

/** Three significant figures: `0.123`, `1.23`, `12.3`, `123`, `1,234`. */
export function threeFigures(value: number): string {
  if (value >= 99.95) return whole(value);
  return value >= 9.995 ? value.toFixed(1) : value >= 0.9995 ? value.toFixed(2) : value.toFixed(3);
}

/** A time in microseconds with its unit: `850 ns`, `2.5 µs`, `1.6 ms`. */
export function timeText(us: number): string {
  const [value, unit] = us < 1 ? [us * 1000, "ns"] : us < 1000 ? [us, "µs"] : [us / 1000, "ms"];
  return `${Number(value.toPrecision(2))} ${unit}`;
}

/** A size in bytes with its unit: `850 B`, `2.5 KiB`, `16 MiB`, `1.2 GiB`. */
export function bytesText(bytes: number): string {
  if (Math.abs(bytes) < 1024) return `${Math.round(bytes)} B`;
  const kib = bytes / 1024;
  const [value, unit] =
    kib < 1024 ? [kib, "KiB"] : kib < 1024 ** 2 ? [kib / 1024, "MiB"] : [kib / 1024 ** 2, "GiB"];
  return `${threeFigures(value).replace(/\.0+$/, "")} ${unit}`;
}

/** A spread as `median (min-max)`; a dash for undefined. */
export function spreadText(
  spread: Spread | undefined,
  format: (value: number) => string = twoDecimals,
): string {
  if (spread === undefined) return "-";
  return `${format(spread.median)} (${format(spread.min)}-${format(spread.max)})`;
}

/** `0.973` as `97 %`. */
export function percent(share: number | undefined): string {
  return share === undefined ? "-" : `${Math.round(share * 100)} %`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words: readonly string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** A label within a sentence, where a comma would separate it: `epoll, level` as `epoll (level)`. */
export function inSentence(label: string): string {
  return label.replace(/^(\S+), (\S+)$/, "$1 ($2)");
}
