import { start } from "./children.ts";
import { type PeerPlan, PLANS } from "./plans.ts";
import type { Tool, Tools } from "./tools.ts";

/** A server that can be started. */
export interface Peer {
  readonly name: string;
  readonly label: string;
  readonly command: readonly string[];
  /** Whether it collects garbage at SIGUSR2. */
  readonly collects: boolean;
  /** The most connections that it can hold. */
  readonly holds: number;
  /** The seconds after which it closes an idle connection, where that is soon. */
  readonly idleSeconds?: number | undefined;
}

/** A server that cannot run here, and the reason. */
export interface SkippedPeer {
  readonly name: string;
  readonly label: string;
  readonly reason: string;
}

/** The servers that can run here, and the others. */
export interface FoundPeers {
  readonly peers: readonly Peer[];
  readonly skipped: readonly SkippedPeer[];
}

/**
 * Finds or builds the servers, and starts and stops each once. A server that fails is skipped with its own error
 * message, instead of failing in every round.
 *
 * @param names - The names of plans.
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
    const { idleSeconds } = plan;
    const tool: Tool = needs === undefined ? { path: "", version: "" } : tools[needs];
    if (tool.missing !== undefined) {
      skipped.push({ name, label, reason: tool.missing });
      continue;
    }
    try {
      const command = plan.command(tool.path, tools);
      await (await start(command)).stop();
      peers.push({ name, label, command, collects, holds, idleSeconds });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      const reason = stderr ? `does not build: ${stderr.trim()}` : message;
      skipped.push({ name, label, reason });
    }
  }
  return { peers, skipped };
}

/** Separates the servers that can hold this many connections from the others. */
export function thatHold(connections: number, { peers, skipped }: FoundPeers): FoundPeers {
  const small = peers.filter(({ holds }) => holds < connections);
  return {
    peers: peers.filter((peer) => !small.includes(peer)),
    skipped: [
      ...skipped,
      ...small.map(({ name, label, holds }) => ({
        name,
        label,
        reason: `it holds at most ${holds} connections, and ${connections} are required`,
      })),
    ],
  };
}
