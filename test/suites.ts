import { makeEngine } from "../src/engine/choose.ts";
import { whyNoUring } from "../src/engine/try-uring.ts";
import {
  DefaultSelector,
  EpollSelector,
  PollSelector,
  SelectSelector,
  UringSelector,
} from "../src/selectors/index.ts";
import { EpollPoller } from "../src/selectors/pollers/epoll-poller.ts";
import { PollPoller } from "../src/selectors/pollers/poll-poller.ts";
import { SelectPoller } from "../src/selectors/pollers/select-poller.ts";
import { UringPoller } from "../src/selectors/pollers/uring-poller.ts";
import { kernel } from "../src/sys/open.ts";
import { engineConformance } from "./conformance/engine.ts";
import { uringEngineConformance } from "./conformance/engine-uring.ts";
import { httpEndingsConformance } from "./conformance/http/endings.ts";
import { httpFilesConformance } from "./conformance/http/files.ts";
import { honoConformance } from "./conformance/http/hono.ts";
import { httpLoggingConformance } from "./conformance/http/logging.ts";
import { httpMisfortunesConformance } from "./conformance/http/misfortunes.ts";
import { parserConformance } from "./conformance/http/parser.ts";
import { httpServerConformance } from "./conformance/http/server.ts";
import { httpSmugglingConformance } from "./conformance/http/smuggling.ts";
import { webConformance } from "./conformance/http/web.ts";
import { httpWorkersConformance } from "./conformance/http/workers.ts";
import { libcConformance } from "./conformance/libc.ts";
import { loadConformance } from "./conformance/load.ts";
import { loadHttpConformance } from "./conformance/load-http.ts";
import { modelsConformance } from "./conformance/models.ts";
import { pollerConformance } from "./conformance/poller.ts";
import { reactorConformance, VARIANTS, type Variant } from "./conformance/reactor.ts";
import { epollConformance, pollConformance, selectConformance } from "./conformance/select.ts";
import { selectorConformance } from "./conformance/selector.ts";
import { socketConformance } from "./conformance/socket.ts";
import { traceConformance } from "./conformance/trace.ts";
import { uringConformance } from "./conformance/uring.ts";
import { uringPollerConformance } from "./conformance/uring-poller.ts";
import { wakerConformance } from "./conformance/waker.ts";
import { watchConformance } from "./conformance/watch.ts";
import { workersConformance } from "./conformance/workers.ts";
import { ENGINES } from "./engines.ts";
import { withoutIncrementalBuffers } from "./ring-memory.ts";
import type { Suite } from "./suite.ts";

/** Skips what needs io_uring where it does not work. */
function whereUringWorks(suite: Suite): Suite {
  const reason = /io_uring/.test(suite.title) ? whyNoUring(kernel) : undefined;
  if (reason === undefined) return suite;
  const skip = `io_uring does not work here: ${reason}`;
  return { title: suite.title, cases: suite.cases.map((it) => ({ ...it, skip })) };
}

/** Every conformance suite, floor by floor: what runs under each runtime. A new one is one line here. */
export function suites(extent: Extent = "all"): Suite[] {
  return all(extent).map(whereUringWorks);
}

/**
 * How much of it: `all`, as the runtime of the tests has it, or `abridged`, as the others have it.
 *
 * @remarks
 * A runtime changes how calls cross, who turns the loop, and how promises go on beside it. It does not change
 * what an engine does over the same calls, so the others have each kind of engine once for each way to be
 * turned: io_uring, epoll with edges, and hosted the one that is seen through a mirror. All of it is run there
 * with `POLLOI_TEST_ALL=1`.
 */
export type Extent = "all" | "abridged";

function isForAll({ engine, trigger, mode }: Variant): boolean {
  return engine === "io_uring" || trigger === "edge" || (engine === "poll" && mode === "hosted");
}

/** What cannot even be made where io_uring does not work: then one case says so. */
function onARing(): Suite[] {
  const reason = whyNoUring(kernel);
  if (reason !== undefined) {
    const skip = `io_uring does not work here: ${reason}`;
    return [{ title: "polloi/uring", cases: [{ name: "everything on a ring", skip, run() {} }] }];
  }
  return [
    pollerConformance("io_uring", (kernel) => new UringPoller(kernel)),
    uringPollerConformance(),
    selectorConformance("UringSelector", (options) => new UringSelector(options)),
    uringConformance(),
  ];
}

function all(extent: Extent): Suite[] {
  return [
    libcConformance(),
    watchConformance(),
    selectConformance(),
    pollConformance(),
    epollConformance(),
    pollerConformance("epoll", (kernel) => new EpollPoller(kernel)),
    pollerConformance("poll", (kernel) => new PollPoller(kernel)),
    pollerConformance("select", (kernel) => new SelectPoller(kernel)),
    selectorConformance("EpollSelector", (options) => new EpollSelector(options)),
    selectorConformance("PollSelector", (options) => new PollSelector(options)),
    selectorConformance("SelectSelector", (options) => new SelectSelector(options)),
    selectorConformance("DefaultSelector", (options) => new DefaultSelector(options)),
    wakerConformance(),
    ...socketConformance(),
    ...onARing(),
    ...ENGINES.map(([engine, trigger]) =>
      engineConformance(
        trigger === undefined ? engine : `${engine} ${trigger}`,
        (kernel, completions) => makeEngine(kernel, { engine, trigger }, completions),
      ),
    ),
    uringEngineConformance("buffers that are used up bit by bit"),
    uringEngineConformance("buffers of one receive", withoutIncrementalBuffers(kernel)),
    ...VARIANTS.filter((variant) => extent === "all" || isForAll(variant)).map(reactorConformance),
    workersConformance(extent === "all" ? ["auto", "epoll"] : ["auto"]),
    modelsConformance(),
    traceConformance(
      ENGINES.filter(
        ([name, trigger]) => extent === "all" || name === "io_uring" || trigger === "edge",
      ),
    ),
    parserConformance(),
    httpServerConformance(),
    httpSmugglingConformance(),
    httpFilesConformance(),
    httpEndingsConformance(),
    httpMisfortunesConformance(),
    httpLoggingConformance(),
    httpWorkersConformance(),
    ...webConformance(),
    honoConformance(),
    loadConformance(),
    loadHttpConformance(),
  ];
}
