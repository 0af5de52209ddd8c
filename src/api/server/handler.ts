// Answers the requests to the management API that a listener has accepted: events, and the operations of the table.
// The listener's guard decides what the sender may do. Each listener has its own handler, so
// that the limits of visitors never keep the owner waiting.
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { EVENT_STREAM_PATH, MANAGE_PREFIX } from "../contract/contract.ts";
import type { Rights } from "../operations/operation.ts";
import { type Control, findOperation, type MatchedOperation } from "../operations/operations.ts";
import { answerValue, type Exchange, refusal, requireMethod } from "./answers.ts";
import { createEventStreams, type EventStreams, type Events } from "./event-streams.ts";
import { createPerformer, notBegun, type Performer } from "./performing.ts";

/** The path of the event stream, and its documented path. */
const EVENT_PATHS: ReadonlySet<string> = new Set([EVENT_STREAM_PATH, `${MANAGE_PREFIX}/events`]);

/** What a listener knows of the sender of one request. */
export interface Guard {
  /**
   * Receives the request's body. Resolves with null if the client closed the connection; rejects with a `Refusal`, for
   * example of a larger body.
   */
  receive(limitBytes: number): Promise<Buffer | null>;
  /**
   * What the sender may do now. Called when the request is complete, and again before each event of a stream. Throws a
   * `Refusal` if the sender is no longer authorized.
   */
  admit(): Rights;
}

interface ApiHandlerParts extends RuntimeTools {
  /** A request for an absent operation is answered with 404. */
  readonly control: Partial<Control>;
  /** null: no events are served. */
  readonly events: Events | null;
}

export class ApiHandler {
  readonly #control: Partial<Control>;
  readonly #stopping = new AbortController();
  readonly #streams: EventStreams | null;
  readonly #performer: Performer;

  constructor({ control, events, clock, logger }: ApiHandlerParts) {
    this.#control = control;
    this.#streams = events === null ? null : createEventStreams({ events, clock, logger });
    this.#performer = createPerformer({ clock, stopping: this.#stopping.signal });
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Resolves when the operations that run now have ended. */
  whenIdle(): Promise<unknown> {
    return this.#performer.whenIdle();
  }

  /** Ends streams and aborts operations. */
  stop(): void {
    this.#stopping.abort(cutShort());
    this.#streams?.end();
  }

  /** `path`: of the request, without its query. Rejects with the error to answer. */
  async answer(exchange: Exchange, path: string, guard: Guard): Promise<void> {
    const { request, response } = exchange;
    if (this.#streams !== null && EVENT_PATHS.has(path)) {
      requireMethod(request, "GET");
      guard.admit();
      this.#streams.serve(request, response, () => isAdmitted(guard));
    } else {
      const operation = findOperation(path, this.#control);
      if (operation === null) throw refusal(404, `${path} is not served`);
      await this.#operate(exchange, operation, guard);
    }
  }

  async #operate(exchange: Exchange, operation: MatchedOperation, guard: Guard): Promise<void> {
    const { request, response } = exchange;
    requireMethod(request, operation.method);
    const isGet = operation.method === "GET";
    const bytes = isGet ? Buffer.alloc(0) : await guard.receive(operation.bodyLimitBytes);
    if (bytes === null) return;
    if (!isUtf8(bytes)) throw refusal(400, "the body is not UTF-8");
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) gone.abort(new MountaineerError("aborted", "the client went away"));
    });
    const stopping = this.#stopping.signal;
    const call = {
      operation,
      body: bytes.toString("utf8"),
      admit: () => guard.admit(),
      response,
      signal: AbortSignal.any([gone.signal, stopping]),
      isPatient: isOfBrowser(request),
    };
    try {
      answerValue(exchange, await this.#performer.perform(call));
    } catch (error) {
      if (!stopping.aborted || hasOwnReason(error, stopping)) throw error;
      // A GET changes nothing, so its error tells the client to retry.
      throw isGet ? notBegun() : stopping.reason;
    }
  }
}

/** True if the request is sent by a page. Browsers ignore 102 (Processing). */
export function isOfBrowser({ headers }: IncomingMessage): boolean {
  return headers["sec-fetch-mode"] !== undefined;
}

function isAdmitted(guard: Guard): boolean {
  try {
    guard.admit();
    return true;
  } catch {
    return false;
  }
}

/** False: the error comes from the stop. */
function hasOwnReason(error: unknown, stopping: AbortSignal): boolean {
  return error instanceof MountaineerError && error.code !== "aborted" && error !== stopping.reason;
}

/** The error for a request that was interrupted: a retry could perform the operation twice. */
function cutShort(): MountaineerError {
  const message = "the daemon ended before it was done; it is not known whether it took effect";
  return new MountaineerError("daemon_unreachable", message, {
    hint: "check the current state before trying again",
  });
}
