// Owns one message sent over HTTP and all that comes back for it: JSON, a stream of events with its resumption, or a
// refusal.
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";
import { parseExactly } from "../../../../runtime/text/exact-json.ts";
import type { Clock, Timer } from "../../../../runtime/time/clock.ts";
import { classifyMessage, isError, isJsonObject, type RpcId, type RpcMessage } from "../../../json-rpc.ts";
import type { LinkEvents, LinkFailure } from "../backend-link.ts";
import type { CleanLine } from "../line-cleaner.ts";
import { type BodyEnd, mediaType, readEvents, readWhole } from "./body.ts";
import { lookForOlderTransport } from "./older-transport.ts";
import { OLDER_TRANSPORT_HINT, refusal, TAKES_NO_MESSAGES } from "./refusal.ts";
import type { Asked, HttpTarget } from "./target.ts";

const ERROR_BODY_BYTES = 64 * 1024;
const SAID_AT_MOST = 200;
/** Looks for the rest of a broken stream, in a row without an event. */
const RESUME_TRIES = 5;
/** A server may wish for no wait at all, and end each stream after one event: as often as that it is asked. */
const RESUME_MS = { least: 50, usual: 1_000, atMost: 30_000 };
/** A server ends the stream after its answer; one that does not is not waited for. */
const AFTER_ANSWER_MS = 2_000;

/** What an exchange needs of its link. */
export interface ExchangeContext {
  readonly target: HttpTarget;
  readonly clock: Clock;
  readonly events: LinkEvents;
  readonly responseLimitBytes: number;
  readonly clean: CleanLine;
  /** The server gave us a session at initialize. */
  readonly onSession: (sessionId: string) => void;
}

export interface Exchange {
  /** The id of a request; null: no answer is due. */
  readonly id: RpcId | null;
  /** Ends it without a word. */
  abort(): void;
}

/** How a message goes out; the headers are those of the session at that moment. */
interface Outgoing {
  readonly message: RpcMessage;
  readonly text: string;
  readonly headers: OutgoingHttpHeaders;
  readonly sessionId: string | null;
  /** The server has taken it, or never will. Once. */
  readonly onTaken: () => void;
  /** Nothing more comes of it. Once, also after `abort`. */
  readonly onDone: () => void;
}

/** Sends the message. Calls nothing back synchronously. */
export function startExchange(context: ExchangeContext, outgoing: Outgoing): Exchange {
  const { target, clock, events, responseLimitBytes, clean } = context;
  const { message, sessionId } = outgoing;
  const method = "method" in message ? message.method : null;
  const id = method !== null && "id" in message ? message.id : null;
  let done = false;
  let taken = false;
  let current: Asked | null = null;

  const asking = (asked: Asked): void => {
    current = asked;
  };
  const wasTaken = (): void => {
    if (taken) return;
    taken = true;
    outgoing.onTaken();
  };
  const finish = (): void => {
    if (done) return;
    done = true;
    stream.cancelResume();
    wasTaken();
    outgoing.onDone();
  };
  const fail = (failure: LinkFailure): void => {
    if (done) return;
    finish();
    if (id !== null && !answers.answered) events.onRequestFailed(id, failure);
  };
  const answers = createAnswers({
    target,
    events,
    responseLimitBytes,
    clean,
    id,
    done: () => done,
    finish,
    fail,
  });
  const stream = createEventAnswers({
    outgoing,
    target,
    clock,
    responseLimitBytes,
    done: () => done,
    asking,
    finish,
    fail,
    answers,
  });
  const onRefused = createRefusals({
    target,
    clock,
    clean,
    sessionId,
    method,
    id,
    done: () => done,
    asking,
    finish,
    fail,
    answers,
  });

  const onResponse = (response: IncomingMessage): void => {
    if (done) {
      response.destroy();
      return;
    }
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) {
      onRefused(response);
      return;
    }
    const given = response.headers["mcp-session-id"];
    if (method === "initialize" && typeof given === "string" && given !== "") context.onSession(given);
    const type = mediaType(response);
    const packing = response.headers["content-encoding"] ?? "identity";
    if (id !== null && packing !== "identity" && packing !== "") {
      fail({
        kind: "protocol",
        message: `${target.origin} packs its answers (Content-Encoding: ${clean(packing)}), which it was not asked to`,
        hint: "let the server, or what stands before it, send its answers as they are",
      });
      response.destroy();
      return;
    }
    if (id === null) {
      // Nothing is due, and a stream that does not end would hold a connection.
      if (type === "text/event-stream") response.destroy();
      readWhole(response, ERROR_BODY_BYTES, finish);
    } else if (type === "text/event-stream") stream.onEvents(response);
    else if (type === "application/json") {
      readWhole(response, responseLimitBytes, (text, end: BodyEnd) => {
        if (done) return;
        if (text !== null) void answers.onJson(text);
        else if (end === "overlong") fail(answers.tooLong());
        else {
          fail({
            kind: "closed",
            message: `the connection to ${target.origin} broke within the answer`,
            hint: null,
          });
        }
      });
    } else {
      readWhole(response, ERROR_BODY_BYTES, () => {
        const what = status === 202 || type === "" ? `HTTP ${status} without an answer` : clean(type);
        fail({
          kind: "protocol",
          message: `${target.origin} answered a request with ${what}, which is no MCP`,
          hint: "check `url`: it must be the server's MCP endpoint",
        });
      });
    }
  };

  const post = (): void => {
    try {
      const asked = target.ask("POST", outgoing.headers, onResponse);
      current = asked;
      asked.request.once("finish", wasTaken);
      asked.request.on("error", (error) => {
        if (done || asked.responded) return;
        if (mayRepeat(error, asked)) post();
        else fail(asked.failure(error));
      });
      asked.request.end(outgoing.text);
    } catch (error) {
      const text = errorText(error);
      setImmediate(() => fail({ kind: "refused", message: `it cannot be sent: ${clean(text)}`, hint: null }));
    }
  };
  const mayRepeat = createRepeat({ method });

  post();
  return {
    id,
    abort() {
      finish();
      current?.request.destroy();
    },
  };
}

interface RepeatParts {
  readonly method: string | null;
}

/** A request may be sent once more where the server has not read it. */
function createRepeat({ method }: RepeatParts) {
  let retriedStale = false;
  /** A kept connection that the server ended as we wrote: harmless to repeat, but for what may have side effects. */
  const mayRepeat = (error: unknown, asked: Asked): boolean => {
    const code = systemErrorCode(error);
    if (retriedStale || !asked.request.reusedSocket || method === "tools/call") return false;
    retriedStale = true;
    return code === "ECONNRESET" || code === "EPIPE";
  };

  return mayRepeat;
}

interface RefusalsParts {
  readonly target: HttpTarget;
  readonly clock: Clock;
  readonly clean: CleanLine;
  readonly sessionId: string | null;
  readonly method: string | null;
  readonly id: RpcId | null;
  readonly done: () => boolean;
  readonly asking: (asked: Asked) => void;
  readonly finish: () => void;
  readonly fail: (failure: LinkFailure) => void;
  readonly answers: ReturnType<typeof createAnswers>;
}

/** Judges a response that is no success. */
function createRefusals({
  target,
  clock,
  clean,
  sessionId,
  method,
  id,
  done,
  asking,
  finish,
  fail,
  answers,
}: RefusalsParts) {
  const onRefused = (response: IncomingMessage): void => {
    readWhole(response, ERROR_BODY_BYTES, (text) => {
      if (done()) return;
      const status = response.statusCode ?? 0;
      const judged = refusal({
        status,
        text,
        location: response.headers.location ?? null,
        id,
        hadSession: sessionId !== null,
        origin: target.origin,
        path: target.path,
        clean,
      });
      if (judged.kind === "answer") {
        answers.deliver(judged.value)?.catch(() => {});
        finish();
      } else if (method === "initialize" && TAKES_NO_MESSAGES.has(status)) {
        const { failure } = judged;
        asking(
          lookForOlderTransport(target, clock, (isOlder) =>
            fail(isOlder ? { ...failure, hint: OLDER_TRANSPORT_HINT } : failure),
          ),
        );
      } else fail(judged.failure);
    });
  };

  return onRefused;
}

interface EventAnswersParts {
  readonly outgoing: Outgoing;
  readonly target: HttpTarget;
  readonly clock: Clock;
  readonly responseLimitBytes: number;
  readonly done: () => boolean;
  readonly asking: (asked: Asked) => void;
  readonly finish: () => void;
  readonly fail: (failure: LinkFailure) => void;
  readonly answers: ReturnType<typeof createAnswers>;
}

/** Reads answers from a stream of events, and asks for the rest of one that broke. */
function createEventAnswers({
  outgoing,
  target,
  clock,
  responseLimitBytes,
  done,
  asking,
  finish,
  fail,
  answers,
}: EventAnswersParts) {
  let timer: Timer | null = null;
  let resumeId: string | null = null;
  let retryMs: number | null = null;
  let tries = 0;

  const onEvents = (response: IncomingMessage): void => {
    const parser = readEvents(response, responseLimitBytes, {
      onData(data) {
        if (done()) return null;
        tries = 0;
        let value: unknown;
        try {
          value = parseExactly(data);
        } catch {
          answers.garbage(data);
          return null;
        }
        const wait = answers.deliver(value);
        if (answers.answered && timer === null)
          timer = clock.setTimer(AFTER_ANSWER_MS, () => response.destroy());
        return wait;
      },
      onEnd(end) {
        if (done()) return;
        if (end === "overlong") fail(answers.tooLong());
        else if (answers.answered) finish();
        else {
          resumeId = parser.lastEventId ?? resumeId;
          retryMs = parser.retryMs ?? retryMs;
          resumeLater();
        }
      },
    });
  };

  const cancelResume = (): void => timer?.[Symbol.dispose]();
  const resumeLater = (): void => {
    if (resumeId === null || tries >= RESUME_TRIES) {
      fail(answers.unanswered());
      return;
    }
    const firstMs = Math.max(RESUME_MS.least, retryMs ?? RESUME_MS.usual);
    const delayMs = Math.min(RESUME_MS.atMost, firstMs * 2 ** tries);
    tries += 1;
    timer = clock.setTimer(delayMs, () => {
      timer = null;
      resume();
    });
  };
  const resume = (): void => {
    const headers = { ...outgoing.headers, accept: "text/event-stream", "last-event-id": resumeId ?? "" };
    delete headers["content-type"];
    const onResponse = (response: IncomingMessage): void => {
      if (done()) response.destroy();
      else if (response.statusCode === 200 && mediaType(response) === "text/event-stream") onEvents(response);
      else {
        response.resume();
        response.on("error", () => {});
        if ((response.statusCode ?? 0) >= 500) resumeLater();
        else fail(answers.unanswered());
      }
    };
    try {
      const asked = target.ask("GET", headers, onResponse);
      asking(asked);
      asked.request.on("error", () => {
        if (!done() && !asked.responded) resumeLater();
      });
      asked.request.end();
    } catch {
      // An event id that cannot be a header's value cannot be asked for.
      fail(answers.unanswered());
    }
  };

  return { cancelResume, onEvents };
}

interface AnswersParts {
  readonly target: HttpTarget;
  readonly events: LinkEvents;
  readonly responseLimitBytes: number;
  readonly clean: CleanLine;
  readonly id: RpcId | null;
  readonly done: () => boolean;
  readonly finish: () => void;
  readonly fail: (failure: LinkFailure) => void;
}

/** What has come back, and whether the answer was among it. */
function createAnswers({ target, events, responseLimitBytes, clean, id, done, finish, fail }: AnswersParts) {
  let answered = false;
  let garbled = false;
  /** An error that names no request. */
  let complaint: string | null = null;

  const deliver = (value: unknown): Promise<void> | null => {
    const isAnswer = id !== null && isJsonObject(value) && value["id"] === id && !("method" in value);
    if (isAnswer) answered = true;
    else if (id !== null && isJsonObject(value) && value["id"] === null) {
      const other = classifyMessage(value);
      if (other.kind === "response" && other.id === null && isError(other.reply)) {
        complaint = clean(other.reply.error.message).slice(0, SAID_AT_MOST);
      }
    }
    return events.onMessage(value, id);
  };
  const garbage = (text: string): void => {
    garbled = true;
    events.onLogLine(clean(text));
  };
  const notMcp = (message: string): LinkFailure => ({ kind: "protocol", message, hint: null });
  const unanswered = (): LinkFailure => {
    if (complaint !== null) return notMcp(`${target.origin} answered with an error: ${complaint}`);
    if (garbled) return notMcp(`${target.origin} answered something that is no JSON`);
    return { kind: "closed", message: `${target.origin} ended the stream without an answer`, hint: null };
  };
  const tooLong = (): LinkFailure => ({
    kind: "overloaded",
    message: `it sent a message of more than ${responseLimitBytes} bytes`,
    hint: null,
  });

  const onJson = async (text: string): Promise<void> => {
    let body: unknown;
    try {
      body = parseExactly(text);
    } catch {
      garbage(text);
      fail(unanswered());
      return;
    }
    if (!Array.isArray(body)) deliver(body)?.catch(() => {});
    else {
      for (const value of body) {
        const wait = done() ? null : deliver(value);
        if (wait !== null) await wait.catch(() => {});
      }
    }
    if (answered) finish();
    else if (complaint !== null) fail(unanswered());
    else fail(notMcp(`${target.origin} answered something else than asked`));
  };

  return {
    get answered() {
      return answered;
    },
    garbage,
    deliver,
    tooLong,
    unanswered,
    onJson,
  };
}
