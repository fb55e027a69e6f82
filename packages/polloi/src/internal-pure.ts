/**
 * The part of {@link "polloi/internal"} that opens no kernel when it is imported: for commands that must start where the
 * library does not load, and for the simulated kernel, which is another one.
 *
 * @packageDocumentation
 */
export { ERRNO, errnoCode } from "./base/errno.ts";
export { nearestOf } from "./base/nearest.ts";
export { check, SysError } from "./base/sys-error.ts";
export * from "./select/constants.ts";
export * from "./socket/constants.ts";
export { type Endpoint, parseEndpoint } from "./socket/endpoint.ts";
export { IpRanges } from "./socket/ip-ranges.ts";
export * from "./sys/abi.ts";
export { Arena, type Arenas } from "./sys/arena.ts";
export { type Kernel, type LoopTimer, type LoopWatch, runtimeFacts } from "./sys/kernel.ts";
export { type Libc, type Native, SIGNATURES } from "./sys/libc.ts";
export { provideKernel } from "./sys/provided.ts";
export * from "./uring/constants.ts";
export * from "./uring/layout.ts";
