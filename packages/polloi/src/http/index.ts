/// <reference lib="esnext.disposable" preserve="true" />
/**
 * An HTTP/1.1 server.
 *
 * @packageDocumentation
 */
export {
  type AccessEntry,
  type AccessFormat,
  AccessLog,
  type AccessLogOptions,
  type AccessSink,
} from "./access-log.ts";
export type { FetchHandler } from "./fetch/fetch-handler.ts";
export type { FetchInfo } from "./fetch/fetch-info.ts";
export { type FilesContext, type FilesHandler, type FilesOptions, files } from "./files/files.ts";
export { type ServeFileOptions, serveFile } from "./files/serve-file.ts";
export type { ForwardedHeaders, TrustProxyOptions } from "./forwarded.ts";
export type { HttpHandler, HttpOptions, HttpWorker } from "./options.ts";
export type { HttpReply } from "./reply.ts";
export type { HttpRequest } from "./request.ts";
export type { BodyReader } from "./request-body.ts";
export { type RefusalCode, RequestError } from "./request-error.ts";
export { serve } from "./serve.ts";
export type { HttpCounts, HttpServer } from "./server.ts";
export type { HttpTimeouts } from "./timeouts.ts";
export type { FailureCode } from "./wire/failures.ts";
export type { ParserLimits } from "./wire/limits.ts";
