import { type Kernel, UnsupportedError } from "./kernel.ts";

export function openDeno(): Kernel {
  throw new UnsupportedError("polloi does not speak the FFI of Deno yet");
}
