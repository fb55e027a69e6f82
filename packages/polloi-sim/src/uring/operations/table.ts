import { IORING_OP, type Libc } from "polloi/internal/pure";
import type { Process } from "../../process/process.ts";
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

/** What operations need of the process. */
export interface OperationCalls {
  readonly open: OpenPath;
  readonly socket: Libc["socket"] | undefined;
}

/** Makes a request of a submission. @param lastOfChain - The last request of the chain that is being submitted. */
export type MakeRequest = (
  ring: RingFile,
  entry: Entry,
  lastOfChain: () => Request | undefined,
) => Request;

/** Returns the operations of a process. */
export function operationsOf(process: Process, calls: OperationCalls): MakeRequest {
  const isRing = (fd: number): boolean => process.descriptors.get(fd) instanceof RingFile;
  const table: Readonly<Record<number, MakeRequest>> = {
    [IORING_OP.NOP]: (ring, entry) => new NopRequest(ring, entry),
    [IORING_OP.FSYNC]: (ring, entry) => new FsyncRequest(ring, entry),
    [IORING_OP.POLL_ADD]: (ring, entry) => new PollRequest(ring, ring.polls, entry),
    [IORING_OP.POLL_REMOVE]: (ring, entry) => {
      const { polls, work, complete } = ring;
      const end = (request: Request) => work.add(request, complete);
      return new PollRemoveRequest(ring, { polls, end }, entry);
    },
    [IORING_OP.TIMEOUT]: (ring, entry) => new TimeoutRequest(ring, ring.timeouts, entry),
    [IORING_OP.TIMEOUT_REMOVE]: (ring, entry) =>
      new TimeoutRemoveRequest(ring, ring.timeouts, entry),
    [IORING_OP.ACCEPT]: (ring, entry) => new AcceptRequest(ring, entry),
    [IORING_OP.ASYNC_CANCEL]: (ring, entry) => new CancelRequest(ring, ring.cancellation, entry),
    [IORING_OP.LINK_TIMEOUT]: (ring, entry, last) => new LinkTimeoutRequest(ring, last, entry),
    [IORING_OP.CONNECT]: (ring, entry) => new ConnectRequest(ring, entry),
    [IORING_OP.OPENAT]: (ring, entry) => new OpenRequest(ring, calls.open, entry),
    [IORING_OP.CLOSE]: (ring, entry) => new CloseRequest(ring, isRing, entry),
    [IORING_OP.READ]: (ring, entry) => new ReadRequest(ring, entry),
    [IORING_OP.WRITE]: (ring, entry) => new WriteRequest(ring, entry),
    [IORING_OP.SEND]: (ring, entry) => new SendRequest(ring, entry),
    [IORING_OP.RECV]: (ring, entry) => new ReceiveRequest(ring, ring.groups, entry),
    [IORING_OP.SHUTDOWN]: (ring, entry) => new ShutdownRequest(ring, entry),
    [IORING_OP.SOCKET]: (ring, entry) => new SocketRequest(ring, calls.socket, entry),
  };
  return (ring, entry, lastOfChain) => {
    const { operation } = entry;
    const make = table[operation];
    if (make !== undefined) return make(ring, entry, lastOfChain);
    if (operation < OPERATIONS) gap(`operation ${operation}`);
    return new UnknownRequest(ring, entry);
  };
}
