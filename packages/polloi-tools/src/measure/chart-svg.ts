import { ALL_COLOURS } from "./palette.ts";

/**
 * Turns the output of the library into a self-contained document: without classes and ids that depend on what was
 * drawn before, with a text alternative, and with colours for dark mode.
 *
 * @remarks
 * Colours are attributes, which any style rule overrides. A viewer without media queries shows the light ones; a
 * browser follows the user's setting, also within an `<img>`.
 */
export function finishSvg(
  drawn: string,
  {
    title,
    subtitle,
    description,
    shape,
  }: {
    readonly title: string;
    readonly subtitle?: string;
    /** The text alternative. */
    readonly description: string;
    /** Part of its ids, since a page may contain the same chart in both shapes. */
    readonly shape: "wide" | "narrow";
  },
): string {
  const words = shape === "wide" ? title : `${title} ${shape}`;
  const prefix = words.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const name = subtitle === undefined ? title : `${title}. ${subtitle}`;
  const body = drawn
    .replace(/<style\s*>[\s\S]*?<\/style>/g, "")
    .replace(/ (?:class="zr[^"]*"|ecmeta_\w+="[^"]*"|pointer-events="visible")/g, "")
    // Colours of lines that are not drawn.
    .replace(/ stroke="[^"]*" stroke-width="0"/g, "")
    .replace(/zr\d+-/g, `${prefix}-`)
    // Two decimals are a hundredth of a pixel.
    .replace(/(\d\.\d{2})\d+/g, "$1")
    .replace(/\n\s*\n/g, "\n")
    .trim();
  const label = `<title>${escaped(name)}</title>\n<desc>${escaped(description)}</desc>\n<style>${darkRules(body)}</style>`;
  return `${body
    .replace(/^<svg\b/, `<svg class="chart ${shape}" role="img"`)
    .replace(/^(<svg\b[^>]*>)/, `$1\n${label}`)}\n`;
}

/** Escapes text for XML and HTML, in elements and attributes. */
export function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  return text.replace(/[&<>]/g, (sign) => names[sign] as string).replaceAll('"', "&quot;");
}

/** A rule for each colour and attribute that occurs. */
function darkRules(body: string): string {
  const rules = ALL_COLOURS.flatMap(({ light, dark }) =>
    ["fill", "stroke"]
      .filter((what) => body.includes(`${what}="${light}"`))
      .map((what) => `.chart [${what}="${light}"]{${what}:${dark}}`),
  );
  return `@media (prefers-color-scheme:dark){${rules.join("")}}`;
}
