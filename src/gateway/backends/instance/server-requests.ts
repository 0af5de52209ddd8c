// Server requests: what a backend asks during a call, such as of a person or a model. Each goes to the client that it
// certainly belongs to, or is refused.
import { randomBytes } from "node:crypto";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import type { ClientHandle, ServerRequest as ClientQuestion } from "../../client-handle.ts";
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
  rpcNotification,
} from "../../json-rpc.ts";
import { takesElicitation } from "../../protocol.ts";
import type { Attribution, ClientCall, ClientRecords, ElicitationRecord } from "./attribution.ts";
import type { InstanceOptions } from "./backend-instance.ts";
import { type InstanceCalls, progressTokenOf, withProgressToken } from "./calls.ts";
import type { Attached, PendingRequest } from "./pending.ts";
import { questionBy } from "./questions-by-server.ts";

/** Maximum number of open questions of one server. */
const MOST_OPEN = 1_000;

type Addressee = Exclude<Attribution, { readonly kind: "nobody" }>;

interface Question extends Attached {
  readonly id: RpcId;
  readonly client: ClientHandle;
  /** The calls to which the question belongs; empty: it belongs to no call. */
  readonly calls: Set<PendingRequest>;
  readonly abort: AbortController;
}

const ECHOES = "it sends back what it is sent, so it is not an MCP server: correct `command` and `args`";

export class ServerRequests {
  requestsRoots = false;
  readonly #options: InstanceOptions;
  readonly #calls: InstanceCalls;
  readonly #send: (message: RpcMessage) => void;
  readonly #elicitations: ClientRecords<ElicitationRecord>;
  readonly #onRootsRequested: () => void;
  readonly #open = new Map<ReturnType<typeof idKey>, Question>();
  #allClosed: PromiseWithResolvers<void> | null = null;
  #hasRequested = false;
  readonly #tokenPrefix = randomBytes(9).toString("base64url");
  #lastToken = 0;

  constructor(
    options: InstanceOptions,
    calls: InstanceCalls,
    send: (message: RpcMessage) => void,
    elicitations: ClientRecords<ElicitationRecord>,
    onRootsRequested: () => void,
  ) {
    this.#options = options;
    this.#calls = calls;
    this.#send = send;
    this.#elicitations = elicitations;
    this.#onRootsRequested = onRootsRequested;
  }

  get isOpen(): boolean {
    return this.#open.size > 0;
  }

  /**
   * Waits until no question is open, for at most `limitMs`. Resolves with true if the server has asked anything since
   * this method was called last.
   */
  async answered(limitMs: number): Promise<boolean> {
    if (this.#open.size > 0) {
      this.#allClosed ??= Promise.withResolvers<void>();
      await settlesWithin(this.#options.clock, limitMs, this.#allClosed.promise);
    }
    const hasRequested = this.#hasRequested;
    this.#hasRequested = false;
    return hasRequested;
  }

  take(request: RpcRequest, streamOf: RpcId | null): void {
    const { id, method } = request;
    if (method === "roots/list" && !this.requestsRoots) {
      this.requestsRoots = true;
      this.#onRootsRequested();
    }
    // Two open questions with one id could not be told apart.
    if (method !== "ping" && this.#open.has(idKey(id))) return;
    const addressee = this.#addressee(request, streamOf);
    if (!("kind" in addressee)) {
      this.#answer(id, addressee);
      return;
    }
    const client = clientOf(addressee);
    let { params } = request;
    if (method === "elicitation/create" && params !== undefined) {
      params = questionBy(this.#options.backend, params);
      const call = addressee.kind === "call" ? addressee.call.id : null;
      this.#elicitations.remember(params["elicitationId"], { client, call });
    }
    const calls = addressee.kind === "call" ? addressee.calls : [];
    const question = this.#add(id, client, calls);
    void this.#requestClient(question, method, params, calls).then(
      (reply) => this.#answered(question, reply),
      () => this.#answered(question, errorReply(INTERNAL_ERROR, "the client could not be asked")),
    );
  }

  cancelled(id: unknown): void {
    const question = isRpcId(id) ? this.#open.get(idKey(id)) : undefined;
    if (question !== undefined) this.#withdraw(question, "the server cancelled its request", false);
  }

  /** Withdraws the questions to this client; the server gets an error. */
  forget(client: ClientHandle): void {
    this.#withdrawAll("the client has gone", true, (question) => question.client === client);
  }

  /** Questions that belong to no call end with the session. */
  sessionLost(): void {
    this.#withdrawAll("the server lost its session", false, ({ calls }) => calls.size === 0);
  }

  /** The server gets no further answers. */
  end(): void {
    this.#withdrawAll("the server has ended", false, () => true);
  }

  #withdrawAll(why: string, answersServer: boolean, isMeant: (question: Question) => boolean): void {
    for (const question of [...this.#open.values()].filter(isMeant))
      this.#withdraw(question, why, answersServer);
  }

  /** Returns the client to ask, or the refusal that the server gets. */
  #addressee({ method, params }: RpcRequest, streamOf: RpcId | null): Addressee | Reply {
    if (method === "ping") return { result: {} };
    // A program such as `cat`.
    if (method === "initialize") return errorReply(INVALID_REQUEST, ECHOES);
    if (this.#open.size >= MOST_OPEN) {
      return errorReply(INVALID_REQUEST, `more than ${MOST_OPEN} requests wait for an answer`);
    }
    const addressee = this.#calls.attribute(streamOf);
    if (addressee.kind === "nobody") {
      if (addressee.why === "unclear") this.#calls.endIdle(streamOf);
      const hint = `set instances = "per-client" for server ${this.#options.backend}`;
      return errorReply(INVALID_REQUEST, `the client that this belongs to is unknown; ${hint}`);
    }
    return refusalFor(method, params, clientOf(addressee).capabilities) ?? addressee;
  }

  #add(id: RpcId, client: ClientHandle, calls: readonly ClientCall[]): Question {
    const question: Question = {
      id,
      client,
      calls: new Set(calls),
      abort: new AbortController(),
      // The question stays open while it may belong to another call.
      ended: (call) => {
        question.calls.delete(call);
        if (question.calls.size > 0) return;
        this.#withdraw(question, "the call that this belongs to has ended", true);
      },
    };
    this.#open.set(idKey(id), question);
    this.#hasRequested = true;
    for (const call of question.calls) {
      call.attached ??= new Set();
      call.attached.add(question);
    }
    return question;
  }

  /** Asks within the newest call. If the client ends that call's stream, asks within the next one. */
  async #requestClient(
    question: Question,
    method: string,
    params: JsonObject | undefined,
    calls: readonly ClientCall[],
  ): Promise<Reply> {
    const progressToken = progressTokenOf(params);
    const onProgress = (progress: JsonObject): void => {
      if (this.#open.get(idKey(question.id)) !== question) return;
      this.#send(rpcNotification("notifications/progress", { ...progress, progressToken }));
    };
    const { signal } = question.abort;
    const args = (): ClientQuestion => {
      if (params === undefined || progressToken === null) return [method, params, signal];
      const token = `${this.#tokenPrefix}.${++this.#lastToken}`;
      return [method, withProgressToken(params, token), signal, onProgress];
    };
    if (calls.length === 0) return question.client.request(...args());
    for (const call of calls.toReversed()) {
      const reply = question.calls.has(call) ? await call.handle.request(...args()) : null;
      if (reply !== null) return reply;
    }
    return errorReply(INTERNAL_ERROR, "the client has no open stream for the call that this belongs to");
  }

  #answer(id: RpcId, reply: Reply): void {
    this.#send({ jsonrpc: "2.0", id, ...reply });
  }

  #answered(question: Question, reply: Reply): void {
    if (this.#close(question)) this.#answer(question.id, reply);
  }

  #withdraw(question: Question, why: string, answersServer: boolean): void {
    if (!this.#close(question)) return;
    if (answersServer) this.#answer(question.id, errorReply(INTERNAL_ERROR, why));
    question.abort.abort(why);
  }

  /** Returns false if the question was closed before. */
  #close(question: Question): boolean {
    const key = idKey(question.id);
    if (this.#open.get(key) !== question) return false;
    this.#open.delete(key);
    for (const call of question.calls) {
      call.attached?.delete(question);
      // Waiting for a person counts as progress.
      this.#calls.pending.restart(call);
    }
    if (this.#open.size === 0) {
      this.#allClosed?.resolve();
      this.#allClosed = null;
    }
    return true;
  }
}

function clientOf(addressee: Addressee): ClientHandle {
  return addressee.kind === "call" ? addressee.call.handle.client : addressee.client;
}

/**
 * Returns null if the client supports the request. The gateway declares all capabilities to a shared backend, so a
 * server may ask for one that this client lacks.
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
