import { show, typeError } from "../../base/misuse.ts";

/** The parts of a `Request` by which one is recognized, whichever class it has. */
type RequestParts = Pick<Request, "method" | "url" | "headers">;

/** @throws TypeError `ERR_INVALID_OPTION` when `value` is not a request. */
export function checkRequest(value: RequestParts): void {
  const { method, url, headers } = Object(value) as RequestParts;
  const isRequest = typeof method === "string" && typeof url === "string";
  if (isRequest && typeof headers?.get === "function") return;
  throw typeError("ERR_INVALID_OPTION", `Cannot use ${show(value)} as a request: give a Request`);
}
