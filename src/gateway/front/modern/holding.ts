// What the front needs of the place where calls wait for their client's answers, from one request of the client to the
// next.
import type { Question } from "../../client-port.ts";
import { errorReply, INVALID_PARAMS, INVALID_REQUEST, type JsonObject, type Reply } from "../../json-rpc.ts";
import type { CallOutlet } from "../session/outlet.ts";
import type { ModernCall } from "./call.ts";
import type { ModernRequest } from "./request.ts";

/** What became of a request that brings answers. */
export type Resumed =
  /** It goes to its backend, with these params. */
  | { readonly kind: "begins"; readonly params: JsonObject }
  /** Its call waited here, and answers it on `outlet`. `gone`: its client has closed the connection. */
  | { readonly kind: "goes_on"; readonly gone: () => void }
  | { readonly kind: "refused"; readonly reply: Reply };

export interface Holding {
  /** Questions without an answer yet. */
  readonly openQuestions: number;
  /** Something is asked within the call; null: nobody can answer it any more. Never rejects. */
  ask(call: ModernCall, ...question: Question): Promise<Reply | null>;
  /** A request with `requestState` or `inputResponses`. */
  resume(request: ModernRequest, outlet: CallOutlet): Resumed;
  /** The last word on a call, before it goes to the client. */
  outgoing(call: ModernCall, reply: Reply): Reply;
  /** Nothing is waited for any more. */
  end(reason: string): void;
}

/** Nobody is asked anything. */
export const NO_HOLDING: Holding = {
  openQuestions: 0,
  ask: (_call, method) =>
    Promise.resolve(errorReply(INVALID_REQUEST, `the client cannot be asked for ${method}`)),
  resume: () => ({ kind: "refused", reply: errorReply(INVALID_PARAMS, "Invalid requestState") }),
  outgoing: (_call, reply) => reply,
  end() {},
};
