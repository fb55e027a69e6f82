import type { Spread } from "./statistics.ts";

/** A table before it is text or Markdown. */
export interface Table {
  readonly header: string[];
  readonly rows: string[][];
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

/** The same as Markdown. */
export function markdownTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = header.map((_, column) => (column === 0 ? "---" : "---:"));
  return [header, rule, ...rows].map(line).join("\n");
}

/** `123,456`. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
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

/** `16 KiB`, `64 B`. */
export function sizeText(bytes: number): string {
  return bytes >= 1024 && bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} B`;
}
