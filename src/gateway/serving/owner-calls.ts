// Requests of the home's owner from the command line (`mountaineer call`). All belong to one session.
import { errorText } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { settlesWithin, type Timer } from "../../runtime/time/clock.ts";
import { cancelled } from "../backends/instance/calls.ts";
import { OWNER_IN_PERSON, OWNER_SESSION_ID } from "../client-handle.ts";
import type { CallStream } from "../frontend/session/client-stream.ts";
import type { FrontGateway } from "../frontend/session/front-contract.ts";
import { Session } from "../frontend/session/session.ts";
import { IDLE_LIMIT_MS } from "../frontend/session/session-store.ts";
import { BACKEND_UNAVAILABLE, errorReply, type JsonObject, type Reply } from "../json-rpc.ts";
import { LATEST_VERSION } from "../protocol.ts";

const STOPPING = "the gateway is stopping";

interface OwnerOptions extends RuntimeTools {
  readonly gateway: FrontGateway;
}

/** The owner's session begins with the first request. It ends when it has been idle for a day. */
export class OwnerCalls {
  readonly #options: OwnerOptions;
  #session: Session | null = null;
  #idleTimer: Timer | null = null;
  /** Resolves when no request is in flight; null: it is not stopping. */
  #idle: PromiseWithResolvers<void> | null = null;
  #lastId = 0;

  constructor(options: OwnerOptions) {
    this.#options = options;
  }

  get inFlight(): number {
    return this.#session?.inFlight ?? 0;
  }

  /** Never rejects. The signal cancels only this request. */
  async request(method: string, params: JsonObject | undefined, signal: AbortSignal): Promise<Reply> {
    if (this.#idle !== null) return errorReply(BACKEND_UNAVAILABLE, STOPPING);
    if (signal.aborted) return cancelled();
    this.#session ??= this.#begin();
    const session = this.#session;
    this.#lastId += 1;
    const id = this.#lastId;
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const cancel = (): void => {
      const given = { requestId: id, reason: errorText(signal.reason) };
      const message = { jsonrpc: "2.0", method: "notifications/cancelled", params: given } as const;
      session.take({ kind: "notification", message });
    };
    signal.addEventListener("abort", cancel);
    const stream: CallStream = {
      congested: null,
      // The command takes no notices and answers no questions.
      send: () => false,
      answer(_id, reply) {
        signal.removeEventListener("abort", cancel);
        resolve(reply ?? cancelled());
      },
    };
    session.serve({ jsonrpc: "2.0", id, method, ...(params !== undefined && { params }) }, stream);
    return promise;
  }

  async stop(graceMs: number): Promise<void> {
    this.#idle = Promise.withResolvers<void>();
    if (this.inFlight > 0 && graceMs > 0) {
      await settlesWithin(this.#options.clock, graceMs, this.#idle.promise);
    }
    this.#session?.end(STOPPING);
  }

  // `opened` is left out, because this session has no stream for change notices.
  #begin(): Session {
    return new Session({
      ...this.#options,
      id: OWNER_SESSION_ID,
      principal: OWNER_IN_PERSON,
      protocolVersion: LATEST_VERSION,
      capabilities: {},
      clientInfo: { name: "mountaineer" },
      group: null,
      onAnswered: () => this.#answered(),
      onEnded: () => {
        this.#session = null;
        this.#idleTimer?.[Symbol.dispose]();
      },
    });
  }

  #answered(): void {
    if (this.inFlight > 0) return;
    this.#idle?.resolve();
    if (this.#session === null) return;
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = this.#options.clock.setTimer(IDLE_LIMIT_MS, () => {
      if (this.inFlight === 0) this.#session?.end("the session was idle for a day");
    });
  }
}
