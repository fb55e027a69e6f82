/**
 * Runs the test files: `core` is `npm test`, and `rest` is what it leaves out. `npm run test:all` runs both.
 *
 * `npm test` has the unit tests, the suites on the installed Node and a smoke suite on each other
 * runtime. The rest runs all suites on all runtimes, and the files below.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Files that `npm test` leaves out, by path below the build folder, with the reason. */
const REST: readonly (readonly [pattern: RegExp, why: string])[] = [
  [/\/peers(\/\w+)?\.test/, "needs other programs, installed by .ci/run"],
  [/^test\/(bundles|package)\.test/, "bundlers, and npm install"],
  [/\/load\/addresses\.test/, "network namespaces"],
  [/^test\/recipes\//, "packages of others, and servers of others, installed by .ci/run"],
  [/^test\/bench\//, "the benchmark, which is not part of the packages"],
  [/\/test\/lab\//, "the lab starts many processes, and a browser"],
  [/\/pool\/models\.test/, "a hundred processes at once"],
  [
    /\/cli\/(connect|load|models|output|proxy-protocol|serve-http|tls|trace|workers)\.test/,
    "each case starts several processes",
  ],
  [/\/soak\.test/, "random clients for a minute"],
];
/** Files that `npm test` runs in part, so that the rest runs them again in full. */
const PARTLY_CORE = /\/(installed-node|other-runtimes|simulate|differential)\.test/;
/** The number of files at a time. Two leave the cores idle while they wait. */
const CONCURRENCY = 3;

const [part] = process.argv.slice(2);
if (part !== "core" && part !== "rest") {
  console.error(`Cannot run ${part ?? "no part"} of the tests: give core or rest`);
  process.exit(2);
}

const root = fileURLToPath(new URL("..", import.meta.url));
const files = ["packages", "test", "examples"]
  .flatMap((folder) =>
    readdirSync(`${root}/${folder}`, { recursive: true, encoding: "utf8" }).map(
      (file) => `${folder}/${file}`,
    ),
  )
  .filter((file) => file.endsWith(".test.js"))
  // A build leaves the output of sources that are gone.
  .filter((file) => existsSync(`${root}../${file.replace(/\.js$/, ".ts")}`))
  .filter((file) => {
    const isRest = REST.some(([pattern]) => pattern.test(file));
    return part === "core" ? !isRest : isRest || PARTLY_CORE.test(file);
  })
  .sort();
const { status, signal } = spawnSync(
  process.execPath,
  [
    "--test",
    `--test-concurrency=${CONCURRENCY}`,
    "--test-reporter=spec",
    ...files.map((file) => `${root}${file}`),
  ],
  {
    stdio: "inherit",
    env: part === "rest" ? { ...process.env, POLLOI_TEST_ALL: "1" } : process.env,
  },
);
process.exitCode = status ?? (signal === null ? 1 : 128);
