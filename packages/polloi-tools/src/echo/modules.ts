/** The modules of this folder that threads and child processes load. They are entry points of the package. */

/** A module for `serveModel`. */
export const ECHO_HANDLERS: URL = new URL("./echo-handlers.js", import.meta.url);
/** A module for `startWorkers`. */
export const ECHO_WORKER: URL = new URL("./echo-worker.js", import.meta.url);
