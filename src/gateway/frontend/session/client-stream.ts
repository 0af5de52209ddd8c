// The client stream, on which a session sends responses and notifications; each transport implements it.
import {
  errorReply,
  INVALID_REQUEST,
  jsonOf,
  LIMIT_REACHED,
  type Reply,
  type RpcId,
} from "../../json-rpc.ts";
import type { TraceHeaders } from "../../middleware/middleware.ts";
import { writtenResult } from "../../written-results.ts";

/** A stream with more unread bytes of notifications and questions is closed. Results have no limit. */
export const BACKLOG_LIMIT_BYTES = 8 * 1024 * 1024;

/** One stream of messages to one client; compared by identity. */
export interface ClientStream {
  /**
   * Sends one message, given as JSON. Returns false if the stream is closed, perhaps just now because too much is
   * unread.
   */
  send(json: string): boolean;
  /** A promise that settles when the client has read enough or is gone; null: the client reads fast enough. */
  readonly congested: Promise<void> | null;
}

/** The stream of one or more requests in flight. */
export interface CallStream extends ClientStream {
  readonly trace?: TraceHeaders;
  /** Sends a notification of the call; absent: `send` is used instead. */
  notify?(json: string): boolean;
  /** Answers the request `id`, once; `reply` null: the request was cancelled and gets no answer. */
  answer(id: RpcId | null, reply: Reply | null): void;
}

export const NO_STREAM: CallStream = { congested: null, send: () => false, answer() {} };

/** Maximum number of requests in flight, of a session or of a stream of lines. */
const IN_FLIGHT_LIMIT = 512;

/**
 * Returns the refusal if a request with the same id is in flight (`isTaken`) or the limit is reached; null if the
 * request may begin.
 */
export function refusalInFlight(isTaken: boolean, inFlight: number, who: string): Reply | null {
  if (isTaken) return errorReply(INVALID_REQUEST, "a request with this id is in flight");
  if (inFlight < IN_FLIGHT_LIMIT) return null;
  const message = `${who} has ${IN_FLIGHT_LIMIT} requests in flight, the most that one may have; try again in 1 s`;
  return errorReply(LIMIT_REACHED, message, { allowed: IN_FLIGHT_LIMIT, retryAfterMs: 1_000 });
}

/** The response as JSON; in pieces if the result is large and is forwarded in the backend's own bytes. */
export function responsePieces(id: RpcId | null, reply: Reply): string | readonly Buffer[] {
  return writtenPieces(id, reply) ?? responseJson(id, reply);
}

function writtenPieces(id: RpcId | null, reply: Reply): readonly Buffer[] | null {
  const written = "result" in reply ? writtenResult(reply.result) : null;
  if (written === null) return null;
  const head = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":`;
  return [Buffer.from(head), written, Buffer.from("}")];
}

/** The response as JSON; an error response if the reply cannot be written. Never throws. */
export function responseJson(id: RpcId | null, reply: Reply): string {
  const pieces = writtenPieces(id, reply);
  if (pieces !== null) return pieces.join("");
  const response =
    "result" in reply
      ? { jsonrpc: "2.0", id, result: reply.result }
      : { jsonrpc: "2.0", id, error: reply.error };
  return (
    jsonOf(response) ??
    `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"error":{"code":-32603,"message":"the result cannot be written as JSON"}}`
  );
}

/** Collects the answers of a batch. `write` gets all of them as one JSON array; null: all requests were cancelled. */
export function createBatchStream(
  stream: CallStream,
  answers: number,
  write: (json: string | null) => void,
): CallStream {
  const responses: string[] = [];
  let missing = answers;
  return new ForwardingStream(stream, (id, reply) => {
    if (reply !== null) responses.push(responseJson(id, reply));
    missing -= 1;
    if (missing === 0) write(responses.length > 0 ? `[${responses.join(",")}]` : null);
  });
}

/** Sends messages through another stream while `isOpen`; answers go to `answer`. */
export class ForwardingStream implements CallStream {
  readonly answer: CallStream["answer"];
  readonly #stream: CallStream;
  readonly #isOpen: () => boolean;

  constructor(stream: CallStream, answer: CallStream["answer"], isOpen: () => boolean = () => true) {
    this.#stream = stream;
    this.answer = answer;
    this.#isOpen = isOpen;
  }

  get congested(): Promise<void> | null {
    return this.#stream.congested;
  }

  send(json: string): boolean {
    return this.#isOpen() && this.#stream.send(json);
  }
}
