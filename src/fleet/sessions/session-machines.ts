// Machines that share their clients' sessions: which daemon each machine runs now, and streams to that daemon.
import type { Duplex } from "node:stream";
import type { FleetConfig } from "../../config/snapshot.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { type Clock, isoTime, resultWithin } from "../../runtime/time/clock.ts";
import { FLEET_CONDITIONS, type FleetCondition } from "../conditions/condition-rows.ts";

/** Time in which a machine must accept a stream, ms. A busy machine, or one that hands over, may need a while. */
const CONNECT_MS = 6_000;
/**
 * Used in place of `CONNECT_MS` if the NATS server reports no subscriber, ms. It is not 0, because at a
 * handover the next daemon soon subscribes.
 */
const NOBODY_MS = 2_000;
/** Interval at which a machine is asked for the id of its daemon, ms. */
const REQUEST_MS = 100;
/**
 * Maximum number of attempts to open a stream. An attempt fails if the machine's daemon has handed over since
 * it was found.
 */
const MOST_TRIES = 3;
/** Maximum number of machines that are searched for at once. */
const MOST_SEARCHES = 100;

interface SessionMachinesOptions {
  readonly config: () => Pick<FleetConfig, "sessions">;
  readonly clock: Clock;
  /** Asks that machine for the id of its daemon. The answer arrives by a call of `found`. */
  readonly requestId: (machine: string) => void;
  /**
   * Opens a stream to the daemon `instance` of `machine`. `onOpen`: the daemon has accepted the stream. `onEnd`: the
   * stream was refused, or has ended.
   */
  readonly open: (
    to: { readonly machine: string; readonly instance: string; readonly backend: null },
    onEnd: (end: { readonly message: string }) => void,
    onOpen: () => void,
  ) => Duplex;
  /** True while the next daemon takes over from this one. */
  readonly isHandingOver: () => boolean;
}

interface Search {
  readonly found: PromiseWithResolvers<string>;
  /** The time when the last caller stops waiting. The search ends then, or earlier if `isNobodyThere` is set. */
  untilMs: number;
  isNobodyThere: boolean;
  result: Promise<string | null>;
}

export class SessionMachines {
  readonly #options: SessionMachinesOptions;
  /** Maps each machine to the id of its daemon, as far as the daemons were found. */
  readonly #known = new Map<string, string>();
  readonly #searches = new Map<string, Search>();
  /** Machines of `[fleet].sessions` that could not be reached. */
  readonly #unreachable = new Map<string, { readonly sinceWallMs: number; readonly why: string }>();

  constructor(options: SessionMachinesOptions) {
    this.#options = options;
  }

  /** True if this machine's `[fleet].sessions` names `machine` or all machines. */
  shares(machine: string): boolean {
    const sessions = this.#options.config().sessions ?? [];
    return sessions.includes("*") || sessions.includes(machine);
  }

  /** Why that machine may not use sessions of this machine; null: it may use them. */
  refusal(machine: string): string | null {
    if (!this.shares(machine)) return "it does not share its sessions with this machine";
    return this.#options.isHandingOver() ? "it is being replaced; try again in 1 s" : null;
  }

  /**
   * Records that `machine` runs the daemon `instance` now. Ignored for machines that are not searched for.
   */
  found(machine: string, instance: string): void {
    const search = this.#searches.get(machine);
    if (search === undefined) return;
    this.#known.set(machine, instance);
    search.found.resolve(instance);
  }

  /** Records that frames for `machine` have no subscriber. */
  nobodyThere(machine: string): void {
    // The machine's next daemon has another id, and a stream to the old id would fail only at its deadline.
    this.#known.delete(machine);
    const search = this.#searches.get(machine);
    if (search !== undefined) search.isNobodyThere = true;
  }

  /**
   * Forgets which daemon each machine runs. Call it when the link is lost, because machines may run other
   * daemons afterwards.
   */
  forgetAll(): void {
    this.#known.clear();
  }

  /**
   * Resolves with a stream that the machine has accepted. null: the machine is away, or does not share its sessions
   * with this machine, and nothing was sent. Never rejects.
   */
  async connect(machine: string, signal: AbortSignal): Promise<Duplex | null> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + CONNECT_MS;
    let why = "it is not here, or does not share its sessions with this machine";
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const instance = this.#known.get(machine) ?? (await this.#find(machine, untilMs, signal));
      if (instance === null) break;
      const opened = await this.#open(machine, instance, untilMs, signal);
      if (typeof opened !== "string") {
        this.#unreachable.delete(machine);
        return opened;
      }
      why = opened;
      if (this.#known.get(machine) === instance) this.#known.delete(machine);
    }
    if (!signal.aborted) this.#recordUnreachable(machine, why);
    return null;
  }

  conditions(): FleetCondition[] {
    const sessions = this.#options.config().sessions ?? [];
    for (const machine of [...this.#unreachable.keys()])
      if (!sessions.includes(machine)) this.#unreachable.delete(machine);
    return [...this.#unreachable].map(([machine, { sinceWallMs, why }]) => ({
      ...FLEET_CONDITIONS.fleet_sessions_away(machine, why),
      since: isoTime(sinceWallMs),
    }));
  }

  #recordUnreachable(machine: string, why: string): void {
    const isNamed = this.#options.config().sessions?.includes(machine) === true;
    const { sinceWallMs = this.#options.clock.wallMs() } = this.#unreachable.get(machine) ?? {};
    if (isNamed) this.#unreachable.set(machine, { sinceWallMs, why });
  }

  /** The id of that machine's daemon; null: no daemon answers in time. */
  async #find(machine: string, untilMs: number, signal: AbortSignal): Promise<string | null> {
    const { clock } = this.#options;
    const remainingMs = Math.max(0, untilMs - clock.monotonicMs());
    const finding = resultWithin(clock, remainingMs, this.#sharedSearch(machine, untilMs));
    return unlessAborted(finding, signal).catch(() => null);
  }

  /** If a search for this machine is under way, waits for that search; otherwise begins one. */
  #sharedSearch(machine: string, untilMs: number): Promise<string | null> {
    const before = this.#searches.get(machine);
    if (before !== undefined) {
      before.untilMs = Math.max(before.untilMs, untilMs);
      return before.result;
    }
    if (this.#searches.size >= MOST_SEARCHES) return Promise.resolve(null);
    const search: Search = {
      found: Promise.withResolvers(),
      untilMs,
      isNobodyThere: false,
      result: Promise.resolve(null),
    };
    this.#searches.set(machine, search);
    search.result = this.#search(machine, search).finally(() => this.#searches.delete(machine));
    return search.result;
  }

  async #search(machine: string, search: Search): Promise<string | null> {
    const { clock, requestId } = this.#options;
    const nobodyUntilMs = clock.monotonicMs() + NOBODY_MS;
    for (;;) {
      search.isNobodyThere = false;
      requestId(machine);
      const instance = await resultWithin(clock, REQUEST_MS, search.found.promise);
      const untilMs = search.isNobodyThere ? nobodyUntilMs : search.untilMs;
      if (instance !== null || clock.monotonicMs() >= untilMs) return instance;
    }
  }

  /** Resolves with the stream, or with a text that says why there is none. */
  async #open(
    machine: string,
    instance: string,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<Duplex | string> {
    const { clock, open } = this.#options;
    const opened = Promise.withResolvers<{ readonly why: string | null }>();
    const stream = open(
      { machine, instance, backend: null },
      ({ message }) => opened.resolve({ why: message.replace(`${machine}: `, "") }),
      () => opened.resolve({ why: null }),
    );
    const remainingMs = Math.max(0, untilMs - clock.monotonicMs());
    const opening = resultWithin(clock, remainingMs, opened.promise);
    const late = { why: "it did not answer in time" };
    const { why } = (await unlessAborted(opening, signal).catch(() => null)) ?? late;
    if (why === null) return stream;
    stream.destroy();
    return why;
  }
}
