/**
 * Ancillary data in memory: `cmsghdr` after `cmsghdr`, aligned to 8 bytes.
 *
 * Source: cmsg(3), unix(7); net/core/scm.c, __scm_send, put_cmsg and scm_detach_fds.
 */
import {
  ERRNO,
  IPPROTO_IP,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SOL_SOCKET,
} from "polloi/internal/pure";
import type { OpenFile } from "../process/open-file.ts";
import type { Process } from "../process/process.ts";
import type { Control, Credentials, Message } from "./socket-file.ts";

/** A ring cannot be passed. Source: net/core/scm.c, scm_fp_copy */
const URING_KIND = "anon_inode:[io_uring]";

const HEADER = 16;
const FD_BYTES = 4;
/** SCM_MAX_FD */
const MAX_FILES = 253;
const UCRED_BYTES = 12;

function aligned(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/**
 * Reads ancillary data that is sent.
 *
 * @param isUnix - Whether descriptors and credentials can be sent.
 * @returns 0 or `-errno`: EINVAL, EBADF.
 */
export function readControl(
  { descriptors }: Process,
  control: Uint8Array,
  message: Message,
  isUnix: boolean,
): number {
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const controls: Control[] = [];
  for (let at = 0; at + HEADER <= control.length; ) {
    const length = Number(view.getBigUint64(at, true));
    if (length < HEADER || at + length > control.length) return -ERRNO.EINVAL;
    const level = view.getInt32(at + 8, true);
    const type = view.getInt32(at + 12, true);
    const data = control.slice(at + HEADER, at + length);
    if (level === SOL_SOCKET && isUnix) {
      const result =
        type === SCM_RIGHTS
          ? readRights(data, (fd) => descriptors.getAny(fd), message)
          : type === SCM_CREDENTIALS
            ? readCredentials(data, message)
            : -ERRNO.EINVAL;
      if (result < 0) return result;
    } else if (level === IPPROTO_IP || !isUnix) controls.push({ level, type, data });
    at += aligned(length);
  }
  message.controls = controls;
  return 0;
}

function readRights(
  data: Uint8Array,
  fileOf: (fd: number) => OpenFile | undefined,
  message: Message,
): number {
  const count = Math.floor(data.length / FD_BYTES);
  const files = [...(message.files ?? [])];
  if (files.length + count > MAX_FILES) return -ERRNO.EINVAL;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let i = 0; i < count; i++) {
    const file = fileOf(view.getInt32(i * FD_BYTES, true));
    if (file === undefined) return -ERRNO.EBADF;
    if (file.kind === URING_KIND) return -ERRNO.EINVAL;
    files.push(file);
  }
  if (files.length > 0) message.files = files;
  return 0;
}

function readCredentials(data: Uint8Array, message: Message): number {
  if (data.length !== UCRED_BYTES) return -ERRNO.EINVAL;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  message.credentials = {
    pid: view.getInt32(0, true),
    uid: view.getUint32(4, true),
    gid: view.getUint32(8, true),
  };
  return 0;
}

/**
 * Writes ancillary data that was received, makes descriptors of files, and drops those without room.
 *
 * @param flags - Of the call: MSG_CMSG_CLOEXEC.
 * @returns The number of bytes that were written. MSG_CTRUNC is set in the message when there were more.
 */
export function writeControl(
  process: Process,
  control: Uint8Array,
  message: Message,
  flags: number,
): number {
  let at = 0;
  const put = (level: number, type: number, data: Uint8Array): void => {
    const room = control.length - at;
    if (room < HEADER) {
      message.flags |= MSG_CTRUNC;
      return;
    }
    const wanted = HEADER + data.length;
    if (room < wanted) message.flags |= MSG_CTRUNC;
    const length = Math.min(wanted, room);
    writeHeader(control, at, { length, level, type });
    control.set(data.subarray(0, length - HEADER), at + HEADER);
    at += Math.min(aligned(wanted), room);
  };
  for (const { level, type, data } of message.controls) put(level, type, data);
  if (message.credentials !== undefined) {
    put(SOL_SOCKET, SCM_CREDENTIALS, ucred(message.credentials));
  }
  const { files } = message;
  if (files === undefined) return at;
  message.files = undefined;
  const room = control.length - at;
  const most = room <= HEADER ? 0 : Math.floor((room - HEADER) / FD_BYTES);
  const fds = install(process, files, most, (flags & MSG_CMSG_CLOEXEC) !== 0);
  if (fds.length < files.length) message.flags |= MSG_CTRUNC;
  if (fds.length > 0) {
    const length = HEADER + fds.length * FD_BYTES;
    writeHeader(control, at, { length, level: SOL_SOCKET, type: SCM_RIGHTS });
    const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
    for (const [i, fd] of fds.entries()) view.setInt32(at + HEADER + i * FD_BYTES, fd, true);
    at += Math.min(aligned(length), room);
  }
  return at;
}

/** Makes descriptors of up to `most` files, and drops the references of the message. */
function install(
  { descriptors, world }: Process,
  files: readonly OpenFile[],
  most: number,
  isCloseOnExec: boolean,
): number[] {
  const fds: number[] = [];
  for (const file of files.slice(0, most)) {
    const fd = world.faults.happens("noDescriptors") ? -1 : descriptors.add(file, isCloseOnExec);
    if (fd < 0) break;
    fds.push(fd);
  }
  for (const file of files) file.drop();
  return fds;
}

function writeHeader(
  control: Uint8Array,
  at: number,
  header: { readonly length: number; readonly level: number; readonly type: number },
): void {
  const view = new DataView(control.buffer, control.byteOffset + at, HEADER);
  view.setBigUint64(0, BigInt(header.length), true);
  view.setInt32(8, header.level, true);
  view.setInt32(12, header.type, true);
}

function ucred({ pid, uid, gid }: Credentials): Uint8Array {
  return new Uint8Array(Int32Array.of(pid, uid, gid).buffer);
}
