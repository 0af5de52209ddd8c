// One message sent over HTTP, and the response to it: JSON, an event stream (resumed if it breaks), or a refusal.

import { errorText } from "../../../../runtime/errors.ts";
import { TEXT_BOUNDS } from "../../../../runtime/text/bounds.ts";
import { withoutByteOrderMark } from "../../../../runtime/text/plain-text.ts";
import { backoffMs } from "../../../../runtime/time/backoff.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import { turnGiver } from "../../../../runtime/time/turns.ts";
import {
  classifyMessage,
  isError,
  isJsonObject,
  type JsonObject,
  type RpcId,
  type RpcMessage,
} from "../../../json-rpc.ts";
import { IDEMPOTENT } from "../../../protocol.ts";
import { readMessage, tooManyValues } from "../../../written-results.ts";
import {
  type CleanLine,
  type TransportEvents,
  type TransportFailure,
  tooLong,
  transportFailure,
  UNREADABLE,
} from "../backend-transport.ts";
import { unreadableAnswer } from "../odd-output.ts";
import { type Credential, signing, type TransportAuthorization } from "../transport-authorization.ts";
import { mediaType, readEvents, readWhole, requestEvents } from "./body.ts";
import type { OutgoingRequest, Response } from "./connections.ts";
import { namesSession, redirectedPath, refusal, TAKES_NO_MESSAGES } from "./refusal.ts";
import type { Headers, HttpTarget } from "./target.ts";

const ERROR_BODY_BYTES = 64 * 1024;
const LONGEST_ERROR = 200;
const MOST_REDIRECTS = 3;
const JSON_TYPE = "application/json";
/** Some servers send JSON under these. */
const UNTYPED: ReadonlySet<string> = new Set(["", "text/plain", "application/json-rpc"]);
/** Maximum number of attempts to resume a broken stream without receiving an event. */
const RESUME_TRIES = 5;
/** `least` applies even if the server asks for an immediate retry: a server may end each stream after one event. */
const RESUME_MS = { least: 50, usual: 1_000, most: 30_000 };
/** Time that the server gets to end the stream after its answer; then the gateway ends it. */
const AFTER_ANSWER_MS = 2_000;

export interface TransportContext {
  readonly target: HttpTarget;
  readonly authorization: TransportAuthorization;
  readonly clock: Clock;
  readonly events: TransportEvents;
  /** Limit of one message from the server. */
  readonly limitBytes: number;
  readonly clean: CleanLine;
  /** The server assigned a session in its response to `initialize`. */
  readonly onSession: (sessionId: string) => void;
  /** Called when the server refuses `initialize` with POST at this address. Such a server may speak HTTP+SSE. */
  readonly onNotTaken: (initialize: SentRequest, failure: TransportFailure) => void;
}

export interface SentRequest {
  readonly id: RpcId;
  readonly message: RpcMessage;
  /** The message as JSON. */
  readonly text: string;
}

/** Headers and session are those of the moment of sending. */
interface Outgoing extends Omit<SentRequest, "id"> {
  readonly headers: Headers;
  readonly hasSession: boolean;
  /** A broken event stream is resumed by its last event id. */
  readonly isResumable: boolean;
  /**
   * HTTP+SSE: the path to which messages are sent; their answers do not come in the responses. null: the target's own
   * path.
   */
  readonly path: string | null;
  /** The server has received the message, or never will. Called once. */
  readonly onTaken: () => void;
  /** The exchange is over. Called once, also after `abort`. */
  readonly onDone: () => void;
}

export class Exchange {
  /** The id of a request; null: the message is not a request. */
  readonly id: RpcId | null;
  readonly #context: TransportContext;
  #outgoing: Outgoing;
  readonly #method: string | null;
  readonly #signing: ReturnType<typeof signing>;
  #answered = false;
  #garbled = false;
  #isUnreadable = false;
  /** The message of an error response without an id. */
  #complaint: string | null = null;
  #done = false;
  #taken = false;
  #current: OutgoingRequest | null = null;
  #timer: Timer | null = null;
  #resumeId: string | null = null;
  #retryMs: number | null = null;
  /** Attempts to resume since the last event. */
  #tries = 0;
  #redirects = 0;

  /** Sends the message. No callback is called before the constructor returns. */
  constructor(context: TransportContext, outgoing: Outgoing) {
    const { message } = outgoing;
    this.#context = context;
    this.#outgoing = outgoing;
    this.#method = "method" in message ? message.method : null;
    this.id = "method" in message && "id" in message ? message.id : null;
    this.#signing = signing(
      context.authorization,
      (credential) => this.#post(credential),
      (failure) => this.#fail(failure),
    );
    this.#signing.start();
  }

  /** Ends the exchange without reporting a failure. */
  abort(): void {
    this.#finish();
    this.#current?.destroy();
  }

  #post({ header: authorization }: Credential): void {
    if (this.#done) return;
    const { target, clean } = this.#context;
    const { text: body, headers } = this.#outgoing;
    const path = this.#outgoing.path ?? target.path;
    try {
      this.#current = target.send(
        { method: "POST", headers, body, path, authorization },
        {
          onTaken: () => this.#wasTaken(),
          onResponse: (response) => this.#onResponse(response),
          onLost: (lost) => {
            if (this.#done) return;
            const isRepeatable = this.#method === null || IDEMPOTENT.has(this.#method);
            if (lost.isStale && isRepeatable) this.#signing.sendAgain();
            else this.#fail(target.failure(lost));
          },
        },
      );
    } catch (error) {
      const failure = transportFailure("refused", `it cannot be sent: ${clean(errorText(error))}`);
      setImmediate(() => this.#fail(failure));
    }
  }

  #wasTaken(): void {
    if (this.#taken) return;
    this.#taken = true;
    this.#outgoing.onTaken();
  }

  #finish(): void {
    if (this.#done) return;
    this.#done = true;
    this.#timer?.[Symbol.dispose]();
    this.#wasTaken();
    this.#outgoing.onDone();
  }

  #fail(failure: TransportFailure): void {
    if (this.#done) return;
    this.#finish();
    if (this.id !== null && !this.#answered) this.#context.events.onRequestFailed(this.id, failure);
  }

  #onResponse(response: Response): void {
    const { status, headers } = response;
    this.#context.target.keepCookies(response);
    const given = headers.get("mcp-session-id") ?? "";
    if (status < 200 || status > 299) this.#onRefused(response, status);
    else {
      if (this.#method === "initialize" && given !== "") this.#context.onSession(given);
      if (this.id === null || this.#outgoing.path !== null) this.#readNothing(response);
      else this.#readAnswer(response, status);
    }
  }

  /**
   * Ends an exchange whose response carries no answer. An event stream is closed, because it may never end and would
   * keep its connection.
   */
  #readNothing(response: Response): void {
    if (mediaType(response) === "text/event-stream") response.destroy();
    readWhole(response, ERROR_BODY_BYTES, () => this.#finish());
  }

  #readAnswer(response: Response, status: number): void {
    const { target, clean, limitBytes } = this.#context;
    const type = mediaType(response);
    const encoding = response.headers.get("content-encoding") ?? "identity";
    if (encoding !== "identity" && encoding !== "") {
      const message = `${target.origin} compresses its answers without being asked to (Content-Encoding: ${clean(encoding)})`;
      const hint = "switch off compression in the server, or in the proxy before it";
      this.#fail(transportFailure("protocol", message, hint));
      response.destroy();
    } else if (type === "text/event-stream") this.#readEvents(response);
    else if (type === JSON_TYPE || UNTYPED.has(type)) {
      const onEnd: Parameters<typeof readWhole>[2] = (answer, end) => {
        if (this.#done) return;
        const isUntyped = type !== JSON_TYPE;
        if (answer !== null) this.#takeJson(answer, isUntyped ? this.#noMcp(status, type) : null);
        else if (end === "overlong") this.#fail(tooLong(limitBytes));
        else
          this.#fail(
            transportFailure("closed", `the connection to ${target.origin} broke within the answer`),
          );
      };
      readWhole(response, limitBytes, onEnd, this.#onReceived);
    } else {
      readWhole(response, ERROR_BODY_BYTES, () => this.#fail(this.#noMcp(status, type)));
    }
  }

  readonly #onReceived = (bytes: number): Promise<void> | null =>
    this.id === null || this.#done ? null : (this.#context.events.onReceived?.(this.id, bytes) ?? null);

  #noMcp(status: number, type: string): TransportFailure {
    const { target, clean } = this.#context;
    const what = status === 202 || type === "" ? `HTTP ${status} without an answer` : clean(type);
    const message = `${target.origin} answered a request with ${what}, which is not MCP`;
    return transportFailure("protocol", message, "check `url`: it must be the server's MCP endpoint");
  }

  /** `noJson`: the failure if it is not JSON; null: it says that it is. */
  #takeJson(answer: Buffer, noJson: TransportFailure | null): void {
    void readMessage(answer, {
      take: (body) => this.#takeBody(body),
      refuse: (error) => {
        if (noJson !== null) {
          this.#fail(noJson);
          return null;
        }
        const text = answer.toString("utf8", 0, TEXT_BOUNDS.oddLine.most);
        this.#garbage(tooManyValues(error)?.error.message ?? withoutByteOrderMark(text));
        this.#fail(this.#unanswered());
        return null;
      },
    });
  }

  async #takeBody(body: unknown): Promise<void> {
    if (!Array.isArray(body)) this.#deliver(body)?.catch(() => {});
    else {
      const turn = turnGiver(this.#context.clock);
      for (const value of body) {
        await turn();
        const wait = this.#done ? null : this.#deliver(value);
        if (wait !== null) await wait.catch(() => {});
      }
    }
    if (this.#answered) this.#finish();
    else this.#fail(this.#unanswered(`${this.#context.target.origin} did not answer the request`));
  }

  #readEvents(response: Response): void {
    const { clock, limitBytes } = this.#context;
    const parser = readEvents(response, limitBytes, {
      onReceived: this.#onReceived,
      onMessage: (message) => {
        if (this.#done) return null;
        this.#tries = 0;
        const wait = this.#deliver(message);
        if (this.#answered) this.#timer ??= clock.setTimer(AFTER_ANSWER_MS, () => response.destroy());
        return wait;
      },
      onGarbage: (text) => {
        if (this.#done) return;
        this.#tries = 0;
        this.#garbage(text);
      },
      onEnd: (end) => {
        if (this.#done) return;
        if (end === "overlong") this.#fail(tooLong(limitBytes));
        else if (this.#answered) this.#finish();
        else {
          this.#resumeId = parser.lastEventId ?? this.#resumeId;
          this.#retryMs = parser.retryMs ?? this.#retryMs;
          this.#resumeLater();
        }
      },
    });
  }

  #resumeLater(): void {
    const resumeId = this.#resumeId;
    if (resumeId === null || !this.#outgoing.isResumable || this.#tries >= RESUME_TRIES) {
      this.#fail(this.#unanswered());
      return;
    }
    const first = Math.max(RESUME_MS.least, this.#retryMs ?? RESUME_MS.usual);
    this.#tries += 1;
    const delayMs = backoffMs({ first, most: RESUME_MS.most }, this.#tries);
    this.#timer = this.#context.clock.setTimer(delayMs, () => {
      this.#timer = null;
      this.#resume(resumeId);
    });
  }

  #resume(resumeId: string): void {
    const { "content-type": _, ...headers } = this.#outgoing.headers;
    const resumed = requestEvents(
      this.#context.target,
      { ...headers, "last-event-id": resumeId },
      {
        onOpen: (response) => this.#readEvents(response),
        onRefused: (status) => {
          if (this.#done) return;
          if (status >= 500) this.#resumeLater();
          else this.#fail(this.#unanswered());
        },
        onFailed: () => {
          if (!this.#done) this.#resumeLater();
        },
      },
    );
    if (resumed === null) this.#fail(this.#unanswered());
    else this.#current = resumed;
  }

  #onRefused(response: Response, status: number): void {
    const proxys = this.#context.target.proxyRefusal(status);
    if (proxys !== null) {
      this.#fail(proxys);
      response.destroy();
      return;
    }
    if (this.#follows(response, status)) return;
    const waitMs = retryAfterMs(response.headers.get("retry-after"), this.#context.clock.wallMs());
    if (waitMs > 0 && (status === 429 || status === 503)) this.#context.events.onRetryAfter?.(waitMs);
    readWhole(response, ERROR_BODY_BYTES, (body) => {
      if (this.#done) return;
      const text = body === null ? null : withoutByteOrderMark(body.toString());
      const challenge = response.headers.get("www-authenticate") ?? null;
      const judge = (): void => this.#judge(response, status, text);
      // Some servers answer an unknown session with 401.
      const isAboutSession = this.#outgoing.hasSession && challenge === null && namesSession(text ?? "");
      if (isAboutSession) judge();
      else this.#signing.refused(status, challenge, judge);
    });
  }

  /** Sends the message again to where the server redirects it. False: the redirect is not followed. */
  #follows(response: Response, status: number): boolean {
    const { target } = this.#context;
    const location = response.headers.get("location") ?? null;
    const { path } = this.#outgoing;
    const from = path === null ? target : { origin: target.origin, path };
    const to = this.#redirects < MOST_REDIRECTS ? redirectedPath(status, { location, target: from }) : null;
    if (to === null) return false;
    this.#redirects += 1;
    if (path === null) target.moveTo(to);
    else this.#outgoing = { ...this.#outgoing, path: to };
    readWhole(response, ERROR_BODY_BYTES, () => this.#signing.sendAgain());
    return true;
  }

  #judge(response: Response, status: number, text: string | null): void {
    if (this.#done) return;
    const { target, clean } = this.#context;
    const location = response.headers.get("location") ?? null;
    const { hasSession: hadSession, path } = this.#outgoing;
    const judged = refusal({ status, text, location, id: this.id, hadSession, target, clean });
    if ("answer" in judged) {
      this.#deliver(judged.answer)?.catch(() => {});
      this.#finish();
    } else if (
      this.#method === "initialize" &&
      path === null &&
      TAKES_NO_MESSAGES.has(status) &&
      this.id !== null
    ) {
      this.#finish();
      this.#context.onNotTaken({ ...this.#outgoing, id: this.id }, judged);
    } else this.#fail(judged);
  }

  #deliver(value: unknown): Promise<void> | null {
    const { id } = this;
    if (id !== null && isJsonObject(value)) {
      if (value["id"] === id && !("method" in value)) this.#answered = true;
      else if ((value["id"] ?? null) === null) this.#checkForError(value);
    }
    return this.#context.events.onMessage(value, id);
  }

  #garbage(text: string): void {
    this.#garbled = true;
    if (unreadableAnswer(text) !== null) {
      this.#isUnreadable = true;
      this.#context.events.onQuirk("no_numbers");
    }
    this.#context.events.onLogLine(this.#context.clean(text));
  }

  /** Why there is no answer; `other`: the reason to give if no received message explains it. */
  #unanswered(other?: string): TransportFailure {
    const { origin } = this.#context.target;
    if (this.#complaint !== null) {
      return transportFailure("protocol", `${origin} answered with an error: ${this.#complaint}`);
    }
    if (this.#isUnreadable) return UNREADABLE;
    if (other !== undefined) return transportFailure("protocol", other);
    return this.#garbled
      ? transportFailure("protocol", `${origin} answered, but not with JSON`)
      : transportFailure("closed", `${origin} ended the stream without an answer`);
  }

  /** Some servers send only the reason, as `error`. */
  #checkForError(value: JsonObject): void {
    const other = classifyMessage(value);
    const message =
      other.kind === "response" && isError(other.reply) ? other.reply.error.message : value["error"];
    if (typeof message === "string") this.#complaint = this.#context.clean(message).slice(0, LONGEST_ERROR);
  }
}

/** Seconds or a date (RFC 9110); 0: it says nothing. */
function retryAfterMs(header: string | null | undefined, nowMs: number): number {
  const seconds = Number(header ?? 0);
  const waitMs = Number.isNaN(seconds) ? Date.parse(header ?? "") - nowMs : seconds * 1_000;
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : 0;
}
