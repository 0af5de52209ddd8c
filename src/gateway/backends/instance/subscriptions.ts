// Which clients are subscribed to which resource. The server gets a request only when the first client subscribes and
// when the last one unsubscribes.
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { type ClientHandle, principalKey } from "../../client-handle.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  isError,
  type JsonObject,
  LIMIT_REACHED,
  type Reply,
} from "../../json-rpc.ts";
import { RESOURCE_UPDATED, TASK_NOTICE, TASKS_LOST, UNWATCH_TASK, WATCH_TASK } from "../../protocol.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { unavailable } from "./failures.ts";
import { inputsBy } from "./questions-by-server.ts";
import type { ServerSession } from "./session.ts";

const DONE: Reply = { result: {} };
const MOST = TEXT_BOUNDS.subscriptions.most;
const TOO_MANY = `${MOST} resources of one server are subscribed to, the most that a principal may have`;

interface Topic {
  readonly uri: string;
  readonly clients: Set<ClientHandle>;
  /** Clients that wait for the server's answer; a refusal unsubscribes them. */
  readonly waiting: Set<ClientHandle>;
  /** The server has accepted the subscription in the current session. */
  isConfirmed: boolean;
  /** Settles when the requests to the server that are under way have ended; null: there are none. */
  work: Promise<Reply> | null;
}

export class Subscriptions {
  readonly #options: InstanceOptions;
  readonly #session: ServerSession;
  /** If false, requests wait for `resume`. */
  readonly #isOpen: () => boolean;
  readonly #topics = new Map<string, Topic>();
  /** By principal: its topics, each with the number of its clients. */
  readonly #ofPrincipals = new Map<string, Map<Topic, number>>();
  /**
   * Number of sessions that the server has lost. If it changes during a request, the answer belongs to an earlier
   * session.
   */
  #lostSessions = 0;

  constructor(options: InstanceOptions, session: ServerSession, isOpen: () => boolean) {
    this.#options = options;
    this.#session = session;
    this.#isOpen = isOpen;
  }

  get clients(): ReadonlyMap<string, ReadonlySet<ClientHandle>> {
    return new Map([...this.#topics].map(([uri, { clients }]) => [uri, clients]));
  }

  /** A client is subscribed. */
  get isUsed(): boolean {
    return this.#topics.size > 0;
  }

  /** The clients that are subscribed to the URI, or to a parent of it (`a` of `a/b`). */
  subscribers(uri: string): ReadonlySet<ClientHandle> {
    const exact = this.#topics.get(uri)?.clients;
    const found = new Set(exact);
    const isOnly = this.#topics.size <= (exact === undefined ? 0 : 1);
    if (isOnly || uri.length > TEXT_BOUNDS.updated.most) return found;
    for (let end = uri.lastIndexOf("/"); end > 0; end = uri.lastIndexOf("/", end - 1)) {
      for (const part of [uri.slice(0, end), uri.slice(0, end + 1)]) {
        if (part === uri) continue;
        for (const client of this.#topics.get(part)?.clients ?? []) found.add(client);
      }
    }
    return found;
  }

  async subscribe(uri: string, client: ClientHandle): Promise<Reply> {
    if (this.#hasMost(client))
      return errorReply(LIMIT_REACHED, TOO_MANY, { limit: "subscriptions", allowed: MOST });
    const topic = this.#topicOf(uri);
    if (topic.isConfirmed && topic.work === null) {
      this.#add(topic, client);
      return DONE;
    }
    if (!topic.clients.has(client)) topic.waiting.add(client);
    this.#add(topic, client);
    const reply = await this.#work(topic);
    topic.waiting.delete(client);
    if (isError(reply)) return reply;
    return topic.clients.has(client)
      ? reply
      : errorReply(INTERNAL_ERROR, "the subscription was cancelled before the answer came");
  }

  #hasMost({ principal }: ClientHandle): boolean {
    return (this.#ofPrincipals.get(principalKey(principal))?.size ?? 0) >= MOST;
  }

  #add(topic: Topic, client: ClientHandle): void {
    if (topic.clients.has(client)) return;
    topic.clients.add(client);
    const key = principalKey(client.principal);
    const own = this.#ofPrincipals.get(key) ?? new Map<Topic, number>();
    this.#ofPrincipals.set(key, own.set(topic, (own.get(topic) ?? 0) + 1));
  }

  #remove(topic: Topic, client: ClientHandle): boolean {
    if (!topic.clients.delete(client)) return false;
    const key = principalKey(client.principal);
    const own = this.#ofPrincipals.get(key);
    const left = (own?.get(topic) ?? 0) - 1;
    if (left > 0) own?.set(topic, left);
    else own?.delete(topic);
    if (own?.size === 0) this.#ofPrincipals.delete(key);
    return true;
  }

  async unsubscribe(uri: string, client: ClientHandle): Promise<Reply> {
    const topic = this.#topics.get(uri);
    if (topic === undefined || !this.#remove(topic, client)) return DONE;
    topic.waiting.delete(client);
    return topic.clients.size > 0 ? DONE : this.#work(topic);
  }

  adopt(others: ReadonlyMap<string, ReadonlySet<ClientHandle>>): void {
    for (const [uri, subscribed] of others) {
      if (subscribed.size === 0) continue;
      const topic = this.#topicOf(uri);
      for (const client of subscribed) this.#add(topic, client);
      if (this.#isOpen()) void this.#work(topic);
    }
  }

  forget(client: ClientHandle): void {
    for (const topic of [...this.#topics.values()]) {
      topic.waiting.delete(client);
      if (!this.#remove(topic, client) || topic.clients.size > 0) continue;
      if (this.#isOpen()) void this.#work(topic);
      else this.#dropIfUnused(topic);
    }
  }

  /** Notifies all subscribers, because any of the resources may have changed. */
  notifyAll(): void {
    for (const { uri: own, isConfirmed, clients } of this.#topics.values()) {
      const uri = this.#options.publishedUri(own);
      if (isConfirmed) for (const client of clients) client.notify(RESOURCE_UPDATED, { uri });
    }
  }

  /** The server has lost the session, and all subscriptions with it. */
  forgotten(): void {
    this.#lostSessions++;
    for (const topic of this.#topics.values()) topic.isConfirmed = false;
  }

  resume(): void {
    for (const topic of [...this.#topics.values()]) {
      if (topic.clients.size > 0) void this.#work(topic);
      else this.#dropIfUnused(topic);
    }
  }

  #topicOf(uri: string): Topic {
    let topic = this.#topics.get(uri);
    if (topic === undefined) {
      topic = { uri, clients: new Set(), waiting: new Set(), isConfirmed: false, work: null };
      this.#topics.set(uri, topic);
    }
    return topic;
  }

  #dropIfUnused(topic: Topic): void {
    if (topic.clients.size > 0 || topic.isConfirmed || topic.work !== null) return;
    this.#topics.delete(topic.uri);
  }

  #work(topic: Topic): Promise<Reply> {
    topic.work ??= this.#reconcile(topic).then((reply) => {
      topic.work = null;
      // Clients may have subscribed or unsubscribed since.
      if (isError(reply) || topic.clients.size > 0 === topic.isConfirmed) this.#dropIfUnused(topic);
      else void this.#work(topic);
      return reply;
    });
    return topic.work;
  }

  /**
   * Subscribes or unsubscribes at the server until the subscription fits the topic's clients. Resolves with the
   * server's last answer.
   */
  async #reconcile(topic: Topic): Promise<Reply> {
    const { backend, logger, listMs } = this.#options;
    let reply = DONE;
    while (topic.clients.size > 0 !== topic.isConfirmed) {
      const wanted = topic.clients.size > 0;
      const lostBefore = this.#lostSessions;
      const method = wanted ? "resources/subscribe" : "resources/unsubscribe";
      const outcome = await this.#session.send(method, { uri: topic.uri }, listMs);
      reply = outcome.kind === "answered" ? outcome.reply : unavailable(backend, outcome.failure);
      // Asks again in the renewed session. An ended instance renews none, so the loop ends.
      if (this.#lostSessions !== lostBefore) continue;
      if (!wanted) topic.isConfirmed = false;
      else if (!isError(reply)) topic.isConfirmed = true;
      else {
        logger.debug("a server refuses a subscription", { backend, reason: reply.error.message });
        for (const client of topic.waiting) this.#remove(topic, client);
        break;
      }
    }
    topic.waiting.clear();
    return reply;
  }
}

// Keeps which clients watch which task of a server of 2026-07-28. The server gets a request when the first client
// begins to watch a task, and when the last one stops.

const FINAL: ReadonlySet<unknown> = new Set(["completed", "failed", "cancelled"]);

interface Watched {
  /** Each client's own id of the task. */
  readonly names: Map<ClientHandle, string>;
  readonly reply: Promise<Reply>;
}

export type TaskWatchers = ReturnType<typeof createTaskWatchers>;

export function createTaskWatchers({ backend, listMs }: InstanceOptions, session: ServerSession) {
  /** The watched tasks. Keys: the server's ids of the tasks. */
  const tasks = new Map<string, Watched>();

  const request = async (method: string, taskId: string): Promise<Reply> => {
    const outcome = await session.send(method, { taskId }, listMs);
    return outcome.kind === "answered" ? outcome.reply : unavailable(backend, outcome.failure);
  };
  const end = (id: string): void => {
    tasks.delete(id);
    void request(UNWATCH_TASK, id);
  };
  const forget = (client: ClientHandle): void => {
    for (const [id, { names }] of [...tasks]) if (names.delete(client) && names.size === 0) end(id);
  };
  return {
    /** `id` is the server's id of the task, `name` the client's name for it. */
    async watch({ id, name }: { id: string; name: string }, client: ClientHandle): Promise<Reply> {
      let watched = tasks.get(id);
      if (watched === undefined) {
        watched = { names: new Map(), reply: request(WATCH_TASK, id) };
        tasks.set(id, watched);
      }
      watched.names.set(client, name);
      // Listens for this client's end itself. If the instance belongs to another client, nothing else reports that end.
      client.ended.addEventListener("abort", () => forget(client), { once: true });
      const reply = await watched.reply;
      if (isError(reply)) {
        if (tasks.get(id) === watched) tasks.delete(id);
      } else if (client.ended.aborted || tasks.get(id)?.names.has(client) !== true) {
        forget(client);
        return errorReply(INTERNAL_ERROR, "no client is subscribed now");
      }
      return reply;
    },
    notify(params: JsonObject | undefined): void {
      const id = params?.["taskId"];
      if (typeof id !== "string") return;
      for (const [client, name] of tasks.get(id)?.names ?? [])
        client.notify(TASK_NOTICE, inputsBy(backend, { ...params, taskId: name }));
      if (FINAL.has(params?.["status"]) && tasks.has(id)) end(id);
    },
    forget,
    /** Notices may have been lost, so the clients are asked to watch again. */
    lost(): void {
      const clients = new Set([...tasks.values()].flatMap(({ names }) => [...names.keys()]));
      for (const id of [...tasks.keys()]) end(id);
      for (const client of clients) client.notify(TASKS_LOST, undefined);
    },
  };
}
