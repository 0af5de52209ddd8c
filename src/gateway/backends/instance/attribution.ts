// Finds the client that a message of the server belongs to when it names no call: the only one possible, else nobody.

import { dropOldest } from "../../../runtime/bounded-map.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { type CallPort, type ClientPort, principalKey } from "../../client-port.ts";
import { isError, isJsonObject, type Reply, type RpcError, type RpcId } from "../../json-rpc.ts";
import { URL_ELICITATION_REQUIRED } from "../../protocol.ts";
import type { PendingRequest } from "./pending.ts";

/** A call of a client. */
export interface ClientCall extends PendingRequest {
  readonly port: CallPort;
}

export type Attribution =
  /** `call` is the one it is told in; `calls` are all that it may belong to, every one of the same client. */
  | { readonly kind: "call"; readonly call: ClientCall; readonly calls: readonly ClientCall[] }
  /** Outside of any call: whose instance it is. */
  | { readonly kind: "owner"; readonly client: ClientPort }
  /** `idle`: no call that it could belong to; `unclear`: several clients, or a call that ended. */
  | { readonly kind: "nobody"; readonly why: "idle" | "unclear" };

interface InFlight extends Iterable<PendingRequest> {
  get(id: RpcId): PendingRequest | undefined;
}

/**
 * `streamOf` is the request whose HTTP response carried the message; null: not known. `lingering` are the clients of
 * calls that were given up, and that the server may not have given up yet; null among them is a call of no client. Of
 * several calls of the one client it is the newest's.
 */
export function attribute(
  streamOf: RpcId | null,
  owner: ClientPort | null,
  inFlight: InFlight,
  lingering: Iterable<ClientPort | null>,
): Attribution {
  if (streamOf !== null) {
    const carrier = inFlight.get(streamOf);
    if (carrier !== undefined && isClientCall(carrier)) {
      return { kind: "call", call: carrier, calls: [carrier] };
    }
    // The stream belongs to that one request: nobody else's call can be meant.
    if (owner === null) return { kind: "nobody", why: carrier?.own === true ? "idle" : "unclear" };
  }
  const calls: ClientCall[] = [];
  let unclear = false;
  for (const request of inFlight) {
    if (request.own || request.sentIn === null) continue;
    if (!isClientCall(request)) unclear = true;
    else if (calls[0] !== undefined && !isSame(calls[0].port.client, request.port.client)) unclear = true;
    else calls.push(request);
    if (unclear && owner === null) return { kind: "nobody", why: "unclear" };
  }
  const newest = calls.at(-1);
  if (owner !== null) {
    return newest === undefined ? { kind: "owner", client: owner } : { kind: "call", call: newest, calls };
  }
  for (const client of lingering) {
    if (newest === undefined || !isSame(newest.port.client, client))
      return { kind: "nobody", why: "unclear" };
  }
  return newest === undefined ? { kind: "nobody", why: "idle" } : { kind: "call", call: newest, calls };
}

/** One client of another machine may have several calls here, each as a client of its own. */
function isSame(one: ClientPort, other: ClientPort | null): boolean {
  const { caller = null } = one;
  if (one === other || other === null || caller === null) return one === other;
  return caller === other.caller && principalKey(one.principal) === principalKey(other.principal);
}

function isClientCall(request: PendingRequest): request is ClientCall {
  return request.port !== null && !request.own;
}

/** Within these a server does work; many ignore that it was cancelled, and send something at its end. */
const WORKING: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);
const LINGERS_MS = { working: 60_000, atMost: 600_000, other: 5_000 };

/** For that long a call that was given up keeps its messages from going to another client. */
function lingersMs({ method, timeoutMs }: PendingRequest): number {
  if (!WORKING.has(method)) return LINGERS_MS.other;
  return Math.min(LINGERS_MS.atMost, Math.max(LINGERS_MS.working, timeoutMs));
}

/** A server that was told to stop and has said nothing for so long has stopped. */
const SILENT_MS = 1_000;

/** A call that was given up, until the server is certainly done with it. */
interface GivenUp {
  readonly sinceMs: number;
  readonly untilMs: number;
  /** The server was told to stop before its time was over: silence is its answer. */
  readonly isCancelled: boolean;
}

/** The calls that were given up. A server that was told to stop may still ask or send something within one. */
export class GivenUpCalls {
  readonly #clock: Clock;
  // By client, so that one who cancels a lot makes no other wait; only what is before the first that lingers is dropped.
  readonly #ends = new Map<ClientPort | null, Map<RpcId, GivenUp>>();
  #heardMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `isCancelled`: by its client; else its time was over, and the server may be slow and silent at it. */
  add(request: PendingRequest, isCancelled: boolean): void {
    const client = request.port?.client ?? null;
    // Of every client: nobody else may ever look, and one that has left would be kept for good.
    this.#dropOld();
    const calls = this.#ends.get(client) ?? new Map<RpcId, GivenUp>();
    const sinceMs = this.#clock.monotonicMs();
    calls.set(request.id, { sinceMs, untilMs: sinceMs + lingersMs(request), isCancelled });
    this.#ends.set(client, calls);
  }

  /** The server has said something that may belong to one of them. */
  heard(): void {
    if (this.#ends.size === 0) return;
    this.#dropOld();
    this.#heardMs = this.#clock.monotonicMs();
  }

  /** The server has answered it after all. */
  answered(id: RpcId): void {
    for (const [client, calls] of this.#ends) {
      if (!calls.delete(id)) continue;
      if (calls.size === 0) this.#ends.delete(client);
      return;
    }
  }

  clients(): Iterable<ClientPort | null> {
    this.#dropOld();
    return this.#ends.keys();
  }

  /** What is waited for, for messages; null: nothing is. */
  get waiting(): { readonly leftMs: number; readonly isCancelled: boolean } | null {
    this.#dropOld();
    let last: GivenUp | null = null;
    for (const calls of this.#ends.values()) {
      for (const call of calls.values()) if (last === null || call.untilMs > last.untilMs) last = call;
    }
    if (last === null) return null;
    return { leftMs: last.untilMs - this.#clock.monotonicMs(), isCancelled: last.isCancelled };
  }

  #dropOld(): void {
    if (this.#ends.size === 0) return;
    const nowMs = this.#clock.monotonicMs();
    for (const [client, calls] of this.#ends) {
      for (const [id, { sinceMs, untilMs, isCancelled }] of calls) {
        const isSilent = isCancelled && nowMs - Math.max(sinceMs, this.#heardMs) >= SILENT_MS;
        if (isSilent || untilMs <= nowMs) calls.delete(id);
      }
      if (calls.size === 0) this.#ends.delete(client);
    }
  }
}

// Ids that a server mentions later, and the client each belongs to: URLs that it sent a client to, and tasks that a
// client's call began (experimental in 2025-11-25).

const REMEMBERED = 1_000;

export interface ElicitationRecord {
  readonly client: ClientPort;
  /** Our id of the call that it came with. */
  readonly call: number | null;
}

export interface TaskRecord {
  readonly client: ClientPort;
  /** As the client gave it; null: it wants no progress. */
  readonly progressToken: RpcId | null;
  /** Our id of the call that began it. */
  readonly call: number;
}

/** At most 1,000 are remembered; the oldest go first. An id that is not a string is nobody's. */
export class ClientRecords<T extends { readonly client: ClientPort }> {
  readonly #records = new Map<string, T>();

  remember(id: unknown, record: T): void {
    if (typeof id !== "string") return;
    this.#records.delete(id);
    this.#records.set(id, record);
    dropOldest(this.#records, REMEMBERED);
  }

  find(id: unknown): T | null {
    return typeof id === "string" ? (this.#records.get(id) ?? null) : null;
  }

  all(): Iterable<T> {
    return this.#records.values();
  }

  forget(client: ClientPort): void {
    for (const [id, record] of this.#records) if (record.client === client) this.#records.delete(id);
  }
}

/** Remembers the URLs that an error reply asks the client to visit, if it does. */
export function rememberUrls(
  elicitations: ClientRecords<ElicitationRecord>,
  error: RpcError,
  client: ClientPort,
): void {
  if (error.code !== URL_ELICITATION_REQUIRED || !isJsonObject(error.data)) return;
  const { elicitations: asked } = error.data;
  if (!Array.isArray(asked)) return;
  for (const entry of asked.slice(0, REMEMBERED)) {
    if (isJsonObject(entry)) elicitations.remember(entry["elicitationId"], { client, call: null });
  }
}

/** Remembers the task that a call was answered with, if it was; its progress token stays good until the task ends. */
export function rememberTask(tasks: ClientRecords<TaskRecord>, request: PendingRequest, reply: Reply): void {
  const { id, port, progressToken } = request;
  if (port === null || isError(reply) || !isJsonObject(reply.result["task"])) return;
  tasks.remember(reply.result["task"]["taskId"], { client: port.client, progressToken, call: id });
}

/** By our id of the call that began it. */
export function taskOfCall(tasks: ClientRecords<TaskRecord>, id: unknown): TaskRecord | null {
  for (const record of tasks.all()) if (record.call === id) return record;
  return null;
}
