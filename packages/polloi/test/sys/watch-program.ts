/** A process that ends or stays alive depending on its watches. The first argument selects the case. */
import process from "node:process";
import { EFD_CLOEXEC, EFD_NONBLOCK } from "../../src/sys/abi.ts";
import { kernel } from "../../src/sys/open.ts";

/** After this time without an event, a runtime sleeps in its final way. */
const ASLEEP_MS = 120;

const { libc, scratch } = kernel;
const fd = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
const put = () => {
  scratch.setWord(0, 1);
  libc.write(fd, scratch.address, 8);
};
const take = () => libc.read(fd, scratch.address, 8) === 8;
const serve = () => {
  const found = take();
  if (found) {
    console.log("served");
    watch.stop();
  }
  return found;
};
const mode = process.argv[2];
let throws = mode === "throw" || mode === "catch";
const watch = kernel.watch(fd, () => {
  if (throws) {
    throws = false;
    throw new Error("thrown in the callback");
  }
  return mode === "unref-busy" ? true : serve();
});

switch (mode) {
  case "stop":
    setTimeout(put, ASLEEP_MS).unref();
    break;
  case "unref":
    watch.unref();
    break;
  case "unref-later":
    // After the loop had time to fall asleep with the watch active.
    setTimeout(() => watch.unref(), ASLEEP_MS);
    break;
  case "unref-first":
    // Something else keeps the process alive for long enough for the loop to fall asleep.
    watch.unref();
    setTimeout(() => {}, ASLEEP_MS);
    break;
  case "unref-busy":
    put();
    setTimeout(() => watch.unref(), 20);
    break;
  case "ref-unref":
    watch.unref();
    watch.ref();
    watch.ref();
    watch.unref();
    break;
  case "unref-ref":
    watch.unref();
    watch.ref();
    setTimeout(put, ASLEEP_MS).unref();
    break;
  case "ref-later":
    watch.unref();
    setTimeout(() => {
      watch.ref();
      setTimeout(put, ASLEEP_MS).unref();
    }, ASLEEP_MS);
    break;
  case "exit":
    setTimeout(() => process.exit(3), ASLEEP_MS);
    break;
  case "catch":
    process.on("uncaughtException", () => console.log("caught"));
    put();
    break;
  case "throw":
    put();
    break;
}
