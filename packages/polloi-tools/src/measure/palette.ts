/** Colours that are read on white and on black, the same thing always in the same one. */

/** A colour as it is in a light surrounding and in a dark one. */
export interface Colour {
  readonly light: string;
  readonly dark: string;
}

/** Everything that is not data. Each light colour is told apart by its value, so no two may be equal. */
export const PAPER: Readonly<Record<"background" | "ink" | "muted" | "grid" | "axis", Colour>> = {
  background: { light: "#ffffff", dark: "#0d1117" },
  ink: { light: "#1f2328", dark: "#f0f6fc" },
  muted: { light: "#59636e", dark: "#9198a1" },
  grid: { light: "#e6eaef", dark: "#21262d" },
  axis: { light: "#818b98", dark: "#656c76" },
};

/** The engines, by the names that they have in polloi. */
const ENGINES: Readonly<Record<string, Colour>> = {
  select: { light: "#bf3989", dark: "#f778ba" },
  poll: { light: "#bc4c00", dark: "#f0883e" },
  epoll: { light: "#0969da", dark: "#58a6ff" },
  "epoll-edge": { light: "#1b7c83", dark: "#39c5cf" },
  io_uring: { light: "#8250df", dark: "#bc8cff" },
};

/** The five ways to serve, by the names that they have in polloi. */
const WAYS: Readonly<Record<string, Colour>> = {
  blocking: { light: "#cf222e", dark: "#ff7b72" },
  process: { light: "#953800", dark: "#ffa657" },
  thread: { light: "#9a6700", dark: "#d29922" },
  prefork: { light: "#6639ba", dark: "#d2a8ff" },
  event: { light: "#1a7f37", dark: "#3fb950" },
};

/** For whatever is not an engine, in the order in which it comes. */
const OTHERS: readonly Colour[] = [
  { light: "#1a7f37", dark: "#3fb950" },
  { light: "#cf222e", dark: "#ff7b72" },
  { light: "#9a6700", dark: "#d29922" },
  { light: "#57606b", dark: "#8b949e" },
  { light: "#0550ae", dark: "#79c0ff" },
  { light: "#953800", dark: "#ffa657" },
  { light: "#6639ba", dark: "#d2a8ff" },
];

/** The colours of a chart's series, each by its name; names that are no engine's take what is left. */
export function coloursOf(names: readonly string[]): Colour[] {
  let others = 0;
  return names.map(
    (name) => ENGINES[name] ?? WAYS[name] ?? (OTHERS[others++ % OTHERS.length] as Colour),
  );
}

/** Every colour that a chart may hold. */
export const ALL_COLOURS: readonly Colour[] = [
  ...Object.values(PAPER),
  ...Object.values(ENGINES),
  ...Object.values(WAYS),
  ...OTHERS,
];
