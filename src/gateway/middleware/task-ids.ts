// Task ids for clients of 2026-07-28: each names the task's backend and tool, signed for one principal. The gateway stores
// nothing about a task, so a handover loses none.
import { dropOldestOfMost } from "../../runtime/bounded-map.ts";
import { type ClientHandle, type Principal, principalKey } from "../client-handle.ts";
import { openSigned, signText } from "../signed-text.ts";

/**
 * Longest accepted task id of a server. Our task id contains it, and clients send our id in a header of each request
 * about the task.
 */
const LONGEST_ID = 1_024;
const LONGEST = 4_096;

/** A task that began through this gateway, read from its id. */
export interface OpenTask {
  readonly backend: string;
  /**
   * `tool`: the published name, at that time, of the tool that began the task. `originalTool`: the server's name for
   * the tool.
   */
  readonly tool: string;
  readonly originalTool: string;
  /** The task's id at its server. */
  readonly id: string;
  /** The server process or address that runs the task (`PoolInstance.taskLocation`). */
  readonly taskLocation: string;
  /** `ClientHandle.mark` of the client that began the task; null: the client had none. */
  readonly mark: string | null;
}

export class TaskIds {
  readonly #key: () => string;

  /** `key` returns the key that signs the ids. Each daemon passes this key to the next daemon. */
  constructor(key: () => string) {
    this.#key = key;
  }

  /** Returns null if the server's id of the task is too long. */
  seal(
    { backend, tool, originalTool, id, taskLocation, mark }: OpenTask,
    principal: Principal,
  ): string | null {
    if (id.length > LONGEST_ID) return null;
    return signText(this.#bytes, [backend, tool, originalTool, id, taskLocation, mark], boundTo(principal));
  }

  /** Returns null for an id that is not ours, or that belongs to another principal. */
  open(token: unknown, principal: Principal): OpenTask | null {
    if (typeof token !== "string" || token.length > LONGEST) return null;
    const opened = openSigned(this.#bytes, token, boundTo(principal));
    if (opened === undefined) return null;
    // The signature proves that `seal` wrote the value.
    const [backend, tool, originalTool, id, taskLocation, mark] = opened as TaskTexts;
    return { backend, tool, originalTool, id, taskLocation, mark };
  }

  get #bytes(): Buffer {
    return Buffer.from(this.#key(), "base64url");
  }
}

/** The members of `OpenTask`, in the order in which `seal` writes them. */
type TaskTexts = readonly [string, string, string, string, string, string | null];

function boundTo(principal: Principal): readonly string[] {
  return ["task", principalKey(principal)];
}

// Remembers the backend and tool of each task of 2025-11-25, by session and task id: later requests about the task
// carry only its id.

const MAX_TASKS = 10_000;
const MAX_ID_LENGTH = 1_024;

/** The tool that began a task. */
export type TaskOrigin = Pick<OpenTask, "backend" | "tool" | "originalTool">;

/** Bounded: forgets the least recently used task of the principal with most tasks. Outlives catalogs. */
export class TaskMemory {
  readonly #maxTasks: number;
  // In the order of use: a Map keeps the order of insertion, and each use inserts the task again.
  readonly #tasks = new Map<string, { readonly origin: TaskOrigin; readonly owner: string }>();

  constructor(maxTasks: number = MAX_TASKS) {
    this.#maxTasks = maxTasks;
  }

  remember(client: ClientHandle, taskId: string, origin: TaskOrigin): void {
    if (taskId.length > MAX_ID_LENGTH) return;
    const key = keyOf(client, taskId);
    this.#tasks.delete(key);
    this.#tasks.set(key, { origin, owner: principalKey(client.principal) });
    dropOldestOfMost(this.#tasks, this.#maxTasks, ({ owner }) => owner);
  }

  /** null if the session has no such task, or it was forgotten. */
  originOf(client: ClientHandle, taskId: string): TaskOrigin | null {
    const known = this.#tasks.get(keyOf(client, taskId));
    if (known === undefined) return null;
    this.remember(client, taskId, known.origin);
    return known.origin;
  }
}

function keyOf({ sessionId }: ClientHandle, taskId: string): string {
  return JSON.stringify([sessionId, taskId]);
}
