// The clients' sessions, with the notices and log messages that each of them gets.
import { isDeepStrictEqual } from "node:util";
import { objectOf } from "../../runtime/text/json-object.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { resolveTarget } from "../catalog/resolve.ts";
import type { ClientHandle, Principal } from "../client-handle.ts";
import type { FrontGateway, SessionPort } from "../frontend/session/front-contract.ts";
import type { ListDigests } from "../frontend/session/session-memory.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { CatalogView, ServingSet } from "../middleware/middleware.ts";
import { type RequestTarget, targetOf } from "../middleware/request-target.ts";
import {
  isLogLevel,
  LIST_KINDS,
  LOG_LEVELS,
  type McpLogLevel,
  MODERN_VERSION,
  TASKS_EXTENSION,
} from "../protocol.ts";

/** Differs from all lists. */
const UNSEEN: ListDigests = { tools: "", resources: "", prompts: "" };

export class SessionRoster {
  /** For each session, the lists that its client knows: those at the session's start, or at the last change notice. */
  readonly #sessions = new Map<SessionPort, ListDigests>();
  /** The log levels that requests without a session have asked for. A level is kept until its request ends. */
  readonly #levels = new Set<{ readonly logLevel: McpLogLevel }>();
  /** Sessions that get no change notices before `release`. */
  readonly #awaitingLists = new Set<SessionPort>();

  get size(): number {
    return this.#sessions.size;
  }

  add(session: SessionPort, served: ServingSet): void {
    this.#sessions.set(session, viewOf(session, session.principal, served).digests);
  }

  /**
   * Adds a session from before whose client knows `lists`; null: it is notified of all of them. `release` notifies it of
   * changes.
   */
  continue(session: SessionPort, lists: ListDigests | null): void {
    this.#sessions.set(session, lists ?? UNSEEN);
    this.#awaitingLists.add(session);
  }

  isAwaitingLists(session: SessionPort): boolean {
    return this.#awaitingLists.has(session);
  }

  /** From now on, the session is notified of changes: first of those since its client saw the lists. */
  release(session: SessionPort, served: ServingSet): void {
    if (this.#awaitingLists.delete(session)) this.identified(session, served);
  }

  get awaitingLists(): readonly SessionPort[] {
    return [...this.#awaitingLists];
  }

  knownLists(session: SessionPort): ListDigests {
    return this.#sessions.get(session) ?? UNSEEN;
  }

  remove(session: SessionPort): void {
    this.#sessions.delete(session);
    this.#awaitingLists.delete(session);
  }

  /** Notifies sessions of changed lists, and ends sessions whose token was withdrawn. */
  notifyChanges(served: ServingSet): void {
    for (const [session, was] of [...this.#sessions]) {
      if (served.isWithdrawn(session.principal)) {
        session.withdraw();
        continue;
      }
      const principal = served.refresh(session.principal);
      session.admit(principal !== null);
      if (principal !== null) this.#compare(session, was, viewOf(session, principal, served));
      // A copy, so that the catalog behind `was` can be freed. The session's next request is authenticated again.
      else this.#sessions.set(session, { ...was });
    }
  }

  /** Ends what the sessions' principals may no longer do. */
  endForbidden(served: ServingSet, unsubscribe: (session: SessionPort, uri: string) => void): void {
    for (const session of [...this.#sessions.keys()]) {
      const principal = served.refresh(session.principal);
      const ended = principal && session.endForbidden(served.forClient(session), principal);
      for (const uri of ended ?? []) unsubscribe(session, uri);
    }
  }

  /**
   * Call when a request has come with another principal or other roles, because the session's lists may then have
   * changed.
   */
  identified(session: SessionPort, served: ServingSet): void {
    const was = this.#sessions.get(session);
    if (was !== undefined) this.#compare(session, was, viewOf(session, session.principal, served));
  }

  setLogLevel(client: ClientHandle, level: McpLogLevel): void {
    for (const session of this.#sessions.keys()) if (session === client) session.setLogLevel(level);
  }

  /** Returns a function that removes the level. */
  logAt(logLevel: McpLogLevel): () => void {
    const one = { logLevel };
    this.#levels.add(one);
    return () => void this.#levels.delete(one);
  }

  /** The extensions that all clients have with the same settings. */
  get commonExtensions(): JsonObject {
    const [first = {}, ...others] = [...this.#sessions.keys()].map(({ capabilities }) =>
      objectOf(capabilities["extensions"]),
    );
    const isCommon = ([name, settings]: [string, unknown]): boolean =>
      name !== TASKS_EXTENSION && others.every((one) => isDeepStrictEqual(one[name], settings));
    return Object.fromEntries(Object.entries(first).filter(isCommon));
  }

  get lowestLogLevel(): McpLogLevel | null {
    let lowest: McpLogLevel | null = null;
    for (const all of [this.#levels, this.#sessions.keys()])
      for (const { logLevel } of all)
        if (logLevel !== null && (lowest === null || rank(logLevel) < rank(lowest))) lowest = logLevel;
    return lowest;
  }

  /** Sends a log message only to sessions that asked for its level and see an entry of the backend. */
  /** Logs of a server in `separate` are about the owner's account. */
  emitLog(
    params: JsonObject,
    backend: string,
    served: ServingSet,
    separate: ReadonlySet<string> = new Set(),
  ): void {
    const { level } = params;
    if (!isLogLevel(level)) return;
    for (const session of this.#sessions.keys()) {
      if (session.logLevel === null || rank(level) < rank(session.logLevel)) continue;
      const principal = served.refresh(session.principal);
      if (separate.has(backend) && principal?.kind !== "owner") continue;
      if (principal !== null && viewOf(session, principal, served).sees(backend)) {
        session.notify("notifications/message", params);
      }
    }
  }

  #compare(session: SessionPort, was: ListDigests, { digests: is }: CatalogView): void {
    if (is === was || this.#awaitingLists.has(session)) return;
    this.#sessions.set(session, is);
    for (const kind of LIST_KINDS) if (was[kind] !== is[kind]) session.listChanged(kind);
  }
}

/** `principal`: the refreshed principal of the session, because the roles may have changed. */
function viewOf(
  { group, clientInfo, capabilities }: SessionPort,
  principal: Principal,
  served: ServingSet,
): CatalogView {
  return served.forClient({ principal, group, clientInfo, capabilities }).viewFor(principal);
}

function rank(level: McpLogLevel): number {
  return LOG_LEVELS.indexOf(level);
}

// The client of a session from before knows tools whose backends may not have started yet. Until each backend has started or
// failed once, the client gets no change notices, and its requests wait. A client of which it is not known which lists it has
// seen is notified of all of them, later, so that not all clients read their lists at once. In every session, a call of a
// remembered tool waits while the tool's backend is about to list it.

const FIRST_LISTS_MS = 5_000;
/** Within this time after its first request, a client is notified of lists that it may know already. */
const SPREAD_MS = 10_000;

type AwaitedLists = Parameters<FrontGateway["awaited"]>[1];

interface ContinuedOptions {
  readonly roster: SessionRoster;
  readonly served: () => ServingSet;
  readonly clock: Clock;
  readonly random: () => number;
  /** True while the previous daemon may still run backends that cannot run twice. */
  readonly runsInPrevious?: (() => boolean) | undefined;
  /** Resolves when each backend has started or failed once, or when the signal aborts. */
  readonly whenStarted: (signal: AbortSignal) => Promise<void>;
  readonly isComing: (backend: string) => boolean;
  /** Resolves when the backend has listed or failed, or after a call's longest wait. */
  readonly firstList: (backend: string) => Promise<void>;
  /** Reads the lists that the request is about, if that is due; null: it is not. */
  readonly dueLists: (session: SessionPort, request: AwaitedLists) => Promise<void> | null;
}

export class ContinuedSessions implements Disposable {
  readonly #options: ContinuedOptions;
  /** Requests that wait. `isThere`: the requested entry is served now; always false for a list. */
  readonly #waiting = new Set<{ readonly isThere: () => boolean; readonly start: () => void }>();
  /** Sessions whose clients are notified of all lists, each at its own time. */
  readonly #later = new Map<SessionPort, Timer>();
  readonly #ended = new AbortController();
  #stage: "idle" | "starting" | "over" = "idle";
  #limit: Timer | null = null;

  constructor(options: ContinuedOptions) {
    this.#options = options;
  }

  /** Only the first call has an effect. */
  begin(): void {
    if (this.#stage !== "idle") return;
    this.#stage = "starting";
    this.#wait();
    void this.#options.whenStarted(this.#ended.signal).then(() => this.#end());
  }

  #wait(): void {
    const { clock, runsInPrevious } = this.#options;
    this.#limit = clock.setTimer(FIRST_LISTS_MS, () => {
      // If the previous daemon still runs a backend, the backend is not slow, so the wait starts again.
      if (runsInPrevious?.() === true) this.#wait();
      else this.#end();
    });
  }

  /** `lists`: those that the client knows; null: not known. */
  add(session: SessionPort, lists: ListDigests | null): void {
    const { roster, clock, random } = this.#options;
    roster.continue(session, lists);
    if (lists === null) {
      const timer = clock.setTimer(random() * SPREAD_MS, () => {
        this.#later.delete(session);
        if (this.#stage !== "starting") this.#release(session);
      });
      this.#later.set(session, timer);
    } else if (this.#stage !== "starting") this.#release(session);
  }

  remove(session: SessionPort): void {
    this.#later.get(session)?.[Symbol.dispose]();
    this.#later.delete(session);
  }

  /**
   * Returns null if the request can start now. Otherwise resolves when the requested entry is served, or certainly
   * will not be.
   */
  awaited(session: SessionPort, request: AwaitedLists): Promise<void> | null {
    const { roster, dueLists } = this.#options;
    const { method, params } = request;
    const served = (): ServingSet => this.#options.served().forClient(session);
    // A client without a session may also know tools from before the restart.
    const mayKnow = session.protocolVersion === MODERN_VERSION || roster.isAwaitingLists(session);
    const mustWait = this.#stage === "starting" && mayKnow;
    if (!mustWait && served().catalog.unavailable.size === 0) return dueLists(session, request);
    const target = targetOf(method, params);
    const isAbout = target !== null || method.endsWith("/list");
    const comes = mustWait && isAbout ? this.#untilThere(session, target) : null;
    const firstList = (): Promise<void> | null => {
      const backend = this.#comingFrom(session, target);
      return backend === null ? dueLists(session, request) : this.#options.firstList(backend);
    };
    return comes === null ? firstList() : comes.then(() => firstList() ?? undefined);
  }

  /** Starts requests that no longer need to wait. Called after each change of the serving set. */
  startReady(): void {
    for (const one of this.#waiting) {
      if (this.#stage === "starting" && !one.isThere()) continue;
      this.#waiting.delete(one);
      one.start();
    }
  }

  [Symbol.dispose](): void {
    this.#end();
    for (const session of [...this.#later.keys()]) this.remove(session);
  }

  /** Resolves when the request may start; null: it may start now. `target` is null for a list. */
  #untilThere(session: SessionPort, target: RequestTarget | null): Promise<void> | null {
    const served = (): ServingSet => this.#options.served().forClient(session);
    const isThere = (): boolean =>
      target !== null &&
      resolveTarget(served().catalog, target) !== null &&
      this.#comingFrom(session, target) === null;
    if (isThere()) return null;
    const { promise, resolve: start } = Promise.withResolvers<void>();
    this.#waiting.add({ isThere, start });
    return promise;
  }

  /** Returns the backend that had the tool before and is about to list its tools; null if there is none. */
  #comingFrom(session: SessionPort, target: RequestTarget | null): string | null {
    if (target?.kind !== "tool") return null;
    const { served, isComing } = this.#options;
    const backend = served().forClient(session).unavailableBackend(session.principal, target.name);
    return backend !== null && isComing(backend) ? backend : null;
  }

  #release(session: SessionPort): void {
    const { roster, served } = this.#options;
    roster.release(session, served());
  }

  #end(): void {
    if (this.#stage === "over") return;
    this.#stage = "over";
    this.#limit?.[Symbol.dispose]();
    this.#ended.abort();
    for (const session of this.#options.roster.awaitingLists)
      if (!this.#later.has(session)) this.#release(session);
    this.startReady();
  }
}
