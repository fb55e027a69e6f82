/// <reference lib="esnext.disposable" preserve="true" />
/**
 * The names that polloi-tools of the same version needs besides the public entry points. Not part of the public API: names
 * here change without notice.
 *
 * @packageDocumentation
 */
export { booleanOf, type NamesOf, objectOf, optionsOf } from "./base/argument.ts";
export { errnoCode } from "./base/errno.ts";
export { choiceOf, numberError, show, typeError } from "./base/misuse.ts";
export { check } from "./base/sys-error.ts";
export { MAX_TIMEOUT_MS } from "./base/timeout.ts";
export { ENGINE_OPTIONS, ENGINES, type EngineOptions } from "./engine/choose.ts";
export { reasonFor, whyNoUring } from "./engine/try-uring.ts";
export type { HttpWorker } from "./http/options.ts";
export { END, FAILED, NEED_MORE } from "./http/wire/failures.ts";
export { ParserPool } from "./http/wire/parser-pool.ts";
export { ResponseParser } from "./http/wire/response-parser.ts";
export { type Child, type ChildEvents, OVERTIME_MS } from "./pool/child.ts";
export { ProcessControl } from "./pool/child-control.ts";
export { ServedCounter } from "./pool/counts.ts";
export { ProcessServer } from "./pool/loop-child.ts";
export { LoopServer } from "./pool/loop-server.ts";
export { type ChildInput, toPlainError } from "./pool/messages.ts";
export { Pool } from "./pool/pool.ts";
export { ProcessStarter, type Spawned } from "./pool/process-child.ts";
export { exitText, recoveredText, unresponsiveText } from "./pool/reports.ts";
export { workerCount } from "./pool/worker-pool.ts";
export { DEFAULT_GRACE_MS } from "./reactor/listener.ts";
export { beforeSends, loopOf } from "./reactor/reactor.ts";
export * as epollConstants from "./select/constants.ts";
export { openPoller, POLLER_NAMES, whyNot } from "./selectors/open-poller.ts";
export { type Poller, ReadyBatch } from "./selectors/poller.ts";
export { decodeAddress, formatPath } from "./socket/address.ts";
export * as socketConstants from "./socket/constants.ts";
export { AF_INET, AF_UNIX, SOCK_STREAM } from "./socket/index.ts";
export { readLocalAddress, readPeerAddress } from "./socket/raw.ts";
export * as abi from "./sys/abi.ts";
export {
  EPOLL_EVENT,
  F_DUPFD_CLOEXEC,
  FD_SET_BYTES,
  FD_SETSIZE,
  O_CLOEXEC,
  O_NONBLOCK,
  PR_SET_PDEATHSIG,
  SYS,
  TIOCGPGRP,
} from "./sys/abi.ts";
export { Arena, type MemoryMap } from "./sys/arena.ts";
export { allowedCores, pinToCores } from "./sys/cores.ts";
export { openDescriptors, raiseDescriptorLimit } from "./sys/descriptors.ts";
export type { Kernel } from "./sys/kernel.ts";
export { hookCalls, proxyKernel } from "./sys/kernel-proxy.ts";
export type { Libc, Native } from "./sys/libc.ts";
export { kernel, kernelOf } from "./sys/open.ts";
export { type OpenSslReport, reportOpenSsl } from "./tls/library.ts";
export * as uringConstants from "./uring/constants.ts";
export { type CompletionEntry, RingReader, type SubmissionEntry } from "./uring/ring-reader.ts";
