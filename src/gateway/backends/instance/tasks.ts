// Owns what outlives the call that began a task (experimental in 2025-11-25): whose it is, and the progress token that
// stays good until the task has ended.
import type { ClientPort } from "../../client-port.ts";
import { isError, isJsonObject, type Reply, type RpcId } from "../../json-rpc.ts";
import type { PendingRequest } from "./pending.ts";

const REMEMBERED = 1_000;

interface TaskRecord {
  readonly client: ClientPort;
  /** As the client gave it; null: it wants no progress. */
  readonly progressToken: RpcId | null;
}

export interface InstanceTasks {
  /** Looks whether a call was answered with a task. */
  answered(request: PendingRequest, reply: Reply): void;
  /** By our id of the call that began it. */
  ofCall(id: unknown): TaskRecord | null;
  ofTask(taskId: unknown): TaskRecord | null;
  forget(client: ClientPort): void;
}

/** At most 1,000 are remembered; the oldest go first. */
export function createInstanceTasks(): InstanceTasks {
  const records = new Map<string, TaskRecord & { readonly call: number }>();
  return {
    answered({ id, port, progressToken }, reply) {
      if (port === null || isError(reply)) return;
      const { task } = reply.result;
      if (!isJsonObject(task) || typeof task["taskId"] !== "string") return;
      records.set(task["taskId"], { client: port.client, progressToken, call: id });
      if (records.size > REMEMBERED) for (const oldest of records.keys()) return void records.delete(oldest);
    },
    ofCall(id) {
      for (const record of records.values()) if (record.call === id) return record;
      return null;
    },
    ofTask: (taskId) => (typeof taskId === "string" ? (records.get(taskId) ?? null) : null),
    forget(client) {
      for (const [taskId, record] of records) if (record.client === client) records.delete(taskId);
    },
  };
}
