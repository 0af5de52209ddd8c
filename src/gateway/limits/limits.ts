// The middleware of limits: answers a request beyond a limit with an error that names the limit and the time
// to retry.
import type { PrincipalLimits } from "../../config/limits.ts";
import { isUnreadable } from "../../runtime/json/large-json.ts";
import { UNCOUNTED_BYTES } from "../answers-in-flight.ts";
import { type ClientHandle, named, OWNER_SESSION_ID } from "../client-handle.ts";
import { isError, isJsonObject, type JsonObject, jsonOf, type Reply } from "../json-rpc.ts";
import type { GatewayRequest, Handle, Middleware } from "../middleware/middleware.ts";
import { OWN_ANSWERS } from "../middleware/own-answers.ts";
import { isStoredResult, targetOf } from "../middleware/request-target.ts";
import { MODERN_VERSION } from "../protocol.ts";
import { whenLetGo } from "../sent-arguments.ts";
import { limitRefusal, mebibytes, type PrincipalLimiter } from "./principal-limits.ts";
import { isWithin, jsonSize } from "./result-size.ts";
import type { LargePart, StoredPart, StoredResults } from "./stored-results.ts";

/**
 * These parts outlive the chain of one configuration, so that a reload keeps the counts and the kept results.
 */
export interface LimitParts {
  readonly limiter: PrincipalLimiter;
  readonly stored: StoredResults;
}

export function createLimits({ limiter, stored }: LimitParts): Middleware {
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
        return withinSize(request, reply, limits, stored);
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
export function countRefused({ limiter }: LimitParts, { through, hasUsedQuota, handle }: GatewayRequest) {
  // A script's calls have waited for their turn.
  const takesNone = through === "run_script" || hasUsedQuota === true;
  return takesNone ? null : limiter.count(handle.client.principal);
}

// Shortens a result that is too large: its large parts are kept to be read in pieces, and a note replaces each. A
// structured result is refused, because clients check it against a schema.

const MOST_PIECE_CHARACTERS = 1024 * 1024;
/** A control character is six bytes as JSON (`\u0000`). */
const MOST_BYTES_A_CHARACTER = 6;
/** A result with more content blocks than this has its adjacent texts joined first. */
const MOST_BLOCKS = 64;
/** Maximum length of a MIME type, which is sent with each piece; a longer one is replaced. */
const LONGEST_TYPE = 255;
const LIMIT = "[limits].result_mb";
const FIRST_WITH_REFERENCES = "2025-06-18";

function withinSize(
  request: GatewayRequest,
  reply: Reply,
  limits: PrincipalLimits,
  stored: StoredResults,
): Reply {
  const { method, params, handle } = request;
  if (isError(reply)) return reply;
  const limit = limitFor(reply.result, limits, handle.client);
  if (limit === null) return reply;
  // A client of another machine cannot read results that are kept here. The gateway of the other machine keeps them
  // instead.
  if (handle.client.principal.kind === "machine") return reply;
  // The gateway's own lists are not limited. `mountaineer call` ends before it could read pieces.
  if (method.endsWith("/list") || handle.client.sessionId === OWNER_SESSION_ID) return reply;
  const target = targetOf(method, params);
  if (method === "resources/read" && target !== null && isStoredResult(target.name)) return reply;
  const large: Large = {
    what: target === null ? `the result of ${method}` : `the result of ${method} ${shown(target.name)}`,
    client: handle.client,
    result: reply.result,
    bytes: jsonSize(reply.result),
    ...limit,
  };
  if (method === "resources/read") return readInstead(large, stored);
  if (method === "tasks/get") return taskInPieces(large, stored) ?? refusal(large);
  return (
    (method === "tools/call" || method === "tasks/result" ? inPieces(large, stored) : null) ?? refusal(large)
  );
}

interface Limit {
  readonly limitBytes: number;
  /** What sets the limit, for messages. */
  readonly limitName: string;
  readonly pieceCharacters: number;
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
      pieceCharacters: Math.floor(messageLimitBytes / MOST_BYTES_A_CHARACTER),
    };
  }
  if (resultBytes === null || isWithin(result, resultBytes)) return null;
  const half = Math.max(1, Math.floor(resultBytes / 2));
  return {
    limitBytes: resultBytes,
    limitName: LIMIT,
    pieceCharacters: Math.min(MOST_PIECE_CHARACTERS, half),
  };
}

/** Exact, because the client ends its connection at a larger one. */
function isEventWithin(result: JsonObject, bytes: number): boolean {
  return isWithin(result, bytes / MOST_BYTES_A_CHARACTER) || Buffer.byteLength(jsonOf(result) ?? "") <= bytes;
}

interface Large extends Limit {
  /** How messages name the reply: "the result of tools/call NAME". */
  readonly what: string;
  readonly client: ClientHandle;
  readonly result: JsonObject;
  readonly bytes: number;
}

function refusal({ what, result, bytes, limitBytes, limitName }: Large): Reply {
  const kind = result["structuredContent"] === undefined ? "" : ", and structured results are not cut";
  const message = `${what} has ${mebibytes(bytes)} MiB, more than the ${mebibytes(limitBytes)} MiB allowed${kind}`;
  return limitRefusal({ limit: limitName, allowed: limitBytes, message, retryAfterMs: null });
}

/** null if the result cannot be cut. */
function inPieces(large: Large, stored: StoredResults): Reply | null {
  const { result, client, limitBytes, pieceCharacters } = large;
  const { content, structuredContent } = result;
  if (structuredContent !== undefined || !Array.isArray(content) || isUnreadable(content)) return null;
  const blocks = content.length > MOST_BLOCKS ? joined(content) : content;
  const sizes = blocks.map((block) => jsonSize(block));
  const moved = movedBlocks(blocks, sizes, large.bytes - limitBytes / 2);
  const around = jsonSize({ ...result, content: [] });
  const left = sizes.reduce((sum, size, index) => (moved.has(index) ? sum : sum + size), around);
  if (moved.size === 0 || left > limitBytes) return null;
  const parts = [...moved].sort(([a], [b]) => a - b);
  const storedParts = stored.keep(
    client,
    parts.map(([, part]) => part),
    pieceCharacters,
  );
  if (storedParts === null) return null;
  const partAt = new Map(parts.map(([index], nth) => [index, storedParts[nth]]));
  const out: unknown[] = [];
  for (const [index, block] of blocks.entries()) {
    const [part, storedPart] = [moved.get(index), partAt.get(index)];
    if (part === undefined || storedPart === undefined) out.push(block);
    else {
      out.push({ type: "text", text: remark(large, storedPart, stored.retainedMs) });
      if (client.protocolVersion >= FIRST_WITH_REFERENCES) out.push(resourceReference(storedPart, part));
    }
  }
  return { result: { ...result, content: out } };
}

function taskInPieces(large: Large, stored: StoredResults): Reply | null {
  const { result: task } = large;
  const { result } = task;
  if (!isJsonObject(result)) return null;
  const cut = inPieces({ ...large, result, bytes: jsonSize(result) }, stored);
  return cut === null || isError(cut) ? cut : { result: { ...task, result: cut.result } };
}

/** Returns the blocks to move out of the result, by index: the largest first, until `bytes` are moved. */
function movedBlocks(blocks: readonly unknown[], sizes: readonly number[], bytes: number) {
  const moved = new Map<number, LargePart>();
  let left = bytes;
  for (const index of sizes.map((_, at) => at).toSorted((a, b) => (sizes[b] ?? 0) - (sizes[a] ?? 0))) {
    if (left <= 0) return moved;
    const part = partOf(blocks[index]);
    if (part === null) continue;
    moved.set(index, part);
    left -= sizes[index] ?? 0;
  }
  return moved;
}

/** The part of a block that can be cut; null: none. */
function partOf(block: unknown): LargePart | null {
  if (!isJsonObject(block) || isUnreadable(block)) return null;
  const { type, text, data, mimeType, resource } = block;
  if (type === "text") return partIn("text", text, "text/plain");
  if (type === "image" || type === "audio")
    return partIn("blob", data, typed(mimeType, "application/octet-stream"));
  return type === "resource" ? resourcePart(resource) : null;
}

function resourcePart(resource: unknown): LargePart | null {
  if (!isJsonObject(resource) || isUnreadable(resource)) return null;
  const { text, blob, mimeType } = resource;
  return (
    partIn("text", text, typed(mimeType, "text/plain")) ??
    partIn("blob", blob, typed(mimeType, "application/octet-stream"))
  );
}

function partIn(kind: LargePart["kind"], value: unknown, mimeType: string): LargePart | null {
  return typeof value === "string" ? { kind, mimeType, content: value } : null;
}

function typed(mimeType: unknown, otherwise: string): string {
  return typeof mimeType === "string" && mimeType.length <= LONGEST_TYPE ? mimeType : otherwise;
}

/** Joins adjacent texts. */
function joined(content: readonly unknown[]): readonly unknown[] {
  const blocks: unknown[] = [];
  let texts: string[] = [];
  const end = (): void => {
    if (texts.length > 0) blocks.push({ type: "text", text: texts.join("\n") });
    texts = [];
  };
  for (const block of content) {
    if (isJsonObject(block) && block["type"] === "text" && typeof block["text"] === "string") {
      texts.push(block["text"]);
    } else {
      end();
      blocks.push(block);
    }
  }
  end();
  return blocks;
}

/** Replies with an error that says where the pieces are, because a result of resources/read has no room for a link. */
function readInstead(large: Large, stored: StoredResults): Reply {
  const { result, client, limitBytes, limitName, pieceCharacters } = large;
  const { contents } = result;
  const isList = Array.isArray(contents) && !isUnreadable(contents);
  const [only, ...others] = isList ? contents : [];
  const part = others.length === 0 ? resourcePart(only) : null;
  const [storedPart] = part === null ? [] : (stored.keep(client, [part], pieceCharacters) ?? []);
  if (storedPart === undefined) return refusal(large);
  const message = remark(large, storedPart, stored.retainedMs);
  return limitRefusal({ limit: limitName, allowed: limitBytes, message, retryAfterMs: null });
}

/** Without session and token, everyone who knows the address can read the result. */
function forWhom({ protocolVersion, principal }: ClientHandle): string {
  if (protocolVersion !== MODERN_VERSION) return "only for this session";
  return principal.kind === "anonymous"
    ? "for any client without a token that knows its address"
    : `only for ${named(principal)}`;
}

function remark(
  { what, bytes, limitBytes, limitName, client }: Large,
  { uri, pieces }: StoredPart,
  retainedMs: number,
): string {
  const where =
    pieces === 1
      ? `read it as the resource ${uri}`
      : `read it in ${pieces} pieces: ${uri}/1 to ${uri}/${pieces}`;
  const minutes = Math.round(retainedMs / 60_000);
  return `${what} has ${mebibytes(bytes)} MiB, more than the ${mebibytes(limitBytes)} MiB of ${limitName}. It is kept for ${minutes} minutes, ${forWhom(client)}; ${where}.`;
}

function resourceReference({ uri, pieces, bytes }: StoredPart, { mimeType }: LargePart): JsonObject {
  return {
    type: "resource_link",
    uri,
    name: "result",
    title: "The whole result",
    description: pieces === 1 ? "In one piece." : `The first of ${pieces} pieces; the next is ${uri}/2.`,
    mimeType,
    size: bytes,
  };
}

function shown(name: string): string {
  return name.length > 100 ? `${name.slice(0, 100).toWellFormed()}…` : name;
}
