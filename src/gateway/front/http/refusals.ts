// Refusals of requests that were admitted: of their bodies, and of new sessions where there are too many.
import type { IncomingMessage } from "node:http";
import { named, type Principal } from "../../client-port.ts";
import { LIMIT_REACHED } from "../../json-rpc.ts";
import type { SessionStore } from "../session/session-store.ts";
import type { Refusal } from "./answer.ts";
import { isJsonType } from "./request.ts";

/** Whoever holds as many as it may waits for its own; a full table is everybody's. */
export function refusalOfSession(
  room: Exclude<ReturnType<SessionStore["makeRoom"]>, { readonly kind: "room" }>,
  principal: Principal,
): Refusal {
  const headers = { "Retry-After": "10" };
  if (room.kind === "full") {
    return { status: 503, message: `there are ${room.sessions} sessions, all of them in use`, headers };
  }
  const { allowed } = room;
  return {
    status: 429,
    code: LIMIT_REACHED,
    message: `${named(principal)} has ${allowed} sessions, all of them in use ([limits].sessions); end one, or try again in 10 s`,
    data: { limit: "[limits].sessions", allowed, retryAfterMs: 10_000 },
    headers,
  };
}

/** Why the body of a POST is not read; null: it is. */
export function refusalOfBody({ headers }: IncomingMessage): Refusal | null {
  if (!isJsonType(headers["content-type"])) {
    return { status: 415, message: "the Content-Type must be application/json" };
  }
  const coding = headers["content-encoding"];
  if (coding !== undefined && coding !== "identity") {
    const message = "the body must not be compressed (Content-Encoding)";
    return { status: 415, message, headers: { "Accept-Encoding": "identity" } };
  }
  return null;
}
