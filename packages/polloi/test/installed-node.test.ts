/** The suites on the installed Node. other-runtimes.test.ts runs them on the other runtimes. */
import { report, TEST_ALL } from "../../../test/support/suite.ts";
import { otherSuites } from "./suites.ts";

for (const suite of otherSuites(TEST_ALL ? "all" : "core")) report(suite);
