// Which backend runs which task of which session: a task's id is all that later requests about it carry.
import type { ClientPort } from "../client-port.ts";

export interface TaskMemory {
  remember(client: ClientPort, taskId: string, backend: string): void;
  /** Null: no task of this session, or forgotten. */
  backendOf(client: ClientPort, taskId: string): string | null;
}

const MAX_TASKS = 10_000;
const MAX_ID_LENGTH = 1_024;

/** Bounded: of all sessions' tasks the one not asked for the longest is forgotten. Outlives any one catalog. */
export function createTaskMemory(maxTasks: number = MAX_TASKS): TaskMemory {
  // A Map keeps the order of insertion: what is used is inserted anew.
  const tasks = new Map<string, string>();
  const keyOf = ({ sessionId }: ClientPort, taskId: string): string => JSON.stringify([sessionId, taskId]);
  return {
    remember(client, taskId, backend) {
      if (taskId.length > MAX_ID_LENGTH) return;
      const key = keyOf(client, taskId);
      tasks.delete(key);
      tasks.set(key, backend);
      if (tasks.size <= maxTasks) return;
      const oldest = tasks.keys().next();
      if (!oldest.done) tasks.delete(oldest.value);
    },
    backendOf(client, taskId) {
      if (taskId.length > MAX_ID_LENGTH) return null;
      const key = keyOf(client, taskId);
      const backend = tasks.get(key);
      if (backend === undefined) return null;
      tasks.delete(key);
      tasks.set(key, backend);
      return backend;
    },
  };
}
