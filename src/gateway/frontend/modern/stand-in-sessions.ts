// Stand-in sessions. A request of 2026-07-28 has no session, but legacy backends serve sessions, so each request leases a
// stand-in session while it is in flight. No stand-in serves two requests at a time, so that a server's request always
// belongs to one of them.
import { randomBytes } from "node:crypto";
import { ofLargest } from "../../../runtime/bounded-map.ts";
import { ShortLivedSet } from "../../../runtime/short-lived.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { type Principal, principalKey, type ReachedAt } from "../../client-handle.ts";
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
/**
 * Maximum number of idle stand-in sessions of all principals; beyond it, the principal with most loses the one that is idle for
 * longest.
 */
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
  /** A task of this stand-in session may exist until this time, monotonic ms. */
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
  address: ReachedAt | undefined;
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
    this.address = request.address;
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

  endForbidden(): readonly string[] {
    return [];
  }

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
   * The principal's idle stand-in session with that mark; else the idle one of that folder that it used last; else a
   * new one.
   */
  lease(request: ModernRequest, mark: string | null = null): StandInSession {
    const own = this.#idleOf(request.principal).filter(({ folder }) => folder === request.folder);
    const nowMs = this.#clock.monotonicMs();
    const standIn =
      (mark === null ? undefined : own.find((one) => one.publicId === mark)) ??
      own.findLast(({ expectedUntilMs, taskUntilMs }) => expectedUntilMs <= nowMs && taskUntilMs <= nowMs);
    if (standIn === undefined) return new StandInSession(request);
    this.#idle.delete(standIn);
    standIn.expectedUntilMs = 0;
    standIn.principal = request.principal;
    standIn.caller = request.caller;
    standIn.clientInfo = request.clientInfo;
    standIn.capabilities = capabilitiesOf(request);
    standIn.group = request.group;
    standIn.logLevel = request.logLevel;
    standIn.address = request.address;
    standIn.busy = true;
    return standIn;
  }

  /** Reserves the session: its call will return, and needs the same server process. */
  expect(standIn: StandInSession): void {
    standIn.expectedUntilMs = this.#clock.monotonicMs() + EXPECTED_MS;
  }

  /** Keeps the stand-in session for a task of `ttlMs`, at most `TASK_MS`. Without a number: `TASK_MS`. */
  retain(standIn: StandInSession, ttlMs: unknown): void {
    const forMs = typeof ttlMs === "number" ? Math.min(Math.max(0, ttlMs), TASK_MS) : TASK_MS;
    standIn.taskUntilMs = Math.max(standIn.taskUntilMs, this.#clock.monotonicMs() + forMs);
  }

  /** Keeps the stand-in session of that mark for longer, because a client still asks for one of its tasks. */
  keepMarked(principal: Principal, mark: string): void {
    const found = this.#idleOf(principal).find((one) => one.publicId === mark);
    if (found !== undefined) this.retain(found, IDLE_LIMIT_MS);
  }

  /** `isClean`: no backend is still working for the stand-in session. */
  giveBack(standIn: StandInSession, isClean: boolean): void {
    standIn.busy = false;
    standIn.logLevel = null;
    if (!isClean || this.#isOver) {
      this.#end(standIn);
      return;
    }
    standIn.idleSinceMs = this.#clock.monotonicMs();
    this.#idle.add(standIn);
    if (standIn.taskUntilMs > standIn.idleSinceMs) this.#boundTasks(this.#idleOf(standIn.principal));
    if (this.#idle.size > MOST_IDLE) {
      const [oldest] = ofLargest(this.#idle, ({ principal }) => principalKey(principal));
      if (oldest !== undefined) this.#drop(oldest);
    }
    this.#timer ??= this.#clock.setTimer(CHECK_MS, this.#check);
  }

  /** Ends idle stand-in sessions whose last request had a token that is now revoked. */
  endWithdrawn(): void {
    const { served } = this.#gateway;
    for (const standIn of this.#idle) if (served.isWithdrawn(standIn.principal)) this.#drop(standIn);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    for (const standIn of this.#idle) this.#drop(standIn);
  }

  readonly #check = (): void => {
    const nowMs = this.#clock.monotonicMs();
    for (const standIn of this.#idle) {
      const { idleSinceMs, taskUntilMs } = standIn;
      if (idleSinceMs <= nowMs - IDLE_LIMIT_MS && taskUntilMs <= nowMs) this.#drop(standIn);
    }
    this.#timer = this.#idle.size > 0 ? this.#clock.setTimer(CHECK_MS, this.#check) : null;
  };

  /** Beyond `MOST_WITH_TASKS`, the stand-in session that is idle for longest is no longer kept for its tasks. */
  #boundTasks(own: readonly StandInSession[]): void {
    const nowMs = this.#clock.monotonicMs();
    const [first, ...others] = own.filter(({ taskUntilMs }) => taskUntilMs > nowMs);
    if (first !== undefined && others.length >= MOST_WITH_TASKS) first.taskUntilMs = 0;
  }

  /** The principal's idle stand-in sessions, the most recently used at the end. */
  #idleOf(principal: Principal): StandInSession[] {
    const key = principalKey(principal);
    return [...this.#idle].filter((standIn) => principalKey(standIn.principal) === key);
  }

  #drop(standIn: StandInSession): void {
    this.#idle.delete(standIn);
    this.#end(standIn);
  }

  #end(standIn: StandInSession): void {
    standIn.end();
    this.#gateway.closed(standIn);
  }
}
