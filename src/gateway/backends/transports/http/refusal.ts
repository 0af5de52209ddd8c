// Turns an HTTP error status into a link failure, or into the JSON-RPC error that the body carries. Pure.
import { valueOr } from "../../../../runtime/errors.ts";
import { parseJson } from "../../../../runtime/text/parse-json.ts";
import {
  classifyMessage,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isError,
  isJsonObject,
  METHOD_NOT_FOUND,
  type RpcId,
} from "../../../json-rpc.ts";
import { type TransportFailure, transportFailure } from "../backend-transport.ts";
import type { HttpTarget } from "./target.ts";

interface RefusedResponse {
  /** Not 2xx. */
  readonly status: number;
  /** The body; null if it could not be read. */
  readonly text: string | null;
  readonly location: string | null;
  /** The id of the refused request; null: the message was not a request. */
  readonly id: RpcId | null;
  readonly hadSession: boolean;
  readonly target: Pick<HttpTarget, "origin" | "path" | "name">;
  readonly clean: (text: string) => string;
}

/** Statuses of a server that takes no POST at the address. The specification of 2025-11-25 says to try HTTP+SSE then. */
export const TAKES_NO_MESSAGES: ReadonlySet<number> = new Set([400, 404, 405]);
const LONGEST_TEXT = 200;
/** Members that hold the reason in JSON bodies that are not JSON-RPC. */
const REASON_MEMBERS = ["message", "error_description", "detail", "error"];
const OTHER_HOST = "the server leads to another host: find out from its provider whether that is right";
/** Parts of the path and query with at least this many characters may be secrets. */
const SECRET_LENGTH = 6;

/**
 * `answer`: the body, if it is the JSON-RPC response to the request. Headers, and the address beyond its origin, never
 * appear in the failure.
 */
export function refusal(response: RefusedResponse): TransportFailure | { readonly answer: unknown } {
  const { status, text, id, hadSession, clean } = response;
  const { origin, name } = response.target;
  const body = text === null ? null : valueOr(() => parseJson(text), null);
  const message = classifyMessage(body);
  const error = message.kind === "response" && isError(message.reply) ? message.reply.error : null;
  const isOwn = id !== null && message.kind === "response" && message.id === id;
  const detail = error?.message ?? (body === null ? text?.slice(0, LONGEST_TEXT) : null) ?? "";
  if (hadSession && losesSession(status, { isOwn, code: error?.code ?? null, detail }))
    return transportFailure("session_lost", `${origin} no longer knows our session`);
  if (isOwn) return { answer: body };
  if (status >= 300 && status < 400) {
    const to = redirectOf(response);
    const shown = to === null ? "nowhere" : to.origin + clean(to.pathname);
    const message = `${origin} redirects to ${shown} (HTTP ${status}), which is not followed`;
    const hint = to?.origin === origin ? "give that address as `url`" : OTHER_HOST;
    return transportFailure("refused", message, hint);
  }
  const reason = error?.message ?? reasonText(body, response);
  const shown = reason === "" ? "" : `: ${clean(reason).slice(0, LONGEST_TEXT)}`;
  const failure = transportFailure("refused", `${name} answered HTTP ${status}${shown}`, hintFor(response));
  return { ...failure, status };
}

interface ReasonGiven {
  /** The body is the JSON-RPC response to this very request. */
  readonly isOwn: boolean;
  /** null: not a JSON-RPC error. */
  readonly code: number | null;
  readonly detail: string;
}

/**
 * True if the server has forgotten the session, so that the message was not processed. 404 says so, but some servers
 * also send it with their answer: 2026-07-28 demands it for an unknown method. 400 and 401 say so only in words, which a
 * tool that has sessions may use as well.
 */
function losesSession(status: number, { isOwn, code, detail }: ReasonGiven): boolean {
  const isNamed = namesSession(detail);
  if (status === 404 || status === 410)
    return !isOwn || (code !== null && (isNamed || (code !== METHOD_NOT_FOUND && code !== INVALID_PARAMS)));
  const isCallsOwn = isOwn && (code === INVALID_PARAMS || code === INTERNAL_ERROR);
  return (status === 400 || status === 401) && isNamed && !isCallsOwn;
}

/** The reason given by a body that is not JSON-RPC; "" if it gives none, is an HTML page, or repeats a possible secret. */
function reasonText(body: unknown, { text, target }: RefusedResponse): string {
  const texts = isJsonObject(body) ? REASON_MEMBERS.map((key) => body[key]) : body === null ? [text] : [];
  const reason = texts.find((one) => typeof one === "string")?.trim() ?? "";
  const isPage = reason.startsWith("<");
  const pieces = target.path.split(/[/?&=]/).filter((piece) => piece.length >= SECRET_LENGTH);
  return isPage || pieces.some((piece) => reason.includes(piece)) ? "" : reason;
}

function hintFor({ status, target: { origin, path } }: RefusedResponse): string | null {
  if (status === 401 || status === 403) return "check the credentials in `headers`";
  const isBare = path === "/" || path.startsWith("/?");
  if (isBare && status !== 429 && (status < 500 || status === 501))
    return `the address has no path: most servers take ${origin}/mcp`;
  return status === 404 || status === 405 ? "check `url`: it must be the server's MCP endpoint" : null;
}

interface Redirected {
  readonly target: Pick<HttpTarget, "origin" | "path">;
}

/** Null: the response names no address. */
function redirectOf({ location, target: { origin, path } }: Pick<RefusedResponse, "location"> & Redirected) {
  return location === null ? null : URL.parse(location, origin + path);
}

/**
 * The path and query to which the message may be sent again: on the same origin, and for statuses that change POST to
 * GET only if a slash at the end is all that differs. Null: the redirect is not followed.
 */
export function redirectedPath(status: number, response: Pick<RefusedResponse, "location"> & Redirected) {
  const to = FOLLOWED.has(status) ? redirectOf(response) : null;
  const { origin, path } = response.target;
  // Compared as text: a user in it would be lost, and the origin of `blob:http://HOST/` is that of HOST.
  if (to?.href.startsWith(`${origin}/`) !== true) return null;
  const isSame = withoutSlash(to.pathname) === withoutSlash(new URL(origin + path).pathname);
  return isSame || status === 307 || status === 308 ? to.pathname + to.search : null;
}

const FOLLOWED: ReadonlySet<number> = new Set([301, 302, 307, 308]);

function withoutSlash(path: string): string {
  return path.replace(/\/$/, "");
}

/** Texts by which some servers report that they have forgotten a session; tools may have their own sessions. */
export function namesSession(detail: string): boolean {
  return /\bsession(?:id)?\b/i.test(detail);
}
