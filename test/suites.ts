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
import { misuseConformance } from "./conformance/misuse.ts";
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
import { type Extent, RUNS_ALL, type Suite } from "./suite.ts";

/** Skips what needs io_uring where it does not work. */
function whereUringWorks(suite: Suite): Suite {
  const reason = /io_uring/.test(suite.title) ? whyNoUring(kernel) : undefined;
  if (reason === undefined) return suite;
  const skip = `io_uring does not work here: ${reason}`;
  return { title: suite.title, cases: suite.cases.map((it) => ({ ...it, skip })) };
}

/**
 * What can go differently in a suite on another runtime than that of the tests, which is Node 20.
 *
 * - `runtime`: how calls cross, whose loop it is, how promises go on beside it, threads, processes, and the
 *   runtime's own classes. Every runtime has these suites.
 * - `crossing`: only how calls cross into the kernel. The newest Node crosses through the same koffi, by the
 *   same code of ours, and the suites of calls, sockets, rings and reactors show it that this works there.
 * - `language`: nothing but the language: what is decided over calls that other suites show to work. Node and
 *   Deno have V8, and Bun has JavaScriptCore, so Bun is where these can differ.
 * - `nothing`: a variant of what another suite shows there already.
 */
type Varies = "runtime" | "crossing" | "language" | "nothing";

const LEFT_OUT: Readonly<Record<Exclude<Varies, "runtime">, string>> = {
  crossing: "what it can differ in is how calls cross, which is koffi as on the Node of the tests",
  language: "what it can differ in is the language, which is V8 as on the Node of the tests",
  nothing: "a variant of what other suites show here already",
};

function isLeftOut(varies: Exclude<Varies, "runtime">): boolean {
  switch (varies) {
    case "crossing":
      return kernel.runtime === "node";
    case "language":
      return kernel.runtime !== "bun";
    case "nothing":
      return true;
  }
}

/** Every conformance suite, floor by floor: what runs under each runtime. A new one is one line here. */
export function suites(extent: Extent = "all"): Suite[] {
  return all(extent).map(([varies, suite]) => {
    if (extent === "abridged" && varies !== "runtime" && isLeftOut(varies)) {
      return leftOut(suite, LEFT_OUT[varies]);
    }
    return whereUringWorks(suite);
  });
}

/** One case that says how many there would be, and why they are not run. */
function leftOut({ title, cases }: Suite, why: string): Suite {
  const skip = `${why}; ${RUNS_ALL}`;
  return { title, cases: [{ name: `all ${cases.length} cases`, skip, run() {} }] };
}

/**
 * What depends on the runtime in a reactor is who turns it. So hosted is run on each kind of engine, and
 * blocking on one: that all engines can be waited for in a thread is a case of the suite of workers.
 */
function reactorVaries({ engine, trigger, mode }: Variant): Varies {
  if (engine === "io_uring") return mode === "hosted" ? "runtime" : "crossing";
  return mode === "hosted" && trigger === "edge" ? "runtime" : "nothing";
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

function everywhere(...suites: Suite[]): Placed[] {
  return suites.map((suite) => ["runtime", suite]);
}

type Placed = readonly [varies: Varies, suite: Suite];

function all(extent: Extent): Placed[] {
  return [
    ...everywhere(
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
      ...misuseConformance(),
      ...onARing(),
      ...ENGINES.map(([engine, trigger]) =>
        engineConformance(
          trigger === undefined ? engine : `${engine} ${trigger}`,
          (kernel, completions) => makeEngine(kernel, { engine, trigger }, completions),
        ),
      ),
    ),
    ["crossing", uringEngineConformance("buffers that are used up bit by bit")],
    [
      "nothing",
      uringEngineConformance("buffers of one receive", withoutIncrementalBuffers(kernel)),
    ],
    ...VARIANTS.map((variant): Placed => [reactorVaries(variant), reactorConformance(variant)]),
    ...everywhere(workersConformance(extent), modelsConformance(extent)),
    ...everywhere(
      traceConformance(
        ENGINES.filter(
          ([name, trigger]) => extent === "all" || name === "io_uring" || trigger === "edge",
        ),
      ),
    ),
    ["language", parserConformance()],
    ...everywhere(httpServerConformance()),
    ["language", httpSmugglingConformance()],
    ["language", httpFilesConformance()],
    ...everywhere(
      httpEndingsConformance(),
      httpLoggingConformance(),
      httpWorkersConformance(),
      ...webConformance(),
      honoConformance(),
    ),
    ["crossing", httpMisfortunesConformance()],
    ["crossing", loadConformance(extent)],
    ["crossing", loadHttpConformance(extent)],
  ];
}
