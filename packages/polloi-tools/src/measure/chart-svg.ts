import { ALL_COLOURS } from "./palette.ts";

/**
 * Turns what the library has drawn into a picture that stands on its own: no classes and ids that
 * depend on what was drawn before, a name for who cannot see it, and colours for a dark surrounding.
 *
 * @remarks
 * Colours are attributes, which any rule of style overrides. So a viewer that knows no media queries
 * shows the light ones, and a browser does as the person's setting says, within an `<img>` too.
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
    /** What it shows, in words and figures. */
    readonly description: string;
    /** A page may have the same chart in both; each is its own document all the same. */
    readonly shape: "wide" | "narrow";
  },
): string {
  const words = shape === "wide" ? title : `${title} ${shape}`;
  const prefix = words.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const name = subtitle === undefined ? title : `${title}. ${subtitle}`;
  const body = drawn
    .replace(/<style\s*>[\s\S]*?<\/style>/g, "")
    .replace(/ (?:class="zr[^"]*"|ecmeta_\w+="[^"]*"|pointer-events="visible")/g, "")
    // What is not drawn has a colour all the same.
    .replace(/ stroke="[^"]*" stroke-width="0"/g, "")
    .replace(/zr\d+-/g, `${prefix}-`)
    // Three decimals are a thousandth of a pixel.
    .replace(/(\d\.\d{2})\d+/g, "$1")
    .replace(/\n\s*\n/g, "\n")
    .trim();
  const label = `<title>${escaped(name)}</title>\n<desc>${escaped(description)}</desc>\n<style>${darkRules(body)}</style>`;
  return `${body
    .replace(/^<svg\b/, `<svg class="chart ${shape}" role="img"`)
    .replace(/^(<svg\b[^>]*>)/, `$1\n${label}`)}\n`;
}

/** Text as it may stand in XML and HTML, within an element or an attribute. */
export function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  return text.replace(/[&<>]/g, (sign) => names[sign] as string).replaceAll('"', "&quot;");
}

/** A rule for each colour that is used, as what it is used for. */
function darkRules(body: string): string {
  const rules = ALL_COLOURS.flatMap(({ light, dark }) =>
    ["fill", "stroke"]
      .filter((what) => body.includes(`${what}="${light}"`))
      .map((what) => `.chart [${what}="${light}"]{${what}:${dark}}`),
  );
  return `@media (prefers-color-scheme:dark){${rules.join("")}}`;
}
