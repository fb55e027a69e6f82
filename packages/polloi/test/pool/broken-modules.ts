/** Modules that cannot be imported: the error of the pool names the file. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Suite } from "../../../../test/support/suite.ts";
import { MODELS, type ModelName, serveModel } from "../../src/pool/models.ts";
import { startWorkers } from "../../src/pool/workers.ts";
import { kernel } from "../../src/sys/open.ts";

const LISTEN = { host: "127.0.0.1", port: 0 };
const SOUND = "export function data(connection, bytes) { connection.write(bytes); }\n";

/** The files of a case: the first is the module. And the one that the error names. */
interface Broken {
  readonly files: Readonly<Record<string, string>>;
  readonly named: RegExp;
}

const BROKEN: Readonly<Record<string, Broken>> = {
  "that does not exist": { files: {}, named: /module\.mjs/ },
  "with a syntax error": {
    files: {
      "module.mjs": "export function data(connection, bytes) {\n  connection.write(bytes;\n}\n",
    },
    named: /module\.mjs/,
  },
  "that imports one that does not exist": {
    files: { "module.mjs": `import "./other.mjs";\n${SOUND}` },
    named: /other\.mjs/,
  },
  "that imports one with a syntax error": {
    files: { "module.mjs": `import "./other.mjs";\n${SOUND}`, "other.mjs": "let a = ;\n" },
    // V8 does not say in which of them it is.
    named: /module\.mjs|other\.mjs/,
  },
};

type Start = (module: string) => Promise<AsyncDisposable>;

const WAYS: Readonly<Record<string, Start>> = {
  startWorkers: (module) => startWorkers({ module, workers: 1, listen: LISTEN }),
  ...Object.fromEntries(
    MODELS.map((model: ModelName): [string, Start] => [
      `serveModel (${model})`,
      (module) => serveModel({ model, module, listen: LISTEN }),
    ]),
  ),
};

export function brokenModulesSuite(): Suite {
  return {
    title: "modules that cannot be imported",
    cases: Object.entries(WAYS).flatMap(([way, start]) =>
      Object.entries(BROKEN).map(([what, { files, named }]) => ({
        name: `${way} of a module ${what} rejects, and names the file`,
        async run() {
          const folder = mkdtempSync(join(tmpdir(), "polloi-module-"));
          try {
            for (const [name, text] of Object.entries(files))
              writeFileSync(join(folder, name), text);
            await assert.rejects(
              async () => {
                await using _ = await start(join(folder, "module.mjs"));
              },
              (error: Error & { hint?: string }) => {
                assert.match(error.message, named);
                if (/syntax/.test(what) && kernel.runtime === "node") {
                  assert.match(error.hint ?? "", /^node --check .*module\.mjs shows the line/);
                } else if (/syntax/.test(what)) assert.match(error.message, /mjs:\d+:\d+/);
                assert.ok(error.message.includes(folder) || /other\.mjs/.test(error.message));
                return true;
              },
            );
          } finally {
            rmSync(folder, { recursive: true });
          }
        },
      })),
    ),
  };
}
