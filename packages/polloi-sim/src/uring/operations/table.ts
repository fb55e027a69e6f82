import { IORING_OP, type Libc } from "polloi/internal/pure";
import { OPERATIONS } from "../abi.ts";
import { gap } from "../gap.ts";
import type { Entry, Request } from "../request.ts";
import { RingFile } from "../ring-file.ts";
import { LinkTimeoutRequest, TimeoutRequest } from "../timeouts.ts";
import { AcceptRequest } from "./accept.ts";
import {
  CloseRequest,
  FsyncRequest,
  NopRequest,
  type OpenPath,
  OpenRequest,
  ShutdownRequest,
  SocketRequest,
  UnknownRequest,
} from "./calls.ts";
import { CancelRequest, TimeoutRemoveRequest } from "./cancel.ts";
import { ConnectRequest } from "./connect.ts";
import { PollRemoveRequest, PollRequest } from "./poll.ts";
import { ReadRequest, WriteRequest } from "./read-write.ts";
import { ReceiveRequest } from "./receive.ts";
import { SendRequest } from "./send.ts";

/** What a submission is made into a request with. */
export interface SubmissionContext {
  /** The last request of the chain that is being submitted. */
  readonly lastOfChain: () => Request | undefined;
  readonly open: OpenPath;
  /** socket(2) */
  readonly socket: Libc["socket"] | undefined;
}

type MakeRequest = (ring: RingFile, entry: Entry, context: SubmissionContext) => Request;

const TABLE: Readonly<Record<number, MakeRequest>> = {
  [IORING_OP.NOP]: (ring, entry) => new NopRequest(ring, entry),
  [IORING_OP.FSYNC]: (ring, entry) => new FsyncRequest(ring, entry),
  [IORING_OP.POLL_ADD]: (ring, entry) => new PollRequest(ring, ring.polls, entry),
  [IORING_OP.POLL_REMOVE]: (ring, entry) => {
    const { polls, work, complete } = ring;
    const end = (request: Request) => work.add(request, complete);
    return new PollRemoveRequest(ring, { polls, end }, entry);
  },
  [IORING_OP.TIMEOUT]: (ring, entry) => new TimeoutRequest(ring, ring.timeouts, entry),
  [IORING_OP.TIMEOUT_REMOVE]: (ring, entry) => new TimeoutRemoveRequest(ring, ring.timeouts, entry),
  [IORING_OP.ACCEPT]: (ring, entry) => new AcceptRequest(ring, entry),
  [IORING_OP.ASYNC_CANCEL]: (ring, entry) => new CancelRequest(ring, ring.cancellation, entry),
  [IORING_OP.LINK_TIMEOUT]: (ring, entry, { lastOfChain }) =>
    new LinkTimeoutRequest(ring, lastOfChain, entry),
  [IORING_OP.CONNECT]: (ring, entry) => new ConnectRequest(ring, entry),
  [IORING_OP.OPENAT]: (ring, entry, { open }) => new OpenRequest(ring, open, entry),
  [IORING_OP.CLOSE]: (ring, entry) => {
    const isRing = (fd: number) => ring.process.descriptors.get(fd) instanceof RingFile;
    return new CloseRequest(ring, isRing, entry);
  },
  [IORING_OP.READ]: (ring, entry) => new ReadRequest(ring, entry),
  [IORING_OP.WRITE]: (ring, entry) => new WriteRequest(ring, entry),
  [IORING_OP.SEND]: (ring, entry) => new SendRequest(ring, entry),
  [IORING_OP.RECV]: (ring, entry) => new ReceiveRequest(ring, ring.groups, entry),
  [IORING_OP.SHUTDOWN]: (ring, entry) => new ShutdownRequest(ring, entry),
  [IORING_OP.SOCKET]: (ring, entry, { socket }) => new SocketRequest(ring, socket, entry),
};

/** Makes a request of a submission. */
export function makeRequest(ring: RingFile, entry: Entry, context: SubmissionContext): Request {
  const { operation } = entry;
  const make = TABLE[operation];
  if (make !== undefined) return make(ring, entry, context);
  if (operation < OPERATIONS) gap(`operation ${operation}`);
  return new UnknownRequest(ring, entry);
}
