// The ids under which clients of 2026-07-28 know their tasks: each says which backend has the task and which tool began
// it, signed for one principal. Nothing of a task is kept here, so nothing has to be bounded, and a handover loses none.

import { dropOldest } from "../../runtime/bounded-map.ts";
import { type ClientPort, type Principal, principalKey } from "../client-port.ts";
import { openSigned, signText } from "../signed-text.ts";

/** Of a server's own id: ours goes out in a header with each request. */
const LONGEST_ID = 1_024;
const LONGEST = 4_096;

/** A task that was begun through this gateway, as its id says. */
export interface OpenTask {
  readonly backend: string;
  /** The tool that began it: as it was published then, and as its server calls it. */
  readonly tool: string;
  readonly originalTool: string;
  /** The server's own id. */
  readonly id: string;
  /** Where it lives: a process, or an address (`PoolInstance.home`). */
  readonly home: string;
  /** Of the identity whose call began it; null: it had none. */
  readonly mark: string | null;
}

export class TaskIds {
  readonly #key: () => string;

  /** `key`: of the states that clients carry, which each daemon gives the next. */
  constructor(key: () => string) {
    this.#key = key;
  }

  /** Null: the server's id is too long to be carried. */
  seal({ backend, tool, originalTool, id, home, mark }: OpenTask, principal: Principal): string | null {
    if (id.length > LONGEST_ID) return null;
    return signText(this.#bytes, [backend, tool, originalTool, id, home, mark], boundTo(principal));
  }

  /** Null: it is not ours, or another principal's. */
  open(token: unknown, principal: Principal): OpenTask | null {
    if (typeof token !== "string" || token.length > LONGEST) return null;
    const opened = openSigned(this.#bytes, token, boundTo(principal));
    if (opened === undefined) return null;
    // We wrote it.
    const [backend, tool, originalTool, id, home, mark] = opened as TaskTexts;
    return { backend, tool, originalTool, id, home, mark };
  }

  get #bytes(): Buffer {
    return Buffer.from(this.#key(), "base64url");
  }
}

/** As in `OpenTask`, in the order of `seal`. */
type TaskTexts = readonly [string, string, string, string, string, string | null];

function boundTo(principal: Principal): readonly string[] {
  return ["task", principalKey(principal)];
}

// Which backend runs which task of which session: a task's id is all that later requests about it carry.

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
