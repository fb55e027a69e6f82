import type { LoadPlan } from "./options.ts";

const encoder = new TextEncoder();

/** The bytes of a request, which are the same each time; none for other targets. */
export function requestOf({ target, data }: LoadPlan): Uint8Array {
  if (target.kind !== "http") return new Uint8Array(0);
  const { path, authority } = target;
  const lines = [
    `${data === null ? "GET" : "POST"} ${path} HTTP/1.1`,
    `Host: ${authority}`,
    "User-Agent: polloi",
    "Accept: */*",
  ];
  if (data !== null) {
    lines.push("Content-Type: application/octet-stream", `Content-Length: ${data.length}`);
  }
  const head = encoder.encode(`${lines.join("\r\n")}\r\n\r\n`);
  if (data === null) return head;
  const request = new Uint8Array(head.length + data.length);
  request.set(head);
  request.set(data, head.length);
  return request;
}
