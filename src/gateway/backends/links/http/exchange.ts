// One message sent over HTTP and all that comes back for it: JSON, a stream of events with its resumption, or a refusal.
import { errorText } from "../../../../runtime/errors.ts";
import { withoutByteOrderMark } from "../../../../runtime/text/plain-text.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import { classifyMessage, isError, isJsonObject, type RpcId, type RpcMessage } from "../../../json-rpc.ts";
import { parseMessage } from "../../../written-results.ts";
import { type CleanLine, type LinkEvents, type LinkFailure, linkFailure } from "../backend-link.ts";
import {
  type Credential,
  isCredential,
  type LinkAuthorization,
  NO_CREDENTIAL,
} from "../link-authorization.ts";
import { askForEvents, mediaType, readEvents, readWhole } from "./body.ts";
import type { Asked, Response } from "./connections.ts";
import { refusal, TAKES_NO_MESSAGES } from "./refusal.ts";
import type { Headers, HttpTarget } from "./target.ts";

const ERROR_BODY_BYTES = 64 * 1024;
const SAID_AT_MOST = 200;
/** Looks for the rest of a broken stream, in a row without an event. */
const RESUME_TRIES = 5;
/** A server may ask for no wait at all, and end each stream after one event: `least` is kept all the same. */
const RESUME_MS = { least: 50, usual: 1_000, atMost: 30_000 };
/** A server ends the stream after its answer; one that does not is not waited for. */
const AFTER_ANSWER_MS = 2_000;

/** The specification's reads and notifications. Answers to questions have no method; a method of a server's own may do anything. */
const HARMLESS_TWICE: ReadonlySet<string> = new Set([
  ...["ping", "server/discover", "completion/complete"],
  ...["tools/list", "prompts/list", "prompts/get"],
  ...["resources/list", "resources/templates/list", "resources/read"],
  ...["tasks/get", "tasks/list", "tasks/result"],
  ...["notifications/initialized", "notifications/cancelled", "notifications/progress"],
  "notifications/roots/list_changed",
]);

/** What all exchanges of a link have in common. */
export interface LinkContext {
  readonly target: HttpTarget;
  /** What `target` signs its requests with; null: nothing. */
  readonly authorization: LinkAuthorization | null;
  readonly clock: Clock;
  readonly events: LinkEvents;
  readonly responseLimitBytes: number;
  readonly clean: CleanLine;
  /** The server gave us a session at initialize. */
  readonly onSession: (sessionId: string) => void;
  /** The server takes no messages at the address: its `initialize` may be for a server of the older transport. */
  readonly onNotTaken: (initialize: Unanswered, failure: LinkFailure) => void;
}

/** A request as it was sent. */
export interface Unanswered {
  readonly id: RpcId;
  readonly message: RpcMessage;
  readonly text: string;
}

/** How a message goes out; headers and session are those of that moment. */
interface Outgoing {
  readonly message: RpcMessage;
  readonly text: string;
  readonly headers: Headers;
  readonly hasSession: boolean;
  /** A stream that breaks is asked for again. */
  readonly isResumable: boolean;
  /** Where it goes, and then no answer comes in the response; null: to the target's own path. */
  readonly path: string | null;
  /** The server has taken it, or never will. Once. */
  readonly onTaken: () => void;
  /** Nothing more comes of it. Once, also after `abort`. */
  readonly onDone: () => void;
}

export class Exchange {
  /** The id of a request; null: no answer is due. */
  readonly id: RpcId | null;
  readonly #context: LinkContext;
  readonly #outgoing: Outgoing;
  readonly #method: string | null;
  readonly #answers: Answers;
  #done = false;
  #taken = false;
  #repeated = false;
  /** It was sent again with another credential. */
  #signedAnew = false;
  #carried: Credential = NO_CREDENTIAL;
  #current: Asked | null = null;
  #timer: Timer | null = null;
  #resumeId: string | null = null;
  #retryMs: number | null = null;
  #tries = 0;

  /** Sends the message. Calls nothing back synchronously. */
  constructor(context: LinkContext, outgoing: Outgoing) {
    const { message } = outgoing;
    this.#context = context;
    this.#outgoing = outgoing;
    this.#method = "method" in message ? message.method : null;
    this.id = "method" in message && "id" in message ? message.id : null;
    this.#answers = new Answers(context, this.id);
    this.#begin();
  }

  /** Ends it without a word. */
  abort(): void {
    this.#finish();
    this.#current?.destroy();
  }

  #begin(): void {
    const { authorization } = this.#context;
    const current = authorization === null ? NO_CREDENTIAL : authorization.current;
    if (current !== null) this.#post(current);
    else {
      void authorization?.obtain().then((outcome) => {
        if (this.#done) return;
        if (isCredential(outcome)) this.#post(outcome);
        else this.#fail(outcome);
      });
    }
  }

  #post(carried = this.#carried): void {
    const { target, clean } = this.#context;
    this.#carried = carried;
    const { text, headers } = this.#outgoing;
    try {
      this.#current = target.ask(
        {
          method: "POST",
          headers,
          body: text,
          path: this.#outgoing.path ?? target.path,
          authorization: carried.header,
        },
        {
          onTaken: () => this.#wasTaken(),
          onResponse: (response) => this.#onResponse(response),
          onLost: (lost) => {
            if (this.#done) return;
            if (lost.isStale && this.#mayRepeat()) this.#post();
            else this.#fail(target.failure(lost));
          },
        },
      );
    } catch (error) {
      const failure = linkFailure("refused", `it cannot be sent: ${clean(errorText(error))}`);
      setImmediate(() => this.#fail(failure));
    }
  }

  /** Once, and only what takes effect once if it comes twice. */
  #mayRepeat(): boolean {
    if (this.#repeated || (this.#method !== null && !HARMLESS_TWICE.has(this.#method))) return false;
    this.#repeated = true;
    return true;
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

  #fail(failure: LinkFailure): void {
    if (this.#done) return;
    this.#finish();
    if (this.id !== null && !this.#answers.answered) this.#context.events.onRequestFailed(this.id, failure);
  }

  #onResponse(response: Response): void {
    const { status, headers } = response;
    const given = headers.get("mcp-session-id") ?? "";
    if (this.#done) response.destroy();
    else if (status < 200 || status > 299) this.#onRefused(response, status);
    else {
      if (this.#method === "initialize" && given !== "") this.#context.onSession(given);
      if (this.id === null || this.#outgoing.path !== null) this.#readNothing(response);
      else this.#readAnswer(response, status);
    }
  }

  /** Nothing is due, and a stream that does not end would hold a connection. */
  #readNothing(response: Response): void {
    if (mediaType(response) === "text/event-stream") response.destroy();
    readWhole(response, ERROR_BODY_BYTES, () => this.#finish());
  }

  #readAnswer(response: Response, status: number): void {
    const { target, clean, responseLimitBytes } = this.#context;
    const type = mediaType(response);
    const packing = response.headers.get("content-encoding") ?? "identity";
    if (packing !== "identity" && packing !== "") {
      const message = `${target.origin} compresses its answers without being asked to (Content-Encoding: ${clean(packing)})`;
      const hint = "switch off compression in the server, or in the proxy before it";
      this.#fail(linkFailure("protocol", message, hint));
      response.destroy();
    } else if (type === "text/event-stream") this.#readEvents(response);
    else if (type === "application/json") {
      readWhole(response, responseLimitBytes, (answer, end) => {
        if (this.#done) return;
        if (answer !== null) void this.#takeJson(answer);
        else if (end === "overlong") this.#fail(this.#answers.tooLong());
        else this.#fail(linkFailure("closed", `the connection to ${target.origin} broke within the answer`));
      });
    } else {
      readWhole(response, ERROR_BODY_BYTES, () => {
        const what = status === 202 || type === "" ? `HTTP ${status} without an answer` : clean(type);
        const message = `${target.origin} answered a request with ${what}, which is no MCP`;
        this.#fail(linkFailure("protocol", message, "check `url`: it must be the server's MCP endpoint"));
      });
    }
  }

  async #takeJson(answer: Buffer): Promise<void> {
    const answers = this.#answers;
    let body: unknown;
    try {
      body = parseMessage(answer);
    } catch {
      answers.garbage(withoutByteOrderMark(answer.toString()));
      this.#fail(answers.unanswered());
      return;
    }
    if (!Array.isArray(body)) answers.deliver(body)?.catch(() => {});
    else {
      for (const value of body) {
        const wait = this.#done ? null : answers.deliver(value);
        if (wait !== null) await wait.catch(() => {});
      }
    }
    if (answers.answered) this.#finish();
    else this.#fail(answers.unanswered(`${this.#context.target.origin} answered something else than asked`));
  }

  #readEvents(response: Response): void {
    const { clock, responseLimitBytes } = this.#context;
    const answers = this.#answers;
    const parser = readEvents(response, responseLimitBytes, {
      onMessage: (message) => {
        if (this.#done) return null;
        this.#tries = 0;
        const wait = answers.deliver(message);
        if (answers.answered) this.#timer ??= clock.setTimer(AFTER_ANSWER_MS, () => response.destroy());
        return wait;
      },
      onGarbage: (text) => {
        if (this.#done) return;
        this.#tries = 0;
        answers.garbage(text);
      },
      onEnd: (end) => {
        if (this.#done) return;
        if (end === "overlong") this.#fail(answers.tooLong());
        else if (answers.answered) this.#finish();
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
      this.#fail(this.#answers.unanswered());
      return;
    }
    const firstMs = Math.max(RESUME_MS.least, this.#retryMs ?? RESUME_MS.usual);
    const delayMs = Math.min(RESUME_MS.atMost, firstMs * 2 ** this.#tries);
    this.#tries += 1;
    this.#timer = this.#context.clock.setTimer(delayMs, () => {
      this.#timer = null;
      this.#resume(resumeId);
    });
  }

  #resume(resumeId: string): void {
    const { "content-type": _, ...headers } = this.#outgoing.headers;
    const asked = askForEvents(
      this.#context.target,
      { ...headers, "last-event-id": resumeId },
      {
        onOpen: (response) => {
          if (this.#done) response.destroy();
          else this.#readEvents(response);
        },
        onRefused: (status) => {
          if (this.#done) return;
          if (status >= 500) this.#resumeLater();
          else this.#fail(this.#answers.unanswered());
        },
        onFailed: () => {
          if (!this.#done) this.#resumeLater();
        },
      },
    );
    if (asked === null) this.#fail(this.#answers.unanswered());
    else this.#current = asked;
  }

  #onRefused(response: Response, status: number): void {
    readWhole(response, ERROR_BODY_BYTES, (body) => {
      if (this.#done) return;
      const text = body === null ? null : withoutByteOrderMark(body.toString());
      if (status === 401 || status === 403) this.#onUnauthorized(response, status, text);
      else this.#judge(response, status, text);
    });
  }

  /** The server did not do the work, so that it can be asked for again with another token. */
  #onUnauthorized(response: Response, status: 401 | 403, text: string | null): void {
    const { authorization } = this.#context;
    if (authorization === null) {
      this.#judge(response, status, text);
      return;
    }
    const challenge = response.headers.get("www-authenticate") ?? null;
    void authorization.refused({ status, challenge, carried: this.#carried }).then((outcome) => {
      if (this.#done) return;
      if (outcome === null || (isCredential(outcome) && this.#signedAnew))
        this.#judge(response, status, text);
      else if (isCredential(outcome)) {
        this.#signedAnew = true;
        this.#post(outcome);
      } else this.#fail(outcome);
    });
  }

  #judge(response: Response, status: number, text: string | null): void {
    const { target, clean } = this.#context;
    const judged = refusal({
      status,
      text,
      location: response.headers.get("location") ?? null,
      id: this.id,
      hadSession: this.#outgoing.hasSession,
      target,
      clean,
    });
    if (judged.kind === "answer") {
      this.#answers.deliver(judged.value)?.catch(() => {});
      this.#finish();
    } else if (this.#mayBeOlder(status) && this.id !== null) {
      this.#finish();
      this.#context.onNotTaken({ ...this.#outgoing, id: this.id }, judged.failure);
    } else this.#fail(judged.failure);
  }

  #mayBeOlder(status: number): boolean {
    return this.#method === "initialize" && this.#outgoing.path === null && TAKES_NO_MESSAGES.has(status);
  }
}

/** What has come back, and whether the answer was among it. */
class Answers {
  answered = false;
  readonly #context: LinkContext;
  readonly #id: RpcId | null;
  #garbled = false;
  /** An error that names no request. */
  #complaint: string | null = null;

  constructor(context: LinkContext, id: RpcId | null) {
    this.#context = context;
    this.#id = id;
  }

  deliver(value: unknown): Promise<void> | null {
    const id = this.#id;
    if (id !== null && isJsonObject(value)) {
      if (value["id"] === id && !("method" in value)) this.answered = true;
      else if (value["id"] === null) this.#lookForComplaint(value);
    }
    return this.#context.events.onMessage(value, id);
  }

  garbage(text: string): void {
    this.#garbled = true;
    this.#context.events.onLogLine(this.#context.clean(text));
  }

  /** Why there is no answer; `other`: what is to be said when nothing else came that explains it. */
  unanswered(other?: string): LinkFailure {
    const { origin } = this.#context.target;
    if (this.#complaint !== null) {
      return linkFailure("protocol", `${origin} answered with an error: ${this.#complaint}`);
    }
    if (other !== undefined) return linkFailure("protocol", other);
    return this.#garbled
      ? linkFailure("protocol", `${origin} answered something that is no JSON`)
      : linkFailure("closed", `${origin} ended the stream without an answer`);
  }

  tooLong(): LinkFailure {
    const { responseLimitBytes } = this.#context;
    return linkFailure("overloaded", `it sent a message of more than ${responseLimitBytes} bytes`);
  }

  #lookForComplaint(value: unknown): void {
    const other = classifyMessage(value);
    if (other.kind !== "response" || other.id !== null || !isError(other.reply)) return;
    this.#complaint = this.#context.clean(other.reply.error.message).slice(0, SAID_AT_MOST);
  }
}
