// MCP over HTTP: admits each request, and gives it to the transport of its path. The listener owns the sockets.
import type { IncomingMessage, ServerResponse } from "node:http";
import { errorText } from "../../../runtime/errors.ts";
import type { Principal } from "../../client-handle.ts";
import { INTERNAL_ERROR } from "../../json-rpc.ts";
import type { ModernFront } from "../modern/modern-front.ts";
import type { Side, StrayMessage } from "../session/other-daemons.ts";
import { KeepAlive } from "../session/paced-writer.ts";
import type { SessionChange } from "../session/session-memory.ts";
import { SessionStore, type StoreOptions } from "../session/session-store.ts";
import { type Refusal, refuse } from "./answer.ts";
import { answerDocument } from "./documents.ts";
import { LegacySse } from "./legacy-sse.ts";
import { MessageIntake } from "./message-intake.ts";
import { answerPreflight } from "./other-pages.ts";
import {
  type AuthenticatedRequest,
  addressOf,
  type Exchange,
  groupOf,
  MCP_PATH,
  MESSAGES_PATH,
  methodsAt,
  notAllowed,
  pathOf,
  SSE_PATH,
} from "./request.ts";
import { type AdmissionOptions, type FrontTools, RequestAdmission } from "./request-admission.ts";
import { type StreamParts, unreadOf } from "./sse-stream.ts";
import { StreamableHttp } from "./streamable-http.ts";

const STOPPING: Refusal = {
  status: 503,
  message: "the gateway is stopping",
  headers: { "Retry-After": "2" },
};

interface HttpFrontOptions extends StoreOptions, AdmissionOptions {
  readonly modern: ModernFront;
  readonly bodyLimitBytes: () => number;
}

/** Disposing is `stop(0)`. */
export class HttpFront implements AsyncDisposable {
  readonly store: SessionStore;
  readonly #options: HttpFrontOptions;
  readonly #parts: StreamParts;
  readonly #tools: FrontTools;
  readonly #streamable: StreamableHttp;
  readonly #legacy: LegacySse;
  #stopping: Promise<void> | null = null;

  constructor(options: HttpFrontOptions) {
    const { clock, modern, bodyLimitBytes } = options;
    this.#options = options;
    this.#parts = { clock, keepAlive: new KeepAlive(clock) };
    this.store = new SessionStore(options);
    const refuse = this.#refuse;
    const guarded = this.#guarded;
    const admission = new RequestAdmission(options, refuse);
    const isStillValid = (authenticated: AuthenticatedRequest): boolean =>
      admission.isStillValid(authenticated);
    const { receiving } = options.gateway;
    const intake = new MessageIntake({ clock, bodyLimitBytes, isStillValid, receiving, refuse, guarded });
    this.#tools = {
      ...options,
      parts: this.#parts,
      sessions: this.store,
      admission,
      intake,
      refuse,
      guarded,
    };
    this.#streamable = new StreamableHttp(this.#tools, modern);
    this.#legacy = new LegacySse(this.#tools);
  }

  /** Answers every request; never throws. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = { request, response };
    this.#guarded(exchange, () => this.#route(exchange));
  };

  /**
   * Takes a client's message that the daemon `from` has received. Resolves with whether it is about something in this daemon,
   * or in one behind it.
   */
  async deliver(message: StrayMessage, from: Side): Promise<boolean> {
    const isHere = await (message.to === "stream" ? this.#legacy : this.store).deliver(message);
    return isHere || ((await this.#options.others?.deliver(message, from)) ?? false);
  }

  /** Takes what a client has changed in its session at the daemon `from`. */
  change(hash: string, change: SessionChange, from: Side): void {
    this.store.change(hash, change);
    this.#options.others?.report(hash, change, from);
  }

  /** Ends the streams on which clients listen, each of HTTP+SSE as soon as it is quiet; clients then connect to the next daemon. */
  leave(): void {
    this.#streamable.leave();
    this.#legacy.leave();
  }

  endWithdrawn(): void {
    this.#legacy.endWithdrawn();
  }

  get sessions(): number {
    return this.store.size;
  }

  get inFlight(): number {
    return this.store.inFlight;
  }

  /**
   * Refuses new requests (503), ends the streams on which clients listen, waits `graceMs` at most for calls in flight,
   * then ends every session. A second call returns the same promise.
   */
  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.store.end(graceMs, STOPPING.message).finally(() => {
      this.#legacy.end();
      for (const owned of [this.#streamable, this.#parts.keepAlive, this.#tools.intake])
        owned[Symbol.dispose]();
    });
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop(0);
  }

  readonly #refuse = ({ request, response }: Exchange, refusal: Refusal): void =>
    refuse(this.#parts, request, response, refusal);

  /** An unexpected error fails only its own request. */
  readonly #guarded = (exchange: Exchange, work: () => void): void => {
    try {
      work();
    } catch (error) {
      const { request, response } = exchange;
      const { logger } = this.#options;
      logger.error("a request was not handled", { path: pathOf(request.url), error: errorText(error) });
      if (response.headersSent) response.destroy();
      else this.#refuse(exchange, { status: 500, code: INTERNAL_ERROR, message: "internal error" });
    }
  };

  #route(exchange: Exchange): void {
    const { admission } = this.#tools;
    const found = admission.origin(exchange);
    if (found === null) return;
    const { request, response } = exchange;
    const path = pathOf(request.url);
    if (found.page !== null && answerPreflight(exchange, found.page)) return;
    if (answerDocument(this.#tools, exchange, path)) return;
    if (this.#options.gateway.signIn(request, response, addressOf(request))) return;
    const refusal = this.#refusalOf(path, request.method);
    if (refusal !== null) {
      this.#refuse(exchange, refusal);
      return;
    }
    const serve = (principal: Principal | null): void => {
      if (principal === null || response.destroyed) return;
      unreadOf.set(response, this.#options.gateway.unread(principal));
      this.#serve({ request, response, principal }, path);
    };
    const identified = admission.identify(exchange);
    if (identified instanceof Promise)
      void identified.then((principal) => this.#guarded(exchange, () => serve(principal)));
    else serve(identified);
  }

  #serve(authenticated: AuthenticatedRequest, path: string): void {
    if (path === SSE_PATH) this.#legacy.listen(authenticated);
    else if (path === MESSAGES_PATH) this.#legacy.post(authenticated);
    else this.#streamable.serve(authenticated);
  }

  /** Why MCP is not served at that path with that method; null: it is. */
  #refusalOf(path: string, method = ""): Refusal | null {
    const group = groupOf(path);
    const allowed = methodsAt(path);
    if (allowed === undefined || (group !== null && !this.#options.gateway.hasGroup(group)))
      return { status: 404, message: nothingAt(group) };
    if (!allowed.includes(method)) return notAllowed(allowed.join(", "));
    return this.#stopping === null ? null : STOPPING;
  }
}

function nothingAt(group: string | null): string {
  if (group === null) return `nothing is served here; MCP is at ${MCP_PATH}`;
  return `there is no group ${group}; everything is at ${MCP_PATH}`;
}
