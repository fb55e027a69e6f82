import { type PeerPlan, PLANS } from "./plans.ts";
import { start } from "./processes.ts";
import type { Tool, Tools } from "./tools.ts";

/** A server of the bench, ready to be started. */
export interface Peer {
  readonly name: string;
  readonly label: string;
  readonly command: readonly string[];
  /** Whether SIGUSR2 makes it collect its garbage. */
  readonly collects: boolean;
  /** The most connections it can hold. */
  readonly holds: number;
}

/** A server that cannot run here, and why. */
export interface SkippedPeer {
  readonly name: string;
  readonly label: string;
  readonly reason: string;
}

/** What was found of what was asked for. */
export interface FoundPeers {
  readonly peers: Peer[];
  readonly skipped: SkippedPeer[];
}

/**
 * Finds or builds the servers, and starts and ends each once: one that cannot run here is skipped with
 * the reason that it gives itself, and not round by round.
 *
 * @param names - Which, of the plans.
 */
export async function findPeers(
  tools: Tools,
  names: readonly string[],
  plans: readonly PeerPlan[] = PLANS,
): Promise<FoundPeers> {
  const peers: Peer[] = [];
  const skipped: SkippedPeer[] = [];
  for (const plan of plans.filter(({ name }) => names.includes(name))) {
    const { name, label, needs, collects = true, holds = Number.POSITIVE_INFINITY } = plan;
    const tool: Tool = needs === undefined ? { path: "", version: "" } : tools[needs];
    if (tool.missing !== undefined) {
      skipped.push({ name, label, reason: tool.missing });
      continue;
    }
    try {
      const command = plan.command(tool.path, tools);
      await (await start({ command, cores: undefined })).stop();
      peers.push({ name, label, command, collects, holds });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      const reason = stderr ? `does not build: ${stderr.trim()}` : message;
      skipped.push({ name, label, reason });
    }
  }
  return { peers, skipped };
}

/** Those that can hold so many connections; the others are skipped by name. */
export function thatHold(connections: number, { peers, skipped }: FoundPeers): FoundPeers {
  const small = peers.filter(({ holds }) => holds < connections);
  return {
    peers: peers.filter((peer) => !small.includes(peer)),
    skipped: [
      ...skipped,
      ...small.map(({ name, label, holds }) => ({
        name,
        label,
        reason: `it holds at most ${holds} connections, and ${connections} are wanted`,
      })),
    ],
  };
}
