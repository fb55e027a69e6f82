/**
 * What a selector watches for and reports: bits of one integer, so that they cross every floor without
 * an object. The first group is asked for and reported, the second is reported whether asked for or
 * not, the third says how to watch.
 */

/** Bytes or a connection can be taken, or the end of the stream is there. */
export const EVENT_READ = 0x01;
/** Bytes can be given, or a connect has come to its end. */
export const EVENT_WRITE = 0x02;
/** Urgent data, or what else poll(2) calls priority. */
export const EVENT_PRIORITY = 0x04;
/** The peer has closed its sending half. Engines without RDHUP (select) never report it. */
export const EVENT_PEER_CLOSED = 0x08;

/** The descriptor has an error to fetch with SO_ERROR. */
export const EVENT_ERROR = 0x10;
/** Both halves are closed, or the other end of a pipe is. */
export const EVENT_HANGUP = 0x20;

/** Edge-triggered: reported once each time something new happens. */
export const MODE_EDGE = 0x100;
/** Reported once, then silent until modified. */
export const MODE_ONE_SHOT = 0x200;
/** Of all epoll sets that watch this descriptor, wake at least one rather than all. */
export const MODE_EXCLUSIVE = 0x400;

/** All that can be asked for. */
export const EVENT_ALL: number = EVENT_READ | EVENT_WRITE | EVENT_PRIORITY | EVENT_PEER_CLOSED;
