/**
 * The part of {@link "polloi/internal"} that opens no kernel when it is imported, for commands that must start
 * where the library does not load.
 *
 * @packageDocumentation
 */
export { nearestOf } from "./base/nearest.ts";
export { type Endpoint, parseEndpoint } from "./socket/endpoint.ts";
export { runtimeFacts } from "./sys/kernel.ts";
