/** The limits of three of the servers, which some clients exceed on purpose. */

/** Not used by clients that could be slow because the machine is busy. */
export const HASTY = {
  headTimeoutMs: 400,
  bodyTimeoutMs: 400,
  idleTimeoutMs: 1200,
  sendTimeoutMs: 400,
} as const;

export const STRICT = {
  maxHeadBytes: 4096,
  maxHeaders: 20,
  maxTargetBytes: 1024,
  maxBodyBytes: 100_000,
  maxTrailerBytes: 1024,
  maxChunkExtensionBytes: 1024,
  maxRequests: 8,
} as const;

export const NARROW = { maxConnections: 3 } as const;
