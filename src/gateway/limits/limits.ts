// The middleware of limits: answers a request beyond a limit with an error that names the limit and the time
// to retry.
import type { PrincipalLimits } from "../../config/limits.ts";
import { isUnreadable, withTextCut } from "../../runtime/json/large-json.ts";
import { UNCOUNTED_BYTES } from "../answers-in-flight.ts";
import { type ClientHandle, OWNER_SESSION_ID } from "../client-handle.ts";
import { isError, isJsonObject, type JsonObject, jsonOf, type Reply } from "../json-rpc.ts";
import type { GatewayRequest, Handle, Middleware } from "../middleware/middleware.ts";
import { OWN_ANSWERS } from "../middleware/own-answers.ts";
import { targetOf } from "../middleware/request-target.ts";
import { MODERN_VERSION } from "../protocol.ts";
import { whenLetGo } from "../sent-arguments.ts";
import { limitRefusal, mebibytes, type PrincipalLimiter } from "./principal-limits.ts";
import { isWithin, jsonSize } from "./result-size.ts";

/** `limiter` outlives the chain of one configuration, so that a reload keeps the counts. */
export function createLimits(limiter: PrincipalLimiter): Middleware {
  return (next: Handle) => (request: GatewayRequest) => {
    // A script's calls have waited for their turn, and what they answer goes to the script, not to the client.
    if (request.through === "run_script") return next(request);
    const quota =
      request.hasUsedQuota === true ? "already" : OWN_ANSWERS.has(request.method) ? "own" : "call";
    const { limits } = limiter;
    const admitted = limiter.admit(request.handle.client.principal, quota);
    if ("error" in admitted) return Promise.resolve(admitted);
    const { account } = admitted;
    const { params = {} } = request;
    const bytes = isWithin(params, UNCOUNTED_BYTES) ? 0 : jsonSize(params);
    const beyond = limiter.charge(account, bytes);
    if (beyond !== null) {
      limiter.release(account);
      return Promise.resolve(beyond);
    }
    let charged = bytes;
    const uncharge = (): void => {
      limiter.add(account, -charged);
      charged = 0;
    };
    if (bytes > 0 && mayLetGo(request)) whenLetGo(params, uncharge);
    const release = (): void => {
      uncharge();
      limiter.release(account);
    };
    return next(request).then(
      (reply) => {
        release();
        return withinSize(request, reply, limits);
      },
      (error: unknown) => {
        release();
        throw error;
      },
    );
  };
}

/** A client of 2026-07-28 that can be asked makes the call again with its answer, which is compared with this one. */
function mayLetGo({ handle: { client } }: GatewayRequest): boolean {
  return client.protocolVersion !== MODERN_VERSION || Object.keys(client.capabilities).length === 0;
}

/** Counts a call that was refused, as if it had been made; beyond the rate limit, returns that refusal instead. */
export function countRefused(limiter: PrincipalLimiter, { through, hasUsedQuota, handle }: GatewayRequest) {
  // A script's calls have waited for their turn.
  const takesNone = through === "run_script" || hasUsedQuota === true;
  return takesNone ? null : limiter.count(handle.client.principal);
}

// Cuts a result that is too large: what fits is sent, and a remark says what is missing. A structured result is refused,
// because clients check it against a schema, and so is a resource, because nothing in it could say that it is cut.

/** A control character is six bytes as JSON (`\u0000`). */
const MOST_BYTES_A_CHARACTER = 6;
/** Room for the remark. */
const REMARK_BYTES = 1_024;
const LIMIT = "[limits].result_mb";
/** A shorter beginning of a text is of no use. */
const SHORTEST_CUT_BYTES = 256;

function withinSize(request: GatewayRequest, reply: Reply, limits: PrincipalLimits): Reply {
  const { method, params, handle } = request;
  if (isError(reply)) return reply;
  const limit = limitFor(reply.result, limits, handle.client);
  if (limit === null) return reply;
  // The gateway of the other machine cuts it for its client.
  if (handle.client.principal.kind === "machine") return reply;
  // The gateway's own lists are not limited, nor is `mountaineer call`.
  if (method.endsWith("/list") || handle.client.sessionId === OWNER_SESSION_ID) return reply;
  const target = targetOf(method, params);
  const { result } = reply;
  const what = target === null ? `the result of ${method}` : `the result of ${method} ${shown(target.name)}`;
  const large: Large = { what, result, ...limit };
  if (method === "tools/call" || method === "tasks/result") return cut(large) ?? refusal(large);
  const ofTask = method === "tasks/get" && isJsonObject(result["result"]) ? result["result"] : null;
  const cutTask = ofTask === null ? null : cut({ ...large, result: ofTask });
  return cutTask === null ? refusal(large) : { result: { ...result, result: cutTask.result } };
}

interface Limit {
  readonly limitBytes: number;
  /** What sets the limit, for messages. */
  readonly limitName: string;
  /** How many bytes of a result beyond the limit are sent. */
  readonly sentBytes: number;
}

/** The limit that the result exceeds; null: none. */
function limitFor(
  result: JsonObject,
  { resultBytes }: PrincipalLimits,
  { messageLimitBytes }: ClientHandle,
): Limit | null {
  if (messageLimitBytes !== undefined && !isEventWithin(result, messageLimitBytes)) {
    return {
      limitBytes: messageLimitBytes,
      limitName: "a message to this client",
      sentBytes: Math.floor(messageLimitBytes / MOST_BYTES_A_CHARACTER),
    };
  }
  if (resultBytes === null || isWithin(result, resultBytes)) return null;
  return { limitBytes: resultBytes, limitName: LIMIT, sentBytes: resultBytes - REMARK_BYTES };
}

/** Exact, because the client ends its connection at a larger one. */
function isEventWithin(result: JsonObject, bytes: number): boolean {
  return isWithin(result, bytes / MOST_BYTES_A_CHARACTER) || Buffer.byteLength(jsonOf(result) ?? "") <= bytes;
}

interface Large extends Limit {
  /** How messages name the reply: "the result of tools/call NAME". */
  readonly what: string;
  readonly result: JsonObject;
}

function tooLarge({ what, result, limitBytes }: Large): string {
  return `${what} has ${mebibytes(jsonSize(result))} MiB, more than the ${mebibytes(limitBytes)} MiB`;
}

function refusal(large: Large): Reply {
  const kind =
    large.result["structuredContent"] === undefined ? "" : "; structured results are refused, never cut";
  const message = `${tooLarge(large)}${kind}`;
  return limitRefusal({ limit: large.limitName, allowed: large.limitBytes, message, retryAfterMs: null });
}

/** The result with those parts that fit, and the beginning of the first text that does not; null: it cannot be cut. */
function cut(large: Large): { readonly result: JsonObject } | null {
  const { result, sentBytes } = large;
  const { content, structuredContent } = result;
  if (structuredContent !== undefined || !Array.isArray(content) || isUnreadable(content)) return null;
  let left = sentBytes - jsonSize({ ...result, content: [] });
  if (left < 0) return null;
  const sent: unknown[] = [];
  let isTextCut = false;
  for (const block of content) {
    const size = jsonSize(block, left);
    if (size <= left) {
      sent.push(block);
      left -= size;
    } else if (!isTextCut && left >= SHORTEST_CUT_BYTES && isText(block)) {
      isTextCut = true;
      sent.push(withTextCut(block, "text", left) ?? { ...block, text: beginning(block.text, left) });
      left = 0;
    }
  }
  const parts =
    sent.length < content.length ? `, and ${content.length - sent.length} parts are left out` : "";
  const texts = isTextCut ? "; a text is cut" : "";
  const remark = `[${tooLarge(large)} of ${large.limitName}${texts}${parts}. The call itself is done.]`;
  return { result: { ...result, content: [...sent, { type: "text", text: remark }] } };
}

function isText(block: unknown): block is JsonObject & { readonly text: string } {
  return (
    isJsonObject(block) &&
    !isUnreadable(block) &&
    block["type"] === "text" &&
    typeof block["text"] === "string"
  );
}

/** The characters that have at most `bytes` bytes as UTF-8. */
function beginning(text: string, bytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytes));
  return text.slice(0, read);
}

function shown(name: string): string {
  return name.length > 100 ? `${name.slice(0, 100).toWellFormed()}…` : name;
}
