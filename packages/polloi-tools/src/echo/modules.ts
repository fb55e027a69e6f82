/** The modules of this folder that other threads and processes load. They are entry points of the package. */

/** Handlers for `serveModel`. */
export const ECHO_HANDLERS: URL = new URL("./echo-handlers.js", import.meta.url);
/** Handlers for `startWorkers`. */
export const ECHO_WORKER: URL = new URL("./echo-worker.js", import.meta.url);
