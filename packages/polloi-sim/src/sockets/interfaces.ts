/** The network interfaces of the machine: only `lo`. Source: netdevice(7) */
import { ERRNO } from "polloi/internal/pure";
import { SIOCGIFINDEX, SIOCGIFNAME } from "./constants.ts";

/** `struct ifreq`: 16 bytes of name, then a union that begins with the number. */
const IFREQ_SIZE = 40;
const NAME_SIZE = 16;
const LOOPBACK = "lo";
const LOOPBACK_INDEX = 1;

/** Whether a request of ioctl(2) is one of these. */
export function isInterfaceRequest(request: number): boolean {
  return request === SIOCGIFNAME || request === SIOCGIFINDEX;
}

/** ioctl(2). @param value - A view that begins where the `ifreq` does. */
export function interfaceRequest(request: number, value: DataView): number {
  if (value.byteOffset + IFREQ_SIZE > value.buffer.byteLength) return -ERRNO.EFAULT;
  const bytes = new Uint8Array(value.buffer, value.byteOffset, IFREQ_SIZE);
  const view = new DataView(value.buffer, value.byteOffset, IFREQ_SIZE);
  const end = bytes.indexOf(0);
  if (request === SIOCGIFNAME) {
    if (view.getInt32(NAME_SIZE, true) !== LOOPBACK_INDEX) return -ERRNO.ENODEV;
    bytes.fill(0, 0, NAME_SIZE);
    bytes.set(new TextEncoder().encode(LOOPBACK));
    return 0;
  }
  const name = new TextDecoder().decode(bytes.slice(0, Math.min(end < 0 ? 0 : end, NAME_SIZE)));
  if (name !== LOOPBACK) return -ERRNO.ENODEV;
  view.setInt32(NAME_SIZE, LOOPBACK_INDEX, true);
  return 0;
}
