import {
  AF_INET6,
  AF_UNSPEC,
  ERRNO,
  FIONREAD,
  MSG_ERRQUEUE,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  PAGE_SIZE,
  POLLERR,
  POLLHUP,
  POLLPRI,
  POLLRDHUP,
  SIOCATMARK,
  SIOCOUTQ,
} from "polloi/internal/pure";
import type { Scheduled } from "../base/world.ts";
import { familyOf, type InetName } from "./address.ts";
import {
  RCV_SHUTDOWN,
  READABLE,
  SEND_SHUTDOWN,
  SHUTDOWN_MASK,
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_LISTEN,
  TCP_SYN_SENT,
  WAKE_WRITABLE,
  WRITABLE,
} from "./constants.ts";
import { InetSocket } from "./inet-socket.ts";
import type { Network } from "./network.ts";
import { fit, type PortTable } from "./ports.ts";
import { hashOf, ReuseGroup } from "./reuse-group.ts";
import { type Credentials, type Message, SocketSettings } from "./socket-file.ts";
import { SEGMENT_BYTES, TcpReceiveQueue } from "./tcp-receive-queue.ts";
import { TcpSendQueue } from "./tcp-send-queue.ts";
import { Wire } from "./wire.ts";

/** tcp_wmem and tcp_rmem, and the buffer for sending of a connection on loopback. tcp(7) */
const SEND_BUFFER = 16_384;
const RECEIVE_BUFFER = 131_072;
const CONNECTED_SEND_BUFFER = 3_939_840;

/** Half of the largest receive buffer. */
const MAX_LOW_AT = 16_777_216;

/** The first wait for an answer to a SYN doubles with each of 6 attempts. tcp(7), tcp_syn_retries */
const SYN_TIMEOUT_MS = 1000;
const SYN_RETRIES = 6;

/** The longest segment of a client on loopback, as TCP_MAXSEG reports it. */
const CLIENT_SEGMENT_BYTES = 32_741;
const CLIENT6_SEGMENT_BYTES = 32_732;
/** TCP_MSS_DEFAULT */
const UNCONNECTED_SEGMENT_BYTES = 536;

/** The memory of a segment beyond its bytes, about. */
const SEGMENT_OVERHEAD = 768;

/** How long a corked segment waits. tcp(7), TCP_CORK */
const CORK_MS = 200;

/** Whether a connection exists as far as a program is concerned: `socket->state`. Source: include/linux/net.h */
const SS_UNCONNECTED = 1;
const SS_CONNECTING = 2;
const SS_CONNECTED = 3;
const SS_DISCONNECTING = 4;

const NOTHING = new Uint8Array(0);

/**
 * A TCP socket. Segments pass directly from one end to the other, in order, at once or later.
 *
 * @remarks
 * Without a fault, segments are acknowledged when they arrive, and not up to 40 ms later. Source: tcp(7), RFC 9293; net/ipv4/tcp.c, tcp_input.c, tcp_output.c and
 * af_inet.c, where each method names its function.
 */
export class TcpSocket extends InetSocket {
  sending: TcpSendQueue = new TcpSendQueue();
  receiving: TcpReceiveQueue;
  /** The reuse group of a listener, and of a socket that will be one. */
  group: ReuseGroup<TcpSocket> | undefined;
  readonly #wire: Wire;
  #phase = SS_UNCONNECTED;
  /** The other end; its `#peer` is this one. */
  #peer: TcpSocket | undefined;
  /** Whether the end of the other side has arrived: SOCK_DONE. */
  #isDone = false;
  #isEndQueued = false;
  #isEndSent = false;
  #isEndAcknowledged = false;
  #isDisconnected = false;
  /** Whether data that arrives takes the fast path: tcp_sock.pred_flags. */
  #isFastPath = false;
  /** The memory that is reserved for segments that arrive: sk_forward_alloc. */
  #reserved: number = PAGE_SIZE;
  /** Connections that wait to be accepted. */
  readonly #backlog: TcpSocket[] = [];
  #maxBacklog = 0;
  #synAttempts = 0;
  #synTimer: Scheduled | undefined;
  #corkTimer: Scheduled | undefined;

  constructor(
    network: Network,
    kind: { readonly family: number; readonly type: number; readonly protocol: number },
    credentials: Credentials,
  ) {
    const settings = new SocketSettings(SEND_BUFFER, RECEIVE_BUFFER);
    super(network, kind, credentials, settings, TCP_CLOSE);
    this.receiving = new TcpReceiveQueue(windowOf(settings));
    this.#wire = new Wire(network.world);
  }

  protected get ports(): PortTable {
    return this.network.tcp;
  }

  protected get canBind(): boolean {
    return this.state === TCP_CLOSE;
  }

  /** The bytes of a full segment: TCP_MAXSEG. A client knows a little less of the window than a server. */
  segmentBytes: number = UNCONNECTED_SEGMENT_BYTES;

  /** The segments that were received and sent, for TCP_INFO. */
  readonly counts = { segmentsIn: 0, segmentsOut: 0, dataIn: 0, dataOut: 0 };

  // Listening and accepting.

  /** Source: net/ipv4/af_inet.c, __inet_listen_sk; net/ipv4/inet_connection_sock.c, inet_csk_listen_start */
  override listen(backlog: number): number {
    if (this.#phase !== SS_UNCONNECTED) return -ERRNO.EINVAL;
    if (this.state !== TCP_CLOSE && this.state !== TCP_LISTEN) return -ERRNO.EINVAL;
    this.#maxBacklog = backlog;
    if (this.state === TCP_LISTEN) return 0;
    if (!this.hasPort) {
      const result = this.takeEphemeral();
      if (result < 0) return result;
    } else if (!this.ports.isFree(this.local.port, this)) return -ERRNO.EADDRINUSE;
    this.shutdowns = 0;
    if (this.settings.reusePort) this.#joinGroup();
    this.state = TCP_LISTEN;
    this.ports.addListener(this);
    return 0;
  }

  /** Source: net/ipv4/inet_hashtables.c, inet_reuseport_add_sock */
  #joinGroup(): void {
    for (const other of this.ports.listeners(this.local.port)) {
      if (!(other instanceof TcpSocket) || other.group === undefined) continue;
      if (!other.local.ip.equals(this.local.ip)) continue;
      this.group = other.group;
      this.group.join(this);
      return;
    }
    this.group ??= new ReuseGroup();
    this.group.join(this);
  }

  /** Source: net/ipv4/inet_connection_sock.c, inet_csk_accept */
  override accept(): TcpSocket | number {
    if (this.state !== TCP_LISTEN) return -ERRNO.EINVAL;
    const child = this.#backlog.shift();
    if (child === undefined) return -ERRNO.EAGAIN;
    if (this.network.world.faults.happens("abortedAccept")) {
      child.reset();
      return -ERRNO.ECONNABORTED;
    }
    child.#phase = SS_CONNECTED;
    return child;
  }

  /** Resets all connections that wait. Source: net/ipv4/inet_connection_sock.c, inet_csk_listen_stop */
  #stopListening(): void {
    this.state = TCP_CLOSE;
    this.ports.removeListener(this);
    this.group?.leave(this);
    this.group = undefined;
    for (const child of this.#backlog.splice(0)) child.reset();
  }

  // Connecting.

  /** Source: net/ipv4/af_inet.c, __inet_stream_connect; net/ipv4/tcp_ipv4.c, tcp_v4_connect */
  connect(address: Uint8Array): number {
    const family = familyOf(address);
    if (family < 0) return -ERRNO.EINVAL;
    if (family === AF_UNSPEC) {
      this.#disconnect();
      this.#phase = SS_UNCONNECTED;
      return 0;
    }
    if (this.#phase === SS_CONNECTED) return -ERRNO.EISCONN;
    if (this.#phase === SS_DISCONNECTING) return -ERRNO.EINVAL;
    if (this.#phase === SS_CONNECTING) {
      return this.state === TCP_SYN_SENT ? -ERRNO.EALREADY : this.connectResult();
    }
    if (this.state !== TCP_CLOSE) return -ERRNO.EISCONN;
    const remote = this.destinationOf(address);
    if (typeof remote === "number") return remote;
    const { faults } = this.network.world;
    if (faults.happens("forbidden")) return -ERRNO.EACCES;
    if (faults.happens("noBuffers")) return -ERRNO.ENOBUFS;
    const { local } = this;
    this.local = { ip: this.sourceFor(remote), port: local.port };
    if (!this.hasPort && this.takeEphemeral() < 0) {
      this.local = local;
      return -ERRNO.EADDRNOTAVAIL;
    }
    this.remote = remote;
    this.#peer = undefined;
    this.#phase = SS_CONNECTING;
    this.state = TCP_SYN_SENT;
    this.#synAttempts = 0;
    this.error = 0;
    this.#isDisconnected = false;
    this.#sendSyn();
    // The answer is handled when the call has released the socket, so a call that does not wait has no result yet.
    return -ERRNO.EINPROGRESS;
  }

  override connectResult(): number {
    if (this.state === TCP_SYN_SENT) return -ERRNO.EAGAIN;
    if (this.state !== TCP_CLOSE) {
      this.#phase = SS_CONNECTED;
      return 0;
    }
    const error = this.takeError();
    this.#phase = SS_UNCONNECTED;
    this.#disconnect();
    return error === 0 ? -ERRNO.ECONNABORTED : error;
  }

  #sendSyn(): void {
    this.counts.segmentsOut++;
    if (this.#wire.isFast()) this.#synArrives();
    else this.#wire.carry(() => this.#synArrives());
    if (this.state !== TCP_SYN_SENT) return;
    const timeout = SYN_TIMEOUT_MS * 2 ** this.#synAttempts;
    this.#synTimer = this.network.world.schedule(timeout, () => {
      if (this.state !== TCP_SYN_SENT) return;
      if (++this.#synAttempts <= SYN_RETRIES) this.#sendSyn();
      else this.#failed(ERRNO.ETIMEDOUT);
    });
  }

  /** The SYN of this socket arrives at the machine. Source: net/ipv4/tcp_input.c, tcp_conn_request */
  #synArrives(): void {
    const { remote } = this;
    // It was closed meanwhile, or this is a second SYN, and the answer to the first is on its way.
    if (this.state !== TCP_SYN_SENT || remote === undefined) return;
    if (this.#peer !== undefined) return;
    if (remote.port === this.local.port && remote.ip.equals(this.local.ip)) {
      this.#connectsToItself();
      return;
    }
    const listener = this.#findListener(remote);
    if (listener === undefined) {
      this.#failed(ERRNO.ECONNREFUSED);
      return;
    }
    // The backlog is full, or a filter drops it: no answer, and this end tries again.
    if (listener.#backlog.length > listener.#maxBacklog) return;
    const { filter } = listener.settings;
    if (filter?.run(synOf(this.local.port, remote.port), this.network.world.choices) === 0) return;
    const child = listener.#childFor(this, remote);
    this.#peer = child;
    if (child.#wire.isFast()) this.#synAckArrives(child, listener);
    else child.#wire.carry(() => this.#synAckArrives(child, listener));
  }

  /** A SYN that meets itself: both ends are this one. Source: RFC 9293, section 3.5, simultaneous open */
  #connectsToItself(): void {
    this.#peer = this;
    this.#synTimer?.cancel();
    this.#established(SEGMENT_BYTES);
    this.stateChanged();
    if ((this.shutdowns & SEND_SHUTDOWN) !== 0) this.#end();
  }

  /** Source: net/ipv4/inet_hashtables.c, __inet_lookup_listener */
  #findListener(remote: InetName): TcpSocket | undefined {
    let best: TcpSocket | undefined;
    let bestFit = 0;
    for (const user of this.ports.listeners(remote.port)) {
      if (!(user instanceof TcpSocket)) continue;
      const fits = fit(user, remote.ip);
      if (fits > bestFit) [best, bestFit] = [user, fits];
    }
    if (best?.group === undefined) return best;
    const hash = hashOf(this.local.port, remote.port);
    return best.group.pick(NOTHING, hash, this.network.world.choices) ?? best;
  }

  /** Source: net/ipv4/tcp_minisocks.c, tcp_create_openreq_child */
  #childFor(client: TcpSocket, local: InetName): TcpSocket {
    const { family, type, protocol } = this;
    const child = new TcpSocket(this.network, { family, type, protocol }, this.credentials);
    child.settings.inherit(this.settings);
    child.receiving.resize(windowOf(child.settings));
    child.local = local;
    child.remote = client.local;
    child.isPortLocked = this.isPortLocked;
    child.isAddressLocked = this.isAddressLocked;
    child.#isFastPath = true;
    child.addPort();
    child.#peer = client;
    child.#established(SEGMENT_BYTES);
    return child;
  }

  #established(segmentBytes: number): void {
    this.state = TCP_ESTABLISHED;
    this.segmentBytes = segmentBytes;
    this.counts.segmentsIn++;
    this.counts.segmentsOut++;
    const { settings } = this;
    if (!settings.isSendBufferLocked) settings.sendBuffer = CONNECTED_SEND_BUFFER;
  }

  /** Source: net/ipv4/tcp_input.c, tcp_rcv_synsent_state_process */
  #synAckArrives(child: TcpSocket, listener: TcpSocket): void {
    if (this.state !== TCP_SYN_SENT || this.#peer !== child) {
      child.reset();
      return;
    }
    this.#synTimer?.cancel();
    this.receiving.resize(windowOf(this.settings));
    const isV6 = this.family === AF_INET6;
    this.#established(isV6 ? CLIENT6_SEGMENT_BYTES : CLIENT_SEGMENT_BYTES);
    this.stateChanged();
    if (this.#wire.isFast()) listener.#childReady(child);
    else this.#wire.carry(() => listener.#childReady(child));
  }

  /** The handshake of a connection is complete. Source: net/ipv4/inet_connection_sock.c, inet_csk_complete_hashdance */
  #childReady(child: TcpSocket): void {
    if (this.state !== TCP_LISTEN) {
      child.reset();
      return;
    }
    this.#backlog.push(child);
    this.dataReady();
  }

  // Sending.

  /** Source: net/ipv4/tcp.c, tcp_sendmsg_locked; net/core/stream.c, sk_stream_wait_connect and sk_stream_error */
  send(source: Uint8Array, flags = 0): number {
    const { state, settings, sending } = this;
    if (state !== TCP_ESTABLISHED && state !== TCP_CLOSE_WAIT) {
      const error = this.takeError();
      if (error !== 0) return error;
      return state === TCP_SYN_SENT ? -ERRNO.EAGAIN : -ERRNO.EPIPE;
    }
    if (this.error !== 0 || (this.shutdowns & SEND_SHUTDOWN) !== 0) {
      const error = this.takeError();
      return error === 0 ? -ERRNO.EPIPE : error;
    }
    if (source.length === 0) return 0;
    const { faults } = this.network.world;
    if (faults.happens("reset")) {
      this.#cut();
      const error = this.takeError();
      return error === 0 ? -ERRNO.EPIPE : error;
    }
    // A whole segment is taken as soon as there is any room.
    let done = 0;
    while (done < source.length && sending.hasRoom(settings.sendBuffer, settings.notSentLowAt)) {
      const isShort = faults.happens("shortWrite");
      const most = Math.min(source.length - done, this.segmentBytes);
      const count = isShort ? this.network.world.choices.between(1, most) : most;
      sending.push(this.network.bytes.copy(source, done, done + count));
      done += count;
      if (isShort) break;
      // Full segments leave before the next one is taken.
      if (settings.notSentLowAt > 0 && done < source.length) this.flush(true);
    }
    if (done < source.length) this.hasNoSpace = true;
    if (done > 0 && (flags & MSG_OOB) !== 0) sending.markUrgent();
    if (done > 0) {
      this.flush((flags & MSG_MORE) !== 0);
      return done;
    }
    // Without memory and with nothing on its way, no acknowledgement would end the wait.
    if (sending.length === 0) this.writeSpace();
    return -ERRNO.EAGAIN;
  }

  /**
   * Sends what the window and the rules for small segments allow.
   *
   * @param isMore - MSG_MORE: more data follows, so the last segment may wait for it.
   */
  flush(isMore = false): void {
    const { sending } = this;
    const { faults } = this.network.world;
    let isLate = false;
    for (;;) {
      const peer = this.#peer;
      if (peer === undefined || this.state === TCP_CLOSE) return;
      const { unsent } = sending;
      const count = Math.min(unsent, this.segmentBytes, peer.receiving.window - sending.inFlight);
      if (count <= 0) break;
      if (count === unsent && count < this.segmentBytes && this.#isHeld(isMore)) return;
      const split = count > 1 && faults.happens("shortRead");
      this.#transmit(peer, split ? count - this.network.world.choices.below(count) : count, isLate);
      isLate ||= split;
    }
    if (this.#isEndQueued && !this.#isEndSent && sending.unsent === 0) this.#transmitEnd();
  }

  /** Whether a segment that is not full waits for more. Source: net/ipv4/tcp_output.c, tcp_nagle_check; tcp(7) */
  #isHeld(isMore: boolean): boolean {
    const { settings, sending } = this;
    if (this.#isEndQueued) return false;
    if (isMore || settings.cork) {
      this.#corkTimer ??= this.network.world.schedule(CORK_MS, () => {
        this.#corkTimer = undefined;
        this.push();
      });
      return true;
    }
    return !settings.noDelay && sending.inFlight > 0 && sending.isSmallInFlight;
  }

  /** Sends everything, also a segment that is not full. */
  push(): void {
    this.#corkTimer?.cancel();
    this.#corkTimer = undefined;
    const { settings } = this;
    const { cork, noDelay } = settings;
    settings.cork = false;
    settings.noDelay = true;
    this.flush();
    settings.cork = cork;
    settings.noDelay = noDelay;
  }

  #transmit(peer: TcpSocket, limit: number, isLate: boolean): void {
    const { sending } = this;
    const start = sending.sent;
    const bytes = sending.take(limit, this.network.bytes);
    const urgent = sending.takeUrgent(start);
    if (bytes.length < this.segmentBytes) sending.isSmallInFlight = true;
    this.counts.segmentsOut++;
    this.counts.dataOut++;
    if (this.#wire.isFast() && !isLate) peer.#dataArrives(this, bytes, urgent);
    else this.#wire.carry(() => peer.#dataArrives(this, bytes, urgent));
  }

  #transmitEnd(): void {
    const peer = this.#peer as TcpSocket;
    this.#isEndSent = true;
    this.counts.segmentsOut++;
    this.#corkTimer?.cancel();
    if (this.#wire.isFast()) peer.#endArrives(this);
    else this.#wire.carry(() => peer.#endArrives(this));
  }

  #transmitReset(peer: TcpSocket): void {
    if (this.#wire.isFast()) peer.#resetArrives(this);
    else this.#wire.carry(() => peer.#resetArrives(this));
  }

  /** Bytes of this end have arrived. Source: net/ipv4/tcp_input.c, tcp_ack and tcp_check_space */
  #acknowledged(peer: TcpSocket, count: number): void {
    if (this.#peer !== peer || this.state === TCP_CLOSE) return;
    this.counts.segmentsIn++;
    this.sending.acknowledge(count);
    if (this.hasNoSpace) this.writeSpace();
    if (this.sending.unsent > 0) this.flush();
  }

  /** Wakes those who wait for room, if there is. Source: net/core/stream.c, sk_stream_write_space */
  writeSpace(): void {
    if (!this.#isWriteable()) return;
    this.hasNoSpace = false;
    if (!this.isDead) this.waiters.wake(WAKE_WRITABLE);
  }

  #isWriteable(): boolean {
    const { sendBuffer, notSentLowAt } = this.settings;
    // The numbers of a former connection look like bytes that are not sent. Source: net/ipv4/tcp.c, tcp_disconnect
    if (this.#isDisconnected && notSentLowAt > 0) return false;
    return this.sending.isWriteable(sendBuffer, notSentLowAt);
  }

  // Receiving.

  /** Source: net/ipv4/tcp_input.c, tcp_data_queue and tcp_rcv_state_process */
  #dataArrives(from: TcpSocket, bytes: Uint8Array, urgent: number): void {
    if (this.#peer !== from || this.state === TCP_CLOSE) {
      from.#resetArrives(this);
      return;
    }
    // Nobody will read it. RFC 1122, section 4.2.2.13
    const { receiving, settings } = this;
    const isEnding = this.state === TCP_FIN_WAIT1 || this.state === TCP_FIN_WAIT2;
    if (isEnding && (this.shutdowns & RCV_SHUTDOWN) !== 0) {
      receiving.notice(bytes, urgent, settings.isUrgentInline);
      this.#cut();
      return;
    }
    this.counts.segmentsIn++;
    this.counts.dataIn++;
    const hadUrgent = receiving.hasUrgent;
    receiving.arrives(bytes, urgent, settings.isUrgentInline);
    const isUrgentNow = receiving.hasUrgent && (urgent >= 0 || !hadUrgent);
    // An urgent byte wakes by itself, and a second time as a byte.
    if (isUrgentNow) this.dataReady();
    if (receiving.length >= settings.receiveLowAt) this.dataReady();
    const { length } = bytes;
    if (this.#wire.isFast()) from.#acknowledged(this, length);
    else this.#wire.carry(() => from.#acknowledged(this, length));
    // On the slow path, bytes that wait by MSG_MORE are sent: for the first segment of a client, for urgent bytes, and
    // when memory must be found. Source: net/ipv4/tcp_input.c, tcp_rcv_established and tcp_data_snd_check
    const isSlow = !this.#isFastPath || receiving.isUrgentMode || !this.#charge(length);
    this.#isFastPath = true;
    if (isSlow) this.#pushHeld();
  }

  /** Takes memory for a segment. @returns Whether it was reserved. Source: include/net/sock.h, sk_rmem_schedule */
  #charge(length: number): boolean {
    const memory = length + SEGMENT_OVERHEAD;
    const isReserved = memory <= this.#reserved;
    if (!isReserved) this.#reserved += Math.ceil((memory - this.#reserved) / PAGE_SIZE) * PAGE_SIZE;
    this.#reserved -= memory;
    return isReserved;
  }

  /** Source: net/ipv4/tcp_input.c, tcp_fin */
  #endArrives(from: TcpSocket): void {
    if (this.#peer !== from || this.state === TCP_CLOSE) {
      from.#resetArrives(this);
      return;
    }
    this.counts.segmentsIn++;
    this.shutdowns |= RCV_SHUTDOWN;
    this.#isDone = true;
    if (this.state === TCP_ESTABLISHED) this.state = TCP_CLOSE_WAIT;
    else if (this.state === TCP_FIN_WAIT1) this.state = TCP_CLOSING;
    else if (this.state === TCP_FIN_WAIT2) this.#done(true);
    this.stateChanged();
    this.dataReady();
    if (this.#wire.isFast()) from.#endAcknowledged(this);
    else this.#wire.carry(() => from.#endAcknowledged(this));
    this.#pushHeld();
  }

  /**
   * Sends what MSG_MORE holds back, which only the call that has set it does. Source: net/ipv4/tcp_input.c,
   * tcp_data_snd_check
   */
  #pushHeld(): void {
    if (this.sending.unsent > 0) this.flush();
  }

  /** Source: net/ipv4/tcp_input.c, tcp_rcv_state_process */
  #endAcknowledged(peer: TcpSocket): void {
    if (this.#peer !== peer) return;
    this.#isEndAcknowledged = true;
    if (this.state === TCP_FIN_WAIT1) {
      this.state = TCP_FIN_WAIT2;
      this.shutdowns |= SEND_SHUTDOWN;
      this.stateChanged();
    } else if (this.state === TCP_CLOSING) this.#done(true);
    else if (this.state === TCP_LAST_ACK) this.#done(false);
  }

  /** Source: net/ipv4/tcp_input.c, tcp_reset */
  #resetArrives(from: TcpSocket): void {
    if (this.#peer !== from || this.state === TCP_CLOSE) return;
    this.#failed(this.state === TCP_CLOSE_WAIT ? ERRNO.EPIPE : ERRNO.ECONNRESET);
  }

  /** Both ends are reset. */
  #cut(): void {
    const peer = this.#peer as TcpSocket;
    this.#resetArrives(peer);
    peer.#resetArrives(this);
  }

  #failed(errno: number): void {
    this.error = errno;
    this.sending.clear();
    this.#done(false);
    this.errorReported();
  }

  /** Source: net/ipv4/tcp.c, tcp_done */
  #done(isTimeWait: boolean): void {
    this.state = TCP_CLOSE;
    this.shutdowns = SHUTDOWN_MASK;
    this.#synTimer?.cancel();
    this.#corkTimer?.cancel();
    if (this.isDead || isTimeWait || !this.isPortLocked) this.leavePort(isTimeWait);
    this.stateChanged();
  }

  /** Source: net/ipv4/tcp.c, tcp_recvmsg_locked and tcp_recv_urg */
  receive(target: Uint8Array, flags = 0, message?: Message): number {
    if ((flags & MSG_ERRQUEUE) !== 0) return -ERRNO.EAGAIN;
    if (this.state === TCP_LISTEN) return -ERRNO.ENOTCONN;
    if ((flags & MSG_OOB) !== 0) return this.#receiveUrgent(target, flags, message);
    const { receiving } = this;
    if (receiving.length > 0) {
      const count = receiving.read(target, {
        isPeek: (flags & MSG_PEEK) !== 0,
        isDropped: (flags & MSG_TRUNC) !== 0,
        isInline: this.settings.isUrgentInline,
      });
      // A socket that receives no more does not open its window.
      const isReceiving = (this.shutdowns & RCV_SHUTDOWN) === 0;
      if (isReceiving && receiving.openWindow()) this.#peer?.flush();
      if (count > 0 || target.length === 0) return count;
    }
    if (this.#isDone) return 0;
    if (this.error !== 0) return this.takeError();
    if ((this.shutdowns & RCV_SHUTDOWN) !== 0) return 0;
    return this.state === TCP_CLOSE ? -ERRNO.ENOTCONN : -ERRNO.EAGAIN;
  }

  #receiveUrgent(target: Uint8Array, flags: number, message: Message | undefined): number {
    const isPeek = (flags & MSG_PEEK) !== 0;
    const { receiving, settings } = this;
    if (this.state === TCP_CLOSE && !this.#isDone && receiving.hasUrgent) return -ERRNO.ENOTCONN;
    const urgent = receiving.readUrgent(isPeek, settings.isUrgentInline);
    if (urgent === -ERRNO.EAGAIN) {
      const isOver = this.state === TCP_CLOSE || (this.shutdowns & RCV_SHUTDOWN) !== 0;
      return isOver ? 0 : urgent;
    }
    if (urgent < 0) return urgent;
    if (message !== undefined) message.flags |= target.length > 0 ? MSG_OOB : MSG_OOB | MSG_TRUNC;
    if (target.length === 0) return 0;
    if ((flags & MSG_TRUNC) === 0) target[0] = urgent;
    return 1;
  }

  // Ending.

  /** Source: net/ipv4/af_inet.c, inet_shutdown; net/ipv4/tcp.c, tcp_shutdown */
  shutdown(how: number): number {
    if (how < 0 || how > 2) return -ERRNO.EINVAL;
    const halves = how + 1;
    let result = 0;
    if (this.#phase === SS_CONNECTING) {
      this.#phase = this.state === TCP_CLOSE ? SS_DISCONNECTING : SS_CONNECTED;
    }
    if (this.state === TCP_SYN_SENT) {
      this.#disconnect();
      this.#phase = SS_UNCONNECTED;
    } else if (this.state === TCP_LISTEN) {
      if ((halves & RCV_SHUTDOWN) !== 0) this.#disconnect();
    } else {
      if (this.state === TCP_CLOSE) result = -ERRNO.ENOTCONN;
      this.shutdowns |= halves;
      if ((halves & SEND_SHUTDOWN) !== 0) this.#end();
    }
    this.stateChanged();
    return result;
  }

  /** Sends an end behind everything, if none was sent. Source: net/ipv4/tcp.c, tcp_close_state */
  #end(): void {
    if (this.state === TCP_ESTABLISHED) this.state = TCP_FIN_WAIT1;
    else if (this.state === TCP_CLOSE_WAIT) this.state = TCP_LAST_ACK;
    else return;
    this.#isEndQueued = true;
    this.flush();
  }

  /** Source: net/ipv4/tcp.c, tcp_disconnect */
  #disconnect(): void {
    const { state } = this;
    const peer = this.#peer;
    this.#synTimer?.cancel();
    this.#corkTimer?.cancel();
    this.state = TCP_CLOSE;
    if (state === TCP_LISTEN) this.#stopListening();
    else if (state === TCP_SYN_SENT) this.error = ERRNO.ECONNRESET;
    else if (state !== TCP_CLOSE) {
      this.error = ERRNO.ECONNRESET;
      if (peer !== undefined) this.#transmitReset(peer);
    }
    this.sending = new TcpSendQueue();
    this.receiving = new TcpReceiveQueue(windowOf(this.settings));
    this.shutdowns = 0;
    this.#isDone = false;
    this.#isEndQueued = false;
    this.#isEndSent = false;
    this.#isEndAcknowledged = false;
    this.remote = undefined;
    // One that was closed already keeps the port that it was bound to meanwhile.
    if (this.isDead || (state !== TCP_CLOSE && !this.isPortLocked)) this.leavePort();
    if (state !== TCP_LISTEN && peer !== undefined) this.#isDisconnected = true;
    this.resetAddress();
    this.errorReported();
  }

  /** Source: net/ipv4/tcp.c, __tcp_close */
  protected destroyed(): void {
    const { state, receiving, settings } = this;
    const peer = this.#peer;
    const isUnread = receiving.length > 0;
    this.shutdowns = SHUTDOWN_MASK;
    receiving.clear();
    if (state === TCP_LISTEN) this.#stopListening();
    else if (state === TCP_SYN_SENT) this.#done(false);
    else if (state !== TCP_CLOSE && isUnread) {
      // Bytes that the program has not read are lost, and the other end learns it. RFC 2525, section 2.17
      if (peer !== undefined) this.#transmitReset(peer);
      this.#done(false);
    } else if (state !== TCP_CLOSE && settings.lingerSeconds === 0) this.#disconnect();
    else this.#end();
    if (this.state === TCP_CLOSE) this.leavePort();
  }

  // What a program sees.

  /** Source: net/ipv4/tcp.c, tcp_poll */
  poll(): number {
    const { state, shutdowns, receiving, settings } = this;
    if (state === TCP_LISTEN) return this.#backlog.length > 0 ? READABLE : 0;
    let mask = 0;
    if (shutdowns === SHUTDOWN_MASK || state === TCP_CLOSE) mask |= POLLHUP;
    if ((shutdowns & RCV_SHUTDOWN) !== 0) mask |= READABLE | POLLRDHUP;
    if (state !== TCP_SYN_SENT) {
      if (receiving.has(settings.receiveLowAt, settings.isUrgentInline)) mask |= READABLE;
      if ((shutdowns & SEND_SHUTDOWN) !== 0 || this.#isWriteable()) mask |= WRITABLE;
      else this.hasNoSpace = true;
      if (receiving.hasUrgent) mask |= POLLPRI;
    }
    return this.error === 0 ? mask : mask | POLLERR;
  }

  /** Source: net/ipv4/tcp.c, tcp_ioctl */
  override ioctl(request: number, value: DataView): number {
    const isQueue = request === FIONREAD || request === SIOCOUTQ;
    if (isQueue && this.state === TCP_LISTEN) return -ERRNO.EINVAL;
    if (request === FIONREAD) {
      value.setInt32(0, this.receiving.unread(this.settings.isUrgentInline), true);
    } else if (request === SIOCOUTQ) value.setInt32(0, this.unacknowledged, true);
    else if (request === SIOCATMARK) value.setInt32(0, this.receiving.isAtMark ? 1 : 0, true);
    else return super.ioctl(request, value);
    return 0;
  }

  /** The bytes that the other end has not acknowledged. An end counts as one. */
  get unacknowledged(): number {
    return this.sending.length + (this.#isEndQueued && !this.#isEndAcknowledged ? 1 : 0);
  }

  /** Source: net/ipv4/tcp.c, tcp_inq_hint */
  override get inQueue(): number {
    const { length } = this.receiving;
    return length === 0 && this.#isDone ? 1 : length;
  }

  override get hasBacklog(): boolean {
    return this.#backlog.length > 0;
  }

  /** The connections that wait at a listener, and their limit. */
  get backlog(): readonly [waiting: number, limit: number] {
    return [this.#backlog.length, this.#maxBacklog];
  }

  /** Source: net/ipv4/af_inet.c, inet_getname */
  peerName(): Uint8Array | number {
    const isConnected = this.state !== TCP_CLOSE && this.state !== TCP_SYN_SENT;
    return isConnected ? this.remoteName() : -ERRNO.ENOTCONN;
  }

  /** Source: net/ipv4/tcp.c, tcp_set_rcvlowat */
  receiveLowAtChanged(): void {
    const { settings, receiving } = this;
    const most = settings.isReceiveBufferLocked ? settings.receiveBuffer >> 1 : MAX_LOW_AT;
    settings.receiveLowAt = Math.min(settings.receiveLowAt, most);
    if (receiving.has(settings.receiveLowAt, settings.isUrgentInline)) this.dataReady();
  }

  override formerPeerName(): Uint8Array | undefined {
    const name = this.remoteName();
    return typeof name === "number" ? undefined : name;
  }

  /** Adapts the window to SO_RCVBUF. */
  resizeReceiveBuffer(): void {
    this.receiving.resize(windowOf(this.settings));
  }
}

/**
 * The most bytes that a receive buffer holds: half of a size that a program has set, and nearly all of the default, as
 * the kernel learns how densely segments are filled. Source: net/ipv4/tcp_input.c, tcp_scaling_ratio
 */
function windowOf({ receiveBuffer, isReceiveBufferLocked }: SocketSettings): number {
  return isReceiveBufferLocked ? receiveBuffer >> 1 : Math.floor((receiveBuffer * 125) / 128);
}

/** The header of a SYN, for filters: both ports, and the flag in byte 13. RFC 9293, section 3.1 */
function synOf(from: number, to: number): Uint8Array {
  const header = new Uint8Array(20);
  const view = new DataView(header.buffer);
  view.setUint16(0, from);
  view.setUint16(2, to);
  header[12] = 5 << 4;
  header[13] = 2;
  return header;
}
