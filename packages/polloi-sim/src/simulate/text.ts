import { PLAIN } from "./plain.ts";
import type { PoolPlan } from "./pool/plan.ts";
import { nameOf, type Variant } from "./run.ts";
import type { Fixed, PeerPlan, Scenario, Step } from "./scenario.ts";
import type { Finding } from "./seeds.ts";

/** The command that runs a seed again. */
function replayOf({ seed, variant }: Finding, fixed: Fixed): string {
  const { program, drive, faults } = fixed;
  return [
    "npm run simulate --",
    `--seed ${seed}`,
    ...(variant === undefined ? [] : [`--engine ${nameOf(variant)}`]),
    ...(program === undefined ? [] : [`--program ${program}`]),
    ...(drive === undefined ? [] : [`--drive ${drive}`]),
    ...(faults === undefined ? [] : [`--fault ${faults.join(",") || "none"}`]),
  ].join(" ");
}

/** A finding as two lines: what is violated, and how to see it again. */
export function findingText(finding: Finding, fixed: Fixed): string {
  const { seed, variant, scenario, violations } = finding;
  const where = variant === undefined ? "the engines differ" : nameOf(variant);
  const what = violations.map(({ rule, text }) => `  ${rule}: ${text}\n`).join("");
  const head = `seed ${seed}, ${scenario.program} on ${where}, ${scenario.drive}:\n`;
  return `${head}${what}  ${replayOf(finding, fixed)}\n`;
}

/** A scenario as a program that a person can read. */
export function scenarioText(scenario: Scenario, variant: Variant): string {
  const { program, drive, isUnix, options, faults, peers, pool, ...rest } = scenario;
  const family = isUnix ? "unix" : "tcp";
  const lines = [`${program} on ${nameOf(variant)}, ${drive}, ${family}`];
  const set = Object.entries({ ...options, ...rest }).filter(([name, value]) => {
    return name in UNUSED ? value !== UNUSED[name] : value !== 0 && value !== false;
  });
  if (set.length > 0) lines.push(`  ${set.map(([name, value]) => `${name} ${value}`).join(", ")}`);
  if (pool !== undefined) lines.push(...poolText(pool));
  const kinds = Object.entries(faults).map(([kind, rate]) => `${kind} once in ${rate}`);
  if (kinds.length > 0) lines.push(`  faults: ${kinds.join(", ")}`);
  for (const [number, peer] of peers.entries()) lines.push(`  peer ${number}: ${peerText(peer)}`);
  return `${lines.join("\n")}\n`;
}

function poolText({ lives, ...how }: PoolPlan): string[] {
  const set = Object.entries(how).filter(([, value]) => value !== 0 && value !== false);
  const lines = [`  ${set.map(([name, value]) => `${name} ${value}`).join(", ")}`];
  for (const [start, { failure, startMs, after, stallMs }] of lives.entries()) {
    const how = `${failure} (starts in ${startMs} ms, after ${after}, for ${stallMs} ms)`;
    lines.push(`  process ${start}: ${how}`);
  }
  return lines;
}

/** Values that make no difference. */
const { descriptors, graceMs, slowMs } = PLAIN;
const UNUSED: Readonly<Record<string, unknown>> = { descriptors, graceMs, slowMs };

function peerText({ steps, mode, reading, ...rest }: PeerPlan): string {
  const set = Object.entries(rest).filter(([, value]) => value !== 0);
  const how = set.map(([name, value]) => `${name} ${value}`);
  const { startMs, chunk, everyMs } = reading;
  if (startMs > 0 || everyMs > 0) how.push(`reads ${chunk} every ${everyMs} ms from ${startMs} on`);
  return [`${mode} (${how.join(", ")})`, ...steps.map(stepText)].join("; ");
}

function stepText(step: Step): string {
  switch (step.do) {
    case "send":
      return `send ${step.length}${piecesText(step)}`;
    case "request": {
      const { route, length, framing, bodyLength } = step.request;
      const body = framing === "none" ? "" : ` with ${bodyLength} (${framing})`;
      return `request ${route} ${length}${body}${piecesText(step)}`;
    }
    case "garbage":
      return `garbage ${JSON.stringify(step.text.slice(0, 60))}`;
    case "wait":
      return `wait ${step.ms}`;
    default:
      return step.do;
  }
}

function piecesText({ piece, gapMs }: { readonly piece: number; readonly gapMs: number }): string {
  return piece >= 1_000_000 ? "" : ` in ${piece} every ${gapMs} ms`;
}
