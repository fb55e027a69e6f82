/** The conformance suites on the installed Node. packages/polloi/test/other-runtimes.test.ts runs them on the other runtimes. */
import { report, TEST_ALL } from "../../../test/support/suite.ts";
import { suites } from "./suites.ts";

for (const suite of suites(TEST_ALL ? "all" : "core")) report(suite);
