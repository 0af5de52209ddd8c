// Serves requests that other machines of the fleet bring for sessions of this machine: one HTTP request in each stream.
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import type { Refusal } from "./answer.ts";
import { LONGEST_HEAD, readForwarded } from "./forwarding.ts";
import type { LegacySse } from "./legacy-sse.ts";
import {
  type AuthenticatedRequest,
  type Exchange,
  groupOf,
  MCP_PATH,
  MESSAGES_PATH,
  pathOf,
  SESSION_HEADER,
} from "./request.ts";
import type { FrontTools } from "./request-admission.ts";

/** Time within which the head of the request on a stream must arrive, ms. */
const HEAD_MS = 15_000;

interface ForwardedOptions extends FrontTools {
  readonly legacy: Pick<LegacySse, "findShared">;
  /** Why MCP is not served at that path; null: it is. */
  readonly refusalOf: (path: string, method: string | undefined) => Refusal | null;
  readonly serve: (authenticated: AuthenticatedRequest) => void;
}

export class ForwardedRequests {
  readonly #options: ForwardedOptions;
  /** Every open stream, with the timer of its deadline. */
  readonly #streams = new Map<Duplex, Disposable>();
  #server: Server | null = null;
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: ForwardedOptions) {
    this.#options = options;
  }

  serve(stream: Duplex): void {
    this.#server ??= this.#createServer();
    const deadline = this.#options.clock.setTimer(HEAD_MS, () => stream.destroy());
    this.#streams.set(stream, deadline);
    stream.on("error", () => {});
    stream.once("close", () => {
      this.#streams.get(stream)?.[Symbol.dispose]();
      this.#streams.delete(stream);
      if (this.#streams.size > 0) return;
      this.#idle?.resolve();
      this.#idle = null;
    });
    this.#server.emit("connection", stream);
  }

  /** Resolves when no stream is open. */
  idle(): Promise<void> {
    if (this.#streams.size === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  /** Waits `graceMs` at most for answers that are being sent, and closes the remaining streams. */
  async end(graceMs: number): Promise<void> {
    await settlesWithin(this.#options.clock, graceMs, this.idle());
    for (const stream of [...this.#streams.keys()]) stream.destroy();
  }

  /** The other machine has authenticated the client. The request's headers name the client and its session. */
  async #take(exchange: Exchange): Promise<void> {
    const { sessions, refuse, refusalOf, guarded } = this.#options;
    const { request, response } = exchange;
    const forwarded = readForwarded(request.headers);
    const path = pathOf(request.url);
    const isOfSession = path === MCP_PATH || path === MESSAGES_PATH || groupOf(path) !== null;
    const refusal = refusalOf(path, request.method);
    if (forwarded === null || !isOfSession || refusal !== null) {
      refuse(exchange, refusal ?? { status: 400, message: "it is not a request for a session" });
      return;
    }
    await sessions.restore();
    if (!response.destroyed) guarded(exchange, () => this.#admit(exchange, forwarded));
  }

  /** Replaces the proof of a session id by the id itself, which is never sent between machines. */
  #admit(exchange: Exchange, { proof, caller }: NonNullable<ReturnType<typeof readForwarded>>): void {
    const { sessions, legacy, admission, serve } = this.#options;
    const { request } = exchange;
    const isLegacy = pathOf(request.url) === MESSAGES_PATH;
    const found = isLegacy ? legacy.findShared(proof, caller) : sessions.findShared(proof, caller);
    if (found === null || found === "foreign") {
      admission.refuseSession({ ...exchange, principal: caller }, found);
      return;
    }
    if ("id" in found) request.url = `${MESSAGES_PATH}?sessionId=${found.id}`;
    else request.headers[SESSION_HEADER] = found.sessionId;
    serve({ ...exchange, principal: found.principal });
  }

  #createServer(): Server {
    // Not imported: that would also load 16 MB of fetch and WebSocket.
    const { createServer } = process.getBuiltinModule("node:http");
    const server = createServer({ maxHeaderSize: LONGEST_HEAD }, (request, response) => {
      this.#streams.get(request.socket)?.[Symbol.dispose]();
      // The stream ends with its answer, even if the request asks for keep-alive.
      response.shouldKeepAlive = false;
      void this.#take({ request, response });
    });
    // A stream carries one request: pipelined ones are refused.
    server.maxRequestsPerSocket = 1;
    server.on("clientError", (_, socket) => socket.destroy());
    return server;
  }
}
