// Ids that a server mentions later, and the client each belongs to: URLs that it sent a client to, and tasks that a
// client's call began (experimental in 2025-11-25).
import { dropOldest } from "../../../runtime/bounded-map.ts";
import type { ClientPort } from "../../client-port.ts";
import { URL_ELICITATION_REQUIRED } from "../../elicitation.ts";
import { isError, isJsonObject, type Reply, type RpcError, type RpcId } from "../../json-rpc.ts";
import type { PendingRequest } from "./pending.ts";

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
