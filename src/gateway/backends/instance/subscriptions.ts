// Who is subscribed to which resource of one server, which is told of the first client and of the last.
import type { ClientPort } from "../../client-port.ts";
import { errorReply, INTERNAL_ERROR, isError, type JsonObject, type Reply } from "../../json-rpc.ts";
import { RESOURCE_UPDATED, TASK_NOTICE, TASKS_LOST, UNWATCH_TASK, WATCH_TASK } from "../../protocol.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { unavailable } from "./failures.ts";
import type { ServerSession } from "./session.ts";

const DONE: Reply = { result: {} };

interface Topic {
  readonly uri: string;
  readonly clients: Set<ClientPort>;
  /** Of these, who waits for the server's word. */
  readonly waiting: Set<ClientPort>;
  told: boolean;
  /** Telling the server, while that goes on. */
  work: Promise<Reply> | null;
}

export class Subscriptions {
  readonly clients = new Map<string, ReadonlySet<ClientPort>>();
  readonly #options: InstanceOptions;
  readonly #session: ServerSession;
  /** False: nothing can be asked yet; `resume` follows. */
  readonly #isOpen: () => boolean;
  readonly #topics = new Map<string, Topic>();
  // An answer of an older session says nothing about this one.
  #lostSessions = 0;

  constructor(options: InstanceOptions, session: ServerSession, isOpen: () => boolean) {
    this.#options = options;
    this.#session = session;
    this.#isOpen = isOpen;
  }

  /** Those who are subscribed to it, or to what it is a part of (`a/b` of `a`). */
  subscribers(uri: string): ReadonlySet<ClientPort> {
    const exact = this.#topics.get(uri)?.clients;
    const found = new Set(exact);
    if (this.#topics.size <= (exact === undefined ? 0 : 1)) return found;
    for (let end = uri.lastIndexOf("/"); end > 0; end = uri.lastIndexOf("/", end - 1)) {
      for (const part of [uri.slice(0, end), uri.slice(0, end + 1)]) {
        if (part === uri) continue;
        for (const client of this.#topics.get(part)?.clients ?? []) found.add(client);
      }
    }
    return found;
  }

  async subscribe(uri: string, client: ClientPort): Promise<Reply> {
    const topic = this.#topicOf(uri);
    if (topic.told && topic.work === null) {
      topic.clients.add(client);
      return DONE;
    }
    if (!topic.clients.has(client)) topic.waiting.add(client);
    topic.clients.add(client);
    const reply = await this.#work(topic);
    topic.waiting.delete(client);
    if (isError(reply)) return reply;
    return topic.clients.has(client)
      ? reply
      : errorReply(INTERNAL_ERROR, "the subscription was cancelled meanwhile");
  }

  async unsubscribe(uri: string, client: ClientPort): Promise<Reply> {
    const topic = this.#topics.get(uri);
    if (topic === undefined || !topic.clients.delete(client)) return DONE;
    topic.waiting.delete(client);
    return topic.clients.size > 0 ? DONE : this.#work(topic);
  }

  adopt(others: ReadonlyMap<string, ReadonlySet<ClientPort>>): void {
    for (const [uri, subscribed] of others) {
      if (subscribed.size === 0) continue;
      const topic = this.#topicOf(uri);
      for (const client of subscribed) topic.clients.add(client);
      if (this.#isOpen()) void this.#work(topic);
    }
  }

  forget(client: ClientPort): void {
    for (const topic of [...this.#topics.values()]) {
      topic.waiting.delete(client);
      if (!topic.clients.delete(client) || topic.clients.size > 0) continue;
      if (this.#isOpen()) void this.#work(topic);
      else this.#dropIfUnused(topic);
    }
  }

  /** Any of the resources may have changed: all who are subscribed are told. */
  notifyAll(): void {
    for (const { uri, told, clients } of this.#topics.values()) {
      if (told) for (const client of clients) client.notify(RESOURCE_UPDATED, { uri });
    }
  }

  /** The server knows of no subscription any more. */
  forgotten(): void {
    this.#lostSessions++;
    for (const topic of this.#topics.values()) topic.told = false;
  }

  /** Tells the server what it does not know yet. */
  resume(): void {
    for (const topic of [...this.#topics.values()]) {
      if (topic.clients.size > 0) void this.#work(topic);
      else this.#dropIfUnused(topic);
    }
  }

  #topicOf(uri: string): Topic {
    let topic = this.#topics.get(uri);
    if (topic === undefined) {
      topic = { uri, clients: new Set(), waiting: new Set(), told: false, work: null };
      this.#topics.set(uri, topic);
      this.clients.set(uri, topic.clients);
    }
    return topic;
  }

  #dropIfUnused(topic: Topic): void {
    if (topic.clients.size > 0 || topic.told || topic.work !== null) return;
    if (this.#topics.get(topic.uri) !== topic) return;
    this.#topics.delete(topic.uri);
    this.clients.delete(topic.uri);
  }

  #work(topic: Topic): Promise<Reply> {
    topic.work ??= this.#settle(topic).then((reply) => {
      topic.work = null;
      // Who came or left in the last moment is looked at again.
      if (isError(reply) || topic.clients.size > 0 === topic.told) this.#dropIfUnused(topic);
      else void this.#work(topic);
      return reply;
    });
    return topic.work;
  }

  /** Asks until the server knows what is wanted; resolves with its last answer. */
  async #settle(topic: Topic): Promise<Reply> {
    const { backend, logger, listMs } = this.#options;
    let reply = DONE;
    for (let turn = 0; turn < 10; turn++) {
      const wanted = topic.clients.size > 0;
      if (wanted === topic.told) break;
      const lostBefore = this.#lostSessions;
      const method = wanted ? "resources/subscribe" : "resources/unsubscribe";
      const asked = await this.#session.ask(method, { uri: topic.uri }, listMs);
      reply = asked.kind === "answered" ? asked.reply : unavailable(backend, asked.failure);
      // A lost session is renewed, and the question with it; the next turn asks in the new one.
      if (asked.kind === "failed" && asked.failure.kind === "session_lost") continue;
      if (this.#lostSessions !== lostBefore) continue;
      if (!wanted) topic.told = false;
      else if (!isError(reply)) topic.told = true;
      else {
        logger.debug("a backend refuses a subscription", { backend, reason: reply.error.message });
        for (const client of topic.waiting) topic.clients.delete(client);
        break;
      }
    }
    topic.waiting.clear();
    return reply;
  }
}

// Which clients listen for which task of one server of 2026-07-28, which is told of the first of them and of the last.

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
