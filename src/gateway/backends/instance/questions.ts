// Owns the server's own requests: each goes to the client that it belongs to, or is refused; none to a guess.
import { randomBytes } from "node:crypto";
import type { ClientPort } from "../../client-port.ts";
import {
  errorReply,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  INVALID_REQUEST,
  idKey,
  isJsonObject,
  isRpcId,
  type JsonObject,
  METHOD_NOT_FOUND,
  type Reply,
  type RpcId,
  type RpcMessage,
  type RpcRequest,
} from "../../json-rpc.ts";
import type { Attribution, ClientCall } from "./attribution.ts";
import type { Elicitations } from "./elicitations.ts";
import type { Attached, PendingRequest } from "./pending.ts";
import { progressTokenOf, withProgressToken } from "./progress.ts";

/** Questions of one server that wait for an answer at a time; more are refused. */
const MOST_OPEN = 1_000;

interface Questions {
  take(request: RpcRequest, streamOf: RpcId | null): void;
  /** The server takes one back. */
  cancelled(id: unknown): void;
  /** Those to that client are withdrawn, and the server gets an error. */
  forget(client: ClientPort): void;
  /** Those outside of any call are withdrawn: the session in which they were asked is gone. */
  sessionLost(): void;
  /** All are withdrawn, and the server hears nothing more. */
  end(): void;
}

interface QuestionsOptions {
  readonly backend: string;
  readonly send: (message: RpcMessage) => void;
  readonly attribute: (streamOf: RpcId | null) => Attribution;
  readonly elicitations: Elicitations;
  /** A call's time starts anew: who waits for a person makes progress. */
  readonly restart: (call: PendingRequest) => void;
}

type Asked = Exclude<Attribution, { readonly kind: "nobody" }>;

interface Question extends Attached {
  readonly id: RpcId;
  readonly client: ClientPort;
  /** It belongs to one of them; empty: it is outside of any call. */
  readonly calls: Set<PendingRequest>;
  readonly abort: AbortController;
}

export function createQuestions(options: QuestionsOptions): Questions {
  const { backend, send, attribute, elicitations, restart } = options;
  const open = new Map<ReturnType<typeof idKey>, Question>();
  const tokenPrefix = randomBytes(9).toString("base64url");
  let lastToken = 0;

  const answer = (id: RpcId, reply: Reply): void => send({ jsonrpc: "2.0", id, ...reply });
  /** False: it is closed already. */
  const close = (question: Question): boolean => {
    const key = idKey(question.id);
    if (open.get(key) !== question) return false;
    open.delete(key);
    for (const call of question.calls) call.attached?.delete(question);
    return true;
  };
  const withdraw = (question: Question, why: string, tellServer: boolean): void => {
    if (!close(question)) return;
    if (tellServer) answer(question.id, errorReply(INTERNAL_ERROR, why));
    question.abort.abort(why);
  };
  const answered = (question: Question, reply: Reply): void => {
    if (!close(question)) return;
    for (const call of question.calls) restart(call);
    answer(question.id, reply);
  };

  const put = (request: RpcRequest, client: ClientPort, whose: Asked): void => {
    const { id, method, params } = request;
    const question: Question = {
      id,
      client,
      calls: new Set(whose.kind === "call" ? whose.calls : []),
      abort: new AbortController(),
      // While another call may have asked it, a person may still be at the answer.
      ended(call) {
        question.calls.delete(call);
        if (question.calls.size === 0) withdraw(question, "the call that this belongs to has ended", true);
      },
    };
    open.set(idKey(id), question);
    for (const call of question.calls) {
      call.attached ??= new Set();
      call.attached.add(question);
      restart(call);
    }
    const theirToken = progressTokenOf(params);
    const onProgress = (progress: JsonObject): void => {
      if (open.get(idKey(id)) !== question || theirToken === null) return;
      send({
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { ...progress, progressToken: theirToken },
      });
    };
    const { signal } = question.abort;
    const asking = (): Parameters<ClientPort["request"]> =>
      params === undefined || theirToken === null
        ? [method, params, signal]
        : [method, withProgressToken(params, `${tokenPrefix}.${++lastToken}`), signal, onProgress];
    /** In the newest call that it may belong to; where the client breaks that one's stream off, in the next. */
    const askInCalls = async (calls: readonly ClientCall[]): Promise<Reply> => {
      for (const call of calls.toReversed()) {
        const reply = question.calls.has(call) ? await call.port.request(...asking()) : null;
        if (reply !== null) return reply;
      }
      return errorReply(INTERNAL_ERROR, "the client has no open stream for the call that this belongs to");
    };
    const replied = whose.kind === "call" ? askInCalls(whose.calls) : client.request(...asking());
    void replied.then(
      (reply) => answered(question, reply),
      () => answered(question, errorReply(INTERNAL_ERROR, "the client could not be asked")),
    );
  };

  return {
    take(request, streamOf) {
      const { id, method, params } = request;
      if (method === "ping") return answer(id, { result: {} });
      // Two open ones of one id could not be told apart; the first keeps it.
      if (open.has(idKey(id))) return;
      if (open.size >= MOST_OPEN) {
        return answer(id, errorReply(INVALID_REQUEST, `more than ${MOST_OPEN} requests wait for an answer`));
      }
      const whose = attribute(streamOf);
      if (whose.kind === "nobody") {
        const text = `cannot tell which client this belongs to; set instances = "per-client" for backend ${backend}`;
        return answer(id, errorReply(INVALID_REQUEST, text));
      }
      const client = whose.kind === "call" ? whose.call.port.client : whose.client;
      const refusal = refusalFor(method, params, client.capabilities);
      if (refusal !== null) return answer(id, refusal);
      if (method === "elicitation/create" && params?.["mode"] === "url") {
        const call = whose.kind === "call" ? whose.call.id : null;
        elicitations.remember(params["elicitationId"], { client, call });
      }
      put(request, client, whose);
    },
    cancelled(id) {
      const question = isRpcId(id) ? open.get(idKey(id)) : undefined;
      if (question !== undefined) withdraw(question, "the server takes its request back", false);
    },
    forget(client) {
      for (const question of [...open.values()]) {
        if (question.client === client) withdraw(question, "the client has gone", true);
      }
    },
    sessionLost() {
      for (const question of [...open.values()]) {
        if (question.calls.size === 0) withdraw(question, "the server lost its session", false);
      }
    },
    end() {
      for (const question of [...open.values()]) withdraw(question, "the backend has ended", false);
    },
  };
}

/**
 * The answer to what the client did not declare. Towards a shared backend the gateway declares everything, so a server
 * may ask what this client would take for something else.
 */
function refusalFor(method: string, params: JsonObject | undefined, capabilities: JsonObject): Reply | null {
  const missing = (capability: string): Reply =>
    errorReply(METHOD_NOT_FOUND, `the client that this belongs to does not support ${capability}`);
  const declares = (key: string): boolean => isJsonObject(capabilities[key]);
  if (method === "roots/list") return declares("roots") ? null : missing("roots");
  if (method === "sampling/createMessage") {
    const { sampling } = capabilities;
    if (!isJsonObject(sampling)) return missing("sampling");
    const needsTools = params?.["tools"] !== undefined || params?.["toolChoice"] !== undefined;
    return needsTools && !isJsonObject(sampling["tools"])
      ? errorReply(INVALID_PARAMS, "the client that this belongs to does not support tools in sampling")
      : null;
  }
  if (method === "elicitation/create") {
    const { elicitation } = capabilities;
    if (!isJsonObject(elicitation)) return missing("elicitation");
    const mode = params?.["mode"] === "url" ? "url" : "form";
    // An empty object means forms: so clients declared it before there were modes.
    const takes = isJsonObject(elicitation[mode]) || (mode === "form" && !isJsonObject(elicitation["url"]));
    return takes
      ? null
      : errorReply(
          INVALID_PARAMS,
          `the client that this belongs to does not support elicitation of mode ${mode}`,
        );
  }
  return null;
}
