// What a session needs of a stream towards its client, whatever carries it.
import type { Reply, RpcId } from "../../json-rpc.ts";
import type { TraceHeaders } from "../../middleware/middleware.ts";
import { writtenResult } from "../../written-results.ts";

/** Unread notifications and questions beyond it cut the stream; results are as large as they are. */
export const BACKLOG_LIMIT_BYTES = 8 * 1024 * 1024;

/** One stream of messages towards one client. Equal only to itself. */
export interface Outlet {
  /**
   * Sends one message, given as JSON. False when it did not go: the stream is closed, or its reader has left more
   * unread than is kept, upon which the stream is cut.
   */
  send(json: string): boolean;
  /** Null, or a promise that settles when the reader has caught up, or is gone. */
  readonly congested: Promise<void> | null;
}

/** The stream of one or more requests in flight. */
export interface CallOutlet extends Outlet {
  /** Of the headers that its requests came with; absent: there were none. */
  readonly trace?: TraceHeaders;
  /** Sends a notification of the call; absent: as any other message. */
  notify?(json: string): boolean;
  /** The last word on the request `id`, once; `reply` null: it was cancelled and gets no answer. */
  answer(id: RpcId | null, reply: Reply | null): void;
}

/** As `responseJson`, in pieces where its result is large and goes out as it came. */
export function responsePieces(id: RpcId | null, reply: Reply): string | readonly Buffer[] {
  return asItCame(id, reply) ?? responseJson(id, reply);
}

function asItCame(id: RpcId | null, reply: Reply): readonly Buffer[] | null {
  const written = "result" in reply ? writtenResult(reply.result) : null;
  if (written === null) return null;
  const head = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":`;
  return [Buffer.from(head), written, Buffer.from("}")];
}

/** The response to the request `id`, as JSON. Never throws: what cannot be spelled becomes an error. */
export function responseJson(id: RpcId | null, reply: Reply): string {
  const pieces = asItCame(id, reply);
  if (pieces !== null) return pieces.join("");
  try {
    return JSON.stringify(
      "result" in reply
        ? { jsonrpc: "2.0", id, result: reply.result }
        : { jsonrpc: "2.0", id, error: reply.error },
    );
  } catch {
    // Nested so deep that writing it overflows the stack, or longer than a string may be.
    return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"error":{"code":-32603,"message":"the result cannot be written as JSON"}}`;
  }
}

// The answers of one batch on a stream: together, as one message, once all are there.

/** `answers`: how many there will be. `write` gets them as JSON, unless all were cancelled. */
export function createBatchOutlet(
  outlet: CallOutlet,
  answers: number,
  write: (json: string | null) => void,
): CallOutlet {
  const written: string[] = [];
  let waiting = answers;
  return new PassingOutlet(outlet, (id, reply) => {
    if (reply !== null) written.push(responseJson(id, reply));
    waiting -= 1;
    if (waiting === 0) write(written.length > 0 ? `[${written.join(",")}]` : null);
  });
}

/** What is sent goes on to another outlet, while `isOpen`; answers go their own way. */
export class PassingOutlet implements CallOutlet {
  readonly answer: CallOutlet["answer"];
  readonly #outlet: CallOutlet;
  readonly #isOpen: () => boolean;

  constructor(outlet: CallOutlet, answer: CallOutlet["answer"], isOpen: () => boolean = () => true) {
    this.#outlet = outlet;
    this.answer = answer;
    this.#isOpen = isOpen;
  }

  get congested(): Promise<void> | null {
    return this.#outlet.congested;
  }

  send(json: string): boolean {
    return this.#isOpen() && this.#outlet.send(json);
  }
}
