/** The pages for users of other servers name every option and member that differs. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Program } from "../../../../test/support/processes.ts";
import { OTHER_FILES, OTHER_SERVERS, OTHER_TLS } from "./migration.ts";

for (const { name, page, options, same, other } of OTHER_SERVERS) {
  test(`${page} names every option and member of ${name} that differs`, () => {
    const text = readFileSync(page, "utf8");
    const differing = options.filter(([, , counterpart]) => counterpart !== undefined);
    const names = [...differing.map(([option]) => option), ...other];
    const missing = names.filter((each) => !new RegExp(`\`[^\`]*${pattern(each)}`).test(text));
    assert.deepEqual(missing, []);
    assert.ok(same.every((member) => text.includes(String(member))));
  });
}

for (const [what, page, options] of [
  ...OTHER_FILES.map((row) => ["files", ...row] as const),
  ...OTHER_TLS.map((row) => ["tls", ...row] as const),
]) {
  test(`${page} names every option for ${what} that differs`, () => {
    const text = readFileSync(page, "utf8");
    const differing = options.filter(([, , counterpart]) => counterpart !== undefined);
    const missing = differing.filter(([option]) => !text.includes(`\`${option}\``));
    assert.deepEqual(missing, []);
  });
}

test("a process ends although an unreferenced server listens, and answers until then", async () => {
  await using program = Program.node("packages/polloi/test/http/unreferenced.ts", []);
  const { code, stdout } = await program.ended;
  assert.deepEqual({ code, stdout }, { code: 0, stdout: "hello\nending\n" });
});

function pattern(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
