import type { Operation } from "../program.ts";
import { PATH_OPERATIONS } from "./paths.ts";
import { READINESS_OPERATIONS } from "./readiness.ts";
import { SOCKET_OPERATIONS } from "./sockets.ts";
import { TRANSFER_OPERATIONS } from "./transfer.ts";
import { URING_OPERATIONS } from "./uring.ts";

/** All operations. */
export const OPERATIONS: readonly Operation[] = [
  ...SOCKET_OPERATIONS,
  ...TRANSFER_OPERATIONS,
  ...READINESS_OPERATIONS,
  ...URING_OPERATIONS,
  ...PATH_OPERATIONS,
];

const BY_NAME: ReadonlyMap<string, Operation> = new Map(
  OPERATIONS.map((each) => [each.name, each]),
);

export function operationOf(name: string): Operation {
  const operation = BY_NAME.get(name);
  if (operation === undefined) throw new RangeError(`There is no operation ${name}`);
  return operation;
}
