// The questions to one client that are not answered yet.
import { randomBytes } from "node:crypto";
import { errorText } from "../../../runtime/errors.ts";
import type { Question } from "../../client-port.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isJsonObject,
  type JsonObject,
  type Reply,
} from "../../json-rpc.ts";
import type { Outlet } from "./outlet.ts";

const QUESTION_LIMIT = 512;

interface OpenQuestion {
  readonly outlet: Outlet;
  readonly onProgress: Question[3];
  readonly progressToken: unknown;
  settle(reply: Reply | null): void;
  /** Tells the client that its answer is no longer needed. */
  takeBack(reason: string): void;
}

export class Questions {
  readonly #sendElsewhere: (json: string) => void;
  readonly #open = new Map<string, OpenQuestion>();
  // A client's session may outlive this process: an answer to one that is gone must not be taken for another's.
  readonly #prefix = `m${randomBytes(6).toString("base64url")}`;
  #asked = 0;
  #ended: string | null = null;

  /** `sendElsewhere` sends to the client outside of calls: a question may outlive the stream that it was asked on. */
  constructor(sendElsewhere: (json: string) => void) {
    this.#sendElsewhere = sendElsewhere;
  }

  /** Without an answer yet. */
  get size(): number {
    return this.#open.size;
  }

  /** Asks on `outlet`; resolves with the client's reply, or an error reply; null: the stream closed. Never rejects. */
  ask(outlet: Outlet, ...[method, params, signal, onProgress]: Question): Promise<Reply | null> {
    const refuse = (why: string): Promise<Reply> => Promise.resolve(unanswered(why));
    if (this.#ended !== null) return refuse(this.#ended);
    if (signal.aborted) return refuse("the question was withdrawn");
    if (this.#open.size >= QUESTION_LIMIT) return refuse("too many questions wait for the client");
    this.#asked += 1;
    const id = `${this.#prefix}-${this.#asked}`;
    const json = messageJson({ jsonrpc: "2.0", id, method, params });
    if (json === null) return refuse("the question cannot be written as JSON");
    const { promise, resolve } = Promise.withResolvers<Reply | null>();
    const takeBack = (reason: string): void => {
      const given = { requestId: id, reason };
      const notice = messageJson({ jsonrpc: "2.0", method: "notifications/cancelled", params: given });
      if (notice !== null && !outlet.send(notice)) this.#sendElsewhere(notice);
    };
    const withdraw = (): void => {
      settle(unanswered("the question was withdrawn"));
      takeBack(errorText(signal.reason));
    };
    const settle = (reply: Reply | null): void => {
      this.#open.delete(id);
      signal.removeEventListener("abort", withdraw);
      resolve(reply);
    };
    const meta = params?.["_meta"];
    const progressToken = isJsonObject(meta) ? meta["progressToken"] : undefined;
    this.#open.set(id, { outlet, onProgress, progressToken, settle, takeBack });
    signal.addEventListener("abort", withdraw);
    if (!outlet.send(json)) settle(null);
    return promise;
  }

  /** The client's answer; false: to nothing that was asked here. */
  settle(id: string, reply: Reply): boolean {
    const question = this.#open.get(id);
    question?.settle(reply);
    return question !== undefined;
  }

  /** The params of a notifications/progress of the client; false: it is about no question of these. */
  progress(params: JsonObject | undefined): boolean {
    const token = params?.["progressToken"];
    const about = this.#open
      .values()
      .find(({ progressToken }) => token !== undefined && progressToken === token);
    if (params !== undefined) about?.onProgress?.(params);
    return about !== undefined;
  }

  /** `outlet` has closed: what was asked on it gets no answer any more. */
  drop(outlet: Outlet): void {
    for (const question of [...this.#open.values()]) {
      if (question.outlet !== outlet) continue;
      // Before it is asked anew elsewhere, so that the client never has it open twice.
      question.takeBack("the stream it was asked on has closed");
      question.settle(null);
    }
  }

  /** Nothing gets an answer any more, because of `reason`. */
  end(reason: string): void {
    this.#ended ??= reason;
    for (const question of [...this.#open.values()]) question.settle(unanswered(reason));
  }
}

export function unanswered(why: string): Reply {
  return errorReply(BACKEND_UNAVAILABLE, why);
}

/** Null: nested so deep that writing it overflows the stack, or longer than a string may be. */
export function messageJson(message: JsonObject): string | null {
  try {
    return JSON.stringify(message);
  } catch {
    return null;
  }
}
