// The head of a request that one machine of the fleet brings to another one: what of the client's own head goes along, what
// stands for its session's id, and who the client is. No token is ever in it.
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { Principal } from "../../client-port.ts";
import { MOST_ROLES, SHA256_HEX } from "../session/session-record.ts";
import { hostOf } from "./request.ts";

/** What passes of a request, beside what stands here for its session and its sender. */
const REQUEST_HEADERS = [
  "accept",
  "content-type",
  "last-event-id",
  "mcp-protocol-version",
  "traceparent",
  "tracestate",
] as const;
const RESPONSE_HEADERS = [
  "allow",
  "cache-control",
  "content-length",
  "content-type",
  "retry-after",
  "www-authenticate",
  "x-accel-buffering",
] as const;
const PROOF_HEADER = "mountaineer-session";
const CALLER_HEADER = "mountaineer-caller";
/** Of one text that says who somebody is. */
const LONGEST_NAME = 1_024;
/** Of the whole, encoded. */
const LONGEST_CALLER = 32 * 1024;

/** More than a client's own head may have, as it also says who the client is: bytes. */
export const LONGEST_HEAD = 64 * 1024;

export function forwardedHeaders(
  request: IncomingMessage,
  { kind, id, subject, name, roles }: Principal,
  proof: string,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { host: hostOf(request) ?? "localhost", connection: "close" };
  for (const header of REQUEST_HEADERS) {
    const value: unknown = request.headers[header];
    if (typeof value === "string") headers[header] = value;
  }
  headers[PROOF_HEADER] = proof;
  const caller = JSON.stringify({ kind, id, subject, name, roles });
  headers[CALLER_HEADER] = Buffer.from(caller).toString("base64url");
  return headers;
}

/** Null: it is none. */
export function readForwarded(
  headers: IncomingHttpHeaders,
): { readonly proof: string; readonly caller: Principal } | null {
  const { [PROOF_HEADER]: proof, [CALLER_HEADER]: text } = headers;
  if (typeof proof !== "string" || !SHA256_HEX.test(proof)) return null;
  if (typeof text !== "string" || text.length > LONGEST_CALLER) return null;
  const caller = readCaller(Buffer.from(text, "base64url").toString("utf8"));
  return caller === null ? null : { proof, caller };
}

/** Only who comes over the network can come by way of another machine. */
function readCaller(text: string): Principal | null {
  const { kind, id, subject, name, roles } = jsonObject(text) ?? {};
  if (kind !== "anonymous" && kind !== "user") return null;
  if (!isName(name) || !Array.isArray(roles) || roles.length > MOST_ROLES || !roles.every(isName))
    return null;
  if ((id !== undefined && !isName(id)) || (subject !== undefined && !isName(subject))) return null;
  // Who has no token was signed by nobody.
  if (kind === "anonymous" && (id !== undefined || subject !== undefined)) return null;
  return {
    kind,
    ...(id === undefined ? {} : { id }),
    ...(subject === undefined ? {} : { subject }),
    name,
    roles,
  };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length <= LONGEST_NAME && !/\p{Cc}/u.test(value);
}

/** What of another machine's response is the client's. */
export function passedBack(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const passed: OutgoingHttpHeaders = {};
  for (const header of RESPONSE_HEADERS) {
    const value: unknown = headers[header];
    if (typeof value === "string") passed[header] = value;
  }
  return passed;
}
