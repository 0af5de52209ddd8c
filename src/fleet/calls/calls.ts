// Export and import of backends: which of them this machine and the others offer, and the tunnels for calls between
// their gateways.
import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import type { FleetConfig } from "../../config/snapshot.ts";
import { namesBackend } from "../../config/values/backend-names.ts";
import { isMachineName } from "../../config/values/fleet-values.ts";
import { isoTime, settlesWithin } from "../../runtime/time/clock.ts";
import { createThrottle } from "../../runtime/time/throttle.ts";
import { FLEET_CONDITIONS, type FleetCondition } from "../conditions/condition-rows.ts";
import {
  connectionConditions,
  type FleetConnectionOptions,
  type FleetServerConnection,
  startFleetConnection,
} from "../nats/fleet-connection.ts";
import { type Offer, offerText, readOffer } from "./call-messages.ts";
import { type CallsEvents, type CallsPart, type CallsSession, openCallsSession } from "./calls-session.ts";
import { ID_BYTES } from "./frames.ts";
import type { TunnelEnd } from "./tunnel.ts";
import { type ImportedOffer, TunnelRegistry } from "./tunnel-registry.ts";

/** An unchanged offer is repeated at this interval, ms. */
const OFFER_MS = 10_000;
/** Changes of the offers are looked for at this interval, ms. */
const CHECK_MS = 2_000;
/** A machine counts as away after this time without an offer, ms: three offers are missing then. */
const SILENT_AFTER_MS = 3 * OFFER_MS + 1_000;
/** Changes within this time are published in one offer, ms. */
const GATHER_MS = 30;
/** Offers that are received within this time are processed together, ms. */
const FOLLOW_GATHER_MS = 10;
/** Minimum time between two offers, and between two updates of the borrowed backends, ms. */
const APART_MS = 300;
/** How long after the link's start a machine that `[fleet].import` names may take to send its offer, ms. */
const EXPECTED_WITHIN_MS = 15_000;
const MOST_MACHINES = 1_000;
/** Maximum number of borrowed backends. */
const MOST_IMPORTED = 200;
/** Maximum number of absent machines that the daemon's status lists. */
const MOST_MISSED = 20;
const FAREWELL_MS = 1_000;

export interface CallsOptions extends FleetConnectionOptions {
  readonly config: FleetConfig;
  /** Returns the exported backends of this machine that can serve now. */
  readonly exported: () => readonly string[];
  /** Serves a backend to another machine until the stream ends. */
  readonly serve: (machine: string, backend: string, stream: Duplex) => void;
  /** Called with all borrowed backends after each change. */
  readonly onImported: (backends: readonly ImportedOffer[]) => void;
}

export class Calls {
  readonly #options: CallsOptions;
  readonly #instance = randomBytes(ID_BYTES).toString("hex");
  readonly #switchboard: TunnelRegistry;
  readonly #ending = new AbortController();
  readonly #connection: FleetServerConnection;
  readonly #offers = new Map<string, Offer & { readonly heardAtMs: number }>();
  /**
   * Machines that went away without withdrawing their offer. The value is the time at which the machine went away,
   * Unix ms.
   */
  readonly #missed = new Map<string, number>();
  readonly #offerSoon;
  readonly #followSoon;
  #importedOffers: readonly ImportedOffer[] = [];
  #session: CallsSession | null = null;
  #config: FleetConfig;
  /** Since when this machine waits for the offers that `[fleet].import` names; null: there is no link. */
  #waitingSinceMs: number | null = null;
  /** Names of backends. */
  #offered: readonly string[] = [];
  #offeredAtMs = Number.NEGATIVE_INFINITY;
  /** True: the next offer is sent even if unchanged, because another machine asked for it. */
  #isRequested = false;
  #isHandingOver = false;

  constructor(options: CallsOptions) {
    this.#options = options;
    const { clock, config, serve, exported } = options;
    this.#config = config;
    this.#offerSoon = createThrottle(clock, APART_MS, () => this.#offerIfDue(), GATHER_MS);
    this.#followSoon = createThrottle(clock, APART_MS, () => this.#reportImported(), FOLLOW_GATHER_MS);
    this.#switchboard = new TunnelRegistry({
      clock,
      name: config.name,
      instance: this.#instance,
      refusal: (backend) => {
        if (this.#isHandingOver) return "it is being replaced; try again in 1 s";
        return this.#part.exports && exported().includes(backend) ? null : "it offers no server of that name";
      },
      serve,
      onLost: (machine, instance) => {
        if (this.#offers.get(machine)?.instance === instance) this.#forget(machine);
      },
    });
    this.#connection = startFleetConnection(options, {
      title: "fleet calls",
      signal: this.#ending.signal,
      open: (target, signal) => openCallsSession({ ...target, ...this.#part, events: this.#events }, signal),
      onOpen: (session) => this.#begin(session),
      onOver: () => this.#over("the link to the fleet's server was lost"),
      work: { everyMs: CHECK_MS, run: () => this.#work() },
    });
  }

  get #part(): CallsPart {
    return { exports: (this.#config.export ?? []).length > 0, imports: this.#imports.length > 0 };
  }

  get #imports(): readonly string[] {
    return this.#config.import ?? [];
  }

  /**
   * `onEnd` is called at most once, after this method has returned; not called if both sides end in order.
   */
  open(backend: ImportedOffer, onEnd: (end: TunnelEnd) => void): Duplex {
    return this.#switchboard.open(backend, onEnd);
  }

  conditions(): FleetCondition[] {
    const unreachable = connectionConditions(this.#connection, (...failure) =>
      FLEET_CONDITIONS.fleet_calls_unreachable(...failure),
    );
    if (unreachable.length > 0) return unreachable;
    const missing = [...this.#missing()].map(
      ([machine, sinceWallMs]): FleetCondition => ({
        ...FLEET_CONDITIONS.fleet_machine_away(machine),
        since: isoTime(sinceWallMs),
      }),
    );
    return missing;
  }

  /** Updates the offer soon. Call it when the backends that this machine can lend may have changed. */
  scheduleOffer(): void {
    this.#offerSoon.due();
  }

  /**
   * Applies a new configuration of a fleet whose name and servers stay the same. Ends only those calls that the new
   * configuration no longer allows.
   */
  configure(config: FleetConfig): void {
    if (this.#ending.signal.aborted) return;
    const before = this.#imports;
    this.#config = config;
    const exported = config.export ?? [];
    this.#switchboard.endServed(
      (_, backend) => !exported.includes("*") && !exported.includes(backend),
      "it is no longer offered",
    );
    for (const machine of [...this.#offers.keys(), ...this.#missed.keys()]) {
      if (this.#isWanted(machine)) continue;
      this.#offers.delete(machine);
      this.#missed.delete(machine);
    }
    const session = this.#session;
    session?.follow(this.#part);
    if (session !== null && !isDeepStrictEqual(this.#imports, before)) {
      this.#waitingSinceMs = this.#options.clock.monotonicMs();
      if (this.#part.imports) session.requestOffers();
    }
    this.#reportImported();
    this.scheduleOffer();
  }

  /**
   * Prepares for the next daemon: from now on offers nothing and accepts no tunnel. Open tunnels stay open.
   */
  leave(): void {
    this.#isHandingOver = true;
  }

  /** Ends all tunnels and the connection. Tunnels get `graceMs` to end on the other side. */
  async end(graceMs: number): Promise<void> {
    const { clock } = this.#options;
    if (!this.#ending.signal.aborted) {
      this.#offerSoon[Symbol.dispose]();
      if (this.#part.exports && !this.#isHandingOver) {
        this.#session?.offer(offerText({ instance: this.#instance, backends: [] }));
      }
      this.#isHandingOver = true;
      await settlesWithin(clock, graceMs, this.#switchboard.idle());
      // Called before the abort, so that the tunnels end with this reason.
      this.#over("this machine leaves");
      this.#ending.abort();
    }
    await settlesWithin(clock, FAREWELL_MS, this.#connection.done);
  }

  #begin(session: CallsSession): void {
    // The configuration may have changed since.
    session.follow(this.#part);
    this.#session = session;
    this.#waitingSinceMs = this.#options.clock.monotonicMs();
    this.#switchboard.begin(session.wire);
    if (this.#part.imports) session.requestOffers();
    this.#offer();
  }

  #work(): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs >= this.#offeredAtMs + OFFER_MS || this.#hasChanged()) this.#offer();
    for (const [machine, { heardAtMs }] of [...this.#offers]) {
      if (nowMs - heardAtMs > SILENT_AFTER_MS) this.#forget(machine);
    }
  }

  #over(why: string): void {
    this.#session = null;
    this.#waitingSinceMs = null;
    this.#offers.clear();
    this.#followSoon[Symbol.dispose]();
    // The gateway learns first that the backends are gone, so it does not retry a call that ends now.
    this.#reportImported();
    this.#switchboard.end(why);
  }

  readonly #events: CallsEvents = {
    frame: (sender, bytes) => this.#switchboard.take(sender, bytes),
    offer: (sender, bytes) => this.#takeOffer(sender, bytes),
    offersRequested: () => {
      this.#isRequested = true;
      this.#offerSoon.due();
    },
    nobodyThere: (machine) => {
      this.#switchboard.nobodyThere(machine);
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
    if (offer.backends.length === 0) {
      // A replaced daemon withdraws its own offer, not that of its successor.
      if (known !== undefined && known.instance !== offer.instance) return;
      this.#offers.delete(machine);
    } else {
      if (known === undefined && this.#offers.size >= MOST_MACHINES) return;
      this.#offers.set(machine, { ...offer, heardAtMs: clock.monotonicMs() });
    }
    this.#missed.delete(machine);
    this.#followSoon.due();
  }

  #isWanted(machine: string): boolean {
    return this.#imports.some((entry) => entry === "*" || entry.split("/")[0] === machine);
  }

  /** Imported backends of other machines, in the order of the machines' names. */
  #imported() {
    return [...this.#offers]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .flatMap(([machine, offer]) => offer.backends.map((backend) => ({ machine, backend, offer })))
      .filter(({ machine, backend }) => namesBackend(this.#imports, machine, backend));
  }

  /** Reports the borrowed backends after a change. */
  #reportImported(): void {
    const importedOffers = this.#imported()
      .map(({ machine, backend, offer: { instance } }) => ({ machine, backend, instance }))
      .slice(0, MOST_IMPORTED);
    if (!isDeepStrictEqual(importedOffers, this.#importedOffers)) {
      this.#importedOffers = importedOffers;
      this.#options.onImported(importedOffers);
    }
  }

  #forget(machine: string): void {
    this.#offers.delete(machine);
    if (this.#missed.size < MOST_MISSED) this.#missed.set(machine, this.#options.clock.wallMs());
    this.#reportImported();
  }

  /** For each machine that a condition shows as away: since when it is missing, Unix ms. */
  #missing(): ReadonlyMap<string, number> {
    const { clock } = this.#options;
    const missing = new Map(this.#missed);
    const expectedForMs = this.#waitingSinceMs === null ? 0 : clock.monotonicMs() - this.#waitingSinceMs;
    if (expectedForMs <= EXPECTED_WITHIN_MS) return missing;
    for (const entry of this.#imports) {
      const [machine = ""] = entry.split("/");
      // A file that several machines share may name this machine.
      if (machine === this.#config.name) continue;
      if (entry === "*" || this.#offers.has(machine) || missing.has(machine)) continue;
      if (missing.size < MOST_MISSED) missing.set(machine, Math.round(clock.wallMs() - expectedForMs));
    }
    return missing;
  }

  #exported(): readonly string[] {
    return this.#part.exports ? this.#options.exported().toSorted() : [];
  }

  #hasChanged(): boolean {
    return !isDeepStrictEqual(this.#exported(), this.#offered);
  }

  #offerIfDue(): void {
    if (this.#isRequested || this.#hasChanged()) this.#offer();
  }

  #offer(): void {
    const session = this.#session;
    if (session === null || this.#isHandingOver) return;
    const before = this.#offered;
    this.#offered = this.#exported();
    this.#offeredAtMs = this.#options.clock.monotonicMs();
    this.#isRequested = false;
    if (!this.#part.exports && before.length === 0) return;
    session.offer(offerText({ instance: this.#instance, backends: this.#offered }));
  }
}
