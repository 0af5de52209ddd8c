// Who a request of protocol 2026-07-28 is towards backends: it has no session, so it borrows an identity for its time.
// No two requests have the same one at once, so a server's question is always about one request alone. A client that
// comes back with an answer gets the one that it had, and with it the process where a backend has one for each client.
import { randomBytes } from "node:crypto";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, type JsonObject, type Reply } from "../../json-rpc.ts";
import { type McpLogLevel, MODERN_VERSION } from "../../protocol.ts";
import type { FrontGateway, SessionPort } from "../session/front-contract.ts";
import type { ModernRequest } from "./request.ts";

/** An identity that nobody has borrowed for so long ends, and with it what backends keep for it. */
export const IDLE_LIMIT_MS = 300_000;
/** The same for one whose client is being asked: a person may be at the answer. */
export const AWAITED_LIMIT_MS = 600_000;
const LOOK_MS = 60_000;
/** Of all principals; beyond it the one that was given back first ends. */
export const MOST_IDLE = 256;

/** Whatever a server may ask for: what the request declared decides when it asks. */
const EVERYTHING: JsonObject = {
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  roots: {},
};

export class Identity implements SessionPort {
  readonly sessionId = randomBytes(24).toString("base64url");
  /** In the state that its client carries; it opens nothing. */
  readonly name = randomBytes(9).toString("base64url");
  readonly protocolVersion = MODERN_VERSION;
  readonly capabilities = EVERYTHING;
  principal: Principal;
  clientInfo: JsonObject;
  logLevel: McpLogLevel | null;
  busy = true;
  readonly #ended = new AbortController();

  constructor({ principal, clientInfo, logLevel }: ModernRequest) {
    this.principal = principal;
    this.clientInfo = clientInfo;
    this.logLevel = logLevel;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Outside of a request there is nobody. */
  notify(): void {}
  listChanged(): void {}
  setLogLevel(): void {}
  admit(): void {}

  request(): Promise<Reply> {
    return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, "the client is asked within its requests alone"));
  }

  end(): void {
    this.#ended.abort();
  }
}

interface IdleIdentity {
  readonly identity: Identity;
  readonly key: string;
  /** A client was asked something, and is to come back to it. */
  readonly isAwaited: boolean;
  /** Monotonic ms. */
  readonly untilMs: number;
}

export class Identities implements Disposable {
  readonly #gateway: FrontGateway;
  readonly #clock: Clock;
  /** In the order in which they were given back. */
  readonly #idle = new Set<IdleIdentity>();
  readonly #byPrincipal = new Map<string, IdleIdentity[]>();
  #timer: Timer | null = null;
  #isOver = false;

  constructor(gateway: FrontGateway, clock: Clock) {
    this.#gateway = gateway;
    this.#clock = clock;
  }

  /** How many wait to be borrowed. */
  get idle(): number {
    return this.#idle.size;
  }

  /** The one of that name, or what this principal gave back last and nobody is to come back to, or a new one. */
  borrow(request: ModernRequest, name: string | null = null): Identity {
    const own = this.#byPrincipal.get(principalKey(request.principal));
    const named = name === null ? undefined : own?.find(({ identity }) => identity.name === name);
    const found = named ?? own?.findLast(({ isAwaited }) => !isAwaited);
    if (found === undefined) return new Identity(request);
    this.#take(found);
    const { identity } = found;
    identity.principal = request.principal;
    identity.clientInfo = request.clientInfo;
    identity.logLevel = request.logLevel;
    identity.busy = true;
    return identity;
  }

  /** `isClean`: no backend may still be at work for it. `isAwaited`: its client is asked something. */
  giveBack(identity: Identity, isClean: boolean, isAwaited = false): void {
    identity.busy = false;
    identity.logLevel = null;
    if (!isClean || this.#isOver) {
      this.#end(identity);
      return;
    }
    const key = principalKey(identity.principal);
    const untilMs = this.#clock.monotonicMs() + (isAwaited ? AWAITED_LIMIT_MS : IDLE_LIMIT_MS);
    const one = { identity, key, isAwaited, untilMs };
    this.#idle.add(one);
    const own = this.#byPrincipal.get(key);
    if (own === undefined) this.#byPrincipal.set(key, [one]);
    else own.push(one);
    const [oldest] = this.#idle;
    if (this.#idle.size > MOST_IDLE && oldest !== undefined) this.#drop(oldest);
    this.#timer ??= this.#clock.setTimer(LOOK_MS, this.#look);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    for (const one of [...this.#idle]) this.#drop(one);
  }

  readonly #look = (): void => {
    const nowMs = this.#clock.monotonicMs();
    for (const one of [...this.#idle]) if (one.untilMs <= nowMs) this.#drop(one);
    this.#timer = this.#idle.size > 0 ? this.#clock.setTimer(LOOK_MS, this.#look) : null;
  };

  #take(one: IdleIdentity): void {
    this.#idle.delete(one);
    const own = this.#byPrincipal.get(one.key) ?? [];
    own.splice(own.indexOf(one), 1);
    if (own.length === 0) this.#byPrincipal.delete(one.key);
  }

  #drop(one: IdleIdentity): void {
    this.#take(one);
    this.#end(one.identity);
  }

  #end(identity: Identity): void {
    identity.end();
    this.#gateway.closed(identity);
  }
}
