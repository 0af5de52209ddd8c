// The stream on which a server of 2026-07-28 sends change notices (`subscriptions/listen`). A change of topics opens a
// new stream before the old one ends, and a broken stream is opened again.
import { backoffMs } from "../../../../runtime/time/backoff.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  isError,
  isJsonObject,
  type JsonObject,
  METHOD_NOT_FOUND,
  REQUEST_TIMEOUT,
  type Reply,
  type RpcId,
} from "../../../json-rpc.ts";
import { LIST_KINDS, LISTEN_FLAGS, type ListKind } from "../../../protocol.ts";
import type { TransportFailure } from "../backend-transport.ts";

const ACKNOWLEDGED_MS = 5_000;
const BACKOFF_MS = { first: 1_000, most: 60_000 };
/** A stream that lasted this long resets the backoff. */
const CALM_MS = 10_000;

const DONE: Reply = { result: {} };

/**
 * A resource by its URI, or a task by its id. The first word is the member of the listen request that lists the
 * topic.
 */
type Topic = `${"resourceSubscriptions" | "taskIds"} ${string}`;
const KINDS = ["resourceSubscriptions", "taskIds"] as const;

export const resourceTopic = (uri: string): Topic => `resourceSubscriptions ${uri}`;
export const taskTopic = (id: string): Topic => `taskIds ${id}`;

interface Stream {
  readonly id: RpcId;
  readonly topics: ReadonlySet<Topic>;
  readonly sinceMs: number;
}

interface Opening extends Stream {
  readonly timer: Timer;
}

interface ListeningOptions {
  readonly clock: Clock;
  readonly capabilities: unknown;
  /** Requests a stream. The end of the stream has to be reported to `ended`. */
  readonly listen: (notifications: JsonObject) => RpcId;
  readonly abandon: (id: RpcId) => void;
  /** The stream was interrupted and is open again; notices sent during the gap are lost. */
  readonly onGap: () => void;
}

export class Listening implements Disposable {
  readonly #options: ListeningOptions;
  readonly #lists: JsonObject;
  readonly #topics = new Set<Topic>();
  readonly #waiting = new Map<Topic, ((reply: Reply) => void)[]>();
  #current: Stream | null = null;
  #opening: Opening | null = null;
  /** `#opening` was requested for other topics. */
  #isStale = false;
  #timer: Timer | null = null;
  #tries = 0;
  #wasOpen = false;
  /** The reply to all subscriptions if the server does not know `subscriptions/listen`; else null. */
  #refused: Reply | null = null;
  #disposed = false;

  constructor(options: ListeningOptions) {
    this.#options = options;
    const { capabilities } = options;
    const hasNotice = (kind: ListKind): boolean => {
      const declared = isJsonObject(capabilities) ? capabilities[kind] : undefined;
      return isJsonObject(declared) && declared["listChanged"] === true;
    };
    this.#lists = Object.fromEntries(LIST_KINDS.filter(hasNotice).map((kind) => [LISTEN_FLAGS[kind], true]));
  }

  start(): void {
    this.#renew();
  }

  /** Resolves when the server has acknowledged or refused the topic. */
  subscribe(topic: Topic): Promise<Reply> {
    if (this.#refused !== null) return Promise.resolve(this.#refused);
    if (this.#current?.topics.has(topic) === true && this.#topics.has(topic)) return Promise.resolve(DONE);
    return new Promise((resolve) => {
      this.#topics.add(topic);
      this.#waiting.set(topic, [...(this.#waiting.get(topic) ?? []), resolve]);
      this.#renew();
    });
  }

  unsubscribe(topic: Topic): void {
    if (!this.#topics.delete(topic)) return;
    this.#complete(
      [topic],
      errorReply(INTERNAL_ERROR, "the subscription was cancelled before the answer came"),
    );
    this.#renew();
  }

  /** The server has sent `notifications/subscriptions/acknowledged` on this stream. */
  acknowledged(id: unknown, params: JsonObject | undefined): void {
    const opening = this.#opening;
    if (opening === null || opening.id !== id) return;
    opening.timer[Symbol.dispose]();
    const old = this.#current;
    this.#opening = null;
    this.#current = opening;
    if (old !== null) this.#options.abandon(old.id);
    const granted = topicsOf(params?.["notifications"]);
    const refused = [...opening.topics].filter((topic) => !granted.has(topic));
    for (const topic of refused) this.#topics.delete(topic);
    this.#complete(refused, errorReply(INTERNAL_ERROR, "the server does not report its changes"));
    this.#complete([...opening.topics], DONE);
    if (old === null && this.#wasOpen) this.#options.onGap();
    this.#wasOpen = true;
    if (this.#isStale) this.#renew();
  }

  /** Called when a stream has ended, with a reply or with a failure of the link. */
  ended(id: RpcId, how: Reply | TransportFailure): void {
    const { clock } = this.#options;
    if (this.#opening?.id === id) {
      const opening = this.#opening;
      opening.timer[Symbol.dispose]();
      this.#opening = null;
      const why = "kind" in how ? how.message : isError(how) ? how.error.message : "the stream ended at once";
      const reply = errorReply(INTERNAL_ERROR, `the server does not take the subscription: ${why}`);
      for (const topic of this.#waiting.keys()) if (opening.topics.has(topic)) this.#topics.delete(topic);
      this.#complete([...opening.topics], reply);
      if (!("kind" in how) && isError(how) && how.error.code === METHOD_NOT_FOUND) {
        this.#refused = reply;
        this.#complete([...this.#waiting.keys()], reply);
        return;
      }
      if (this.#isStale) this.#renew();
      else if (this.#current === null) this.#later();
      return;
    }
    if (this.#current?.id !== id) return;
    if (clock.monotonicMs() - this.#current.sinceMs >= CALM_MS) this.#tries = 0;
    this.#current = null;
    if (this.#opening === null) this.#later();
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#timer?.[Symbol.dispose]();
    this.#opening?.timer[Symbol.dispose]();
    this.#complete([...this.#waiting.keys()], errorReply(INTERNAL_ERROR, "the server has ended"));
  }

  #renew(): void {
    if (this.#disposed || this.#refused !== null) return;
    this.#isStale = this.#opening !== null;
    if (this.#isStale) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    const { clock, listen, abandon } = this.#options;
    const topics = new Set(this.#topics);
    if (topics.size === 0 && Object.keys(this.#lists).length === 0) {
      const old = this.#current;
      this.#current = null;
      if (old !== null) abandon(old.id);
      return;
    }
    const id = listen({ ...this.#lists, ...membersOf(topics) });
    const timer = clock.setTimer(ACKNOWLEDGED_MS, () => {
      abandon(id);
      this.ended(id, errorReply(REQUEST_TIMEOUT, "it is not acknowledged in time"));
    });
    this.#opening = { id, topics, sinceMs: clock.monotonicMs(), timer };
  }

  #later(): void {
    if (this.#disposed) return;
    this.#timer = this.#options.clock.setTimer(backoffMs(BACKOFF_MS, ++this.#tries), () => {
      this.#timer = null;
      this.#renew();
    });
  }

  #complete(topics: readonly Topic[], reply: Reply): void {
    for (const topic of topics) {
      const waiting = this.#waiting.get(topic) ?? [];
      this.#waiting.delete(topic);
      for (const resolve of waiting) resolve(reply);
    }
  }
}

/** Topics as members of the listen request. */
function membersOf(topics: ReadonlySet<Topic>): JsonObject {
  const members: Record<string, string[]> = {};
  for (const kind of KINDS) {
    const ofKind = [...topics].filter((topic) => topic.startsWith(`${kind} `));
    if (ofKind.length > 0) members[kind] = ofKind.map((topic) => topic.slice(kind.length + 1));
  }
  return members;
}

function topicsOf(granted: unknown): ReadonlySet<string> {
  const members = isJsonObject(granted) ? granted : {};
  const named = KINDS.flatMap((kind) => {
    const names = members[kind];
    const texts = Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
    return texts.map((name) => `${kind} ${name}`);
  });
  return new Set(named);
}
