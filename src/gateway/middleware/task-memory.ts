// Which backend runs which task of which session: a task's id is all that later requests about it carry.
import { dropOldest } from "../../runtime/bounded-map.ts";
import type { ClientPort } from "../client-port.ts";

const MAX_TASKS = 10_000;
const MAX_ID_LENGTH = 1_024;

/** Bounded: of all sessions' tasks the one not asked for the longest is forgotten. Outlives any one catalog. */
export class TaskMemory {
  readonly #maxTasks: number;
  // A Map keeps the order of insertion: what is used is inserted anew.
  readonly #tasks = new Map<string, string>();

  constructor(maxTasks: number = MAX_TASKS) {
    this.#maxTasks = maxTasks;
  }

  remember(client: ClientPort, taskId: string, backend: string): void {
    if (taskId.length > MAX_ID_LENGTH) return;
    const key = keyOf(client, taskId);
    this.#tasks.delete(key);
    this.#tasks.set(key, backend);
    dropOldest(this.#tasks, this.#maxTasks);
  }

  /** Null: no task of this session, or forgotten. */
  backendOf(client: ClientPort, taskId: string): string | null {
    const backend = this.#tasks.get(keyOf(client, taskId));
    if (backend === undefined) return null;
    this.remember(client, taskId, backend);
    return backend;
  }
}

function keyOf({ sessionId }: ClientPort, taskId: string): string {
  return JSON.stringify([sessionId, taskId]);
}
