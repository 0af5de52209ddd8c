// Calls across machines: what this machine offers to others, what others offer to it, and the tunnels in which their
// gateways speak. Nothing of it touches what machines tell of themselves.
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import type { Condition } from "../../api/contract.ts";
import { isMachineName } from "../../config/fleet-values.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, isoTime, settledWithin, type Timer } from "../../runtime/time/clock.ts";
import type { SecretValues } from "../../secrets/reference.ts";
import { holdLink, workUntilEnd } from "../hold-link.ts";
import type { LinkFailure } from "../link-failure.ts";
import { SessionMachines } from "../sessions/session-machines.ts";
import { readSignIn } from "../sign-in.ts";
import { type CallsHeard, type CallsSession, openCallsSession } from "./calls-session.ts";
import { ID_BYTES } from "./frames.ts";
import { type Borrowed, Switchboard } from "./switchboard.ts";
import type { TunnelEnd } from "./tunnel.ts";
import { offerText, readOffer } from "./words.ts";

/** How often a machine says again what it offers, ms. */
const OFFER_MS = 10_000;
/** Three of them were not heard. */
const SILENT_AFTER_MS = 3 * OFFER_MS + 1_000;
/** What happens together is told together, ms. */
const GATHER_MS = 30;
/** What one says that changes its mind all the time is followed so often, ms. */
const APART_MS = 300;
/** A machine that is named has so long to be heard, ms. */
const EXPECTED_WITHIN_MS = 15_000;
const MOST_MACHINES = 1_000;
/** Backends of others, in all. */
const MOST_BORROWED = 200;
/** Machines that are missed by name. */
const MOST_MISSED = 20;
const FAREWELL_MS = 1_000;

export interface CallsOptions {
  readonly config: FleetConfig;
  readonly values: SecretValues;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly redact: (secret: string) => void;
  /** From 0 to 1. */
  readonly random?: () => number;
  /** Exported backends of this machine that have something to publish now. */
  readonly lent: () => readonly string[];
  /** Serves another machine one of them, until the stream ends. */
  readonly serve: (machine: string, backend: string, stream: Duplex) => void;
  /** Serves another machine one request for a session of this one, until the stream ends. Absent: none is served. */
  readonly serveSession?: (machine: string, stream: Duplex) => void;
  /** The backends of others that there are from now on. */
  readonly onBorrowed: (backends: readonly Borrowed[]) => void;
}

export interface Calls {
  /** A stream to the gateway of that machine. `onEnd` is called once, later, unless both sides end it in order. */
  open(backend: Borrowed, onEnd: (end: TunnelEnd) => void): Duplex;
  /** Other machines that share the sessions of their clients with this one. */
  readonly sessions: Pick<SessionMachines, "shares" | "reach">;
  conditions(): Condition[];
  /** What this machine lends may be something else now. */
  note(): void;
  /** Another daemon is this machine from now on: nothing is offered and nobody let in any more; what is open goes on. */
  leave(): void;
  /** Resolves when it is over: tunnels have `graceMs` to end by themselves. */
  end(graceMs: number): Promise<void>;
}

export function startCalls(options: CallsOptions): Calls {
  return new RunningCalls(options);
}

interface Known {
  readonly instance: string;
  readonly backends: readonly string[];
  readonly heardAtMs: number;
}

class RunningCalls implements Calls {
  readonly sessions: SessionMachines;
  readonly #options: CallsOptions;
  readonly #instance = randomBytes(ID_BYTES).toString("hex");
  readonly #board: Switchboard;
  readonly #ending = new AbortController();
  readonly #done: Promise<void>;
  /** By machine. */
  readonly #offers = new Map<string, Known>();
  /** Machines whose backends were here, and went without a word: since when. */
  readonly #missed = new Map<string, number>();
  #borrowed: readonly Borrowed[] = [];
  #session: CallsSession | null = null;
  #connectedMs: number | null = null;
  #failure: { readonly why: LinkFailure; readonly sinceWallMs: number } | null = null;
  #offered: readonly string[] = [];
  #soon: Timer | null = null;
  #following: Timer | null = null;
  #followedMs = Number.NEGATIVE_INFINITY;
  #isLeaving = false;

  constructor(options: CallsOptions) {
    this.#options = options;
    const { clock, config, serve, lent } = options;
    const { serveSession = (_, stream) => stream.destroy() } = options;
    this.sessions = new SessionMachines({
      config,
      clock,
      ask: (machine) => this.#board.ask(machine),
      open: (...asked) => this.#board.open(...asked),
      serve: serveSession,
      isLeaving: () => this.#isLeaving,
    });
    this.#board = new Switchboard({
      clock,
      name: config.name,
      instance: this.#instance,
      refusal: (backend) => {
        if (this.#isLeaving) return "it is being replaced; try again in 1 s";
        return this.#exports && lent().includes(backend) ? null : "it offers no backend of that name";
      },
      serve,
      sessions: this.sessions,
      onLost: (machine, instance) => {
        if (this.#offers.get(machine)?.instance === instance) this.#forget(machine);
      },
    });
    this.#done = holdLink(options, {
      signal: this.#ending.signal,
      hold: (server, signal) => this.#hold(server, signal),
      onLost: (server, failure) => this.#lost(server, failure),
    });
  }

  get #exports(): boolean {
    return (this.#options.config.export ?? []).length > 0;
  }

  get #imports(): readonly string[] {
    return this.#options.config.import ?? [];
  }

  open(backend: Borrowed, onEnd: (end: TunnelEnd) => void): Duplex {
    return this.#board.open(backend, onEnd);
  }

  conditions(): Condition[] {
    const failure = this.#failure;
    if (failure !== null) {
      const { why, sinceWallMs } = failure;
      return [
        {
          code: "fleet_calls_unreachable",
          severity: "warning",
          title: `${this.#away()}: ${why.message}`,
          hint: why.hint ?? "Everything on this machine goes on; it is tried again and again.",
          since: isoTime(sinceWallMs),
        },
      ];
    }
    const missing = this.#missing().map(
      ({ machine, sinceWallMs }): Condition => ({
        code: "fleet_machine_away",
        severity: "warning",
        title: `Tools of ${machine} are away: it is not here, or offers nothing`,
        hint: `Is ${machine} on, and does its [fleet].export name a backend? mountaineer fleet status shows who is here.`,
        since: isoTime(sinceWallMs),
      }),
    );
    return [...missing, ...this.sessions.conditions()];
  }

  #away(): string {
    const usesTools = this.#exports || this.#imports.length > 0;
    return usesTools
      ? "Tools of other machines, and theirs of this one, are away"
      : "Sessions of other machines, and theirs of this one, are away";
  }

  note(): void {
    this.#soon ??= this.#options.clock.setTimer(GATHER_MS, () => {
      this.#soon = null;
      if (!isDeepStrictEqual(this.#lent(), this.#offered)) this.#offer();
    });
  }

  leave(): void {
    this.#isLeaving = true;
  }

  async end(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    if (!this.#ending.signal.aborted) {
      this.#soon?.[Symbol.dispose]();
      const session = this.#session;
      if (session !== null && this.#exports && !this.#isLeaving) {
        session.offer(offerText({ instance: this.#instance, backends: [] }));
      }
      this.#isLeaving = true;
      await settledWithin(clock, graceMs, this.#board.idle());
      this.#over("this machine leaves");
      // The link ends by this, and not as one that was lost.
      this.#ending.abort();
    }
    await settledWithin(clock, FAREWELL_MS, this.#done);
  }

  async #hold(server: string, signal: AbortSignal): Promise<LinkFailure> {
    const { clock, config, logger } = this.#options;
    let session: CallsSession | null = null;
    try {
      const [exports, imports] = [this.#exports, this.#imports.length > 0];
      const signIn = await readSignIn(this.#options, signal);
      const { name } = config;
      const options = { server, name, ...signIn, heard: this.#heard, exports, imports, clock };
      session = await openCallsSession(options, signal);
      this.#failure = null;
      this.#session = session;
      this.#connectedMs = clock.monotonicMs();
      this.#board.begin(session.wire);
      logger.info("fleet calls connected", { server, name });
      if (imports) session.ask();
      this.#offer();
      return await workUntilEnd(session.ended, { clock, everyMs: OFFER_MS, signal }, () => {
        this.#offer();
        this.#forgetSilent();
      });
    } finally {
      this.#over("the link to the fleet's server was lost");
      await session?.[Symbol.asyncDispose]();
    }
  }

  #lost(server: string, why: LinkFailure): void {
    const { clock, logger } = this.#options;
    const isNews = this.#failure?.why.message !== why.message;
    this.#failure = { why, sinceWallMs: this.#failure?.sinceWallMs ?? clock.wallMs() };
    if (isNews) logger.warn("fleet calls not reached", { server, reason: why.message });
  }

  /** There is no link: nothing of others is here. */
  #over(why: string): void {
    this.#session = null;
    this.#connectedMs = null;
    this.#offers.clear();
    this.sessions.forgetAll();
    this.#following?.[Symbol.dispose]();
    this.#following = null;
    // First what may be called, then what is being called: so nothing is tried again there.
    this.#borrow();
    this.#board.end(why);
  }

  readonly #heard: CallsHeard = {
    frame: (sender, bytes) => this.#board.take(sender, bytes),
    offer: (sender, bytes) => this.#takeOffer(sender, bytes),
    asked: () => this.#offerSoon(),
    nobodyThere: (machine) => {
      this.#board.nobodyThere(machine);
      if (this.#offers.has(machine)) this.#forget(machine);
    },
  };

  #takeOffer(machine: string, bytes: Uint8Array): void {
    const { config, clock } = this.#options;
    if (this.#session === null || machine === config.name) return;
    if (!isMachineName(machine) || !this.#isWanted(machine)) return;
    const offer = readOffer(bytes);
    if (offer === null) return;
    const known = this.#offers.get(machine);
    const { instance, backends } = offer;
    if (backends.length === 0) {
      // The last word of a daemon that was replaced says nothing of the next one.
      if (known !== undefined && known.instance !== instance) return;
      this.#offers.delete(machine);
      this.#missed.delete(machine);
    } else {
      if (known === undefined && this.#offers.size >= MOST_MACHINES) return;
      this.#offers.set(machine, { instance, backends, heardAtMs: clock.monotonicMs() });
      this.#missed.delete(machine);
    }
    this.#followSoon();
  }

  #followSoon(): void {
    const { clock } = this.#options;
    const waitMs = Math.max(0, this.#followedMs + APART_MS - clock.monotonicMs());
    this.#following ??= clock.setTimer(waitMs, () => {
      this.#following = null;
      this.#followedMs = clock.monotonicMs();
      this.#borrow();
    });
  }

  #isWanted(machine: string): boolean {
    return this.#imports.some((entry) => entry === "*" || entry.split("/")[0] === machine);
  }

  #isBorrowed(machine: string, backend: string): boolean {
    return this.#imports.some((entry) => ["*", machine, `${machine}/${backend}`].includes(entry));
  }

  /** Tells which backends of others there are, if these are others than before. */
  #borrow(): void {
    const found = [...this.#offers]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .flatMap(([machine, { instance, backends }]) =>
        backends
          .filter((backend) => this.#isBorrowed(machine, backend))
          .map((backend) => ({ machine, backend, instance })),
      )
      .slice(0, MOST_BORROWED);
    if (isDeepStrictEqual(found, this.#borrowed)) return;
    this.#borrowed = found;
    this.#options.onBorrowed(found);
  }

  /** It went without a word. */
  #forget(machine: string): void {
    this.#offers.delete(machine);
    if (this.#missed.size < MOST_MISSED) this.#missed.set(machine, this.#options.clock.wallMs());
    this.#borrow();
  }

  #forgetSilent(): void {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [machine, { heardAtMs }] of [...this.#offers]) {
      if (nowMs - heardAtMs > SILENT_AFTER_MS) this.#forget(machine);
    }
  }

  #missing(): { readonly machine: string; readonly sinceWallMs: number }[] {
    const { clock } = this.#options;
    const connectedMs = this.#connectedMs;
    const missed = new Map(this.#missed);
    if (connectedMs !== null && clock.monotonicMs() - connectedMs > EXPECTED_WITHIN_MS) {
      const sinceWallMs = clock.wallMs() - (clock.monotonicMs() - connectedMs);
      for (const entry of this.#imports) {
        const [machine = ""] = entry.split("/");
        if (entry !== "*" && !this.#offers.has(machine) && missed.size < MOST_MISSED && !missed.has(machine))
          missed.set(machine, Math.round(sinceWallMs));
      }
    }
    return [...missed].map(([machine, sinceWallMs]) => ({ machine, sinceWallMs }));
  }

  #lent(): readonly string[] {
    return this.#exports ? this.#options.lent().toSorted() : [];
  }

  #offerSoon(): void {
    this.#soon ??= this.#options.clock.setTimer(GATHER_MS, () => {
      this.#soon = null;
      this.#offer();
    });
  }

  #offer(): void {
    const session = this.#session;
    if (session === null || !this.#exports || this.#isLeaving) return;
    this.#offered = this.#lent();
    session.offer(offerText({ instance: this.#instance, backends: this.#offered }));
  }
}
