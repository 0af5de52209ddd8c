// Answers of calls that a client of 2025-11-25 can take up again when their connection breaks: it names the last event
// that it has (GET with Last-Event-ID), and gets what came after it. Memory is bounded; what is not kept is told as lost.
import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import type { Timer } from "../../../runtime/time/clock.ts";
import { principalKey } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, isRpcId, type RpcId } from "../../json-rpc.ts";
import { responseJson } from "../session/outlet.ts";
import type { Session } from "../session/session.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/** Kept of one answer while its connection stands: what may still be on its way. */
const KEPT_CONNECTED = 256 * 1024;
/** Kept of one answer once its connection is broken, or its result has been sent. */
const KEPT_BROKEN = 8 * 1024 * 1024;
/** Kept of all answers together; beyond it, of whoever keeps most, the one that began first is dropped. */
const KEPT_IN_ALL = 32 * 1024 * 1024;
const RESUMED_WITHIN_MS = 120_000;
/** How long a question on a broken connection waits for its client: others may wait for the server meanwhile. */
const ASKED_WITHIN_MS = 15_000;
/** A whole answer is kept for this long to twice as long: it may have been written to a connection that was broken already. */
const WHOLE_KEPT_MS = 10_000;
/** How many whole answers are kept: the newest, whoever made the calls. */
const MOST_WHOLE = 256;
/** Clients look again after this time. */
const RETRY_MS = 1_000;
/** Characters of a request's id in its event ids; what is lost of an answer to a longer one gets no error. */
const LONGEST_ID = 256;

const LOST =
  "the connection broke, and the rest of this answer is no longer kept; it is not known whether the call took effect";

interface StreamOwner {
  readonly parts: StreamParts;
  grown(characters: number): void;
  forget(stream: ResumableStream): void;
  /** All of it is written. */
  whole(stream: ResumableStream): void;
}

export class Resumption implements Disposable {
  readonly #parts: StreamParts;
  /** Tells ids of this process from those of before a restart. */
  readonly #prefix = randomBytes(6).toString("base64url");
  /** By key, the oldest first. */
  readonly #streams = new Map<string, ResumableStream>();
  readonly #owner: StreamOwner;
  /** Written whole since the last look, and before that. */
  #young = new Set<ResumableStream>();
  #old = new Set<ResumableStream>();
  #timer: Timer | null = null;
  #count = 0;
  #kept = 0;

  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.#owner = {
      parts,
      grown: (characters) => this.#grown(characters),
      forget: (stream) => {
        this.#streams.delete(stream.key);
        if (!this.#young.delete(stream)) this.#old.delete(stream);
      },
      whole: (stream) => {
        this.#young.add(stream);
        if (this.#young.size + this.#old.size > MOST_WHOLE) {
          const [oldest] = this.#old.size > 0 ? this.#old : this.#young;
          oldest?.giveUp();
        }
        this.#timer ??= parts.clock.setTimer(WHOLE_KEPT_MS, this.#look);
      },
    };
  }

  /** Answers that can be taken up again. */
  get size(): number {
    return this.#streams.size;
  }

  /** The stream on `response` that answers the request `id`. */
  open(session: Session, id: RpcId, response: ServerResponse, events: StreamEvents): ResumableStream {
    this.#count += 1;
    const key = `${this.#prefix}-${this.#count}`;
    const stream = new ResumableStream(this.#owner, { key, session, idText: idTextOf(id), events });
    this.#streams.set(key, stream);
    stream.connect(response, null);
    return stream;
  }

  readonly #look = (): void => {
    const old = this.#old;
    this.#old = this.#young;
    this.#young = new Set();
    this.#timer = this.#old.size > 0 ? this.#parts.clock.setTimer(WHOLE_KEPT_MS, this.#look) : null;
    for (const stream of old) stream.giveUp();
  };

  /**
   * Goes on after that event on `response`. "complete": the client has got everything. "unknown": it is no event of an
   * answer. What is lost is answered with an error.
   */
  resume(
    session: Session,
    lastEventId: string,
    response: ServerResponse,
  ): "resumed" | "complete" | "unknown" {
    const event = readEventId(lastEventId);
    if (event === null) return "unknown";
    if (event.isLast) return "complete";
    const stream = this.#streams.get(event.key);
    if (stream?.session === session && stream.hasEnd) {
      stream.connect(response, event.number);
      return "resumed";
    }
    const id = idOf(event.idText);
    if (id === null) return "complete";
    const told = new SseStream(this.#parts, response, () => {});
    const json = responseJson(id, errorReply(BACKEND_UNAVAILABLE, LOST));
    told.sendAnyway(json, `id: ${eventId({ ...event, number: event.number + 1, isLast: true })}\n`);
    told.end();
    return "resumed";
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    for (const stream of [...this.#streams.values()]) stream.giveUp();
  }

  #grown(characters: number): void {
    this.#kept += characters;
    if (characters <= 0) return;
    while (this.#kept > KEPT_IN_ALL) {
      const oldest = this.#oldestOfLargest();
      if (oldest === null) return;
      oldest.clear();
    }
  }

  /** Of what is kept: one principal takes no other's place. */
  #oldestOfLargest(): ResumableStream | null {
    const kept = [...this.#streams.values()].filter(({ characters }) => characters > 0);
    let largest: { readonly oldest: ResumableStream; readonly sum: number } | null = null;
    for (const own of Map.groupBy(kept, ({ session }) => principalKey(session.principal)).values()) {
      const sum = own.reduce((all, { characters }) => all + characters, 0);
      const [oldest] = own;
      if (oldest !== undefined && (largest === null || sum > largest.sum)) largest = { oldest, sum };
    }
    return largest?.oldest ?? null;
  }
}

interface StreamEvents {
  /** The client has not come back soon: what was asked gets no answer. */
  onSilent(): void;
  /** Once; nobody takes it up again. */
  onGone(): void;
}

interface StreamOptions {
  readonly key: string;
  readonly session: Session;
  /** The request's id, as event ids carry it. */
  readonly idText: string;
  readonly events: StreamEvents;
}

interface KeptEvent {
  readonly number: number;
  /** Null: it ends the answer and says nothing. */
  readonly json: string | null;
}

export class ResumableStream {
  readonly key: string;
  readonly session: Session;
  readonly #owner: StreamOwner;
  readonly #options: StreamOptions;
  #events: KeptEvent[] = [];
  /** Of what is kept. */
  characters = 0;
  #last = 0;
  /** The last event was sent, or would have been. */
  #isEnded = false;
  #isGone = false;
  /** Broken for so long that only the answer is kept. */
  #isSilent = false;
  /** Its client knows when to look for it again. */
  #isPrimed = false;
  #stream: SseStream | null = null;
  #timer: Timer | null = null;

  constructor(owner: StreamOwner, options: StreamOptions) {
    this.key = options.key;
    this.session = options.session;
    this.#owner = owner;
    this.#options = options;
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  /** The last event is kept, or is still to come. */
  get hasEnd(): boolean {
    return !this.#isEnded || this.#events.at(-1)?.number === this.#last;
  }

  /** Sends an event that says nothing: the client can name it if the connection breaks before the next one. */
  prime(): void {
    if (!this.#isPrimed) this.#stream?.sendEvent(`${this.#headOf(0)}data: `);
  }

  /** What came after event `after` (null: the first) goes to `response`, and what comes from now on. */
  connect(response: ServerResponse, after: number | null): void {
    const before = this.#stream;
    this.#stream = null;
    before?.destroy();
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#isSilent = false;
    const stream = new SseStream(this.#owner.parts, response, () => {});
    this.#stream = stream;
    response.once("close", () => {
      if (this.#stream !== stream) return;
      this.#stream = null;
      if (this.#isEnded && response.writableFinished) this.#owner.whole(this);
      else this.#broke();
    });
    if (after !== null) stream.sendEvent(`${this.#headOf(after)}data: `);
    for (const { number, json } of this.#events) if (number > (after ?? 0)) this.#write(stream, number, json);
    if (this.#isEnded) stream.end();
  }

  /** False: nobody will take it up any more. */
  send(json: string): boolean {
    if (this.#isEnded || this.#isGone || this.#isSilent) return false;
    this.#keep(json, this.#stream === null ? KEPT_BROKEN : KEPT_CONNECTED);
    if (this.#stream?.send(json, this.#headOf(this.#last)) === false) {
      // Its reader has left too much unread.
      this.#stream = null;
      this.#broke();
    }
    return !this.#isGone;
  }

  /** The last event of an answer, however much is unread. */
  sendAnyway(json: string | null): void {
    if (this.#isEnded || this.#isGone) return;
    this.#isEnded = true;
    this.#keep(json, KEPT_BROKEN);
    if (this.#stream === null) return;
    this.#write(this.#stream, this.#last, json);
    this.#stream.end();
  }

  end(): void {
    // A cancelled call ends without an answer, and its client need not come back for one.
    this.sendAnyway(null);
  }

  /** Keeps nothing of what was sent; without a connection it is over. */
  clear(): void {
    this.#owner.grown(-this.characters);
    this.characters = 0;
    this.#events = [];
    if (this.#stream === null) this.giveUp();
  }

  giveUp(): void {
    if (this.#isGone || this.#stream !== null) return;
    this.#isGone = true;
    this.#forget();
    this.#options.events.onGone();
  }

  #broke(): void {
    if (this.#isGone) return;
    const { clock } = this.#owner.parts;
    this.#timer ??= clock.setTimer(ASKED_WITHIN_MS, () => {
      this.#timer = clock.setTimer(RESUMED_WITHIN_MS - ASKED_WITHIN_MS, () => this.giveUp());
      this.#isSilent = true;
      this.#options.events.onSilent();
    });
  }

  #forget(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#owner.forget(this);
    this.#owner.grown(-this.characters);
    this.characters = 0;
    this.#events = [];
  }

  #keep(json: string | null, limit: number): void {
    this.#last += 1;
    const size = json?.length ?? 0;
    this.#events.push({ number: this.#last, json });
    this.characters += size;
    let dropped = 0;
    while (this.characters - dropped > limit) {
      dropped += this.#events.shift()?.json?.length ?? 0;
      if (this.#events.length === 0) break;
    }
    this.characters -= dropped;
    this.#owner.grown(size - dropped);
    // The newest cannot be kept, and there is nowhere to send it.
    if (this.#events.length === 0 && this.#stream === null) this.giveUp();
  }

  #write(stream: SseStream, number: number, json: string | null): void {
    const head = this.#headOf(number);
    if (json === null) stream.sendEvent(`${head}data: `);
    else stream.sendAnyway(json, head);
  }

  /** The lines before an event's data. */
  #headOf(number: number): string {
    const retry = this.#isPrimed ? "" : `retry: ${RETRY_MS}\n`;
    this.#isPrimed = true;
    return `id: ${this.#idOf(number)}\n${retry}`;
  }

  #idOf(number: number): string {
    const isLast = this.#isEnded && number === this.#last;
    return eventId({ key: this.key, number, isLast, idText: this.#options.idText });
  }
}

interface EventId {
  readonly key: string;
  readonly number: number;
  /** Nothing comes after it. */
  readonly isLast: boolean;
  readonly idText: string;
}

const EVENT_ID = /^([\w-]+-\d+)\.(\d{1,15})(e?)\.([\w-]*)$/;

function eventId({ key, number, isLast, idText }: EventId): string {
  return `${key}.${number}${isLast ? "e" : ""}.${idText}`;
}

/** Null: it is none of ours. */
function readEventId(text: string): EventId | null {
  const [, key, number, end, idText] = EVENT_ID.exec(text) ?? [];
  if (key === undefined || idText === undefined) return null;
  return { key, number: Number(number), isLast: end === "e", idText };
}

function idTextOf(id: RpcId): string {
  const text = Buffer.from(JSON.stringify(id)).toString("base64url");
  return text.length <= LONGEST_ID ? text : "";
}

function idOf(idText: string): RpcId | null {
  try {
    const id = parseExactly(Buffer.from(idText, "base64url").toString("utf8"));
    return isRpcId(id) ? id : null;
  } catch {
    return null;
  }
}
