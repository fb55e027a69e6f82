import {
  type Extent,
  type Listed,
  listed,
  type Suite,
  selected,
} from "../../../test/support/suite.ts";
import { ENGINES, whereUringWorks } from "../../polloi/test/support/engines.ts";
import { loadSuite } from "./load/load.ts";
import { loadHttpSuite } from "./load/load-http.ts";
import { loadTlsSuite } from "./load/load-tls.ts";
import { loadMisuse } from "./load/misuse.ts";
import { traceSuite } from "./trace/trace.ts";

/** The suites of the tools that run on every runtime. */
export function suites(extent: Extent = "all"): Suite[] {
  return selected(all(extent), extent).map(whereUringWorks);
}

function all(extent: Extent): Listed[] {
  return listed(
    "core",
    traceSuite(ENGINES),
    loadSuite(extent),
    loadHttpSuite(extent),
    loadTlsSuite(),
    loadMisuse(),
  );
}
