import { readFileSync } from "node:fs";
import { release } from "node:os";
import { whyNoUring } from "../../../polloi/src/engine/try-uring.ts";
import type { Kernel } from "../../../polloi/src/sys/kernel.ts";

/** The version of Linux that the simulated kernel follows. */
const VERSION: readonly [major: number, minor: number] = [6, 18];

/** The settings that the simulated kernel has, below /proc/sys. */
const SETTINGS: Readonly<Record<string, string>> = {
  "net/core/wmem_max": "4194304",
  "net/core/rmem_max": "4194304",
  "net/core/wmem_default": "212992",
  "net/core/rmem_default": "212992",
  "net/core/somaxconn": "4096",
  "net/unix/max_dgram_qlen": "10",
  "net/ipv4/tcp_rmem": "4096 131072 33554432",
  "net/ipv4/tcp_wmem": "4096 16384 4194304",
};

/** Why the kernels cannot be compared on this machine; undefined when they can. */
export function whyNotComparable(kernel: Kernel): string | undefined {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const [wantedMajor, wantedMinor] = VERSION;
  if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) {
    return `the simulated kernel follows Linux ${VERSION.join(".")}, and this is ${release()}`;
  }
  for (const [name, wanted] of Object.entries(SETTINGS)) {
    const found = settingOf(name);
    if (found !== wanted) {
      const setting = name.replaceAll("/", ".");
      return `${setting} is ${found}, and the simulated kernel has ${wanted}`;
    }
  }
  const noUring = whyNoUring(kernel);
  return noUring === undefined ? undefined : `io_uring does not work here: ${noUring}`;
}

function settingOf(name: string): string {
  try {
    return readFileSync(`/proc/sys/${name}`, "utf8").trim().replaceAll("\t", " ");
  } catch {
    return "not there";
  }
}
