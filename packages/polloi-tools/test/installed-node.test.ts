/** The suites of the tools on the installed Node. */
import { report, TEST_ALL } from "../../../test/support/suite.ts";
import { suites } from "./suites.ts";

for (const suite of suites(TEST_ALL ? "all" : "core")) report(suite);
