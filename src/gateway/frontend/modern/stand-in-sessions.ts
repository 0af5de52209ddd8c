// Stand-in sessions. A request of 2026-07-28 has no session, but legacy backends serve sessions, so each request leases a
// stand-in session while it is in flight. No stand-in serves two requests at a time, so that a server's request always
// belongs to one of them.
import { randomBytes } from "node:crypto";
import { ShortLivedSet } from "../../../runtime/short-lived.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey } from "../../client-handle.ts";
import { BACKEND_UNAVAILABLE, errorReply, type JsonObject, type Reply } from "../../json-rpc.ts";
import { type McpLogLevel, MODERN_VERSION } from "../../protocol.ts";
import type { FrontGateway, SessionPort } from "../session/front-contract.ts";
import type { ModernRequest } from "./request.ts";

/** An idle stand-in session without a task ends after this time, together with the state that backends keep for it. */
export const IDLE_LIMIT_MS = 300_000;
const CHECK_MS = 60_000;
/**
 * How long a stand-in session is kept for a call that will return, because only the server process of this session can
 * read the state of the call.
 */
const EXPECTED_MS = 60_000;
/**
 * A stand-in session whose own server processes may run tasks is kept for `TASK_MS`; at most `MOST_WITH_TASKS` of these
 * for each principal.
 */
const TASK_MS = 3_600_000;
export const MOST_WITH_TASKS = 16;
/** Maximum number of idle identities of all principals; beyond it the one that is idle for longest ends. */
export const MOST_IDLE = 256;

/** Declared for all requests, because each request declares its own. Extensions are those of the newest request. */
const EVERYTHING: JsonObject = {
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  roots: {},
};

function capabilitiesOf({ capabilities: { extensions } }: ModernRequest): JsonObject {
  return extensions === undefined ? EVERYTHING : { ...EVERYTHING, extensions };
}

export class StandInSession implements SessionPort {
  readonly sessionId = randomBytes(24).toString("base64url");
  /** An id that may become public, unlike `sessionId`. */
  readonly publicId = randomBytes(9).toString("base64url");
  /** Monotonic time, ms, until which a call of this session may return. */
  expectedUntilMs = 0;
  /** A task of this identity may exist until this time, monotonic ms. */
  taskUntilMs = 0;
  /** Monotonic ms. */
  idleSinceMs = 0;
  readonly protocolVersion = MODERN_VERSION;
  capabilities: JsonObject;
  principal: Principal;
  caller: string | null;
  clientInfo: JsonObject;
  group: string | null;
  /** Its own instances start in this folder, so it never changes. */
  readonly folder: string | null;
  logLevel: McpLogLevel | null;
  busy = true;
  readonly #ended = new AbortController();

  constructor(request: ModernRequest) {
    const { principal, caller, clientInfo, group, folder, logLevel } = request;
    this.capabilities = capabilitiesOf(request);
    this.principal = principal;
    this.caller = caller;
    this.clientInfo = clientInfo;
    this.group = group;
    this.folder = folder;
    this.logLevel = logLevel;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** These do nothing, because outside of a request no client is connected. */
  notify(): void {}
  listChanged(): void {}
  setLogLevel(): void {}
  admit(): void {}
  withdraw(): void {}

  request(): Promise<Reply> {
    return Promise.resolve(
      errorReply(BACKEND_UNAVAILABLE, "the client can only be asked within its own requests"),
    );
  }

  end(): void {
    this.#ended.abort();
  }
}

export class StandInSessions implements Disposable {
  readonly #gateway: FrontGateway;
  readonly #clock: Clock;
  /** In the order in which they became idle. */
  readonly #idle = new ShortLivedSet<StandInSession>();
  #timer: Timer | null = null;
  #isOver = false;

  constructor(gateway: FrontGateway, clock: Clock) {
    this.#gateway = gateway;
    this.#clock = clock;
  }

  get idle(): number {
    return this.#idle.size;
  }

  /**
   * The principal's idle identity with that mark; else its most recently used idle identity of that folder, or a new
   * one.
   */
  lease(request: ModernRequest, mark: string | null = null): StandInSession {
    const own = this.#idleOf(request.principal).filter(({ folder }) => folder === request.folder);
    const nowMs = this.#clock.monotonicMs();
    const identity =
      (mark === null ? undefined : own.find((one) => one.publicId === mark)) ??
      own.findLast(({ expectedUntilMs, taskUntilMs }) => expectedUntilMs <= nowMs && taskUntilMs <= nowMs);
    if (identity === undefined) return new StandInSession(request);
    this.#idle.delete(identity);
    identity.expectedUntilMs = 0;
    identity.principal = request.principal;
    identity.caller = request.caller;
    identity.clientInfo = request.clientInfo;
    identity.capabilities = capabilitiesOf(request);
    identity.group = request.group;
    identity.logLevel = request.logLevel;
    identity.busy = true;
    return identity;
  }

  /** Reserves the session: its call will return, and needs the same server process. */
  expect(identity: StandInSession): void {
    identity.expectedUntilMs = this.#clock.monotonicMs() + EXPECTED_MS;
  }

  /** Keeps the identity for a task of `ttlMs`, at most `TASK_MS`. Without a number: `TASK_MS`. */
  retain(identity: StandInSession, ttlMs: unknown): void {
    const forMs = typeof ttlMs === "number" ? Math.min(Math.max(0, ttlMs), TASK_MS) : TASK_MS;
    identity.taskUntilMs = Math.max(identity.taskUntilMs, this.#clock.monotonicMs() + forMs);
  }

  /** Keeps the identity that has `publicId` for longer, because a client still asks for a task of this identity. */
  keepMarked(principal: Principal, mark: string): void {
    const found = this.#idleOf(principal).find((one) => one.publicId === mark);
    if (found !== undefined) this.retain(found, IDLE_LIMIT_MS);
  }

  /** `isClean`: no backend is still working for the identity. */
  giveBack(identity: StandInSession, isClean: boolean): void {
    identity.busy = false;
    identity.logLevel = null;
    if (!isClean || this.#isOver) {
      this.#end(identity);
      return;
    }
    identity.idleSinceMs = this.#clock.monotonicMs();
    this.#idle.add(identity);
    if (identity.taskUntilMs > identity.idleSinceMs) this.#boundTasks(this.#idleOf(identity.principal));
    const oldest = this.#idle.size > MOST_IDLE ? [...this.#idle][0] : undefined;
    if (oldest !== undefined) this.#drop(oldest);
    this.#timer ??= this.#clock.setTimer(CHECK_MS, this.#check);
  }

  /** Ends idle identities whose last request had a token that is now revoked. */
  endWithdrawn(): void {
    const { served } = this.#gateway;
    for (const identity of this.#idle) if (served.isWithdrawn(identity.principal)) this.#drop(identity);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    for (const identity of this.#idle) this.#drop(identity);
  }

  readonly #check = (): void => {
    const nowMs = this.#clock.monotonicMs();
    for (const identity of this.#idle) {
      const { idleSinceMs, taskUntilMs } = identity;
      if (idleSinceMs <= nowMs - IDLE_LIMIT_MS && taskUntilMs <= nowMs) this.#drop(identity);
    }
    this.#timer = this.#idle.size > 0 ? this.#clock.setTimer(CHECK_MS, this.#check) : null;
  };

  /** Beyond `MOST_WITH_TASKS`, the identity that is idle for longest is no longer kept for its tasks. */
  #boundTasks(own: readonly StandInSession[]): void {
    const nowMs = this.#clock.monotonicMs();
    const [first, ...others] = own.filter(({ taskUntilMs }) => taskUntilMs > nowMs);
    if (first !== undefined && others.length >= MOST_WITH_TASKS) first.taskUntilMs = 0;
  }

  /** The principal's idle identities, the most recently used at the end. */
  #idleOf(principal: Principal): StandInSession[] {
    const key = principalKey(principal);
    return [...this.#idle].filter((identity) => principalKey(identity.principal) === key);
  }

  #drop(identity: StandInSession): void {
    this.#idle.delete(identity);
    this.#end(identity);
  }

  #end(identity: StandInSession): void {
    identity.end();
    this.#gateway.closed(identity);
  }
}
