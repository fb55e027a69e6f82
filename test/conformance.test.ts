/** The conformance suites on the installed Node. test/all-runtimes.test.ts runs them everywhere else. */
import { report } from "./suite.ts";
import { suites } from "./suites.ts";

for (const suite of suites()) report(suite);
