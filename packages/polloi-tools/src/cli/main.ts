import { createRequire } from "node:module";
import { handleStreamErrors } from "./output.ts";
import { run } from "./program.ts";

const { version } = createRequire(import.meta.url)("polloi-tools/package.json") as {
  version: string;
};

handleStreamErrors();
process.exitCode = await run(process.argv.slice(2), version);
