// Answers that a client of 2025-11-25 can resume when the connection breaks: it sends a GET with the id of the last event
// that it received (Last-Event-ID), and gets all later events. Memory is bounded; a lost answer is reported as an error.
import { randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { ofLargest } from "../../../runtime/bounded-map.ts";
import { valueOr } from "../../../runtime/errors.ts";
import { parseExactly } from "../../../runtime/text/exact-json.ts";
import type { Timer } from "../../../runtime/time/clock.ts";
import { principalKey } from "../../client-handle.ts";
import { BACKEND_UNAVAILABLE, errorReply, isRpcId, type RpcId } from "../../json-rpc.ts";
import { responseJson } from "../session/client-stream.ts";
import type { Session } from "../session/session.ts";
import { CoarseTimer } from "./coarse-timer.ts";
import { SseStream, type StreamParts } from "./sse-stream.ts";

/**
 * How many characters of an answer are kept while its connection works, because the last events may not have arrived.
 */
const RETAINED_CONNECTED = 256 * 1024;
/** Maximum number of characters that are kept of an answer after its connection broke or its result was sent. */
const RETAINED_BROKEN = 8 * 1024 * 1024;
/**
 * Maximum number of characters kept of all answers together. Beyond it, the principal with the most kept characters
 * loses its oldest answer.
 */
const RETAINED_IN_ALL = 32 * 1024 * 1024;
/** How long a broken connection can be resumed. */
const RESUMED_WITHIN_MS = 120_000;
/** How long a question on a broken connection waits for its client: other clients may need the server. */
const ANSWERS_WITHIN_MS = 15_000;
/**
 * A completely written answer is kept for one to two times this long in case it has not arrived, unless the bounds
 * on number and size remove it earlier.
 */
const COMPLETE_RETAINED_MS = 10_000;
/** Maximum number of completely written answers that are kept. Beyond it, the principal with most loses its oldest ones. */
const MOST_COMPLETE = 256;
/** How many it loses then: to find them takes longer than a call may. */
const LOST_AT_ONCE = 64;
/** Time after which a client reconnects. */
const RETRY_MS = 1_000;
/**
 * A longer request id does not become part of event ids. If the answer to such a request is lost, the client gets no
 * error.
 */
const LONGEST_ID = 256;

const LOST =
  "the connection broke, and the rest of this answer is no longer kept; it is not known whether the call took effect";

export class Resumption implements Disposable {
  readonly parts: StreamParts;
  /** Distinguishes event ids of this process from those of an earlier one. */
  readonly #prefix = randomBytes(6).toString("base64url");
  /** The streams by key, oldest first. */
  readonly #streams = new Map<string, ResumableStream>();
  /** Streams whose whole answer is written. */
  readonly #complete: CoarseTimer<ResumableStream>;
  #count = 0;
  #retainedCharacters = 0;

  constructor(parts: StreamParts) {
    this.parts = parts;
    this.#complete = new CoarseTimer(parts.clock, COMPLETE_RETAINED_MS, (stream) => stream.giveUp());
  }

  /** Opens a stream on `response`. The stream answers the request `id`. */
  open(session: Session, id: RpcId, response: ServerResponse, handlers: StreamHandlers): ResumableStream {
    this.#count += 1;
    const key = `${this.#prefix}-${this.#count}`;
    const stream = new ResumableStream(this, key, session, id, handlers);
    this.#streams.set(key, stream);
    stream.connect(response, null);
    return stream;
  }

  /** Keeps a completely written `stream` for a while, because its end may not have reached the client. */
  completed(stream: ResumableStream): void {
    this.#complete.add(stream);
    if (this.#complete.size <= MOST_COMPLETE) return;
    const own = ofLargest(this.#complete.entries, ownerOf);
    for (const oldest of own.slice(0, LOST_AT_ONCE)) oldest.giveUp();
  }

  forget(stream: ResumableStream): void {
    this.#streams.delete(stream.key);
    this.#complete.delete(stream);
  }

  /** Call this when the number of characters that streams keep has changed by `characters`. */
  resized(characters: number): void {
    this.#retainedCharacters += characters;
    if (characters <= 0) return;
    while (this.#retainedCharacters > RETAINED_IN_ALL) {
      const oldest = this.#oldestOfLargest();
      if (oldest === undefined) return;
      oldest.clear();
    }
  }

  /**
   * Sends the answer's events after `lastEventId` to `response`, or an error if they are lost. "complete":
   * the client has the whole answer. "unknown": the event does not belong to an answer.
   */
  resume(session: Session, lastEventId: string, response: ServerResponse) {
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
    const lost = new SseStream(this.parts, response, () => {});
    const json = responseJson(id, errorReply(BACKEND_UNAVAILABLE, LOST));
    lost.sendAnyway(json, `id: ${eventId({ ...event, number: event.number + 1, isLast: true })}\n`);
    lost.end();
    return "resumed";
  }

  [Symbol.dispose](): void {
    for (const stream of [...this.#streams.values()]) stream.giveUp();
    this.#complete[Symbol.dispose]();
  }

  /**
   * Finds the principal whose streams together keep the most characters, and returns that principal's oldest stream.
   * undefined: no stream keeps anything.
   */
  #oldestOfLargest(): ResumableStream | undefined {
    const retained = [...this.#streams.values()].filter(({ characters }) => characters > 0);
    return ofLargest(retained, ownerOf, ({ characters }) => characters)[0];
  }
}

const ownerOf = ({ session }: ResumableStream): string => principalKey(session.principal);

interface StreamHandlers {
  /**
   * The connection has been broken for `ANSWERS_WITHIN_MS`: servers no longer wait for this client's answers.
   */
  onSilent(): void;
  /** Called once, when the answer can no longer be resumed. */
  onGone(): void;
}

interface RetainedEvent {
  readonly number: number;
  /** Null: an empty event that ends the answer. */
  readonly json: string | null;
}

export class ResumableStream {
  readonly key: string;
  readonly session: Session;
  readonly #owner: Resumption;
  /** The request's id in the form that event ids contain. */
  readonly #idText: string;
  readonly #handlers: StreamHandlers;
  #events: RetainedEvent[] = [];
  /** Characters in `#events`. */
  characters = 0;
  #lastNumber = 0;
  /** The last event of the answer has been sent or kept. */
  #isEnded = false;
  #isGone = false;
  /** `onSilent` was called: notifications and questions are no longer kept. */
  #isSilent = false;
  /** True once the client has been told after which time to reconnect. */
  #isPrimed = false;
  /** Null while the connection is broken. */
  #stream: SseStream | null = null;
  #timer: Timer | null = null;

  constructor(owner: Resumption, key: string, session: Session, id: RpcId, handlers: StreamHandlers) {
    this.#owner = owner;
    this.key = key;
    this.session = session;
    this.#idText = idTextOf(id);
    this.#handlers = handlers;
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  /** False: the last event was dropped, so the answer cannot be resumed. */
  get hasEnd(): boolean {
    return !this.#isEnded || this.#events.length > 0;
  }

  /** Sends an empty event, whose id the client can resume from if the connection breaks before the next event. */
  prime(): void {
    if (!this.#isPrimed) this.#stream?.sendEvent(`${this.#headOf(0)}data: `);
  }

  /** Sends the kept events after number `after` (null: all), and all later ones, to `response`. */
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
      if (this.#isEnded && response.writableFinished) this.#owner.completed(this);
      else this.#broke();
    });
    if (after !== null) stream.sendEvent(`${this.#headOf(after)}data: `);
    for (const { number, json } of this.#events) if (number > (after ?? 0)) this.#write(stream, number, json);
    if (this.#isEnded) stream.end();
  }

  /** Sends the message, or keeps it until the client reconnects. False: the client will not get it. */
  send(json: string): boolean {
    if (this.#isEnded || this.#isGone || this.#isSilent) return false;
    this.#keep(json, this.#stream === null ? RETAINED_BROKEN : RETAINED_CONNECTED);
    if (this.#stream?.send(json, this.#headOf(this.#lastNumber)) === false) {
      // The client has left too much unread.
      this.#stream = null;
      this.#broke();
    }
    return !this.#isGone;
  }

  /** Sends the last event and ends the answer, even if the client has left much unread. null: the event is empty. */
  sendAnyway(json: string | null): void {
    if (this.#isEnded || this.#isGone) return;
    this.#isEnded = true;
    this.#keep(json, RETAINED_BROKEN);
    if (this.#stream === null) return;
    this.#write(this.#stream, this.#lastNumber, json);
    this.#stream.end();
  }

  end(): void {
    // A cancelled call has no reply, so its answer ends with an empty event.
    this.sendAnyway(null);
  }

  /** Drops all kept events; without a connection also gives up the answer. */
  clear(): void {
    this.#drop();
    this.giveUp();
  }

  /** Gives up the answer, so that it cannot be resumed. Does nothing while a connection carries the answer. */
  giveUp(): void {
    if (this.#isGone || this.#stream !== null) return;
    this.#isGone = true;
    this.#timer?.[Symbol.dispose]();
    this.#owner.forget(this);
    this.#drop();
    this.#handlers.onGone();
  }

  #broke(): void {
    if (this.#isGone) return;
    const { clock } = this.#owner.parts;
    this.#timer ??= clock.setTimer(ANSWERS_WITHIN_MS, () => {
      this.#timer = clock.setTimer(RESUMED_WITHIN_MS - ANSWERS_WITHIN_MS, () => this.giveUp());
      this.#isSilent = true;
      this.#handlers.onSilent();
    });
  }

  #drop(): void {
    this.#owner.resized(-this.characters);
    this.characters = 0;
    this.#events = [];
  }

  #keep(json: string | null, limit: number): void {
    this.#lastNumber += 1;
    const size = json?.length ?? 0;
    this.#events.push({ number: this.#lastNumber, json });
    this.characters += size;
    let dropped = 0;
    while (this.characters - dropped > limit) {
      dropped += this.#events.shift()?.json?.length ?? 0;
      if (this.#events.length === 0) break;
    }
    this.characters -= dropped;
    this.#owner.resized(size - dropped);
    // Not even the newest event fits, and the connection is broken.
    if (this.#events.length === 0) this.giveUp();
  }

  #write(stream: SseStream, number: number, json: string | null): void {
    const head = this.#headOf(number);
    if (json === null) stream.sendEvent(`${head}data: `);
    else stream.sendAnyway(json, head);
  }

  /** The lines of an event that precede its data. */
  #headOf(number: number): string {
    const retry = this.#isPrimed ? "" : `retry: ${RETRY_MS}\n`;
    this.#isPrimed = true;
    return `id: ${this.#idOf(number)}\n${retry}`;
  }

  #idOf(number: number): string {
    const isLast = this.#isEnded && number === this.#lastNumber;
    return eventId({ key: this.key, number, isLast, idText: this.#idText });
  }
}

interface EventId {
  readonly key: string;
  readonly number: number;
  readonly isLast: boolean;
  readonly idText: string;
}

const EVENT_ID = /^([\w-]+-\d+)\.(\d{1,15})(e?)\.([\w-]*)$/;

function eventId({ key, number, isLast, idText }: EventId): string {
  return `${key}.${number}${isLast ? "e" : ""}.${idText}`;
}

/** Null: not an event id of this gateway. */
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
  const id = valueOr(() => parseExactly(Buffer.from(idText, "base64url").toString("utf8")), null);
  return isRpcId(id) ? id : null;
}
