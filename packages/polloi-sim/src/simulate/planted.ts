/**
 * Checks that the simulation finds known faults: plants each of them in a copy of the library, and expects that seeds
 * fail. `npm run simulate:planted`, or with `-- --only lent`.
 */
import { spawn } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command } from "commander";
import { apply, PLANTS, type Plant } from "./plants.ts";

/** The root of the repository, and the compiled simulation. */
const ROOT: string = fileURLToPath(new URL("../../../../../", import.meta.url));
const COMPILED: string = fileURLToPath(new URL("../", import.meta.url));
/** The packages of this repository that are installed in the copy; other packages are links. */
const PACKAGES = ["polloi", "polloi-tools"] as const;
/** Each fault is found within this many seeds. */
const MAX_SEEDS = 20_000;

/** The files of the library that is built. */
export function builtFiles(): Map<string, string> {
  const folder = join(ROOT, "packages/polloi/dist");
  const names = readdirSync(folder).filter((name) => name.endsWith(".js"));
  return new Map(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

/** Makes a copy of the simulation and of the library, with a fault. @returns Its folder. */
function copyWith(plant: Plant): string {
  const folder = mkdtempSync(join(tmpdir(), "polloi-planted-"));
  cpSync(COMPILED, join(folder, "polloi-sim"), { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  for (const name of PACKAGES) {
    for (const part of ["package.json", "dist"]) {
      const from = join(ROOT, "packages", name, part);
      cpSync(from, join(folder, "node_modules", name, part), { recursive: true });
    }
  }
  for (const name of readdirSync(join(ROOT, "node_modules"))) {
    if (name.startsWith(".") || name.startsWith("polloi")) continue;
    symlinkSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  }
  const files = builtFiles();
  for (const patch of plant.patches) apply(files, patch);
  for (const [name, text] of files) {
    writeFileSync(join(folder, "node_modules/polloi/dist", name), text);
  }
  return folder;
}

/** The end of a search for a plant. */
interface Search {
  readonly output: string;
  readonly found: boolean;
  readonly seconds: number;
}

/** The output of the simulation, which ends at the first failing seed. */
async function search(plant: Plant, seeds: number): Promise<Search> {
  const startedAt = performance.now();
  const folder = copyWith(plant);
  try {
    const main = join(folder, "polloi-sim/simulate/main.js");
    const engines = plant.engines.join(",");
    const args = [
      main,
      "--seeds",
      `${seeds}`,
      "--engine",
      engines,
      "--findings",
      "1",
      "--no-shrink",
      ...(plant.program === undefined ? [] : ["--program", plant.program]),
    ];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    const status = await new Promise((resolve) => child.on("close", resolve));
    const seconds = (performance.now() - startedAt) / 1000;
    return { output, found: status === 1 && /^seed \d+/m.test(output), seconds };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function searchAll(only: string, seeds: number, jobs: number): Promise<void> {
  const plants = PLANTS.filter(({ name }) => name.startsWith(only));
  let found = 0;
  const next = async (): Promise<void> => {
    for (let plant = plants.shift(); plant !== undefined; plant = plants.shift()) {
      const result = await search(plant, seeds);
      const seed = /^seed (\d+).*\n\s*(\w+)/m.exec(result.output);
      console.log(
        result.found
          ? `found by seed ${seed?.[1]} (${seed?.[2]}) in ${result.seconds.toFixed(0)} s: ${plant.name}`
          : `NOT FOUND: ${plant.name}\n${result.output}`,
      );
      if (result.found) found++;
      else process.exitCode = 1;
    }
  };
  const all = plants.length;
  await Promise.all(Array.from({ length: jobs }, next));
  console.log(`${found} of ${all} planted faults were found`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const command = new Command("simulate:planted")
    .option("--only <name>", "only the faults whose name begins so", "")
    .option("--seeds <number>", "how many seeds", `${MAX_SEEDS}`)
    .option("--jobs <number>", "how many faults at a time", "1");
  const { only, seeds, jobs } = command
    .parse()
    .opts<{ only: string; seeds: string; jobs: string }>();
  await searchAll(only, Number(seeds), Number(jobs));
}
