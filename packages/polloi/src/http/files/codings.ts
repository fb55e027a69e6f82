/** How a file may be encoded, and what is put behind the name of the file that holds it so. */
export const SUFFIXES = { br: ".br", gzip: ".gz", identity: "" } as const;

/** A content coding. */
export type Coding = keyof typeof SUFFIXES;

/** Best first, where a client likes them equally. */
const CODINGS: readonly Coding[] = ["br", "gzip", "identity"];
const PLAIN: readonly Coding[] = ["identity"];
/** What a client that names others thinks of what it did not name: to be had when there is nothing else. */
const LEAST = 0.0001;

let lastField: string | undefined;
let lastCodings: readonly Coding[] = PLAIN;

/**
 * The codings that a client takes, the one it likes best first.
 *
 * @param field - Accept-Encoding; `undefined` when there is none, which is taken for a client that knows none.
 * @source RFC 9110 section 12.5.3
 */
export function acceptedCodings(field: string | undefined): readonly Coding[] {
  if (field === undefined) return PLAIN;
  // Clients of one kind come one after the other.
  if (field === lastField) return lastCodings;
  const weights = weightsOf(field);
  const weight = (coding: Coding): number =>
    weights.get(coding) ?? weights.get("*") ?? (coding === "identity" ? LEAST : 0);
  const accepted = CODINGS.filter((coding) => weight(coding) > 0);
  lastField = field;
  lastCodings = accepted.toSorted((a, b) => weight(b) - weight(a));
  return lastCodings;
}

function weightsOf(field: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const element of field.split(",")) {
    const [name = "", ...parameters] = element.split(";").map((part) => part.trim().toLowerCase());
    if (name === "") continue;
    const weight = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
    // What is no weight says nothing of how much it is liked.
    const value = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? Number(weight) : 0;
    weights.set(name === "x-gzip" ? "gzip" : name, value);
  }
  return weights;
}
