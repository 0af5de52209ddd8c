// Where other machines of the fleet bring requests of their clients for sessions that are held here: one in each stream.
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { settledWithin } from "../../../runtime/time/clock.ts";
import type { Principal } from "../../client-port.ts";
import type { Refusal } from "./answer.ts";
import { LONGEST_HEAD, readForwarded } from "./forwarding.ts";
import type { OlderDoor } from "./older-door.ts";
import { groupOf, MCP_PATH, MESSAGES_PATH, pathOf, SESSION_HEADER } from "./request.ts";
import type { Exchange, FrontTools, Visit } from "./request-admission.ts";

/** A stream has so long to bring its request's head, ms. */
const HEAD_MS = 15_000;

interface DoorOptions extends FrontTools {
  readonly older: Pick<OlderDoor, "findShared">;
  /** Why nothing is served there; null: MCP is. */
  readonly refusalOf: (path: string, method: string | undefined) => Refusal | null;
  /** Answers it, sooner or later, as if it had come here. */
  readonly take: (visit: Visit) => void;
  /** Does it; a mistake costs the request, and nothing else. */
  readonly guarded: (exchange: Exchange, work: () => void) => void;
}

export class ForwardedDoor {
  readonly #options: DoorOptions;
  /** By stream, until something has come: ends it. */
  readonly #waiting = new Map<Duplex, Disposable>();
  readonly #streams = new Set<Duplex>();
  #server: Server | null = null;
  #idle: PromiseWithResolvers<void> | null = null;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** Serves one request. */
  serve(stream: Duplex): void {
    this.#server ??= this.#open();
    this.#streams.add(stream);
    this.#waiting.set(
      stream,
      this.#options.clock.setTimer(HEAD_MS, () => stream.destroy()),
    );
    stream.on("error", () => {});
    stream.once("close", () => {
      this.#came(stream);
      this.#streams.delete(stream);
      if (this.#streams.size > 0) return;
      this.#idle?.resolve();
      this.#idle = null;
    });
    this.#server.emit("connection", stream);
  }

  /** Resolves when no stream is left. */
  idle(): Promise<void> {
    if (this.#streams.size === 0) return Promise.resolve();
    this.#idle ??= Promise.withResolvers();
    return this.#idle.promise;
  }

  /** Waits `graceMs` at most for answers that are on their way, and cuts what is left. */
  async end(graceMs: number): Promise<void> {
    await settledWithin(this.#options.clock, graceMs, this.idle());
    for (const stream of [...this.#streams]) stream.destroy();
  }

  /** Whom the machine that brings it has let in, and by which session, is read here; all else holds as for anybody. */
  async #take(exchange: Exchange): Promise<void> {
    const { sessions, refuse, refusalOf, guarded } = this.#options;
    const { request, response } = exchange;
    const said = readForwarded(request.headers);
    const path = pathOf(request.url);
    const isOfSession = path === MCP_PATH || path === MESSAGES_PATH || groupOf(path) !== null;
    const refusal = refusalOf(path, request.method);
    if (said === null || !isOfSession || refusal !== null) {
      refuse(exchange, refusal ?? { status: 400, message: "it is no request for a session" });
      return;
    }
    await sessions.restore();
    if (!response.destroyed) guarded(exchange, () => this.#admit(exchange, said));
  }

  #admit(exchange: Exchange, { proof, caller }: NonNullable<ReturnType<typeof readForwarded>>): void {
    const { sessions, admission, take } = this.#options;
    if (pathOf(exchange.request.url) === MESSAGES_PATH) {
      this.#admitOlder(exchange, proof, caller);
      return;
    }
    const session = sessions.findShared(proof, caller);
    if (session === null || session === "foreign") {
      admission.refuseSession({ ...exchange, principal: caller }, session);
      return;
    }
    // As it stands here: it has never left this machine.
    exchange.request.headers[SESSION_HEADER] = session.sessionId;
    take({ ...exchange, principal: session.principal });
  }

  #admitOlder(exchange: Exchange, proof: string, caller: Principal): void {
    const { older, admission, take } = this.#options;
    const found = older.findShared(proof, caller);
    if (found === null) {
      admission.refuseSession({ ...exchange, principal: caller }, null);
      return;
    }
    exchange.request.url = `${MESSAGES_PATH}?sessionId=${found.id}`;
    take({ ...exchange, principal: found.principal });
  }

  #came(stream: Duplex): void {
    this.#waiting.get(stream)?.[Symbol.dispose]();
    this.#waiting.delete(stream);
  }

  #open(): Server {
    // Not imported: the module's ESM face evaluates lazy exports, and those load 16 MB of fetch and WebSocket.
    const { createServer } = process.getBuiltinModule("node:http");
    const server = createServer({ maxHeaderSize: LONGEST_HEAD }, (request, response) => {
      this.#came(request.socket);
      // Whatever its head says: the stream ends with its answer.
      response.shouldKeepAlive = false;
      void this.#take({ request, response });
    });
    // As a stream is for one, who sends others ahead cannot have them wait here.
    server.maxRequestsPerSocket = 1;
    server.on("clientError", (_, socket) => socket.destroy());
    return server;
  }
}
