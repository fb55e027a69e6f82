/** `polloi/uring`: every function and method, and the kinds of its arguments. */
import * as uring from "../../../src/uring/index.ts";
import { internal, made, method, type Table } from "./calls.ts";
import { FD } from "./select-table.ts";
import {
  address,
  alsoTakes,
  BOOLEAN,
  FLAGS,
  integer,
  KERNEL,
  type Kind,
  kind,
  like,
  optional,
  options,
  STRING,
  TIMEOUT,
  untried,
} from "./wrong-values.ts";

const { Completion, Mapped, Ring } = uring;

const ring = (): uring.Ring => new Ring();
const completion = (): uring.Completion => new Completion(1, 0, 0);

/** A ring with mapped memory and buffers. */
let spare: uring.Ring | undefined;
let buffers: uring.BufferRing | undefined;
function spareRing(): uring.Ring {
  spare ??= new Ring();
  return spare;
}
function spareBuffers(): uring.BufferRing {
  buffers ??= spareRing().addBuffers();
  return buffers;
}

const MEMORY = kind(
  () => spareRing().map(8),
  () => false,
);
const TAG = integer(0, Number.MAX_SAFE_INTEGER, 1);
const SUBMIT = {
  tag: optional(TAG),
  link: optional(BOOLEAN),
  async: optional(BOOLEAN),
  quiet: optional(BOOLEAN),
};
const REPEAT = { ...SUBMIT, repeat: optional(BOOLEAN) };
const WITH_FLAGS = { ...SUBMIT, flags: optional(FLAGS) };
const FILE = { ...SUBMIT, position: optional(integer(0, Number.MAX_SAFE_INTEGER)) };
/** The reason not to try -0: no operation may be performed on the standard input. */
const FILE_FD = untried(FD, -0);
const MS = kind(
  () => 1,
  (value) => typeof value === "number" && value >= 0 && value <= 0x7fff_ffff,
);

const how = (keys: Readonly<Record<string, Kind>>) => optional(options(keys));

export const URING: Table = {
  functions: {
    BufferRing: internal("made by Ring.addBuffers"),
    Completion: internal("made by Ring.wait"),
    Mapped: internal("made by Ring.map"),
    Ring: made(
      Ring,
      optional(
        options({
          entries: optional(integer(1, 32_768, 8)),
          completionEntries: optional(integer(1, 65_536 * 8, 16)),
          kernel: KERNEL,
        }),
      ),
    ),
    SysError: internal("polloi makes it"),
  },
  methods: {
    "BufferRing.take": method(
      () => ({ take: (given: unknown) => spareBuffers().take(given as uring.Completion) }),
      "take",
      kind(completion, () => false),
    ),
    "Completion.check": method(completion, "check", STRING),
    "Mapped.part": method(
      () => new Mapped(4096, new Uint8Array(8)),
      "part",
      integer(0, 8, 1),
      optional(integer(0, 7, 2)),
    ),
    "Ring.accept": method(ring, "accept", FILE_FD, how({ ...REPEAT, flags: optional(FLAGS) })),
    "Ring.addBuffers": method(
      ring,
      "addBuffers",
      optional(
        options({
          group: optional(integer(0, 0xffff)),
          count: optional(like(integer(1, 1), () => 2)),
          bufferBytes: optional(like(integer(64, 64), () => 64)),
        }),
      ),
    ),
    "Ring.cancel": method(ring, "cancel", TAG, how(SUBMIT)),
    "Ring.close": method(ring, "close"),
    "Ring.closeFd": method(
      ring,
      "closeFd",
      like(FILE_FD, () => 2 ** 31 - 1),
      how(SUBMIT),
    ),
    "Ring.connect": method(
      ring,
      "connect",
      FILE_FD,
      address({ address: untried(optional(STRING), "foo"), port: integer(0, 65_535, 1) }, () => ({
        address: "127.0.0.1",
        port: 1,
      })),
      how(SUBMIT),
    ),
    "Ring.fileno": method(ring, "fileno"),
    "Ring.fsync": method(ring, "fsync", FILE_FD, how({ ...SUBMIT, dataOnly: optional(BOOLEAN) })),
    "Ring.linkTimeout": method(ring, "linkTimeout", MS, how(SUBMIT)),
    "Ring.map": method(ring, "map", integer(1, 2 ** 31, 8)),
    "Ring.nop": method(ring, "nop", how(SUBMIT)),
    "Ring.open": method(
      ring,
      "open",
      kind(
        () => "/nowhere",
        (value) => value === "foo",
      ),
      optional(FLAGS),
      how({ ...SUBMIT, mode: optional(integer(0, 0o7777)) }),
    ),
    "Ring.poll": method(ring, "poll", FD, integer(0, 0xffff_ffff, 1), how(REPEAT)),
    "Ring.read": method(ring, "read", FILE_FD, MEMORY, how(FILE)),
    "Ring.recv": method(ring, "recv", FILE_FD, MEMORY, how(WITH_FLAGS)),
    "Ring.recvBuffers": method(
      ring,
      "recvBuffers",
      FILE_FD,
      kind(spareBuffers, () => false),
      how(REPEAT),
    ),
    "Ring.removePoll": method(ring, "removePoll", TAG, how(SUBMIT)),
    "Ring.removeTimeout": method(ring, "removeTimeout", TAG, how(SUBMIT)),
    "Ring.send": method(ring, "send", FILE_FD, MEMORY, how(WITH_FLAGS)),
    "Ring.shutdown": method(ring, "shutdown", FILE_FD, integer(0, 2, 1), how(SUBMIT)),
    "Ring.submit": method(ring, "submit"),
    "Ring.timeout": method(
      ring,
      "timeout",
      MS,
      how({ ...REPEAT, count: optional(integer(0, 0xffff_ffff)) }),
    ),
    "Ring.wait": method(ring, "wait", alsoTakes(integer(0, 0), undefined), TIMEOUT),
    "Ring.write": method(
      ring,
      "write",
      like(FILE_FD, () => 2 ** 31 - 1),
      MEMORY,
      how(FILE),
    ),
  },
};
