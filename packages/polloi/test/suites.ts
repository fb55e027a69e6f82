import {
  type Extent,
  type Listed,
  listed,
  type Suite,
  selected,
} from "../../../test/support/suite.ts";
import { makeEngine } from "../src/engine/choose.ts";
import { whyNoUring } from "../src/engine/try-uring.ts";
import {
  DefaultSelector,
  EpollSelector,
  PollSelector,
  SelectSelector,
} from "../src/selectors/index.ts";
import { EpollPoller } from "../src/selectors/pollers/epoll-poller.ts";
import { PollPoller } from "../src/selectors/pollers/poll-poller.ts";
import { SelectPoller } from "../src/selectors/pollers/select-poller.ts";
import { kernel } from "../src/sys/open.ts";
import { abandonedSuite } from "./api/abandoned.ts";
import { misuseSuites } from "./api/misuse.ts";
import { optionNamesSuite } from "./api/option-names.ts";
import { printingSuite } from "./api/printing.ts";
import { stacksSuite } from "./api/stacks.ts";
import { engineConformance } from "./engine/engine.ts";
import { uringEngineConformance } from "./engine/uring/uring-engine.ts";
import { httpDisconnectsSuite } from "./http/disconnects.ts";
import { httpEndingsSuite } from "./http/endings.ts";
import { fetchConformance } from "./http/fetch.ts";
import { fetchFilesSuite } from "./http/fetch-files.ts";
import { httpFilesSuite } from "./http/files.ts";
import { honoSuite } from "./http/hono.ts";
import { httpLoggingSuite } from "./http/logging.ts";
import { migrationSuite } from "./http/migration.ts";
import { parserSuite } from "./http/parser.ts";
import { httpProxyProtocolSuite } from "./http/proxy-protocol.ts";
import { httpRepliesSuite } from "./http/replies.ts";
import { httpRobustnessSuite } from "./http/robustness.ts";
import { httpServerSuite } from "./http/server.ts";
import { httpSmugglingSuite } from "./http/smuggling.ts";
import { httpStoppingSuite } from "./http/stopping.ts";
import { httpTlsSuite } from "./http/tls.ts";
import { trustProxySuite } from "./http/trust-proxy.ts";
import { httpWorkersSuite } from "./http/workers.ts";
import { brokenModulesSuite } from "./pool/broken-modules.ts";
import { channelsSuite } from "./pool/channels.ts";
import { listenersSuite } from "./pool/listeners.ts";
import { modelsSuite } from "./pool/models.ts";
import { workersSuite } from "./pool/workers.ts";
import { reactorConformance, VARIANTS, type Variant } from "./reactor/reactor.ts";
import { tlsConnectionSuite, tlsReactorSuite } from "./reactor/with-tls.ts";
import { epollConformance, pollConformance, selectConformance } from "./select/select.ts";
import { signalsSuite } from "./select/signals.ts";
import { pollerConformance } from "./selectors/poller.ts";
import { selectorConformance } from "./selectors/selector.ts";
import { wakerConformance } from "./selectors/waker.ts";
import { socketConformance } from "./socket/socket.ts";
import { adoptingSuite } from "./streams/adopting.ts";
import { contextsSuite } from "./streams/contexts.ts";
import { duplexSuite } from "./streams/duplex.ts";
import { webStreamsSuite } from "./streams/web-streams.ts";
import { streamsWithTlsSuite } from "./streams/with-tls.ts";
import { ENGINES, whereUringWorks } from "./support/engines.ts";
import { withoutIncrementalBuffers, withoutReceiveLimits } from "./support/older-kernels.ts";
import { kernelProxyConformance } from "./sys/kernel-proxy.ts";
import { libcConformance } from "./sys/libc.ts";
import { watchConformance } from "./sys/watch.ts";
import { tlsSessionSuite } from "./tls/session.ts";
import { providedBuffersSuite } from "./uring/provided-buffers.ts";
import { ringReaderSuite } from "./uring/ring-reader.ts";
import { uringConformance } from "./uring/uring.ts";

/** The suites of the library, layer by layer. A new suite is one line in {@link all}. */
export function suites(extent: Extent = "all"): Suite[] {
  return selected(all(pool(extent)), extent).map(whereUringWorks);
}

/** The suites of the pool. They mostly wait for threads and processes, so the installed Node runs them beside the others. */
export function poolSuites(extent: Extent): Suite[] {
  return selected(pool(extent), extent).map(whereUringWorks);
}

/** All suites but those of the pool. */
export function otherSuites(extent: Extent): Suite[] {
  return selected(all([]), extent).map(whereUringWorks);
}

/**
 * Hosting depends on the runtime, so the default engine is hosted in the smoke suites. `npm test` hosts one engine
 * of each kind: completions, a descriptor of its own, and select, which is hosted through a mirror. A reactor that
 * blocks its thread differs only in the wait, so one readiness engine is enough for that.
 */
function reactorFrom({ engine, trigger, mode }: Variant): Extent {
  if (mode === "hosted") {
    if (engine === "io_uring") return "smoke";
    return trigger === "edge" || engine === "select" ? "core" : "all";
  }
  return engine === "io_uring" || trigger === "edge" ? "core" : "all";
}

/** TLS is above the engines, so one of each kind is enough for `npm test`. */
function tlsFrom({ engine, trigger, mode }: Variant): Extent {
  if (mode === "hosted" && engine === "io_uring") return "smoke";
  return mode === "hosted" && trigger === "edge" ? "core" : "all";
}

/** The suites on a ring. If io_uring does not work, one skipped case has the reason. */
function onARing(): Suite[] {
  const reason = whyNoUring(kernel);
  if (reason !== undefined) {
    const skip = `io_uring does not work here: ${reason}`;
    return [{ title: "polloi/uring", cases: [{ name: "everything on a ring", skip, run() {} }] }];
  }
  return [uringConformance(), providedBuffersSuite(), ringReaderSuite()];
}

function pool(extent: Extent): Listed[] {
  return [
    ...listed("core", workersSuite(extent), channelsSuite(), listenersSuite()),
    ...listed("all", modelsSuite(extent), brokenModulesSuite(), httpWorkersSuite()),
  ];
}

function all(pool: readonly Listed[]): Listed[] {
  const [lightClasses, nativeClasses] = fetchConformance();
  return [
    ...listed(
      "smoke",
      libcConformance(),
      kernelProxyConformance(),
      watchConformance(),
      selectConformance(),
      pollConformance(),
      epollConformance(),
      signalsSuite(),
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
    ...listed("smoke", tlsSessionSuite()),
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
    ...ENGINES.flatMap(([engine, trigger]) =>
      listed(
        trigger === "edge" ? "smoke" : "all",
        duplexSuite(engine, trigger),
        webStreamsSuite(engine, trigger),
      ),
    ),
    ...ENGINES.map(([engine, trigger]) => ({
      suite: duplexSuite(engine, trigger),
      from: trigger === "edge" ? ("smoke" as const) : ("all" as const),
    })),
    ...VARIANTS.flatMap((variant): Listed[] => [
      { suite: tlsConnectionSuite(variant), from: tlsFrom(variant) },
      { suite: tlsReactorSuite(variant), from: "all" },
    ]),
    ...pool,
    ...listed("smoke", ...contextsSuite(), streamsWithTlsSuite()),
    ...listed("core", adoptingSuite(), parserSuite()),
    ...listed("smoke", httpServerSuite()),
    ...listed(
      "core",
      httpDisconnectsSuite(),
      httpStoppingSuite(),
      httpRepliesSuite(),
      httpSmugglingSuite(),
      httpFilesSuite(),
      httpEndingsSuite(),
      httpLoggingSuite(),
      httpProxyProtocolSuite(),
      trustProxySuite(),
    ),
    ...listed("core", httpTlsSuite()),
    ...listed("smoke", lightClasses),
    ...listed("core", nativeClasses),
    ...listed("core", fetchFilesSuite(), migrationSuite(), honoSuite(), httpRobustnessSuite()),
    // Last, since they leave descriptors to the garbage collector, and select has room for 1024.
    ...listed(
      "smoke",
      ...misuseSuites(),
      stacksSuite(),
      optionNamesSuite(),
      abandonedSuite(whyNoUring(kernel) === undefined),
      printingSuite(whyNoUring(kernel) === undefined),
    ),
  ];
}
