/**
 * Collects garbage when the bench asks for it, so that memory figures are of what is held and not of
 * what has not been swept yet. The bench starts each runtime with the switch that exposes a collector.
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

/** Tells the bench that this server listens. */
export function announce(port: number): void {
  process.stdout.write(`${JSON.stringify({ ready: true, port })}\n`);
}
