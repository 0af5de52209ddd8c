// Which clients listen for which task of one server of 2026-07-28, which is told of the first of them and of the last.
import type { ClientPort } from "../../client-port.ts";
import { errorReply, INTERNAL_ERROR, isError, type JsonObject, type Reply } from "../../json-rpc.ts";
import { TASK_NOTICE, TASKS_LOST, UNWATCH_TASK, WATCH_TASK } from "../../protocol.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { unavailable } from "./failures.ts";
import type { ServerSession } from "./session.ts";

const OVER: ReadonlySet<unknown> = new Set(["completed", "failed", "cancelled"]);

interface Watched {
  /** What each client calls the task. */
  readonly names: Map<ClientPort, string>;
  /** The server's word on it. */
  readonly told: Promise<Reply>;
}

export class TaskWatchers {
  readonly #options: InstanceOptions;
  readonly #session: ServerSession;
  /** By the server's own id. */
  readonly #watched = new Map<string, Watched>();

  constructor(options: InstanceOptions, session: ServerSession) {
    this.#options = options;
    this.#session = session;
  }

  async watch(
    { id, name }: { readonly id: string; readonly name: string },
    client: ClientPort,
  ): Promise<Reply> {
    let watched = this.#watched.get(id);
    if (watched === undefined) {
      watched = { names: new Map(), told: this.#ask(WATCH_TASK, id) };
      this.#watched.set(id, watched);
    }
    watched.names.set(client, name);
    // This may be another client's own instance, which is not told when this one goes.
    client.ended.addEventListener("abort", () => this.forget(client), { once: true });
    const reply = await watched.told;
    if (isError(reply)) {
      if (this.#watched.get(id) === watched) this.#watched.delete(id);
    } else if (client.ended.aborted || this.#watched.get(id)?.names.has(client) !== true) {
      this.forget(client);
      return errorReply(INTERNAL_ERROR, "nobody listens any more");
    }
    return reply;
  }

  /** The server tells what became of a task. */
  tell(params: JsonObject | undefined): void {
    const id = params?.["taskId"];
    const watched = typeof id === "string" ? this.#watched.get(id) : undefined;
    if (typeof id !== "string" || watched === undefined) return;
    for (const [client, name] of watched.names) client.notify(TASK_NOTICE, { ...params, taskId: name });
    if (OVER.has(params?.["status"])) this.#end(id);
  }

  forget(client: ClientPort): void {
    for (const [id, { names }] of [...this.#watched])
      if (names.delete(client) && names.size === 0) this.#end(id);
  }

  /** What the server told may have been lost: who listens does so anew. */
  lost(): void {
    const clients = new Set([...this.#watched.values()].flatMap(({ names }) => [...names.keys()]));
    for (const id of [...this.#watched.keys()]) this.#end(id);
    for (const client of clients) client.notify(TASKS_LOST, undefined);
  }

  #end(id: string): void {
    this.#watched.delete(id);
    void this.#ask(UNWATCH_TASK, id);
  }

  async #ask(method: string, taskId: string): Promise<Reply> {
    const { backend, listMs } = this.#options;
    const asked = await this.#session.ask(method, { taskId }, listMs);
    return asked.kind === "answered" ? asked.reply : unavailable(backend, asked.failure);
  }
}
