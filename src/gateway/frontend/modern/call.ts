// One call of protocol 2026-07-28 in flight. It may outlive its connection: when it asks the client for input it detaches
// from the request, and it attaches to the client's next request, which brings the answers.
import { CallAbort } from "../../call-signal.ts";
import type { CallHandle, ServerRequest } from "../../client-handle.ts";
import { type JsonObject, jsonOf, type Reply, type RpcId } from "../../json-rpc.ts";
import type { GatewayRequest, ServingSet } from "../../middleware/middleware.ts";
import type { OpenTask } from "../../middleware/task-ids.ts";
import { isLogLevel, LIST_CHANGED, LOG_LEVELS, RESOURCE_UPDATED, TASK_NOTICE } from "../../protocol.ts";
import type { CallStream } from "../session/client-stream.ts";
import type { ModernRequest } from "./request.ts";
import type { StandInSession } from "./stand-in-sessions.ts";

/** Notifications that protocol version 2026-07-28 does not send within a request. */
const NOT_WITHIN: ReadonlySet<string> = new Set([
  ...Object.values(LIST_CHANGED),
  RESOURCE_UPDATED,
  "notifications/cancelled",
  "notifications/elicitation/complete",
  "notifications/subscriptions/acknowledged",
  "notifications/tasks/status",
  TASK_NOTICE,
]);

interface CallParts {
  readonly standIn: StandInSession;
  readonly suspension: CallSuspension;
  readonly served: ServingSet;
  /** Adds to a reply what protocol 2026-07-28 requires. */
  readonly complete: (request: ModernRequest, reply: Reply) => Reply;
}

export interface CallBegin {
  readonly params: JsonObject;
  /** What a person agreed to in an earlier round; null: nothing. */
  readonly agreedTo: string | null;
  /** The `mark` of the stand-in session that an earlier round of the call used. */
  readonly mark?: string | undefined;
  readonly task?: OpenTask | null;
}

/** What `CallSuspension.resume` has done with a request. */
export type Resumed =
  /** The request begins a new call instead of continuing a suspended one. */
  | ({ readonly kind: "begins" } & CallBegin)
  /** The request resumed a suspended call. `gone` is to be called when the client closes the connection. */
  | { readonly kind: "goes_on"; readonly gone: () => void }
  | { readonly kind: "refused"; readonly reply: Reply };

/** Why a suspended call may not be resumed now; null: it may. `isOver`: it may not be resumed later either. */
export type Stopping = () => { readonly reply: Reply; readonly isOver: boolean } | null;

/** Suspends calls while their client is asked for input, from one request of the client to the next. */
export interface CallSuspension {
  /** Asks the client within the call; null: the call has ended. Never rejects. */
  request(call: ModernCall, ...question: ServerRequest): Promise<Reply | null>;
  /** Takes a request with `requestState` or `inputResponses`. */
  resume(request: ModernRequest, stream: CallStream, stopping: Stopping): Resumed;
  /** The call's reply, as the client gets it. */
  outgoing(call: ModernCall, reply: Reply): Reply;
  /** Takes the reply of a suspended call. */
  early(call: ModernCall, reply: Reply): void;
  /** True if the client has been away for so long that it may never return. */
  isIdle(call: ModernCall): boolean;
  /** Ends a suspended call, because another client needs the server. */
  evict(call: ModernCall): void;
  /** Ends all suspended calls, and refuses further questions. */
  end(reason: string): void;
}

export class ModernCall implements CallHandle {
  readonly client: StandInSession;
  /** The request for the middleware chain. */
  work: GatewayRequest;
  readonly #given: GatewayRequest;
  readonly #parts: CallParts;
  readonly #abort = new CallAbort();
  /** The client's newest request of this call. */
  newest: ModernRequest;
  /** Where the answer goes; null while the call is suspended, and once it is answered. */
  #stream: CallStream | null;
  /** A reply that came while the call was suspended; the client's next request gets it. */
  #early: Reply | null = null;
  /** What a person has agreed to, in this round or an earlier one; null: nothing. */
  agreedTo: string | null;

  constructor(parts: CallParts, request: ModernRequest, begin: CallBegin, stream: CallStream) {
    const { params, agreedTo, task = null } = begin;
    const { method, trace } = request;
    this.#parts = parts;
    this.agreedTo = agreedTo;
    this.client = parts.standIn;
    this.newest = request;
    this.#stream = stream;
    const { served } = parts;
    this.#given = {
      method,
      params,
      handle: this,
      signal: this.#abort,
      served,
      ...(task !== null && { task }),
      ...(agreedTo !== null && { consent: "accept", consentFor: agreedTo }),
      ...(trace !== null && { trace }),
    };
    this.work = served.finalRequest(this.#given);
  }

  /** The request as it is once its tools are known. */
  afterWait(served: ServingSet): GatewayRequest {
    this.work = served.finalRequest({ ...this.#given, served });
    return this.work;
  }

  get id(): RpcId {
    return this.newest.id;
  }

  get declared(): JsonObject {
    return this.newest.capabilities;
  }

  get congested(): Promise<void> | null {
    return this.#stream?.congested ?? null;
  }

  notify(method: string, params: JsonObject | undefined): void {
    if (this.#stream === null || NOT_WITHIN.has(method)) return;
    const wanted = this.#wanted(method, params);
    const json = wanted === null ? null : jsonOf({ jsonrpc: "2.0", method, params: wanted });
    if (json !== null) this.#stream.send(json);
  }

  request(...question: ServerRequest): Promise<Reply | null> {
    return this.#parts.suspension.request(this, ...question);
  }

  get mayBeEvicted(): boolean {
    return this.#parts.suspension.isIdle(this);
  }

  evict(): void {
    this.#parts.suspension.evict(this);
  }

  agree(consentFor: string): void {
    this.agreedTo = consentFor;
  }

  /** Answers the open request. The call continues without an open request. */
  detach(reply: Reply): void {
    const stream = this.#stream;
    this.#stream = null;
    stream?.answer(this.id, this.#parts.complete(this.newest, reply));
  }

  /** Continues the call in the client's next request; answers at once if the call already has its reply. */
  attach(request: ModernRequest, stream: CallStream): void {
    this.newest = request;
    this.#stream = stream;
    const early = this.#early;
    this.#early = null;
    if (early !== null) this.answer(early);
  }

  /** Called once, with the call's reply. */
  answer(reply: Reply): void {
    const stream = this.#stream;
    this.#stream = null;
    if (stream === null) {
      this.#early = reply;
      this.#parts.suspension.early(this, reply);
      return;
    }
    const { suspension, complete } = this.#parts;
    stream.answer(this.id, complete(this.newest, suspension.outgoing(this, reply)));
  }

  /**
   * Called when the client has closed the connection of `stream`. Cancels the call if its answer would go
   * there.
   */
  gone(stream: CallStream, reason: unknown): void {
    if (this.#stream !== stream) return;
    this.#stream = null;
    this.abort(reason);
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }

  /** The params of a notification for this client; null: the client did not ask for it. */
  #wanted(method: string, params: JsonObject | undefined): JsonObject | null {
    const { logLevel, progressToken } = this.newest;
    if (method === "notifications/progress") {
      return progressToken === null ? null : { ...params, progressToken };
    }
    if (method !== "notifications/message") return params ?? {};
    if (logLevel === null || params === undefined) return null;
    const { level } = params;
    const isEnough = !isLogLevel(level) || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(logLevel);
    return isEnough ? params : null;
  }
}
