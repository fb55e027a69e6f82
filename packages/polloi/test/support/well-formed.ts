import assert from "node:assert/strict";

/**
 * Asserts that the XML of a drawing is well-formed: every element is closed by its own name, in one
 * root; attributes are quoted and unique; markup characters in text are escaped.
 */
export function assertWellFormed(xml: string): void {
  const open: string[] = [];
  let roots = 0;
  const parts =
    /<(\/?)([\w:-]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|<!\[CDATA\[[\s\S]*?\]\]>|[^<]+/gy;
  let at = 0;
  for (const [text, closing, name, attributes = "", empty] of xml.matchAll(parts)) {
    at += text.length;
    assert.doesNotMatch(text, /&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[\da-f]+);)/i);
    if (name === undefined) {
      if (open.length === 0) assert.equal(text.trim(), "", "there is text outside of the root");
      continue;
    }
    const names = [...attributes.matchAll(/([\w:-]+)=/g)].map(([, attribute]) => attribute);
    assert.equal(new Set(names).size, names.length, `an attribute comes twice in ${text}`);
    if (closing === "/")
      assert.equal(open.pop(), name, `${text} closes an element that is not open`);
    else if (open.length === 0) roots++;
    if (closing !== "/" && empty !== "/") open.push(name);
  }
  assert.equal(at, xml.length, `no markup: ${xml.slice(at, at + 80)}`);
  assert.deepEqual(open, [], "elements are left open");
  assert.equal(roots, 1);
}
