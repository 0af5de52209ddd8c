// The open questions to one client: requests of servers that the client has not answered yet.
import { randomBytes } from "node:crypto";
import { errorText } from "../../../runtime/errors.ts";
import type { ServerRequest } from "../../client-handle.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isJsonObject,
  type JsonObject,
  jsonOf,
  type Reply,
} from "../../json-rpc.ts";
import type { ClientStream } from "./client-stream.ts";

const QUESTION_LIMIT = 512;

interface OpenQuestion {
  readonly stream: ClientStream;
  readonly onProgress: ServerRequest[3];
  readonly progressToken: unknown;
  complete(reply: Reply | null): void;
  /** Sends notifications/cancelled to the client. */
  cancel(reason: string): void;
}

export class PendingServerRequests {
  readonly #sendElsewhere: (json: string) => void;
  readonly #open = new Map<string, OpenQuestion>();
  // Makes ids differ between daemons: after a restart, the client of a continued session may answer an old question.
  #prefix: string | null = null;
  #requestCount = 0;
  #ended: string | null = null;

  /** `sendElsewhere` sends outside of calls; used when the stream of a question is closed. */
  constructor(sendElsewhere: (json: string) => void) {
    this.#sendElsewhere = sendElsewhere;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Asks on `stream`. Resolves with the client's reply or an error; null: the stream closed first. Never rejects. */
  request(
    stream: ClientStream,
    ...[method, params, signal, onProgress]: ServerRequest
  ): Promise<Reply | null> {
    const refuse = (why: string): Promise<Reply> => Promise.resolve(unanswered(why));
    if (this.#ended !== null) return refuse(this.#ended);
    if (signal.aborted) return refuse("the question was withdrawn");
    if (this.#open.size >= QUESTION_LIMIT) return refuse("too many questions wait for the client");
    this.#requestCount += 1;
    this.#prefix ??= `m${randomBytes(6).toString("base64url")}-`;
    const id = `${this.#prefix}${this.#requestCount}`;
    const json = jsonOf({ jsonrpc: "2.0", id, method, params });
    if (json === null) return refuse("the question cannot be written as JSON");
    const { promise, resolve } = Promise.withResolvers<Reply | null>();
    const cancel = (reason: string): void => {
      const cancelled = { requestId: id, reason };
      const notice = jsonOf({ jsonrpc: "2.0", method: "notifications/cancelled", params: cancelled });
      if (notice !== null && !stream.send(notice)) this.#sendElsewhere(notice);
    };
    const withdraw = (): void => {
      complete(unanswered("the question was withdrawn"));
      cancel(errorText(signal.reason));
    };
    const complete = (reply: Reply | null): void => {
      this.#open.delete(id);
      signal.removeEventListener("abort", withdraw);
      resolve(reply);
    };
    const meta = params?.["_meta"];
    const progressToken = isJsonObject(meta) ? meta["progressToken"] : undefined;
    this.#open.set(id, { stream, onProgress, progressToken, complete, cancel });
    signal.addEventListener("abort", withdraw);
    if (!stream.send(json)) complete(null);
    return promise;
  }

  /** Takes the client's answer, which may come late; false: the question was not asked here. */
  complete(id: string, reply: Reply): boolean {
    this.#open.get(id)?.complete(reply);
    return this.#prefix !== null && id.startsWith(this.#prefix);
  }

  /** Takes the params of a notifications/progress; false: no question has that token. */
  progress(params: JsonObject | undefined): boolean {
    const token = params?.["progressToken"];
    if (params === undefined || token === undefined) return false;
    const question = this.#open.values().find(({ progressToken }) => progressToken === token);
    question?.onProgress?.(params);
    return question !== undefined;
  }

  /** Drops the questions of `stream`, which has closed: they get no answer. */
  drop(stream: ClientStream): void {
    for (const question of [...this.#open.values()]) {
      if (question.stream !== stream) continue;
      // The server may ask again on another stream, and the client should not have the question open twice.
      question.cancel("the stream it was asked on has closed");
      question.complete(null);
    }
  }

  /** Settles all questions with an error, and refuses new ones. */
  end(reason: string): void {
    this.#ended ??= reason;
    for (const question of [...this.#open.values()]) question.complete(unanswered(reason));
  }
}

export function unanswered(why: string): Reply {
  return errorReply(BACKEND_UNAVAILABLE, why);
}
