/** The suites of the tools under Bun, Deno and the newest Node. */
import { testOnAllRuntimes } from "../../../test/runtimes/all-runtimes.ts";

testOnAllRuntimes(new URL("./suites.js", import.meta.url));
