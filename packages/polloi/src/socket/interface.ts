import { integerOf, stringOf } from "../base/argument.ts";
import { rangeError, show } from "../base/misuse.ts";
import { check, SysError } from "../base/sys-error.ts";
import type { Kernel } from "../sys/kernel.ts";
import { checkKernel, kernel as defaultKernel } from "../sys/open.ts";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM } from "./constants.ts";
import { AT_BYTES } from "./scratch.ts";

// ioctls of any socket. netdevice(7)
const SIOCGIFNAME = 0x8910;
const SIOCGIFINDEX = 0x8933;

/** `struct ifreq`: 16 bytes of name, then a union that begins with the index. */
const IFREQ_SIZE = 40;
const IFNAMSIZ = 16;

/**
 * The number of a network interface: the scope of a link-local address.
 *
 * @param name - A name of `ip link`: `"lo"`, `"eth0"`.
 * @throws RangeError `ERR_INVALID_ADDRESS` if no interface has this name; TypeError `ERR_INVALID_ADDRESS` unless it is a
 * string.
 * @source netdevice(7), SIOCGIFINDEX
 */
export function interfaceIndex(name: string): number;
/** @internal */
export function interfaceIndex(name: string, kernel?: Kernel): number;
export function interfaceIndex(name: string, kernel: Kernel = defaultKernel): number {
  checkKernel(kernel);
  const bytes = new TextEncoder().encode(stringOf(name, "a name", "ERR_INVALID_ADDRESS"));
  const unknown = `Cannot find a network interface called ${show(name)}`;
  if (bytes.length === 0 || bytes.length >= IFNAMSIZ || bytes.includes(0)) {
    throw rangeError("ERR_INVALID_ADDRESS", unknown);
  }
  const { u8, view } = kernel.scratch;
  const result = request(kernel, SIOCGIFINDEX, () => u8.set(bytes, AT_BYTES));
  if (result < 0) throw rangeError("ERR_INVALID_ADDRESS", unknown);
  return view.getInt32(AT_BYTES + IFNAMSIZ, true);
}

/**
 * The name of network interface number `index`.
 *
 * @throws SysError `ENXIO` or `ENODEV` if there is no interface with this number; TypeError or RangeError
 * `ERR_INVALID_OPTION` unless it is a number.
 * @source netdevice(7), SIOCGIFNAME
 */
export function interfaceName(index: number): string;
/** @internal */
export function interfaceName(index: number, kernel?: Kernel): string;
export function interfaceName(index: number, kernel: Kernel = defaultKernel): string {
  checkKernel(kernel);
  const number = integerOf(index, "the number of an interface", [0, 0x7fff_ffff]);
  const { u8, view } = kernel.scratch;
  const result = request(kernel, SIOCGIFNAME, () =>
    view.setInt32(AT_BYTES + IFNAMSIZ, number, true),
  );
  if (result < 0) throw new SysError("ioctl", result);
  const name = u8.slice(AT_BYTES, AT_BYTES + IFNAMSIZ);
  return new TextDecoder().decode(name.subarray(0, name.indexOf(0)));
}

/** Makes the call on a temporary socket, because these ioctls need one. */
function request(kernel: Kernel, code: number, fill: () => void): number {
  const { libc, scratch } = kernel;
  const fd = check(libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  scratch.u8.fill(0, AT_BYTES, AT_BYTES + IFREQ_SIZE);
  fill();
  const result = libc.ioctl(fd, code, scratch.address + AT_BYTES);
  libc.close(fd);
  return result;
}
