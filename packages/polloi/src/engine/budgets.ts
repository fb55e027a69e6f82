/** How much an engine does at a time, so that nobody waits for long and the processor does not either. */

/** What one receive can take. */
export const RECEIVE_BYTES = 65_536;
/**
 * Receives before what they led to is sent: meant to keep the processor's caches warm, and not shown to.
 * See docs/decisions/0007.
 */
export const SETTLE_AFTER = 16;
/** Connections accepted from one listener in a turn, so that a flood of them does not stop the rest. */
export const ACCEPT_BUDGET = 128;
/** Receives of one edge-triggered stream in a turn. */
export const RECEIVE_BUDGET = 4;
/** What one stream sends of files in a turn. Copying so much takes about a tenth of a millisecond. */
export const FILE_BYTES = 524_288;
