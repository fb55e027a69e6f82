import type { EchoHandlersInput } from "../echo/echo-handlers.ts";
import { type EchoInput, type EchoMessage, SharedCounters } from "../echo/echo-worker.ts";
import { ECHO_HANDLERS, ECHO_WORKER } from "../echo/modules.ts";
import {
  type Counters,
  type Observer,
  type Peer,
  type ProtocolName,
  protocolHandlers,
  proxyProtocolOf,
} from "../echo/protocols.ts";
import {
  readTlsFiles,
  reportAcceptError,
  reportProxyRefusal,
  type ServeFlags,
  type Service,
} from "./service.ts";

/** The service of echo, upper or discard. */
export function echoService(
  protocol: ProtocolName,
  flags: ServeFlags,
  observer: Observer | undefined,
): Service {
  const noDelay = flags.delay !== true;
  const idleTimeoutMs = flags.idleTimeout;
  const proxies = flags.proxyProtocol;
  const secured = readTlsFiles(flags);
  return {
    protocol,
    async onReactor(reactor, address) {
      const counters: Counters = { connections: 0, messages: 0, bytes: 0 };
      const listener = reactor.listen<Peer>({
        ...address,
        ...protocolHandlers(protocol, counters, observer),
        noDelay,
        ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
        ...proxyProtocolOf(proxies, reportProxyRefusal),
        ...secured,
        acceptError: reportAcceptError,
      });
      return {
        address: listener.address,
        counts: () => ({ ...counters }),
        stop: (graceMs) => listener.stop(graceMs),
      };
    },
    async onWorkers(count) {
      const counters = SharedCounters.allocate(count);
      const isObserved = observer !== undefined;
      const data: EchoInput = {
        protocol,
        noDelay,
        idleTimeoutMs,
        proxies,
        isObserved,
        counters,
        ...secured,
      };
      return {
        module: ECHO_WORKER,
        data,
        message: (message) => print(message as EchoMessage, observer),
        counts: ({ workers }) => {
          const all = workers.map(({ index }) => new SharedCounters(counters, index));
          const sum = (name: keyof Counters): number =>
            all.reduce((total, each) => total + each[name], 0);
          return {
            connections: sum("connections"),
            messages: sum("messages"),
            bytes: sum("bytes"),
          };
        },
      };
    },
    async byModel() {
      return {
        module: ECHO_HANDLERS,
        data: { protocol } satisfies EchoHandlersInput,
        idleTimeoutMs,
        ...secured,
        observer,
        counts: ({ model, counts }) => {
          const { connections, messages, bytes, exits, refusals } = counts;
          if (model === "event") return { connections, messages, bytes };
          const more = model === "process" || model === "thread" ? { refusals } : {};
          return { connections, messages, bytes, exits, ...more };
        },
      };
    },
  };
}

/** Prints what a worker has posted. */
function print(message: EchoMessage, observer: Observer | undefined): void {
  switch (message.event) {
    case "opened":
      observer?.opened(message.peer);
      return;
    case "received":
      observer?.received(message.peer, message.bytes);
      return;
    case "closed":
      observer?.closed(message.peer, message.error);
      return;
    case "proxyRefused":
      reportProxyRefusal(message.peer, message.reason);
      return;
    case "acceptError":
      reportAcceptError(message);
  }
}
