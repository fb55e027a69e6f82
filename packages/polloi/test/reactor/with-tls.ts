import type { Case, Suite } from "../../../../test/support/suite.ts";
import { kernel } from "../../src/sys/open.ts";
import { whyNoTls } from "../tls/pair.ts";
import { callbackCases } from "./callbacks.ts";
import { endingCases } from "./ending.ts";
import { limitCases } from "./limits.ts";
import type { Variant } from "./rig.ts";
import { sendingFilesCases } from "./sending-files.ts";
import { stoppingCases } from "./stopping.ts";
import { tlsConnectionCases } from "./tls-connections.ts";
import { transferCases } from "./transfer.ts";

const RAW = "it sends bytes without TLS, or counts what the socket has";
const FILES = "a file is read and encrypted, and not passed to sendfile";
const CONNECTS = "it connects without TLS; the cases of TLS have their own";

const ACCEPTED = "it waits until a connection is accepted, which is before its handshake";

/** Cases of the reactor that mean nothing with TLS, and the reason. */
const WITHOUT_TLS: Readonly<Record<string, string>> = {
  "the writes of one callback leave in one send": RAW,
  "lent bytes written to a connecting connection arrive unchanged": CONNECTS,
  "an array that is detached before it is sent resets its connection": ACCEPTED,
  "data after passed descriptors is read without another event": RAW,
  "data between two urgent bytes is read without another event": RAW,
  "a file that is sent while the connection connects is sent when it opens": CONNECTS,
  "a short head and the file after it leave in one packet": RAW,
  "bytes written before a file wait for it to fill their packet, but not for an empty file": RAW,
  "a descriptor that is not a regular file closes the connection, with a hint": FILES,
  "one endless file to a fast reader do not delay other connections": FILES,
  "files without end to a fast reader do not delay other connections": FILES,
  "signals, short calls and full sockets lose no byte": FILES,
  "a read error of the disk closes the connection with EIO": FILES,
  "a failed send resets the connection, so that the peer does not take a part for the whole": RAW,
  "after the peer's end an idle half-open connection causes no busy loop": RAW,
  "closing the reactor while a listener stops closes the connections that wait for room": RAW,
  "a stopping handler is called once for each connection, and ends it": RAW,
  "bytes that arrived at a paused connection are delivered when it resumes, and then it ends": RAW,
  "connections that a callback closes get no further event of the same batch": RAW,
  "a reactor that is closed within a callback closes everything and calls no handler afterwards":
    RAW,
  "a listener that is closed within open accepts no more, and accepted connections stay open": RAW,
  "promises in a handler continue before the next turn": RAW,
};

/** The suite of connections with TLS. */
export function tlsConnectionSuite(variant: Variant): Suite {
  return suiteOf("Connections with TLS", variant, tlsConnectionCases({ ...variant, tls: true }));
}

/** The suite of the reactor, with TLS on every connection. */
export function tlsReactorSuite(variant: Variant): Suite {
  const secured: Variant = { ...variant, tls: true };
  return suiteOf("Reactor with TLS", variant, [
    ...transferCases(secured),
    ...sendingFilesCases(secured),
    ...endingCases(secured),
    ...stoppingCases(secured),
    ...callbackCases(secured),
    ...limitCases(secured),
  ]);
}

function suiteOf(title: string, { engine, trigger, mode }: Variant, cases: readonly Case[]): Suite {
  const skip = whyNoTls();
  return {
    title: `${title}: ${engine}, ${trigger === undefined ? "" : `${trigger}-triggered, `}${mode} on ${kernel.runtime}`,
    cases: cases.map((each) => ({ ...each, skip: skip ?? each.skip ?? WITHOUT_TLS[each.name] })),
  };
}
