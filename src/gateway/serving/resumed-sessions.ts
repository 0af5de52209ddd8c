// A session that is older than a restart knows tools whose backends may not have started yet. Until each backend's first
// attempt is over, such a session hears of no changed list, and what it asks for waits. Every session waits for a tool that
// is remembered of a backend which is about to list its tools.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { resolveServed } from "../catalog/resolve.ts";
import type { FrontGateway, SessionPort } from "../front/session/front-contract.ts";
import type { ListsSeen } from "../front/session/session-record.ts";
import type { ServingSet } from "../middleware/middleware.ts";
import { type RequestTarget, targetOf } from "../middleware/request-target.ts";
import { MODERN_VERSION } from "../protocol.ts";
import type { SessionRoster } from "./session-roster.ts";

/** What starts slower than this is told of later, ms. */
const FIRST_LISTS_MS = 5_000;

type Asked = Parameters<FrontGateway["awaited"]>[1];

interface ResumedOptions {
  readonly roster: SessionRoster;
  readonly served: () => ServingSet;
  readonly clock: Clock;
  /** As `GatewayOptions.runsElsewhere`. */
  readonly runsElsewhere?: (() => boolean) | undefined;
  /** Resolves when no backend is in its first attempt any more, or the signal aborts. */
  readonly settled: (signal: AbortSignal) => Promise<void>;
  /** It has listed nothing yet, and is about to. */
  readonly isComing: (backend: string) => boolean;
  /** Resolves when that has ended, one way or the other, or takes longer than a call may wait. */
  readonly firstList: (backend: string) => Promise<void>;
}

export class ResumedSessions implements Disposable {
  readonly #options: ResumedOptions;
  /** Requests that wait: what each is about, and its start. */
  readonly #waiting = new Set<{ readonly isThere: () => boolean; readonly start: () => void }>();
  readonly #ended = new AbortController();
  #stage: "idle" | "starting" | "over" = "idle";
  #limit: Timer | null = null;

  constructor(options: ResumedOptions) {
    this.#options = options;
  }

  /** The backends start now. Again: nothing. */
  begin(): void {
    if (this.#stage !== "idle") return;
    this.#stage = "starting";
    this.#wait();
    void this.#options.settled(this.#ended.signal).then(() => this.#end());
  }

  #wait(): void {
    const { clock, runsElsewhere } = this.#options;
    this.#limit = clock.setTimer(FIRST_LISTS_MS, () => {
      // What may not start yet is not slow.
      if (runsElsewhere?.() === true) this.#wait();
      else this.#end();
    });
  }

  resume(session: SessionPort, lists: ListsSeen): void {
    const { roster, served } = this.#options;
    roster.resume(session, lists);
    if (this.#stage !== "starting") roster.release(served());
  }

  /** When what it asks for is there, or will not come; null: at once. */
  awaited(session: SessionPort, { method, params }: Asked): Promise<void> | null {
    const { roster } = this.#options;
    const served = (): ServingSet => this.#options.served().forClient(session);
    // A client without a session may have been here before the restart, too.
    const mayKnow = session.protocolVersion === MODERN_VERSION || roster.isHeld(session);
    const isHeld = this.#stage === "starting" && mayKnow;
    if (!isHeld && served().away === null) return null;
    const target = targetOf(method, params);
    const isAbout = target !== null || method.endsWith("/list");
    const comes = isHeld && isAbout ? this.#release(session, target) : null;
    const firstList = (): Promise<void> | null => {
      const backend = this.#comingFrom(session, target);
      return backend === null ? null : this.#options.firstList(backend);
    };
    return comes === null ? firstList() : comes.then(() => firstList() ?? undefined);
  }

  /** Something else is served. */
  look(): void {
    for (const one of this.#waiting) {
      if (this.#stage === "starting" && !one.isThere()) continue;
      this.#waiting.delete(one);
      one.start();
    }
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  /** When a session that is held may ask for it; null target: a list. */
  #release(session: SessionPort, target: RequestTarget | null): Promise<void> | null {
    const served = (): ServingSet => this.#options.served().forClient(session);
    const isThere = (): boolean =>
      target !== null &&
      resolveServed(served(), target) !== null &&
      this.#comingFrom(session, target) === null;
    if (isThere()) return null;
    const { promise, resolve: start } = Promise.withResolvers<void>();
    this.#waiting.add({ isThere, start });
    return promise;
  }

  /** The backend that is remembered to have it, and is about to list it; null: there is none. */
  #comingFrom(session: SessionPort, target: RequestTarget | null): string | null {
    if (target?.kind !== "tool") return null;
    const { served, isComing } = this.#options;
    const backend = served().forClient(session).backendAway(session.principal, target.name);
    return backend !== null && isComing(backend) ? backend : null;
  }

  #end(): void {
    if (this.#stage === "over") return;
    this.#stage = "over";
    this.#limit?.[Symbol.dispose]();
    this.#ended.abort();
    this.#options.roster.release(this.#options.served());
    this.look();
  }
}
