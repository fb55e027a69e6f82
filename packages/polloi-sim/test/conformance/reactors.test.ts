/** The conformance suites of the reactor on the simulated kernel. `npm test` runs one engine of each kind. */
import "./simulated-thread.ts";
import { TEST_ALL } from "../../../../test/support/suite.ts";
import { reportSuites } from "./report.ts";
import { isOfReactor, SUITE_NAMES } from "./suites.ts";

const OF_EACH_KIND = /io_uring|epoll edge|select level hosted/;

await reportSuites(
  SUITE_NAMES.filter(isOfReactor).filter((name) => TEST_ALL || OF_EACH_KIND.test(name)),
);
