// Finds the client that a server's message is for, if the message names no call. A message that may be for
// several clients goes to none.

import { dropOldestOfMost } from "../../../runtime/bounded-map.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { type CallHandle, type ClientHandle, principalKey } from "../../client-handle.ts";
import { isError, isJsonObject, type Reply, type RpcId } from "../../json-rpc.ts";
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

/** Keeps records by 1,000 ids: beyond that, the principal with most loses its oldest. Ignores ids that are not strings. */
export class ClientRecords<T extends { readonly client: ClientHandle }> {
  /** Newest first. A server may give an id again: the records are then of one principal's sessions, one each. */
  readonly #records = new Map<string, readonly [T, ...T[]]>();

  remember(id: unknown, record: T): void {
    if (typeof id !== "string") return;
    const { client } = record;
    const isOther = (one: T): boolean =>
      one.client !== client && principalKey(one.client.principal) === principalKey(client.principal);
    this.#records.set(id, [record, ...this.of(id).filter(isOther)]);
    dropOldestOfMost(this.#records, REMEMBERED, ([first]) => principalKey(first.client.principal));
  }

  of(id: unknown): readonly T[] {
    return (typeof id === "string" ? this.#records.get(id) : null) ?? [];
  }

  all(): readonly T[] {
    return [...this.#records.values()].flat();
  }

  forget(client: ClientHandle): void {
    for (const [id, records] of this.#records) {
      const [first, ...others] = records.filter((one) => one.client !== client);
      if (first === undefined) this.#records.delete(id);
      else this.#records.set(id, [first, ...others]);
    }
  }
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
