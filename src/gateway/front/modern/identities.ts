// Who a request of protocol 2026-07-28 is towards backends: it has no session, so it borrows an identity for its time.
// No two requests have the same one at once, so a server's question is always about one request alone.
import { randomBytes } from "node:crypto";
import { FleetingMap, FleetingSet } from "../../../runtime/fleeting.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, type JsonObject, type Reply } from "../../json-rpc.ts";
import { type McpLogLevel, MODERN_VERSION } from "../../protocol.ts";
import type { FrontGateway, SessionPort } from "../session/front-contract.ts";
import type { ModernRequest } from "./request.ts";

/** An identity that nobody has borrowed for so long ends, and with it what backends keep for it. */
export const IDLE_LIMIT_MS = 300_000;
const LOOK_MS = 60_000;
/** So long one is left to the call that is expected back with a server's state: that process may alone read it. */
const EXPECTED_MS = 60_000;
/** So long at most, and so many of one principal, are kept for tasks: an identity's own process may have them. */
const TASK_MS = 3_600_000;
export const MOST_WITH_TASKS = 16;
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
  /** Tells it apart, and is no secret. */
  readonly mark = randomBytes(9).toString("base64url");
  /** A call of it is expected back; monotonic ms. */
  expectedUntilMs = 0;
  /** A task of it may live; monotonic ms. */
  taskUntilMs = 0;
  readonly protocolVersion = MODERN_VERSION;
  readonly capabilities = EVERYTHING;
  principal: Principal;
  caller: string | null;
  clientInfo: JsonObject;
  group: string | null;
  logLevel: McpLogLevel | null;
  busy = true;
  readonly #ended = new AbortController();

  constructor({ principal, caller, clientInfo, group, logLevel }: ModernRequest) {
    this.principal = principal;
    this.caller = caller;
    this.clientInfo = clientInfo;
    this.group = group;
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
  withdraw(): void {}

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
  /** Monotonic ms. */
  readonly sinceMs: number;
}

export class Identities implements Disposable {
  readonly #gateway: FrontGateway;
  readonly #clock: Clock;
  /** In the order in which they were given back. */
  readonly #idle = new FleetingSet<IdleIdentity>();
  readonly #byPrincipal = new FleetingMap<string, IdleIdentity[]>();
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

  /** That of `mark`, if it is there, else the one that this principal gave back last, or a new one. */
  borrow(request: ModernRequest, mark: string | null = null): Identity {
    const own = this.#byPrincipal.get(principalKey(request.principal)) ?? [];
    const nowMs = this.#clock.monotonicMs();
    const found =
      (mark === null ? undefined : own.find(({ identity }) => identity.mark === mark)) ??
      own.findLast(({ identity }) => identity.expectedUntilMs <= nowMs && identity.taskUntilMs <= nowMs);
    if (found === undefined) return new Identity(request);
    this.#take(found);
    const { identity } = found;
    identity.expectedUntilMs = 0;
    identity.principal = request.principal;
    identity.caller = request.caller;
    identity.clientInfo = request.clientInfo;
    identity.group = request.group;
    identity.logLevel = request.logLevel;
    identity.busy = true;
    return identity;
  }

  /** Its call comes back, and is best served by the same server. */
  expect(identity: Identity): void {
    identity.expectedUntilMs = this.#clock.monotonicMs() + EXPECTED_MS;
  }

  /** A task of it lives for `ttlMs`, or, where that is no number, nobody knows how long. */
  keep(identity: Identity, ttlMs: unknown): void {
    const forMs = typeof ttlMs === "number" ? Math.min(Math.max(0, ttlMs), TASK_MS) : TASK_MS;
    identity.taskUntilMs = Math.max(identity.taskUntilMs, this.#clock.monotonicMs() + forMs);
  }

  /** Somebody still asks for the task of that identity. */
  keepMarked(principal: Principal, mark: string): void {
    const own = this.#byPrincipal.get(principalKey(principal)) ?? [];
    const found = own.find(({ identity }) => identity.mark === mark);
    const untilMs = this.#clock.monotonicMs() + IDLE_LIMIT_MS;
    if (found !== undefined) found.identity.taskUntilMs = Math.max(found.identity.taskUntilMs, untilMs);
  }

  /** `isClean`: no backend may still be at work for it. */
  giveBack(identity: Identity, isClean: boolean): void {
    identity.busy = false;
    identity.logLevel = null;
    if (!isClean || this.#isOver) {
      this.#end(identity);
      return;
    }
    const key = principalKey(identity.principal);
    const one = { identity, key, sinceMs: this.#clock.monotonicMs() };
    this.#idle.add(one);
    const own = this.#byPrincipal.get(key);
    if (own === undefined) this.#byPrincipal.set(key, [one]);
    else own.push(one);
    this.#boundTasks(own ?? []);
    const oldest = this.#idle.size > MOST_IDLE ? [...this.#idle][0] : undefined;
    if (oldest !== undefined) this.#drop(oldest);
    this.#timer ??= this.#clock.setTimer(LOOK_MS, this.#look);
  }

  /** Ends those that wait, and whose last request came with a token that was taken back. */
  endWithdrawn(): void {
    const { served } = this.#gateway;
    for (const one of [...this.#idle]) if (served.isWithdrawn(one.identity.principal)) this.#drop(one);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    for (const one of [...this.#idle]) this.#drop(one);
  }

  readonly #look = (): void => {
    const nowMs = this.#clock.monotonicMs();
    for (const one of [...this.#idle]) {
      if (one.sinceMs <= nowMs - IDLE_LIMIT_MS && one.identity.taskUntilMs <= nowMs) this.#drop(one);
    }
    this.#timer = this.#idle.size > 0 ? this.#clock.setTimer(LOOK_MS, this.#look) : null;
  };

  /** Of more than so many with tasks the one that was given back first is as any other. */
  #boundTasks(own: readonly IdleIdentity[]): void {
    const nowMs = this.#clock.monotonicMs();
    const withTasks = own.filter(({ identity }) => identity.taskUntilMs > nowMs);
    const [first] = withTasks;
    if (first !== undefined && withTasks.length > MOST_WITH_TASKS) first.identity.taskUntilMs = 0;
  }

  #take(one: IdleIdentity): void {
    this.#idle.delete(one);
    const own = this.#byPrincipal.get(one.key) ?? [];
    // Mostly the one that came last.
    if (own.at(-1) === one) own.pop();
    else own.splice(own.indexOf(one), 1);
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
