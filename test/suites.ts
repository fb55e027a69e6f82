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
import { abandonedConformance } from "./conformance/abandoned.ts";
import { engineConformance } from "./conformance/engine.ts";
import { uringEngineConformance } from "./conformance/engine-uring.ts";
import { httpDeparturesConformance } from "./conformance/http/departures.ts";
import { httpEndingsConformance } from "./conformance/http/endings.ts";
import { httpFilesConformance } from "./conformance/http/files.ts";
import { honoConformance } from "./conformance/http/hono.ts";
import { httpLoggingConformance } from "./conformance/http/logging.ts";
import { httpMisfortunesConformance } from "./conformance/http/misfortunes.ts";
import { parserConformance } from "./conformance/http/parser.ts";
import { httpRepliesConformance } from "./conformance/http/replies.ts";
import { httpServerConformance } from "./conformance/http/server.ts";
import { httpSmugglingConformance } from "./conformance/http/smuggling.ts";
import { httpStoppingConformance } from "./conformance/http/stopping.ts";
import { webConformance } from "./conformance/http/web.ts";
import { httpWorkersConformance } from "./conformance/http/workers.ts";
import { libcConformance } from "./conformance/libc.ts";
import { loadConformance } from "./conformance/load.ts";
import { loadHttpConformance } from "./conformance/load-http.ts";
import { misuseConformance } from "./conformance/misuse.ts";
import { modelsConformance } from "./conformance/models.ts";
import { pollerConformance } from "./conformance/poller.ts";
import { printingConformance } from "./conformance/printing.ts";
import { reactorConformance, VARIANTS, type Variant } from "./conformance/reactor.ts";
import { epollConformance, pollConformance, selectConformance } from "./conformance/select.ts";
import { selectorConformance } from "./conformance/selector.ts";
import { signalsConformance } from "./conformance/signals.ts";
import { socketConformance } from "./conformance/socket.ts";
import { traceConformance } from "./conformance/trace.ts";
import { uringConformance } from "./conformance/uring.ts";
import { uringPollerConformance } from "./conformance/uring-poller.ts";
import { wakerConformance } from "./conformance/waker.ts";
import { watchConformance } from "./conformance/watch.ts";
import { workersConformance } from "./conformance/workers.ts";
import { ENGINES } from "./engines.ts";
import { withoutIncrementalBuffers, withoutReceiveLimits } from "./ring-memory.ts";
import { type Extent, RUNS_ALL, type Suite } from "./suite.ts";

/** Skips what needs io_uring where it does not work. */
function whereUringWorks(suite: Suite): Suite {
  const reason = /io_uring/.test(suite.title) ? whyNoUring(kernel) : undefined;
  if (reason === undefined) return suite;
  const skip = `io_uring does not work here: ${reason}`;
  return { title: suite.title, cases: suite.cases.map((it) => ({ ...it, skip })) };
}

/** Every conformance suite, layer by layer. A new suite is one line in {@link all}. */
export function suites(extent: Extent = "all"): Suite[] {
  return all(extent).map(({ suite, from }) => {
    const runs = EXTENTS.indexOf(from) <= EXTENTS.indexOf(extent);
    return runs ? whereUringWorks(suite) : leftOut(suite, extent);
  });
}

/** One skipped case that gives the number of cases left out. */
function leftOut({ title, cases }: Suite, extent: Extent): Suite {
  const skip = `not in the ${extent} suite; ${RUNS_ALL}`;
  return { title, cases: [{ name: `all ${cases.length} cases`, skip, run() {} }] };
}

/**
 * Hosting depends on the runtime, and one engine of each kind is enough to show it. A reactor that blocks its
 * thread differs from a hosted one by who waits, so one readiness engine is enough for that in `npm test`.
 */
function reactorFrom({ engine, trigger, mode }: Variant): Extent {
  const isOfItsKind = engine === "io_uring" || trigger === "edge";
  if (mode === "hosted") return isOfItsKind ? "smoke" : "core";
  return isOfItsKind ? "core" : "all";
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

/** The extents, from the smallest to the largest. */
const EXTENTS: readonly Extent[] = ["smoke", "core", "all"];

/** A suite, and the smallest extent that includes it. */
interface Listed {
  readonly suite: Suite;
  readonly from: Extent;
}

function listed(from: Extent, ...suites: Suite[]): Listed[] {
  return suites.map((suite) => ({ suite, from }));
}

function all(extent: Extent): Listed[] {
  const [lightClasses, nativeClasses] = webConformance();
  return [
    ...listed(
      "smoke",
      libcConformance(),
      watchConformance(),
      selectConformance(),
      pollConformance(),
      epollConformance(),
      signalsConformance(),
      pollerConformance("epoll", (kernel) => new EpollPoller(kernel)),
      pollerConformance("poll", (kernel) => new PollPoller(kernel)),
      pollerConformance("select", (kernel) => new SelectPoller(kernel)),
    ),
    ...listed(
      "core",
      selectorConformance("EpollSelector", (options) => new EpollSelector(options)),
      selectorConformance("PollSelector", (options) => new PollSelector(options)),
      selectorConformance("SelectSelector", (options) => new SelectSelector(options)),
    ),
    ...listed(
      "smoke",
      selectorConformance("DefaultSelector", (options) => new DefaultSelector(options)),
      wakerConformance(),
      ...socketConformance(),
    ),
    ...listed("core", ...onARing()),
    ...ENGINES.map(([engine, trigger]) => ({
      suite: engineConformance(
        trigger === undefined ? engine : `${engine} ${trigger}`,
        (kernel, completions) => makeEngine(kernel, { engine, trigger }, completions),
      ),
      from: engine === "io_uring" || trigger === "edge" ? ("smoke" as const) : ("core" as const),
    })),
    ...listed("core", uringEngineConformance("buffers that are used up bit by bit")),
    ...listed(
      "all",
      uringEngineConformance(
        "an older kernel, with buffers of one receive and receives without a limit",
        withoutReceiveLimits(withoutIncrementalBuffers(kernel)),
      ),
    ),
    ...VARIANTS.map((variant) => ({
      suite: reactorConformance(variant),
      from: reactorFrom(variant),
    })),
    ...listed("core", workersConformance(extent), traceConformance(ENGINES), parserConformance()),
    ...listed("all", modelsConformance(extent), httpWorkersConformance()),
    ...listed("smoke", httpServerConformance()),
    ...listed(
      "core",
      httpDeparturesConformance(),
      httpStoppingConformance(),
      httpRepliesConformance(),
      httpSmugglingConformance(),
      httpFilesConformance(),
      httpEndingsConformance(),
      httpLoggingConformance(),
    ),
    ...listed("smoke", lightClasses),
    ...listed("core", nativeClasses),
    ...listed(
      "core",
      honoConformance(),
      httpMisfortunesConformance(),
      loadConformance(extent),
      loadHttpConformance(extent),
    ),
    // Last, since they leave descriptors to the garbage collector, and select has room for 1024.
    ...listed(
      "smoke",
      ...misuseConformance(),
      abandonedConformance(whyNoUring(kernel) === undefined),
      printingConformance(whyNoUring(kernel) === undefined),
    ),
  ];
}
