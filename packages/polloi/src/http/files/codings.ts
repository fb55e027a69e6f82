/** Content codings, and the suffixes of files that are encoded with them. */
export const SUFFIXES = { br: ".br", gzip: ".gz", identity: "" } as const;

/** A content coding. */
export type Coding = keyof typeof SUFFIXES;

/** In the order of preference for a client that weights them equally. */
const CODINGS: readonly Coding[] = ["br", "gzip", "identity"];
const IDENTITY_ONLY: readonly Coding[] = ["identity"];
/** The weight of `identity` if a client does not name it: acceptable if there is nothing else. */
const LOWEST = 0.0001;

let lastField: string | undefined;
let lastCodings: readonly Coding[] = IDENTITY_ONLY;

/**
 * The codings that a client accepts, in the order of its preference.
 *
 * @param field - Accept-Encoding. `undefined`, no field, means a client that accepts no coding.
 * @source RFC 9110 section 12.5.3
 */
export function acceptedCodings(field: string | undefined): readonly Coding[] {
  if (field === undefined) return IDENTITY_ONLY;
  // Consecutive requests often have the same field.
  if (field === lastField) return lastCodings;
  const weights = weightsOf(field);
  const weight = (coding: Coding): number =>
    weights.get(coding) ?? weights.get("*") ?? (coding === "identity" ? LOWEST : 0);
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
    // An invalid weight counts as 0.
    const value = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? Number(weight) : 0;
    weights.set(name === "x-gzip" ? "gzip" : name, value);
  }
  return weights;
}
