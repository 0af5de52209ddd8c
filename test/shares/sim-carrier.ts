// A simulated carrier and proof of servers for the simulated world: what is carried, and which server is behind a route.

import { backOff, NO_BACKOFF } from "../../src/reconcile/route-health.ts";
import type { RelayPhase } from "../../src/relay/relay.ts";
import type {
  IdentityObservation,
  RelayObservation,
  RouteObservation,
} from "../../src/shares/policy/share-observation.ts";
import { ROUTE_NAMES, type RouteName } from "../../src/shares/share-spec.ts";
import type { HostState, SimMount } from "./world.ts";

export const PATIENCE_MS = 60_000;

export interface SimCarried {
  phase: RelayPhase;
  /** The server whose files are open on it. */
  server: string;
  lastAnswerAtMs: number | null;
  unansweredSinceMs: number | null;
  lostAtMs: number | null;
}

interface Proof {
  readonly endsAtMs: number;
  readonly routes: readonly RouteName[];
  readonly verdict: () => Exclude<IdentityObservation["state"], "unasked">;
}

export class SimCarrier {
  /** Which server is behind each route. */
  readonly servers: Record<RouteName, string> = { tb: "nas", fallback: "nas" };
  proofTakesMs = 100;
  /** As the server has it. */
  encrypted = false;
  limit: NonNullable<RelayObservation["limit"]> | null = null;
  /** Proofs cannot be made: a wrong password. */
  unprovable = false;
  /** Nor can they in an empty root. */
  empty = false;
  /** What a proof that failed says; null: nothing. */
  says: string | null = "they list different files";
  /** It cannot be asked: it has died, and is not back yet. */
  deaf = false;

  readonly #proved: Record<RouteName, boolean> = { tb: false, fallback: false };
  #state: IdentityObservation["state"] = "unasked";
  #proof: Proof | null = null;
  #backoff = NO_BACKOFF;

  /** When the proof under way ends; nothing: never. */
  get dueMs(): number {
    return this.#proof?.endsAtMs ?? Number.POSITIVE_INFINITY;
  }

  open(route: RouteName): SimCarried {
    return {
      phase: "carrying",
      server: this.servers[route],
      lastAnswerAtMs: null,
      unansweredSinceMs: null,
      lostAtMs: null,
    };
  }

  /** What its connections come to while nobody steps in. */
  watch({ route, carried }: SimMount, hosts: Readonly<Record<RouteName, HostState>>, nowMs: number): void {
    if (carried === undefined || route === null) return;
    const host = hosts[route];
    const isReplaced = this.servers[route] !== carried.server;
    if (carried.phase === "carrying" && (host === "refused" || (host === "answers" && isReplaced))) {
      carried.phase = host === "refused" ? "waiting" : "unconfirmed";
      this.#proved[route] = false;
      carried.lostAtMs ??= nowMs;
    } else if (carried.phase !== "carrying" && carried.phase !== "unconfirmed" && host === "answers") {
      carried.phase = "unconfirmed";
    } else if (host !== "answers" && nowMs - (carried.lostAtMs ?? nowMs) >= PATIENCE_MS) {
      carried.phase = "refusing";
    }
  }

  hold(carried: SimCarried, nowMs: number): void {
    if (this.deaf || carried.phase !== "carrying") return;
    carried.phase = "waiting";
    carried.lostAtMs = nowMs;
  }

  goOn(carried: SimCarried): void {
    carried.phase = "carrying";
    carried.lostAtMs = null;
    carried.unansweredSinceMs = null;
  }

  seen({ phase, lastAnswerAtMs, unansweredSinceMs, lostAtMs }: SimCarried): RelayObservation {
    return {
      port: 40_000,
      phase,
      lastAnswerAtMs,
      unansweredSinceMs,
      // A route that answers again is not lost, whoever answers there.
      routeLostAtMs: phase === "unconfirmed" ? null : lostAtMs,
      outage: null,
      rerouted: false,
      encrypted: this.encrypted,
      limit: this.limit,
    };
  }

  note(
    routes: Readonly<Record<RouteName, RouteObservation>>,
    mount: SimMount | null,
    wanted: boolean,
    nowMs: number,
  ): IdentityObservation {
    this.#endProof(nowMs);
    const up = ROUTE_NAMES.filter((route) => routes[route].probe.verdict === "answers");
    for (const route of ROUTE_NAMES) {
      if (up.includes(route) || !this.#proved[route]) continue;
      this.#proved[route] = false;
      this.#backoff = NO_BACKOFF;
    }
    const carried = mount?.carried;
    const route = mount?.route ?? null;
    if (carried?.phase === "carrying" && route !== null && up.includes(route)) this.#proved[route] = true;
    if (wanted && nowMs >= this.#backoff.notBeforeMs) this.#begin(up, carried, nowMs);
    return {
      state: this.#state,
      isProving: this.#proof !== null,
      text: this.#state === "same" ? null : this.says,
      isEmpty: this.empty,
      proved: { ...this.#proved },
    };
  }

  #begin(up: readonly RouteName[], carried: SimCarried | undefined, nowMs: number): void {
    const unproved = up.filter((route) => !this.#proved[route]);
    if (this.#proof !== null || unproved.length === 0 || (up.length < 2 && carried === undefined)) return;
    const before = carried?.server ?? null;
    const verdict = (): Exclude<IdentityObservation["state"], "unasked"> => {
      if (this.unprovable || this.empty) return "unproved";
      const servers = new Set(up.map((route) => this.servers[route]));
      return servers.size > 1 || (before !== null && !servers.has(before)) ? "different" : "same";
    };
    this.#proof = { endsAtMs: nowMs + this.proofTakesMs, routes: up, verdict };
  }

  #endProof(nowMs: number): void {
    if (this.#proof === null || this.#proof.endsAtMs > nowMs) return;
    const { routes, verdict } = this.#proof;
    this.#proof = null;
    this.#state = verdict();
    this.#backoff = this.#state === "same" ? NO_BACKOFF : backOff(this.#backoff, nowMs);
    if (this.#state === "same") for (const route of routes) this.#proved[route] = true;
  }
}
