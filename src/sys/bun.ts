import { type Kernel, UnsupportedError } from "./kernel.ts";

export function openBun(): Kernel {
  throw new UnsupportedError("polloi does not speak the FFI of Bun yet");
}
