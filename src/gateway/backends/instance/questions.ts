// The server's own requests: each goes to the client that it belongs to, or is refused; never to a guess.
import { randomBytes } from "node:crypto";
import { type Clock, settledWithin } from "../../../runtime/time/clock.ts";
import type { ClientPort, Question as ClientQuestion } from "../../client-port.ts";
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
import { takesElicitation } from "../../protocol.ts";
import type { Attribution, ClientCall, ClientRecords, ElicitationRecord } from "./attribution.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { type InstanceCalls, progressTokenOf, withProgressToken } from "./calls.ts";
import { seconds } from "./failures.ts";
import type { Attached, PendingRequest } from "./pending.ts";

/** Questions of one server that wait for an answer at a time; more are refused. */
const MOST_OPEN = 1_000;

type Addressee = Exclude<Attribution, { readonly kind: "nobody" }>;

interface Question extends Attached {
  readonly id: RpcId;
  readonly client: ClientPort;
  /** It belongs to one of them; empty: it is outside of any call. */
  readonly calls: Set<PendingRequest>;
  readonly abort: AbortController;
}

export class Questions {
  readonly #backend: string;
  readonly #calls: InstanceCalls;
  readonly #send: (message: RpcMessage) => void;
  readonly #elicitations: ClientRecords<ElicitationRecord>;
  readonly #open = new Map<ReturnType<typeof idKey>, Question>();
  /** It has asked for a client's roots. */
  asksForRoots = false;
  readonly #clock: Clock;
  readonly #onRootsAsked: () => void;
  /** Resolves when the last that is open is closed. */
  #none: PromiseWithResolvers<void> | null = null;
  #came = false;
  readonly #tokenPrefix = randomBytes(9).toString("base64url");
  #lastToken = 0;

  constructor(
    { backend, clock }: InstanceOptions,
    calls: InstanceCalls,
    send: (message: RpcMessage) => void,
    elicitations: ClientRecords<ElicitationRecord>,
    onRootsAsked: () => void,
  ) {
    this.#backend = backend;
    this.#clock = clock;
    this.#onRootsAsked = onRootsAsked;
    this.#calls = calls;
    this.#send = send;
    this.#elicitations = elicitations;
  }

  /** Whether any has come since this was asked last; resolves when none is open, or after `limitMs`. */
  async answered(limitMs: number): Promise<boolean> {
    if (this.#open.size > 0) {
      this.#none ??= Promise.withResolvers<void>();
      await settledWithin(this.#clock, limitMs, this.#none.promise);
    }
    const came = this.#came;
    this.#came = false;
    return came;
  }

  take(request: RpcRequest, streamOf: RpcId | null): void {
    const { id, method, params } = request;
    if (method === "roots/list" && !this.asksForRoots) {
      this.asksForRoots = true;
      this.#onRootsAsked();
    }
    // Two open ones of one id could not be told apart; the first keeps it.
    if (method !== "ping" && this.#open.has(idKey(id))) return;
    const addressee = this.#addressee(request, streamOf);
    if (!("kind" in addressee)) {
      this.#answer(id, addressee);
      return;
    }
    const client = clientOf(addressee);
    if (method === "elicitation/create" && params?.["mode"] === "url") {
      const call = addressee.kind === "call" ? addressee.call.id : null;
      this.#elicitations.remember(params["elicitationId"], { client, call });
    }
    const calls = addressee.kind === "call" ? addressee.calls : [];
    const question = this.#put(id, client, calls);
    void this.#askClient(question, request, calls).then(
      (reply) => this.#answered(question, reply),
      () => this.#answered(question, errorReply(INTERNAL_ERROR, "the client could not be asked")),
    );
  }

  /** The server takes one back. */
  cancelled(id: unknown): void {
    const question = isRpcId(id) ? this.#open.get(idKey(id)) : undefined;
    if (question !== undefined) this.#withdraw(question, "the server takes its request back", false);
  }

  /** Those to that client are withdrawn, and the server gets an error. */
  forget(client: ClientPort): void {
    for (const question of [...this.#open.values()]) {
      if (question.client === client) this.#withdraw(question, "the client has gone", true);
    }
  }

  /** Those outside of any call are withdrawn: the session in which they were asked is gone. */
  sessionLost(): void {
    for (const question of [...this.#open.values()]) {
      if (question.calls.size === 0) this.#withdraw(question, "the server lost its session", false);
    }
  }

  /** All are withdrawn, and the server gets no more answers. */
  end(): void {
    for (const question of [...this.#open.values()]) {
      this.#withdraw(question, "the backend has ended", false);
    }
  }

  /** Whom to ask; or the answer, where nobody is asked. */
  #addressee({ method, params }: RpcRequest, streamOf: RpcId | null): Addressee | Reply {
    if (method === "ping") return { result: {} };
    if (this.#open.size >= MOST_OPEN) {
      return errorReply(INVALID_REQUEST, `more than ${MOST_OPEN} requests wait for an answer`);
    }
    const whose = this.#calls.attribute(streamOf);
    if (whose.kind === "nobody") {
      if (whose.why === "unclear") this.#calls.endIdle(streamOf);
      return errorReply(INVALID_REQUEST, this.#unclear(streamOf));
    }
    return refusalFor(method, params, clientOf(whose).capabilities) ?? whose;
  }

  #unclear(streamOf: RpcId | null): string {
    const hint = `set instances = "per-client" for backend ${this.#backend}`;
    const lingering = this.#calls.lingering(streamOf);
    if (lingering === null) return `cannot tell which client this belongs to; ${hint}`;
    const { leftMs, isCancelled } = lingering;
    const what = isCancelled ? "a call that was cancelled" : "a call that was out of time";
    const orSilent = isCancelled ? " or this server says nothing for a second" : "";
    return `cannot tell which client this belongs to: ${what} may still be at work, until it is answered${orSilent}, for ${seconds(leftMs)} at most; ${hint}`;
  }

  #put(id: RpcId, client: ClientPort, calls: readonly ClientCall[]): Question {
    const question: Question = {
      id,
      client,
      calls: new Set(calls),
      abort: new AbortController(),
      // While another call may have asked it, a person may still be at the answer.
      ended: (call) => {
        question.calls.delete(call);
        if (question.calls.size > 0) return;
        this.#withdraw(question, "the call that this belongs to has ended", true);
      },
    };
    this.#open.set(idKey(id), question);
    this.#came = true;
    for (const call of question.calls) {
      call.attached ??= new Set();
      call.attached.add(question);
      // Who waits for a person makes progress.
      this.#calls.restart(call);
    }
    return question;
  }

  /** In the newest call that it may belong to; where the client breaks that one's stream off, in the next. */
  async #askClient(
    question: Question,
    { method, params }: RpcRequest,
    calls: readonly ClientCall[],
  ): Promise<Reply> {
    const theirToken = progressTokenOf(params);
    const onProgress = (progress: JsonObject): void => {
      if (this.#open.get(idKey(question.id)) !== question || theirToken === null) return;
      this.#send({
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { ...progress, progressToken: theirToken },
      });
    };
    const { signal } = question.abort;
    const asking = (): ClientQuestion =>
      params === undefined || theirToken === null
        ? [method, params, signal]
        : [
            method,
            withProgressToken(params, `${this.#tokenPrefix}.${++this.#lastToken}`),
            signal,
            onProgress,
          ];
    if (calls.length === 0) return question.client.request(...asking());
    for (const call of calls.toReversed()) {
      const reply = question.calls.has(call) ? await call.port.request(...asking()) : null;
      if (reply !== null) return reply;
    }
    return errorReply(INTERNAL_ERROR, "the client has no open stream for the call that this belongs to");
  }

  #answer(id: RpcId, reply: Reply): void {
    this.#send({ jsonrpc: "2.0", id, ...reply });
  }

  #answered(question: Question, reply: Reply): void {
    if (!this.#close(question)) return;
    for (const call of question.calls) this.#calls.restart(call);
    this.#answer(question.id, reply);
  }

  #withdraw(question: Question, why: string, tellServer: boolean): void {
    if (!this.#close(question)) return;
    if (tellServer) this.#answer(question.id, errorReply(INTERNAL_ERROR, why));
    question.abort.abort(why);
  }

  /** False: it is closed already. */
  #close(question: Question): boolean {
    const key = idKey(question.id);
    if (this.#open.get(key) !== question) return false;
    this.#open.delete(key);
    for (const call of question.calls) call.attached?.delete(question);
    if (this.#open.size === 0) {
      this.#none?.resolve();
      this.#none = null;
    }
    return true;
  }
}

function clientOf(addressee: Addressee): ClientPort {
  return addressee.kind === "call" ? addressee.call.port.client : addressee.client;
}

/**
 * The answer to a request that the client did not declare to support. Towards a shared backend the gateway declares
 * everything, so a server may ask what this client does not understand.
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
    const mode = params?.["mode"] === "url" ? "url" : "form";
    const takes = takesElicitation(capabilities, mode);
    if (takes === null) return missing("elicitation");
    return takes
      ? null
      : errorReply(
          INVALID_PARAMS,
          `the client that this belongs to does not support elicitation of mode ${mode}`,
        );
  }
  return null;
}
