// Requests of protocol 2026-07-28 on one stream of lines: each stands for itself, and the client takes one back by saying
// so, or by closing the stream.
import type { Principal } from "../../client-port.ts";
import {
  errorReply,
  INVALID_REQUEST,
  idKey,
  isRpcId,
  type JsonObject,
  LIMIT_REACHED,
  type Reply,
  type RpcId,
  type RpcNotification,
  type RpcRequest,
} from "../../json-rpc.ts";
import { isModern, LISTEN } from "../../protocol.ts";
import type { Gone, ModernFront } from "../modern/modern-front.ts";
import { checkModern } from "../modern/request.ts";
import type { CallOutlet } from "../session/outlet.ts";

/** Of one stream in flight. */
const IN_FLIGHT_LIMIT = 512;

/** Whether a request is of that version, as far as a stream can be told so before `initialize`. */
export function beginsModern({ method, params }: RpcRequest): boolean {
  return method === "server/discover" || isModern(params);
}

interface Waiting {
  readonly method: string;
  /** Null while it is being handed on. */
  gone: Gone | null;
}

interface ModernLinesOptions {
  readonly modern: ModernFront;
  readonly principal: Principal;
  /** Of the client; null: it is served everything. */
  readonly group: () => string | null;
  readonly outlet: CallOutlet;
  /** Called whenever a request has its answer, or was taken back. */
  readonly onSettled: () => void;
}

export class ModernLines {
  readonly #options: ModernLinesOptions;
  readonly #waiting = new Map<ReturnType<typeof idKey>, Waiting>();
  #isUsed = false;

  constructor(options: ModernLinesOptions) {
    this.#options = options;
  }

  /** A request of this version has come. */
  get isUsed(): boolean {
    return this.#isUsed;
  }

  /** Calls without an answer; who only listens waits for none. */
  get inFlight(): number {
    let count = 0;
    for (const { method } of this.#waiting.values()) if (method !== LISTEN) count += 1;
    return count;
  }

  serve(message: RpcRequest): void {
    const { modern, principal, outlet } = this.#options;
    const { id, method } = message;
    this.#isUsed = true;
    const checked = checkModern(message, principal, null, { trace: null, group: this.#options.group() });
    const refusal = checked.ok ? this.#refusal(id) : checked.reply;
    if (!checked.ok || refusal !== null) {
      if (refusal !== null) outlet.answer(id, refusal);
      return;
    }
    const key = idKey(id);
    const waiting: Waiting = { method, gone: null };
    this.#waiting.set(key, waiting);
    const gone = modern.serve(checked.request, this.#outletOf(key, waiting));
    waiting.gone = gone;
  }

  handle({ method, params }: RpcNotification): void {
    if (method === "notifications/cancelled") this.#cancel(params);
  }

  /** The client has gone. */
  end(): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { gone } of all) gone?.();
  }

  #refusal(id: RpcId): Reply | null {
    if (this.#waiting.has(idKey(id))) {
      return errorReply(INVALID_REQUEST, "a request with this id is in flight");
    }
    if (this.#waiting.size < IN_FLIGHT_LIMIT) return null;
    const message = `this client has ${IN_FLIGHT_LIMIT} requests in flight, the most that one may have; try again in 1 s`;
    return errorReply(LIMIT_REACHED, message, { allowed: IN_FLIGHT_LIMIT, retryAfterMs: 1_000 });
  }

  #outletOf(key: ReturnType<typeof idKey>, waiting: Waiting): CallOutlet {
    const { outlet, onSettled } = this.#options;
    const isWaiting = (): boolean => this.#waiting.get(key) === waiting;
    return {
      get congested() {
        return outlet.congested;
      },
      send: (json) => isWaiting() && outlet.send(json),
      answer: (id, reply) => {
        if (!isWaiting()) return;
        this.#waiting.delete(key);
        outlet.answer(id, reply);
        onSettled();
      },
    };
  }

  #cancel(params: JsonObject | undefined): void {
    const id = params?.["requestId"];
    const key = isRpcId(id) ? idKey(id) : null;
    const waiting = key === null ? undefined : this.#waiting.get(key);
    if (key === null || waiting === undefined) return;
    this.#waiting.delete(key);
    waiting.gone?.();
    this.#options.onSettled();
  }
}
