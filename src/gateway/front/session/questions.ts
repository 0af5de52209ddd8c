// Owns what is asked of one client and not answered yet.
import { randomBytes } from "node:crypto";
import { errorText } from "../../../runtime/errors.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isJsonObject,
  type JsonObject,
  type Reply,
} from "../../json-rpc.ts";
import type { Outlet } from "./outlet.ts";

const QUESTION_LIMIT = 512;

export type OnProgress = (params: JsonObject) => void;

export interface Questions {
  /** Asks on `outlet`; resolves with the client's reply, or an error reply; null: the stream closed. Never rejects. */
  ask(
    outlet: Outlet,
    method: string,
    params: JsonObject | undefined,
    signal: AbortSignal,
    onProgress: OnProgress | undefined,
  ): Promise<Reply | null>;
  /** The client's answer; an unknown id means nothing. */
  settle(id: string, reply: Reply): void;
  /** The params of a notifications/progress of the client. */
  progress(params: JsonObject): void;
  /** `outlet` has closed: what was asked on it gets no answer any more. */
  drop(outlet: Outlet): void;
  /** Nothing gets an answer any more, because of `reason`. */
  end(reason: string): void;
}

interface Question {
  readonly outlet: Outlet;
  readonly onProgress: OnProgress | undefined;
  readonly progressToken: unknown;
  settle(reply: Reply | null): void;
  /** Tells the client that its answer is no longer needed. */
  takeBack(reason: string): void;
}

const unanswered = (why: string): Reply => errorReply(BACKEND_UNAVAILABLE, why);

/** `tellElsewhere` sends to the client outside of calls: a question may outlive the stream that it was asked on. */
export function createQuestions(tellElsewhere: (json: string) => void): Questions {
  const questions = new Map<string, Question>();
  // A client's session may outlive this process: an answer to one that is gone must not be taken for another's.
  const prefix = `m${randomBytes(6).toString("base64url")}`;
  let asked = 0;
  let ended: string | null = null;

  return {
    ask(outlet, method, params, signal, onProgress) {
      if (ended !== null) return Promise.resolve(unanswered(ended));
      if (signal.aborted) return Promise.resolve(unanswered("the question was withdrawn"));
      if (questions.size >= QUESTION_LIMIT) {
        return Promise.resolve(unanswered("too many questions wait for the client"));
      }
      asked += 1;
      const id = `${prefix}-${asked}`;
      const json = messageJson({ jsonrpc: "2.0", id, method, params });
      if (json === null) return Promise.resolve(unanswered("the question cannot be written as JSON"));
      const { promise, resolve } = Promise.withResolvers<Reply | null>();
      const takeBack = (reason: string): void => {
        const told = { requestId: id, reason };
        const notice = messageJson({ jsonrpc: "2.0", method: "notifications/cancelled", params: told });
        if (notice !== null && !outlet.send(notice)) tellElsewhere(notice);
      };
      const withdraw = (): void => {
        settle(unanswered("the question was withdrawn"));
        takeBack(errorText(signal.reason));
      };
      const settle = (reply: Reply | null): void => {
        questions.delete(id);
        signal.removeEventListener("abort", withdraw);
        resolve(reply);
      };
      const meta = params?.["_meta"];
      const progressToken = isJsonObject(meta) ? meta["progressToken"] : undefined;
      questions.set(id, { outlet, onProgress, progressToken, settle, takeBack });
      signal.addEventListener("abort", withdraw);
      if (!outlet.send(json)) settle(null);
      return promise;
    },
    settle(id, reply) {
      questions.get(id)?.settle(reply);
    },
    progress(params) {
      const token = params["progressToken"];
      if (token === undefined) return;
      for (const question of questions.values()) {
        if (question.progressToken === token) {
          question.onProgress?.(params);
          return;
        }
      }
    },
    drop(outlet) {
      for (const question of [...questions.values()]) {
        if (question.outlet !== outlet) continue;
        // Before it is asked anew elsewhere, so that the client never has it open twice.
        question.takeBack("the stream it was asked on has closed");
        question.settle(null);
      }
    },
    end(reason) {
      ended ??= reason;
      for (const question of [...questions.values()]) question.settle(unanswered(reason));
    },
  };
}

/** Null: nested so deep that writing it overflows the stack, or longer than a string may be. */
export function messageJson(message: JsonObject): string | null {
  try {
    return JSON.stringify(message);
  } catch {
    return null;
  }
}
