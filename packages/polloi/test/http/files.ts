import type { Suite } from "../../../../test/support/suite.ts";
import { listingCases } from "./files/listings.ts";
import { pathCases } from "./files/paths.ts";
import { replyCases } from "./files/replies.ts";
import { representationCases } from "./files/representations.ts";

/** What `files` of polloi/http does, seen from the other end of a connection. */
export function httpFilesSuite(): Suite {
  return {
    title: "polloi/http files",
    cases: [...pathCases, ...representationCases, ...listingCases, ...replyCases],
  };
}
