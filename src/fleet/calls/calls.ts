// Calls across machines: what this machine offers to others, what others offer to it, and the tunnels in which their
// gateways speak. Nothing of it touches what machines tell of themselves.
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import type { Condition } from "../../api/contract.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import { namesBackend } from "../../config/values/backend-names.ts";
import { isMachineName } from "../../config/values/fleet-values.ts";
import { isoTime, settledWithin, type Timer } from "../../runtime/time/clock.ts";
import { holdLink, type LinkOptions, workUntilEnd } from "../hold-link.ts";
import type { LinkFailure } from "../link-failure.ts";
import { SessionMachines } from "../sessions/session-machines.ts";
import { readSignIn, type SignInOptions } from "../sign-in.ts";
import { type CallsHeard, type CallsPart, type CallsSession, openCallsSession } from "./calls-session.ts";
import { ID_BYTES } from "./frames.ts";
import type { KnownPlace, LentPlace } from "./places.ts";
import { type Borrowed, Switchboard } from "./switchboard.ts";
import type { TunnelEnd } from "./tunnel.ts";
import { type Offer, offerText, readOffer } from "./words.ts";

/** How often a machine says again what it offers, ms. */
const OFFER_MS = 10_000;
/** So often at most it says how many calls are under way. */
const BUSY_MS = 2_000;
/** Three of them were not heard. */
const SILENT_AFTER_MS = 3 * OFFER_MS + 1_000;
/** What happens together is told together, ms. */
const GATHER_MS = 30;
/** What one says that changes its mind all the time is followed so often, and who asks all the time answered, ms. */
const APART_MS = 300;
/** A machine that is named has so long to be heard, ms. */
const EXPECTED_WITHIN_MS = 15_000;
const MOST_MACHINES = 1_000;
/** Backends of others, in all. */
const MOST_BORROWED = 200;
/** Machines that are missed by name. */
const MOST_MISSED = 20;
const FAREWELL_MS = 1_000;

export interface CallsOptions extends LinkOptions, SignInOptions {
  readonly config: FleetConfig;
  /** Exported backends of this machine that have something to publish now. */
  readonly lent: () => readonly string[];
  /** What is told of them, and where this machine has its shares; absent: nothing is. */
  readonly lentPlaces?: (names: readonly string[]) => LentPlaces;
  /** What is known from now on of backends of others that may have tools in common with this machine. */
  readonly onPlaces?: (places: readonly KnownPlace[]) => void;
  /** Serves another machine one of them, until the stream ends. */
  readonly serve: (machine: string, backend: string, stream: Duplex) => void;
  /** Serves another machine one request for a session of this one, until the stream ends. Absent: none is served. */
  readonly serveSession?: (machine: string, stream: Duplex) => void;
  /** The backends of others that there are from now on. */
  readonly onBorrowed: (backends: readonly Borrowed[]) => void;
}

export function startCalls(options: CallsOptions): Calls {
  return new Calls(options);
}

interface LentPlaces {
  readonly sharesRoot: string;
  readonly places: ReadonlyMap<string, LentPlace>;
}

interface Known extends Offer {
  readonly heardAtMs: number;
}

/** Nothing. */
const NO_OFFER: Omit<Offer, "instance"> = { backends: [], sharesRoot: null, places: new Map() };

export class Calls {
  /** Other machines that share the sessions of their clients with this one. */
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
  #places: readonly KnownPlace[] = [];
  #session: CallsSession | null = null;
  #config: FleetConfig;
  /** Since when machines that are imported by name are expected; null: there is no link. */
  #expectingMs: number | null = null;
  #failure: { readonly why: LinkFailure; readonly sinceWallMs: number } | null = null;
  #offeredAtMs = Number.NEGATIVE_INFINITY;
  #offered: Omit<Offer, "instance"> = NO_OFFER;
  #soon: Timer | null = null;
  #following: Timer | null = null;
  #followedMs = Number.NEGATIVE_INFINITY;
  #isLeaving = false;

  constructor(options: CallsOptions) {
    this.#options = options;
    const { clock, config, serve, lent } = options;
    this.#config = config;
    const { serveSession = (_, stream) => stream.destroy() } = options;
    this.sessions = new SessionMachines({
      config: () => this.#config,
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
    return (this.#config.export ?? []).length > 0;
  }

  get #part(): CallsPart {
    return { exports: this.#exports, imports: this.#imports.length > 0 };
  }

  get #imports(): readonly string[] {
    return this.#config.import ?? [];
  }

  /** A stream to the gateway of that machine. `onEnd` is called once, later, unless both sides end it in order. */
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

  /** What this machine lends may be something else now. */
  note(): void {
    this.#soon ??= this.#options.clock.setTimer(GATHER_MS, () => {
      this.#soon = null;
      if (this.#isNews(this.#lent())) this.#offer();
    });
  }

  /** Another configuration, of the same name at the same servers: what it allows no more ends, all else goes on. */
  configure(config: FleetConfig): void {
    const { clock } = this.#options;
    if (this.#ending.signal.aborted) return;
    const before = this.#imports;
    this.#config = config;
    const exported = config.export ?? [];
    const isExported = (backend: string): boolean => exported.includes("*") || exported.includes(backend);
    this.#board.endServed((backend) => !isExported(backend), "it is not offered any more");
    this.#board.endVisits((machine) => !this.sessions.shares(machine), "sessions are not shared any more");
    for (const machine of [...this.#offers.keys(), ...this.#missed.keys()]) {
      if (this.#isWanted(machine)) continue;
      this.#offers.delete(machine);
      this.#missed.delete(machine);
    }
    const session = this.#session;
    session?.follow(this.#part);
    if (session !== null && !isDeepStrictEqual(this.#imports, before)) {
      this.#expectingMs = clock.monotonicMs();
      if (this.#part.imports) session.ask();
    }
    this.#borrow();
    this.note();
  }

  /** How many calls are under way is told a few times in ten seconds, all else at once. */
  #isNews(lent: Omit<Offer, "instance">): boolean {
    if (!isDeepStrictEqual(withoutBusy(lent), withoutBusy(this.#offered))) return true;
    return (
      !isDeepStrictEqual(lent, this.#offered) &&
      this.#options.clock.monotonicMs() >= this.#offeredAtMs + BUSY_MS
    );
  }

  /** Another daemon is this machine from now on: nothing is offered and nobody let in any more; what is open goes on. */
  leave(): void {
    this.#isLeaving = true;
  }

  /** Resolves when it is over: tunnels have `graceMs` to end by themselves. */
  async end(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    if (!this.#ending.signal.aborted) {
      this.#soon?.[Symbol.dispose]();
      const session = this.#session;
      if (session !== null && this.#exports && !this.#isLeaving) {
        session.offer(offerText({ instance: this.#instance, ...NO_OFFER }));
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
      const signIn = await readSignIn(this.#options, signal);
      const { name } = config;
      const options = { server, name, ...signIn, heard: this.#heard, ...this.#part, clock };
      session = await openCallsSession(options, signal);
      session.follow(this.#part);
      this.#failure = null;
      this.#session = session;
      this.#expectingMs = clock.monotonicMs();
      this.#board.begin(session.wire);
      logger.info("fleet calls connected", { server, name });
      if (this.#part.imports) session.ask();
      this.#offer();
      return await workUntilEnd(session.ended, { clock, everyMs: BUSY_MS, signal }, () => {
        if (clock.monotonicMs() >= this.#offeredAtMs + OFFER_MS || this.#isNews(this.#lent())) this.#offer();
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
    this.#expectingMs = null;
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
    const heardAtMs = clock.monotonicMs();
    if (backends.length === 0) {
      // The last word of a daemon that was replaced says nothing of the next one.
      if (known !== undefined && known.instance !== instance) return;
      this.#offers.delete(machine);
      this.#missed.delete(machine);
    } else {
      if (known === undefined && this.#offers.size >= MOST_MACHINES) return;
      this.#offers.set(machine, { ...offer, heardAtMs });
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
    return namesBackend(this.#imports, machine, backend);
  }

  get #inOrder(): readonly (readonly [machine: string, offer: Known])[] {
    return [...this.#offers].toSorted(([one], [other]) => (one < other ? -1 : 1));
  }

  /** Of backends that are approved to have tools in common with this machine. */
  #approvedPlaces(): readonly KnownPlace[] {
    const approved = this.#config.together ?? [];
    return this.#inOrder
      .flatMap(([machine, { sharesRoot, places }]) =>
        [...places].flatMap(([backend, place]) => {
          const isApproved = this.#isBorrowed(machine, backend) && namesBackend(approved, machine, backend);
          return sharesRoot !== null && isApproved ? [{ machine, backend, sharesRoot, ...place }] : [];
        }),
      )
      .slice(0, MOST_BORROWED);
  }

  #tellPlaces(places: readonly KnownPlace[]): void {
    if (isDeepStrictEqual(places, this.#places)) return;
    this.#places = places;
    this.#options.onPlaces?.(places);
  }

  /** Tells which backends of others there are, if these are others than before. */
  #borrow(): void {
    const places = this.#approvedPlaces();
    const isGone = (one: KnownPlace): boolean =>
      places.every(({ machine, backend }) => machine !== one.machine || backend !== one.backend);
    // What comes is known before its first list is here, and what goes until its list is gone: neither shows by itself.
    this.#tellPlaces([...places, ...this.#places.filter(isGone)]);
    this.#tellBorrowed();
    this.#tellPlaces(places);
  }

  #tellBorrowed(): void {
    const found = this.#inOrder
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
    const expectingMs = this.#expectingMs;
    const missed = new Map(this.#missed);
    if (expectingMs !== null && clock.monotonicMs() - expectingMs > EXPECTED_WITHIN_MS) {
      const sinceWallMs = clock.wallMs() - (clock.monotonicMs() - expectingMs);
      for (const entry of this.#imports) {
        const [machine = ""] = entry.split("/");
        if (entry !== "*" && !this.#offers.has(machine) && missed.size < MOST_MISSED && !missed.has(machine))
          missed.set(machine, Math.round(sinceWallMs));
      }
    }
    return [...missed].map(([machine, sinceWallMs]) => ({ machine, sinceWallMs }));
  }

  #lent(): Omit<Offer, "instance"> {
    if (!this.#exports) return NO_OFFER;
    const { lent, lentPlaces } = this.#options;
    const backends = lent().toSorted();
    return { ...NO_OFFER, backends, ...lentPlaces?.(backends) };
  }

  /** However many ask, all together are answered a few times a second. */
  #offerSoon(): void {
    const { clock } = this.#options;
    const waitMs = Math.max(GATHER_MS, this.#offeredAtMs + APART_MS - clock.monotonicMs());
    this.#soon ??= clock.setTimer(waitMs, () => {
      this.#soon = null;
      this.#offer();
    });
  }

  #offer(): void {
    const session = this.#session;
    if (session === null || this.#isLeaving) return;
    const before = this.#offered;
    this.#offered = this.#lent();
    this.#offeredAtMs = this.#options.clock.monotonicMs();
    if (!this.#exports && before.backends.length === 0) return;
    session.offer(offerText({ instance: this.#instance, ...this.#offered }));
  }
}

function withoutBusy({ places, ...offer }: Omit<Offer, "instance">): unknown {
  return { ...offer, places: [...places].map(([name, place]) => [name, { ...place, busy: 0 }]) };
}
