/** Colours that are legible on white and on black. A name has the same colour in every chart. */

/** A colour in light mode and in dark mode. */
export interface Colour {
  readonly light: string;
  readonly dark: string;
}

/** Everything but the data. No two light colours may be equal: the rules for dark mode select by value. */
export const PAGE: Readonly<Record<"background" | "ink" | "muted" | "grid" | "axis", Colour>> = {
  background: { light: "#ffffff", dark: "#0d1117" },
  ink: { light: "#1f2328", dark: "#f0f6fc" },
  muted: { light: "#59636e", dark: "#9198a1" },
  grid: { light: "#e6eaef", dark: "#21262d" },
  axis: { light: "#818b98", dark: "#656c76" },
};

/** The engines, by their names in polloi. */
const ENGINES: Readonly<Record<string, Colour>> = {
  select: { light: "#bf3989", dark: "#f778ba" },
  poll: { light: "#bc4c00", dark: "#f0883e" },
  epoll: { light: "#0969da", dark: "#58a6ff" },
  "epoll-edge": { light: "#1b7c83", dark: "#39c5cf" },
  io_uring: { light: "#8250df", dark: "#bc8cff" },
};

/** The five serving models, by their names in polloi. */
const MODELS: Readonly<Record<string, Colour>> = {
  blocking: { light: "#cf222e", dark: "#ff7b72" },
  process: { light: "#953800", dark: "#ffa657" },
  thread: { light: "#9a6700", dark: "#d29922" },
  prefork: { light: "#6639ba", dark: "#d2a8ff" },
  event: { light: "#1a7f37", dark: "#3fb950" },
};

/** For all other names, in the order of their appearance. */
const OTHERS: readonly Colour[] = [
  { light: "#1a7f37", dark: "#3fb950" },
  { light: "#cf222e", dark: "#ff7b72" },
  { light: "#9a6700", dark: "#d29922" },
  { light: "#57606b", dark: "#8b949e" },
  { light: "#0550ae", dark: "#79c0ff" },
  { light: "#953800", dark: "#ffa657" },
  { light: "#6639ba", dark: "#d2a8ff" },
];

/** The colours of a chart's series by name; other names take the remaining colours. */
export function coloursOf(names: readonly string[]): Colour[] {
  let others = 0;
  return names.map(
    (name) => ENGINES[name] ?? MODELS[name] ?? (OTHERS[others++ % OTHERS.length] as Colour),
  );
}

/** Every colour that a chart may contain. */
export const ALL_COLOURS: readonly Colour[] = [
  ...Object.values(PAGE),
  ...Object.values(ENGINES),
  ...Object.values(MODELS),
  ...OTHERS,
];
