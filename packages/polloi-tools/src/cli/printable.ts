/** How many characters of a message a line shows. */
const SHOWN = 60;
/** No character is longer in UTF-8, so that is enough to decode of a message that may be long. */
const LONGEST_CHARACTER = 4;

const decoder = new TextDecoder();

/** Controls, C1 ones and directional marks included: what could make a terminal lie. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Received bytes as one line of text, in quotes, that no terminal takes for a command. */
export function printable(bytes: Uint8Array): string {
  const start = decoder.decode(bytes.subarray(0, SHOWN * LONGEST_CHARACTER));
  const characters = [...start];
  const cut = characters.length > SHOWN || bytes.length > SHOWN * LONGEST_CHARACTER;
  const text = JSON.stringify(characters.slice(0, SHOWN).join("")).replace(
    UNPRINTABLE,
    (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`,
  );
  return cut ? `${text} ...` : text;
}
