/**
 * Misuse: every public function is given wrong arguments, and says so by a code of docs/errors.md.
 *
 * The tables name each function and method of the entry points. One that is missing fails the first case.
 */
import assert from "node:assert/strict";
import * as select from "../../src/select/index.ts";
import * as selectors from "../../src/selectors/index.ts";
import * as socket from "../../src/socket/index.ts";
import * as uring from "../../src/uring/index.ts";
import type { Suite } from "../suite.ts";
import { casesOf, complaintsOf, type Table } from "./misuse/calls.ts";
import { SELECT } from "./misuse/select-table.ts";
import { SELECTORS } from "./misuse/selectors-table.ts";
import { SOCKET } from "./misuse/socket-table.ts";
import { URING } from "./misuse/uring-table.ts";

const ENTRY_POINTS: Readonly<Record<string, readonly [names: object, table: Table]>> = {
  "polloi/select": [select, SELECT],
  "polloi/selectors": [selectors, SELECTORS],
  "polloi/socket": [socket, SOCKET],
  "polloi/uring": [uring, URING],
};

export function misuseConformance(): Suite[] {
  return Object.entries(ENTRY_POINTS).map(([title, [names, table]]) => ({
    title: `misuse of ${title}`,
    cases: [
      {
        name: "every function, method and setter is in the table",
        run: () => assert.deepEqual(complaintsOf(names, table), []),
      },
      ...casesOf(table),
    ],
  }));
}
