/**
 * Collects garbage at SIGUSR2, so that memory figures do not include garbage. The benchmark starts each runtime with
 * the flag that exposes its collector.
 */
export function collectOnRequest(): void {
  const runtime = globalThis as {
    gc?: () => void;
    Bun?: { gc(synchronous: boolean): void };
  };
  process.on("SIGUSR2", () => {
    runtime.Bun?.gc(true);
    runtime.gc?.();
  });
}

/** Prints the port of a server that listens. */
export function announce(port: number): void {
  process.stdout.write(`${JSON.stringify({ ready: true, port })}\n`);
}
