// Finds the client that a server's message is for, if the message names no call. A message that may be for
// several clients goes to none.

import { dropOldestOfMost } from "../../../runtime/bounded-map.ts";
import { isUnreadable } from "../../../runtime/json/large-json.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { type CallHandle, type ClientHandle, principalKey } from "../../client-handle.ts";
import {
  isError,
  isJsonObject,
  type JsonObject,
  type Reply,
  type RpcError,
  type RpcId,
} from "../../json-rpc.ts";
import { URL_ELICITATION_REQUIRED } from "../../protocol.ts";
import type { PendingRequest } from "./pending.ts";

export interface ClientCall extends PendingRequest {
  readonly handle: CallHandle;
}

export type Attribution =
  /** The message belongs to one of `calls`, all of one client; `call` is the newest of them. */
  | { readonly kind: "call"; readonly call: ClientCall; readonly calls: readonly ClientCall[] }
  /** No call is in flight; `client` owns the instance. */
  | { readonly kind: "owner"; readonly client: ClientHandle }
  /** `idle`: no call is in flight. `unclear`: the message may belong to several clients, or to a call that ended. */
  | { readonly kind: "nobody"; readonly why: "idle" | "unclear" };

interface InFlight extends Iterable<PendingRequest> {
  get(id: RpcId): PendingRequest | undefined;
}

/**
 * `streamOf`: the request whose HTTP response delivered the message. `lingering`: clients of calls that were
 * given up while the server may still work on them; null for a call without a client.
 */
export function attribute(
  streamOf: RpcId | null,
  owner: ClientHandle | null,
  inFlight: InFlight,
  lingering: Iterable<ClientHandle | null>,
): Attribution {
  if (streamOf !== null) {
    const cause = inFlight.get(streamOf);
    if (cause !== undefined && isClientCall(cause)) {
      return { kind: "call", call: cause, calls: [cause] };
    }
    // A response carries only messages of its own request, and this request is not a client's call.
    if (owner === null) return { kind: "nobody", why: cause?.own === true ? "idle" : "unclear" };
  }
  const calls: ClientCall[] = [];
  let unclear = false;
  for (const request of inFlight) {
    if (request.own || request.sentIn === null) continue;
    if (!isClientCall(request)) unclear = true;
    else if (calls[0] !== undefined && !isSame(calls[0].handle.client, request.handle.client)) unclear = true;
    else calls.push(request);
    if (unclear && owner === null) return { kind: "nobody", why: "unclear" };
  }
  const newest = calls.at(-1);
  if (owner !== null) {
    return newest === undefined ? { kind: "owner", client: owner } : { kind: "call", call: newest, calls };
  }
  for (const client of lingering) {
    if (newest === undefined || !isSame(newest.handle.client, client))
      return { kind: "nobody", why: "unclear" };
  }
  return newest === undefined ? { kind: "nobody", why: "idle" } : { kind: "call", call: newest, calls };
}

/** Calls of one client on another machine may arrive over several `ClientHandle`s with the same caller. */
function isSame(one: ClientHandle, other: ClientHandle | null): boolean {
  const { caller = null } = one;
  if (one === other || other === null || caller === null) return one === other;
  return caller === other.caller && principalKey(one.principal) === principalKey(other.principal);
}

function isClientCall(request: PendingRequest): request is ClientCall {
  return request.handle !== null && !request.own;
}

/** Requests whose cancellation many servers ignore: these servers keep sending messages until the work is done. */
const WORKING: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);
const LINGERS_MS = { working: 60_000, atMost: 600_000, other: 5_000 };
/** After a timeout up to this, ms, the server is expected to stop soon. */
const USUAL_MS = 300_000;

/** How long a server may still send messages about a call that was given up, ms. */
function lingersMs({ method, timeoutMs }: PendingRequest): number {
  if (!WORKING.has(method)) return LINGERS_MS.other;
  return timeoutMs > USUAL_MS ? Math.min(LINGERS_MS.atMost, timeoutMs) : LINGERS_MS.working;
}

/** A server that says nothing for this long after a cancellation, ms, counts as having stopped the work. */
const SILENT_MS = 1_000;

interface GivenUp {
  /** Null: a call without a client. */
  readonly client: ClientHandle | null;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** True: the request was cancelled. False: it timed out. */
  readonly isCancelled: boolean;
}

/** Calls that were cancelled or timed out, kept while the server may still send messages about them. */
export class GivenUpCalls {
  readonly #clock: Clock;
  readonly #calls = new Map<RpcId, GivenUp>();
  #heardMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** After a time-out, unlike after a cancellation, even a silent server may still be at work. */
  add(request: PendingRequest, isCancelled: boolean): void {
    // The server's next message may come late or never, so expired entries are also dropped here.
    this.#dropOld();
    const client = request.handle?.client ?? null;
    const sinceMs = this.#clock.monotonicMs();
    this.#calls.set(request.id, { client, sinceMs, untilMs: sinceMs + lingersMs(request), isCancelled });
  }

  /** Call when the server has sent a message that may belong to one of these calls. */
  heard(): void {
    if (this.#calls.size === 0) return;
    this.#dropOld();
    this.#heardMs = this.#clock.monotonicMs();
  }

  answered(id: RpcId): void {
    this.#calls.delete(id);
  }

  clients(): Iterable<ClientHandle | null> {
    this.#dropOld();
    return [...this.#calls.values()].map(({ client }) => client);
  }

  #dropOld(): void {
    if (this.#calls.size === 0) return;
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { sinceMs, untilMs, isCancelled }] of this.#calls) {
      const isSilent = isCancelled && nowMs - Math.max(sinceMs, this.#heardMs) >= SILENT_MS;
      if (isSilent || untilMs <= nowMs) this.#calls.delete(id);
    }
  }
}

// Maximum number of remembered ids of URLs and tasks. A server may mention such an id later, and the record tells to
// whom it belongs.

const REMEMBERED = 1_000;

export interface ElicitationRecord {
  readonly client: ClientHandle;
  /** Our id of the call within which the server asked; null: outside of any open call. */
  readonly call: number | null;
}

export interface TaskRecord {
  readonly client: ClientHandle;
  readonly progressToken: RpcId | null;
  /** Our id of the call that began the task. */
  readonly call: number;
}

/** Keeps 1,000 records: beyond that, the principal with most loses its oldest. Ignores ids that are not strings. */
export class ClientRecords<T extends { readonly client: ClientHandle }> {
  readonly #records = new Map<string, T>();

  remember(id: unknown, record: T): void {
    if (typeof id !== "string") return;
    this.#records.set(id, record);
    dropOldestOfMost(this.#records, REMEMBERED, ({ client }) => principalKey(client.principal));
  }

  find(id: unknown): T | null {
    return typeof id === "string" ? (this.#records.get(id) ?? null) : null;
  }

  all(): IteratorObject<T> {
    return this.#records.values();
  }

  forget(client: ClientHandle): void {
    for (const [id, record] of this.#records) if (record.client === client) this.#records.delete(id);
  }
}

/** A page to open, named after the server that asks: a client shows all as the gateway's, whose own sign-ins it must not pass for. */
export function pageBy(backend: string, page: JsonObject): JsonObject {
  const { message } = page;
  return { ...page, message: `Server ${backend} asks: ${typeof message === "string" ? message : ""}` };
}

/** The error, in which each page that it asks the client to open is named after the server; they are remembered. */
export function pagesBy(
  backend: string,
  error: RpcError,
  elicitations: ClientRecords<ElicitationRecord>,
  client: ClientHandle,
): RpcError {
  const { code, data } = error;
  if (code !== URL_ELICITATION_REQUIRED || !isJsonObject(data) || !Array.isArray(data["elicitations"]))
    return error;
  const named = data["elicitations"].filter(isJsonObject).map((page) => {
    elicitations.remember(page["elicitationId"], { client, call: null });
    return pageBy(backend, page);
  });
  return { ...error, data: { ...data, elicitations: named } };
}

/** A result, or a task, in which each page of the input that the server requests is named after it. */
export function inputsBy(backend: string, result: JsonObject): JsonObject {
  const inputs = isUnreadable(result) ? undefined : result["inputRequests"];
  if (!isJsonObject(inputs)) return result;
  const named = Object.entries(inputs).map(([key, one]) => {
    const page = isJsonObject(one) && isJsonObject(one["params"]) ? one["params"] : null;
    return [key, page?.["mode"] === "url" ? { ...Object(one), params: pageBy(backend, page) } : one];
  });
  return { ...result, inputRequests: Object.fromEntries(named) };
}

/** The call's progress token stays valid until the task ends. */
export function rememberTask(tasks: ClientRecords<TaskRecord>, request: PendingRequest, reply: Reply): void {
  const { id, handle, progressToken } = request;
  if (handle === null || isError(reply) || !isJsonObject(reply.result["task"])) return;
  tasks.remember(reply.result["task"]["taskId"], { client: handle.client, progressToken, call: id });
}

export function taskOfCall(tasks: ClientRecords<TaskRecord>, id: unknown): TaskRecord | null {
  for (const record of tasks.all()) if (record.call === id) return record;
  return null;
}
