import { ARCH } from "./abi.ts";

/** What libc is called, for runtimes that open it by name: glibc first, then musl. */
export const LIBC_NAMES: readonly string[] = [
  "libc.so.6",
  `libc.musl-${ARCH === "arm64" ? "aarch64" : "x86_64"}.so.1`,
];
