// One request of protocol 2026-07-28 in flight. Its call may outlive the connection that it came on: while the client is
// asked something it is detached, and goes on with the request that brings the answer.
import { CallAbort } from "../../call-signal.ts";
import type { CallPort, Question } from "../../client-port.ts";
import { isJsonObject, type JsonObject, type Reply, type RpcId } from "../../json-rpc.ts";
import type { GatewayRequest, ServingSet } from "../../middleware/middleware.ts";
import type { OpenTask } from "../../middleware/task-ids.ts";
import { isLogLevel, LIST_CHANGED, LOG_LEVELS, RESOURCE_UPDATED, TASK_NOTICE } from "../../protocol.ts";
import type { CallOutlet } from "../session/outlet.ts";
import { messageJson } from "../session/questions.ts";
import type { Identity } from "./identities.ts";
import type { ModernRequest } from "./request.ts";

/** Notifications that this version does not have within a request. */
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
  readonly identity: Identity;
  readonly suspension: CallSuspension;
  readonly served: ServingSet;
  /** What the client gets of a reply. */
  readonly complete: (request: ModernRequest, reply: Reply) => Reply;
}

export interface CallBegin {
  readonly params: JsonObject;
  /** A person agreed to it in an earlier round. */
  readonly isAgreed: boolean;
  /** Of the identity that had it then. */
  readonly mark?: string | undefined;
  /** The task that it is about. */
  readonly task?: OpenTask | null;
}

/** What became of a request that brings answers. */
export type Resumed =
  /** It goes to its backend. */
  | ({ readonly kind: "begins" } & CallBegin)
  /** Its call waited here, and answers it on `outlet`. `gone`: its client has closed the connection. */
  | { readonly kind: "goes_on"; readonly gone: () => void }
  | { readonly kind: "refused"; readonly reply: Reply };

/** Why a call that waited does not go on. `isOver`: it does not later either. */
export type Stopping = () => { readonly reply: Reply; readonly isOver: boolean } | null;

/** Where calls wait for their client's answers, from one request of the client to the next. */
export interface CallSuspension {
  /** Questions without an answer yet. */
  readonly openQuestions: number;
  /** Something is asked within the call; null: nobody can answer it any more. Never rejects. */
  ask(call: ModernCall, ...question: Question): Promise<Reply | null>;
  /** A request with `requestState` or `inputResponses`. `stopping` is asked where its call waited. */
  resume(request: ModernRequest, outlet: CallOutlet, stopping: Stopping): Resumed;
  /** The last word on a call, before it goes to the client. */
  outgoing(call: ModernCall, reply: Reply): Reply;
  /** The call has its reply before its client has come back. */
  early(call: ModernCall, reply: Reply): void;
  /** Nothing was heard of its client for so long that it may have left. */
  isIdle(call: ModernCall): boolean;
  /** Ends the call for want of its client. */
  giveWay(call: ModernCall): void;
  /** Nothing is waited for any more. */
  end(reason: string): void;
}

export class ModernCall implements CallPort {
  readonly client: Identity;
  /** What is handed to the chain. */
  readonly work: GatewayRequest;
  readonly #parts: CallParts;
  readonly #abort = new CallAbort();
  /** The request of the client that it answers now, or answered last. */
  newest: ModernRequest;
  #outlet: CallOutlet | null;
  /** A reply that no request was open for: the next one of its client gets it. */
  #early: Reply | null = null;
  /** A person has agreed to it, in this round or an earlier one. */
  isAgreed: boolean;

  constructor(parts: CallParts, request: ModernRequest, begin: CallBegin, outlet: CallOutlet) {
    const { params, isAgreed, task = null } = begin;
    const { method, trace } = request;
    this.#parts = parts;
    this.isAgreed = isAgreed;
    this.client = parts.identity;
    this.newest = request;
    this.#outlet = outlet;
    const { served } = parts;
    const work: GatewayRequest = { method, params, port: this, signal: this.#abort, served };
    const more = {
      ...(task !== null && { task }),
      ...(isAgreed && ({ asked: "accept" } as const)),
      ...(trace !== null && { trace }),
    };
    const isMore = task !== null || isAgreed || trace !== null;
    this.work = served.meant(isMore ? { ...work, ...more } : work);
  }

  get id(): RpcId {
    return this.newest.id;
  }

  get declared(): JsonObject {
    return this.newest.declared;
  }

  get congested(): Promise<void> | null {
    return this.#outlet?.congested ?? null;
  }

  notify(method: string, params: JsonObject | undefined): void {
    const theirs = this.#outlet === null || NOT_WITHIN.has(method) ? null : this.#passing(method, params);
    const json = theirs === null ? null : messageJson({ jsonrpc: "2.0", method, params: theirs });
    if (json !== null) this.#outlet?.send(json);
  }

  request(...question: Question): Promise<Reply | null> {
    return this.#parts.suspension.ask(this, ...question);
  }

  get mayGiveWay(): boolean {
    return this.#parts.suspension.isIdle(this);
  }

  giveWay(): void {
    this.#parts.suspension.giveWay(this);
  }

  agree(): void {
    this.isAgreed = true;
  }

  /** Answers the request that waits, and goes on without one. False: none waits. */
  detach(reply: Reply): boolean {
    const outlet = this.#outlet;
    if (outlet === null) return false;
    this.#outlet = null;
    outlet.answer(this.id, this.#parts.complete(this.newest, reply));
    return true;
  }

  /** Goes on with another request of its client, which it answers at once where its reply was early. */
  attach(request: ModernRequest, outlet: CallOutlet): void {
    this.newest = request;
    this.#outlet = outlet;
    const early = this.#early;
    this.#early = null;
    if (early !== null) this.answer(early);
  }

  /** Its reply, once. */
  answer(reply: Reply): void {
    const outlet = this.#outlet;
    this.#outlet = null;
    if (outlet === null) {
      this.#early = reply;
      this.#parts.suspension.early(this, reply);
      return;
    }
    const { suspension, complete } = this.#parts;
    outlet.answer(this.id, complete(this.newest, suspension.outgoing(this, reply)));
  }

  /** The client has closed the connection of that outlet: if the call would answer there, nobody wants it any more. */
  gone(outlet: CallOutlet, reason: unknown): void {
    if (this.#outlet !== outlet) return;
    this.#outlet = null;
    this.abort(reason);
  }

  abort(reason: unknown): void {
    this.#abort.abort(reason);
  }

  /** A notification as this client wants it; null: it does not want it. */
  #passing(method: string, params: JsonObject | undefined): JsonObject | null {
    const { logLevel, progressToken } = this.newest;
    if (method === "notifications/progress") {
      return progressToken === null ? null : { ...params, progressToken };
    }
    if (method !== "notifications/message") return params ?? {};
    const level = isJsonObject(params) ? params["level"] : undefined;
    if (logLevel === null || params === undefined) return null;
    const isEnough = !isLogLevel(level) || LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(logLevel);
    return isEnough ? params : null;
  }
}
