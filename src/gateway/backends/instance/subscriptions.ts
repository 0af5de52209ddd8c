// Owns who is subscribed to which resource: the server hears of the first client and of the last.
import type { Logger } from "../../../runtime/log/log.ts";
import type { ClientPort } from "../../client-port.ts";
import { errorReply, INTERNAL_ERROR, isError, type Reply } from "../../json-rpc.ts";
import { RESOURCE_UPDATED } from "../../protocol.ts";
import { unavailable } from "./failures.ts";
import type { Ask } from "./pending.ts";

const DONE: Reply = { result: {} };

interface Subscriptions {
  readonly clients: ReadonlyMap<string, ReadonlySet<ClientPort>>;
  /** Those who are subscribed to it, or to what it is a part of (`a/b` of `a`). */
  subscribers(uri: string): ReadonlySet<ClientPort>;
  subscribe(uri: string, client: ClientPort): Promise<Reply>;
  unsubscribe(uri: string, client: ClientPort): Promise<Reply>;
  adopt(others: ReadonlyMap<string, ReadonlySet<ClientPort>>): void;
  forget(client: ClientPort): void;
  /** Any of the resources may have changed: whoever is subscribed to it is told. */
  tellAll(): void;
  /** The server knows of no subscription any more. */
  forgotten(): void;
  /** Tells the server what it does not know yet. */
  resume(): void;
}

interface SubscriptionsOptions {
  readonly backend: string;
  readonly ask: Ask;
  readonly logger: Logger;
  readonly timeoutMs: number;
  /** False: nothing can be asked yet; `resume` follows. */
  readonly open: () => boolean;
}

interface Topic {
  readonly uri: string;
  readonly clients: Set<ClientPort>;
  /** Of these, who waits for the server's word. */
  readonly waiting: Set<ClientPort>;
  told: boolean;
  /** Telling the server, while that goes on. */
  work: Promise<Reply> | null;
}

export function createSubscriptions(options: SubscriptionsOptions): Subscriptions {
  const { backend, ask, logger, timeoutMs, open } = options;
  const topics = new Map<string, Topic>();
  const clients = new Map<string, ReadonlySet<ClientPort>>();
  // An answer of an older session says nothing about this one.
  let session = 0;

  const topicOf = (uri: string): Topic => {
    let topic = topics.get(uri);
    if (topic === undefined) {
      topic = { uri, clients: new Set(), waiting: new Set(), told: false, work: null };
      topics.set(uri, topic);
      clients.set(uri, topic.clients);
    }
    return topic;
  };
  const dropIfUnused = (topic: Topic): void => {
    if (topic.clients.size > 0 || topic.told || topic.work !== null) return;
    if (topics.get(topic.uri) !== topic) return;
    topics.delete(topic.uri);
    clients.delete(topic.uri);
  };
  const tell = async (method: string, uri: string): Promise<{ reply: Reply; lost: boolean }> => {
    const asked = await ask(method, { uri }, timeoutMs);
    if (asked.kind === "answered") return { reply: asked.reply, lost: false };
    return { reply: unavailable(backend, asked.failure), lost: asked.failure.kind === "session_lost" };
  };
  /** Until the server knows what is wanted; the last word of the server about it. */
  const settle = async (topic: Topic): Promise<Reply> => {
    let reply = DONE;
    for (let turn = 0; turn < 10; turn++) {
      const wanted = topic.clients.size > 0;
      if (wanted === topic.told) break;
      const askedIn = session;
      const told = await tell(wanted ? "resources/subscribe" : "resources/unsubscribe", topic.uri);
      reply = told.reply;
      // A lost session is renewed, and the question with it; the next turn asks in the new one.
      if (told.lost || session !== askedIn) continue;
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
  };
  const work = (topic: Topic): Promise<Reply> => {
    topic.work ??= settle(topic).then((reply) => {
      topic.work = null;
      // Who came or left in the last moment is looked at again.
      if (isError(reply) || topic.clients.size > 0 === topic.told) dropIfUnused(topic);
      else void work(topic);
      return reply;
    });
    return topic.work;
  };

  return {
    clients,
    subscribers(uri) {
      const exact = topics.get(uri)?.clients;
      const found = new Set(exact);
      if (topics.size > (exact === undefined ? 0 : 1)) {
        for (let end = uri.lastIndexOf("/"); end > 0; end = uri.lastIndexOf("/", end - 1)) {
          for (const part of [uri.slice(0, end), uri.slice(0, end + 1)]) {
            if (part === uri) continue;
            for (const client of topics.get(part)?.clients ?? []) found.add(client);
          }
        }
      }
      return found;
    },
    async subscribe(uri, client) {
      const topic = topicOf(uri);
      if (topic.told && topic.work === null) {
        topic.clients.add(client);
        return DONE;
      }
      const joined = !topic.clients.has(client);
      topic.clients.add(client);
      if (joined) topic.waiting.add(client);
      const reply = await work(topic);
      topic.waiting.delete(client);
      if (isError(reply)) return reply;
      return topic.clients.has(client)
        ? reply
        : errorReply(INTERNAL_ERROR, "the subscription was cancelled meanwhile");
    },
    async unsubscribe(uri, client) {
      const topic = topics.get(uri);
      if (topic === undefined || !topic.clients.delete(client)) return DONE;
      topic.waiting.delete(client);
      return topic.clients.size > 0 ? DONE : work(topic);
    },
    adopt(others) {
      for (const [uri, subscribed] of others) {
        if (subscribed.size === 0) continue;
        const topic = topicOf(uri);
        for (const client of subscribed) topic.clients.add(client);
        if (open()) void work(topic);
      }
    },
    forget(client) {
      for (const topic of [...topics.values()]) {
        topic.waiting.delete(client);
        if (topic.clients.delete(client) && topic.clients.size === 0) {
          if (open()) void work(topic);
          else dropIfUnused(topic);
        }
      }
    },
    tellAll() {
      for (const { uri, told, clients: subscribed } of topics.values()) {
        if (!told) continue;
        for (const client of subscribed) client.notify(RESOURCE_UPDATED, { uri });
      }
    },
    forgotten() {
      session++;
      for (const topic of topics.values()) topic.told = false;
    },
    resume() {
      for (const topic of [...topics.values()]) {
        if (topic.clients.size > 0) void work(topic);
        else dropIfUnused(topic);
      }
    },
  };
}
