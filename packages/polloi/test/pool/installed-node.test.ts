/** The suites of the pool on the installed Node. */
import { report, TEST_ALL } from "../../../../test/support/suite.ts";
import { poolSuites } from "../suites.ts";

for (const suite of poolSuites(TEST_ALL ? "all" : "core")) report(suite);
