/** Figures as a person reads them. */
import type { Spread } from "./spread.ts";

/** What a table shows, as a person reads it. */
export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A table with its first column to the left and the others to the right. */
export function textTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
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

/** `123,456`. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Three figures that count: `0.123`, `1.23`, `12.3`, `123`, `1,234`. */
export function threeFigures(value: number): string {
  if (value >= 99.95) return whole(value);
  return value >= 9.995 ? value.toFixed(1) : value >= 0.9995 ? value.toFixed(2) : value.toFixed(3);
}

/** A time given in microseconds with its unit: `850 ns`, `2.5 µs`, `1.6 ms`. */
export function timeText(us: number): string {
  const [value, unit] = us < 1 ? [us * 1000, "ns"] : us < 1000 ? [us, "µs"] : [us / 1000, "ms"];
  return `${Number(value.toPrecision(2))} ${unit}`;
}

/** A spread as `median (min-max)`; a dash when there is none. */
export function spreadText(
  spread: Spread | undefined,
  format: (value: number) => string = (value) => value.toFixed(2),
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

/** A label as it stands in a sentence, among others: `epoll, level` as `epoll (level)`. */
export function spoken(label: string): string {
  return label.replace(/^(\S+), (\S+)$/, "$1 ($2)");
}

/** A size given in KiB with its unit: `850 B`, `2.5 KiB`, `16 MiB`, `1.2 GiB`. */
export function sizeText(kib: number): string {
  if (Math.abs(kib) < 1) return `${Math.round(kib * 1024)} B`;
  const [value, unit] =
    kib < 1024 ? [kib, "KiB"] : kib < 1024 ** 2 ? [kib / 1024, "MiB"] : [kib / 1024 ** 2, "GiB"];
  return `${threeFigures(value).replace(/\.0+$/, "")} ${unit}`;
}
