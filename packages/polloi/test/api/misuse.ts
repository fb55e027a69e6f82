/**
 * Misuse: every public function rejects wrong arguments with a code of docs/errors.md.
 *
 * The tables name each function and method of the entry points. One that is missing fails the first case.
 */
import type { Suite } from "../../../../test/support/suite.ts";
import * as http from "../../src/http/index.ts";
import * as polloi from "../../src/index.ts";
import * as models from "../../src/pool/models.ts";
import * as workers from "../../src/pool/workers.ts";
import * as select from "../../src/select/index.ts";
import * as selectors from "../../src/selectors/index.ts";
import * as socket from "../../src/socket/index.ts";
import * as uring from "../../src/uring/index.ts";
import { misuseSuite, type Table } from "./misuse/calls.ts";
import { HTTP } from "./misuse/http-table.ts";
import { MODELS, WORKERS } from "./misuse/pools-table.ts";
import { REACTOR } from "./misuse/reactor-table.ts";
import { SELECT } from "./misuse/select-table.ts";
import { SELECTORS } from "./misuse/selectors-table.ts";
import { SOCKET } from "./misuse/socket-table.ts";
import { URING } from "./misuse/uring-table.ts";

const ENTRY_POINTS: Readonly<Record<string, readonly [names: object, table: Table]>> = {
  polloi: [polloi, REACTOR],
  "polloi/http": [http, HTTP],
  "polloi/models": [models, MODELS],
  "polloi/workers": [workers, WORKERS],
  "polloi/select": [select, SELECT],
  "polloi/selectors": [selectors, SELECTORS],
  "polloi/socket": [socket, SOCKET],
  "polloi/uring": [uring, URING],
};

/** The types that the entry points export as interfaces only. */
const INTERFACES: Readonly<Record<string, readonly (readonly [file: string, name: string])[]>> = {
  polloi: [
    ["packages/polloi/src/reactor/connection.ts", "Connection"],
    ["packages/polloi/src/reactor/listener.ts", "Listener"],
    ["packages/polloi/src/reactor/reactor.ts", "Reactor"],
    ["packages/polloi/src/reactor/timers.ts", "Timer"],
    ["packages/polloi/src/reactor/watch.ts", "Watch"],
  ],
  "polloi/http": [
    ["packages/polloi/src/http/reply.ts", "HttpReply"],
    ["packages/polloi/src/http/request.ts", "HttpRequest"],
    ["packages/polloi/src/http/server.ts", "HttpServer"],
    ["packages/polloi/src/http/fetch/fetch-info.ts", "FetchInfo"],
  ],
};

export function misuseSuites(): Suite[] {
  return Object.entries(ENTRY_POINTS).map(([title, [names, table]]) =>
    misuseSuite(title, names, table, INTERFACES[title]),
  );
}
