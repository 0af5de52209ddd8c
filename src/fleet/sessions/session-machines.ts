// Machines that share the sessions of their clients: which daemon each is now, and streams to it. It knows nothing of what
// the streams carry.
import type { Duplex } from "node:stream";
import type { Condition } from "../../api/contract.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import { type Clock, isoTime, settledWithin } from "../../runtime/time/clock.ts";

/** A machine has so long to take a stream, ms: a busy one may take a while, and one that hands over is not there for a moment. */
const REACH_MS = 6_000;
/** The same where the fleet's server says that nobody is there: the next daemon of a handover comes a moment later. */
const NOBODY_MS = 2_000;
/** How often it is asked which daemon it is, ms. */
const ASK_MS = 100;
/** A daemon that said where it is, and takes no stream, is tried so often: the one after it may. */
const MOST_TRIES = 3;
/** Machines that are waited for at once. */
const MOST_ASKED = 100;
/** Machines that are known. */
const MOST_KNOWN = 1_000;

interface MachinesOptions {
  /** The one that is valid now. */
  readonly config: () => Pick<FleetConfig, "sessions">;
  readonly clock: Clock;
  /** Asks that machine which daemon it is. */
  readonly ask: (machine: string) => void;
  /** Opens a stream to that daemon. `onOpen`: it has taken it. `onEnd`: it has not, or has ended it. */
  readonly open: (
    to: { readonly machine: string; readonly instance: string; readonly backend: null },
    onEnd: (end: { readonly message: string }) => void,
    onOpen: () => void,
  ) => Duplex;
  /** Serves one request of that machine. */
  readonly serve: (machine: string, stream: Duplex) => void;
  /** Another daemon is this machine from now on. */
  readonly isLeaving: () => boolean;
}

interface Asking {
  askedMs: number;
  waiting: number;
  isNobodyThere: boolean;
  /** Something has become known. */
  news: PromiseWithResolvers<void>;
}

export class SessionMachines {
  readonly #options: MachinesOptions;
  /** The daemon that each was last. */
  readonly #known = new Map<string, string>();
  readonly #asking = new Map<string, Asking>();
  /** Of those that the configuration names: since when one was not reached, by the wall's clock, and why. */
  readonly #away = new Map<string, { readonly sinceWallMs: number; readonly why: string }>();

  constructor(options: MachinesOptions) {
    this.#options = options;
  }

  /** Whether sessions are shared with that machine, as far as this one is concerned. */
  shares(machine: string): boolean {
    const sessions = this.#options.config().sessions ?? [];
    return sessions.includes("*") || sessions.includes(machine);
  }

  /** Why that machine may not use sessions of this one; null: it may. */
  refusal(machine: string): string | null {
    if (!this.shares(machine)) return "it does not share its sessions with this machine";
    return this.#options.isLeaving() ? "it is being replaced; try again in 1 s" : null;
  }

  /** Serves one request, until the stream ends. */
  serve(machine: string, stream: Duplex): void {
    this.#options.serve(machine, stream);
  }

  /** That machine is this daemon now. */
  found(machine: string, instance: string): void {
    const asking = this.#asking.get(machine);
    if (asking === undefined) return;
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    this.#known.set(machine, instance);
    asking.news.resolve();
  }

  /** Nobody of that machine listens. */
  nobodyThere(machine: string): void {
    this.#known.delete(machine);
    const asking = this.#asking.get(machine);
    if (asking !== undefined) asking.isNobodyThere = true;
  }

  /** There is no link: another daemon may be there when it is back. */
  forgetAll(): void {
    this.#known.clear();
  }

  /**
   * A stream that the machine has taken; null: it is not here, or does not share its sessions with this one. Nothing was
   * sent to it then. Never rejects.
   */
  async reach(machine: string, signal: AbortSignal): Promise<Duplex | null> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + REACH_MS;
    let why = "it is not here, or does not share its sessions with this machine";
    for (let tries = 0; tries < MOST_TRIES && !signal.aborted; tries += 1) {
      const instance = await this.#daemonOf(machine, untilMs, signal);
      if (instance === null) break;
      const opened = await this.#open(machine, instance, untilMs, signal);
      if (typeof opened !== "string") {
        this.#away.delete(machine);
        return opened;
      }
      why = opened;
      if (this.#known.get(machine) === instance) this.#known.delete(machine);
    }
    if (!signal.aborted) this.#missed(machine, why);
    return null;
  }

  conditions(): Condition[] {
    const sessions = this.#options.config().sessions ?? [];
    for (const machine of [...this.#away.keys()]) if (!sessions.includes(machine)) this.#away.delete(machine);
    return [...this.#away].map(([machine, { sinceWallMs, why }]) => ({
      code: "fleet_sessions_away",
      severity: "warning",
      title: `Sessions of ${machine} were not reached: ${why}`,
      hint: `Their clients were asked to initialize again. Is ${machine} on, and does its [fleet].sessions name this machine? mountaineer fleet status shows who is here.`,
      since: isoTime(sinceWallMs),
    }));
  }

  #missed(machine: string, why: string): void {
    const isNamed = this.#options.config().sessions?.includes(machine) === true;
    const { sinceWallMs = this.#options.clock.wallMs() } = this.#away.get(machine) ?? {};
    if (isNamed) this.#away.set(machine, { sinceWallMs, why });
  }

  /** Null: nobody says so in time. */
  async #daemonOf(machine: string, untilMs: number, signal: AbortSignal): Promise<string | null> {
    const { clock, ask } = this.#options;
    const sinceMs = clock.monotonicMs();
    const asking = this.#asking.get(machine) ?? {
      askedMs: Number.NEGATIVE_INFINITY,
      waiting: 0,
      isNobodyThere: false,
      news: Promise.withResolvers<void>(),
    };
    if (asking.waiting === 0 && this.#asking.size >= MOST_ASKED) return null;
    this.#asking.set(machine, asking);
    asking.waiting += 1;
    try {
      for (;;) {
        const known = this.#known.get(machine);
        if (known !== undefined) return known;
        const nowMs = clock.monotonicMs();
        const isOver = nowMs >= untilMs || (asking.isNobodyThere && nowMs - sinceMs >= NOBODY_MS);
        if (isOver || signal.aborted) return null;
        if (nowMs - asking.askedMs >= ASK_MS) {
          asking.askedMs = nowMs;
          asking.isNobodyThere = false;
          asking.news = Promise.withResolvers();
          ask(machine);
        }
        await settledWithin(clock, Math.min(ASK_MS, untilMs - nowMs), asking.news.promise);
      }
    } finally {
      asking.waiting -= 1;
      if (asking.waiting === 0) this.#asking.delete(machine);
    }
  }

  /** A text: why there is none. */
  async #open(
    machine: string,
    instance: string,
    untilMs: number,
    signal: AbortSignal,
  ): Promise<Duplex | string> {
    const { clock, open } = this.#options;
    const settled = Promise.withResolvers<string | null>();
    const stream = open(
      { machine, instance, backend: null },
      ({ message }) => settled.resolve(message.replace(`${machine}: `, "")),
      () => settled.resolve(null),
    );
    const onAbort = (): void => settled.resolve("nobody waits for it any more");
    signal.addEventListener("abort", onAbort, { once: true });
    const leftMs = Math.max(0, untilMs - clock.monotonicMs());
    const isInTime = await settledWithin(clock, leftMs, settled.promise);
    signal.removeEventListener("abort", onAbort);
    const why = isInTime ? await settled.promise : "it did not answer in time";
    if (why === null) return stream;
    stream.destroy();
    return why;
  }
}
