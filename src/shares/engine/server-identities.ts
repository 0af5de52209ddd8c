// For each of a share's two routes, the server that it was proved to lead to. After an outage, a route is proved again.
import { backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { FIRST_SERVER } from "../drivers/share-files.ts";
import type {
  IdentityObservation,
  RelayObservation,
  RouteObservation,
  ServerIdentity,
} from "../policy/share-observation.ts";
import type { Expected, ProofEndpoint, ProofResult, ServerProofs } from "../server-proof/server-proofs.ts";
import { otherRoute, ROUTE_NAMES, type RouteName, type RouteSpec, type ShareSpec } from "../share-spec.ts";

export interface IdentityInput {
  readonly spec: ShareSpec;
  /** The probes of the configured hosts. */
  readonly routes: Readonly<Record<RouteName, RouteObservation>>;
  /** Whether a proof is useful now: the share is or could be relayed, or is about to be mounted. */
  readonly wanted: boolean;
  /** The route of a mount through the relay; null: no such mount. */
  readonly inUse: RouteInUse | null;
  /** Whether to find out if the server accepts the login. */
  readonly checksLogin?: boolean;
}

/** The route of a mount through the relay, with the relay's counters. */
export interface RouteInUse extends Pick<RelayObservation, "server" | "outage" | "outageAtMove" | "witness"> {
  readonly route: RouteName;
  /** True: the relay has not lost the server since it was proved, so it is still the same server. */
  readonly goesOn: boolean;
  /** An address in use that is no longer configured; null or absent: the configured one is in use. */
  readonly unconfigured?: { readonly observed: RouteObservation; readonly port: number } | null;
}

interface RouteTrust {
  /** Id of the server proved behind the route since its last outage; null: none was proved. */
  server: string | null;
  /** Whether a proof was tried and failed. */
  wasTried: boolean;
  /** Grows when a proof becomes invalid. If it grows during a proof, the result of that proof is ignored. */
  invalidations: number;
  /** Address and ServerGuid at the last check; null: none yet. */
  identity: string | null;
}

interface TrustTools {
  readonly clock: Clock;
  readonly proof: Pick<ServerProofs, "compare" | "recognise">;
  /** Returns how many outages of the route in use the relay has counted until now; null: not known. */
  readonly outage: () => number | null;
}

type Prove = (signal: AbortSignal) => Promise<ProofResult>;

/** The subject of a proof: a configured route, or an address in use that is no longer configured. */
type Subject = RouteName | "unconfigured";

const ALWAYS = (): boolean => true;
const PROOF_DEADLINE_MS = 12_000;
/**
 * While the relay's sentinel connection over the other route is open, the server there is the same. If the connection
 * ends within this time, ms, that server probably ends every connection that does not log in.
 */
const SENTINEL_LASTS_MS = 30_000;
const LOST = Symbol("a route or its server was lost");

/**
 * Starts proofs of the servers behind one share's two routes, at most one at a time, and keeps the results.
 */
export class ServerIdentities implements AsyncDisposable {
  readonly #tools: TrustTools;
  readonly #onVerdict: () => void;
  readonly #known: Readonly<Record<Subject, RouteTrust>> = {
    tb: unknownRoute(),
    fallback: unknownRoute(),
    unconfigured: unknownRoute(),
  };
  #state: IdentityObservation["state"] = "unasked";
  #text: string | null = null;
  #isEmpty = false;
  /**
   * The proof's text about two different servers behind the routes; null: no such proof. Kept until both
   * routes are proved to lead to one server, or until an edit.
   */
  #different: string | null = null;
  /** True: the routes were proved to lead to two servers, and neither route was lost since. */
  #areTwo = false;
  /** Ids of servers with a recorded proof, so that later proofs can recognize them. */
  readonly #recorded = new Set<string>();
  /**
   * The id by which a proof recognized the server in use, if the mount was made under another id; null: none.
   */
  #better: string | null = null;
  /** The id that is assumed for the server in use if neither the driver nor the relay reports one. */
  #assumed: string = FIRST_SERVER;
  readonly #otherText: Record<RouteName, string> = { tb: SPLIT, fallback: SPLIT };
  #proving: AbortController | null = null;
  #isOver = false;
  #subjects: readonly Subject[] = [];
  /** Resolves when the newest proof's programs have ended and its file with the login is removed. */
  #newest: Promise<void> = Promise.resolve();
  /** The proof in progress, if it compares both routes. */
  #compared: AbortController | null = null;
  #backoff = NO_BACKOFF;
  #inUseBefore: RouteInUse | null = null;
  #sentinelSinceMs = 0;
  /**
   * Pause before the next proof, if the relay's sentinel connection over the other route has ended early several
   * times: a proof after each end would burden the server.
   */
  #sentinelPause = NO_BACKOFF;

  /** `onVerdict` is called when a proof has ended. */
  constructor(tools: TrustTools, onVerdict: () => void) {
    this.#tools = tools;
    this.#onVerdict = onVerdict;
  }

  /** Takes the newest probes, begins a proof if one is due, and returns what is proved now. */
  observe(input: IdentityInput): IdentityObservation {
    const known = this.#known;
    for (const route of ROUTE_NAMES) this.#update(route, input.routes[route]);
    const { inUse } = input;
    this.#updateInUse(inUse);
    const own = inUse === null ? null : ownSubject(inUse);
    if (own !== null && inUse?.goesOn === true && probeOf(input, own)?.verdict === "answers")
      known[own].server = this.#mounted(inUse);
    if (input.wanted) this.#beginIfDue(input);
    const mounted = this.#mounted(inUse);
    const isOther = ({ server }: RouteTrust): boolean =>
      server !== null && server !== (mounted ?? known.tb.server ?? server);
    const proved = (subject: Subject): boolean =>
      known[subject].server !== null && (mounted === null || known[subject].server === mounted);
    const split = ROUTE_NAMES.find((route) => isOther(known[route]));
    if (split !== undefined) this.#different ??= this.#otherText[split];
    else if (known.tb.server !== null && known.tb.server === known.fallback.server) this.#different = null;
    return {
      state: this.#different === null ? this.#state : "different",
      isProving: this.#proving !== null,
      text: this.#different ?? this.#text,
      isEmpty: this.#isEmpty,
      proved: { tb: proved("tb"), fallback: proved("fallback") },
      unconfiguredProved: proved("unconfigured"),
      servers: {
        tb: this.#identityOf(known.tb, mounted),
        fallback: this.#identityOf(known.fallback, mounted),
      },
      correctedId: this.#better,
    };
  }

  /** Forgets what is proved about `route`: another server may answer over it by now. */
  invalidate(route: Subject): void {
    const known = this.#known[route];
    known.server = null;
    known.wasTried = false;
    known.invalidations++;
    this.#areTwo = false;
    this.#backoff = NO_BACKOFF;
  }

  /** Repeats failed proofs now: the configuration has changed, or a person asks for a try. */
  retry(changed: readonly RouteName[] = []): void {
    for (const route of changed) this.invalidate(route);
    if (changed.length > 0) {
      this.#different = null;
      cutOff(this.#proving);
    }
    for (const route of ROUTE_NAMES) this.#known[route].wasTried = false;
    this.#backoff = NO_BACKOFF;
  }

  /**
   * Ends the proof in progress; a cycle that is under way begins none after it. Resolves when its programs have ended and its
   * files with logins are removed.
   */
  [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#proving?.abort();
    this.#proving = null;
    return this.#newest;
  }

  #update(route: RouteName, { probe }: RouteObservation): void {
    const one = this.#known[route];
    const isUnreachable = probe.verdict !== "answers";
    const identity = isUnreachable ? one.identity : `${probe.address} ${probe.serverGuid ?? ""}`;
    const isOther = one.identity !== null && identity !== one.identity;
    one.identity = identity;
    // Reset even if the lost route was not proved: the other route's server may answer over the lost route later.
    if (isUnreachable) this.#areTwo = false;
    const isProving = this.#proving !== null && this.#subjects.includes(route);
    if (isUnreachable ? one.server !== null || one.wasTried || isProving : isOther) this.invalidate(route);
    // A proof that compares both routes cannot succeed now. It is ended, so that a proof of only the other route can
    // begin at once; a move to that route waits for it.
    if (isUnreachable) cutOff(this.#compared);
  }

  /**
   * Forgets proofs of routes on which the relay has counted a loss. Probes do not notice the loss of a server that
   * is back by the next check.
   */
  #updateInUse(inUse: RouteInUse | null): void {
    const before = this.#inUseBefore;
    this.#inUseBefore = inUse;
    if (before === null && inUse !== null) this.#assumed = this.#known[inUse.route].server ?? FIRST_SERVER;
    if (before?.server !== inUse?.server) this.#better = null;
    // A proof about a former address does not hold for the next address.
    const { server, wasTried } = this.#known.unconfigured;
    if ((inUse?.unconfigured ?? null) === null && (server !== null || wasTried))
      this.invalidate("unconfigured");
    const lost = inUse === null ? [] : routesLost(before, inUse);
    for (const route of lost)
      this.invalidate(inUse !== null && route === inUse.route ? ownSubject(inUse) : route);
    if (lost.length > 0) cutOff(this.#proving);
    this.#updateSentinel(before, inUse);
  }

  #updateSentinel(before: RouteInUse | null, inUse: RouteInUse | null): void {
    const { witness = null } = inUse ?? {};
    const had = before?.witness ?? null;
    if (witness === had) return;
    const nowMs = this.#tools.clock.monotonicMs();
    const isSoon = nowMs - this.#sentinelSinceMs < SENTINEL_LASTS_MS;
    this.#sentinelSinceMs = nowMs;
    if (had === null || inUse === null || before?.route !== inUse.route) return;
    const other = otherRoute(inUse.route);
    this.invalidate(other);
    this.#sentinelPause = isSoon ? backOff(this.#sentinelPause, nowMs) : NO_BACKOFF;
    if (this.#sentinelPause.failures <= 1) return;
    this.#known[other].wasTried = true;
    this.#backoff = this.#sentinelPause;
  }

  #identityOf({ server, wasTried: isAttempted }: RouteTrust, mounted: string | null): ServerIdentity {
    return { id: server === mounted ? (this.#better ?? server) : server, isAttempted };
  }

  /** The id of the mounted server; null: no mount. */
  #mounted(inUse: RouteInUse | null): string | null {
    return inUse === null ? null : (inUse.server ?? this.#assumed);
  }

  #beginIfDue(input: IdentityInput): void {
    const { spec, inUse } = input;
    const known = this.#known;
    if (this.#proving !== null || this.#isOver) return;
    const isPaused = this.#tools.clock.monotonicMs() < this.#backoff.notBeforeMs;
    const own = inUse === null ? null : ownSubject(inUse);
    const mounted = this.#mounted(inUse);
    if (own !== null && known[own].server === null) {
      const endpoint = endpointOf(input, own);
      // The server of the route in use is proved before the two routes are compared: after an outage of both routes,
      // both may lead to another server.
      if (endpoint !== null && !isPaused) {
        this.#recognise(spec, own, endpoint, { server: mounted, isSteady: this.#steadiness() });
        return;
      }
      if (own !== "unconfigured" && endpoint !== null) return;
    }
    const up = ROUTE_NAMES.filter((route) => endpointOf(input, route) !== null);
    const [due] = up.filter((route) => known[route].server === null && (!isPaused || !known[route].wasTried));
    if (due === undefined) {
      if (!isPaused) this.#learn(input);
      return;
    }
    const { tb, fallback } = { tb: endpointOf(input, "tb"), fallback: endpointOf(input, "fallback") };
    if (tb !== null && fallback !== null && this.#different === null) {
      const isCertain =
        mounted !== null && own !== null && own !== "unconfigured" && known[own].server === mounted;
      this.#compare(spec, ROUTE_NAMES, { tb, fallback }, isCertain ? mounted : null);
      return;
    }
    const endpoint = endpointOf(input, due);
    const not = this.#areTwo ? known[otherRoute(due)].server : null;
    if (endpoint !== null) this.#recognise(spec, due, endpoint, { server: mounted, not });
  }

  /**
   * While it is certain which server the mount uses, records what the share's root looks like, so that a
   * proof can recognize the server after an outage. Also finds out whether the server accepts the login.
   */
  #learn(input: IdentityInput): void {
    const { spec, inUse, checksLogin = false } = input;
    if (inUse === null || !inUse.goesOn || ownSubject(inUse) === "unconfigured") return;
    const { route } = inUse;
    const server = this.#mounted(inUse);
    const endpoint = endpointOf(input, route);
    if (server === null || (this.#recorded.has(server) && !checksLogin) || endpoint === null) return;
    this.#compare(spec, [route], { tb: endpoint, fallback: endpoint }, server);
  }

  #recognise(spec: ShareSpec, subject: Subject, endpoint: ProofEndpoint, expected: Expected): void {
    const route = subject === "unconfigured" ? (this.#inUseBefore?.route ?? "tb") : subject;
    const prove: Prove = (signal) => this.#tools.proof.recognise(spec, route, endpoint, expected, signal);
    this.#begin([subject], prove, null, expected.isSteady);
  }

  /**
   * Begins a proof of the servers behind `routes`. Its result is used only if the server in use was not lost since,
   * because another server may answer after a loss.
   */
  #compare(
    spec: ShareSpec,
    routes: readonly RouteName[],
    endpoints: Readonly<Record<RouteName, ProofEndpoint>>,
    inUse: string | null,
  ): void {
    const { proof } = this.#tools;
    const isSteady = this.#steadiness();
    const prove: Prove = (signal) => proof.compare(spec, endpoints, inUse, isSteady, signal);
    this.#begin(routes, prove, inUse, isSteady);
  }

  /** Returns a function that returns true until the server in use is lost. */
  #steadiness(): () => boolean {
    const { outage: outageNow } = this.#tools;
    const outage = outageNow();
    return () => outage === null || outageNow() === outage;
  }

  #begin(subjects: readonly Subject[], prove: Prove, mounted: string | null, isSteady = ALWAYS): void {
    const controller = new AbortController();
    const before = new Map(subjects.map((subject) => [subject, this.#known[subject].invalidations]));
    const deadline = this.#tools.clock.setTimer(PROOF_DEADLINE_MS, () => controller.abort());
    this.#proving = controller;
    this.#subjects = subjects;
    this.#compared = subjects.length > 1 ? controller : null;
    this.#newest = prove(controller.signal)
      .catch((error: unknown): ProofResult => ({ kind: "unproved", text: errorText(error) }))
      .then((verdict) => {
        deadline[Symbol.dispose]();
        if (this.#proving !== controller) return;
        this.#proving = null;
        this.#compared = null;
        if (controller.signal.reason !== LOST) {
          const steady = subjects.filter(
            (subject) => before.get(subject) === this.#known[subject].invalidations,
          );
          this.#take(verdict, steady, mounted, steady.length === subjects.length && isSteady());
        }
        this.#onVerdict();
      });
  }

  /**
   * Stores a proof's result, but only for the routes in `steady`, which were not lost during the proof. If the server
   * in use was lost (`isSteady` is false), only the verdict `same` counts.
   */
  #take(verdict: ProofResult, steady: readonly Subject[], mounted: string | null, isSteady: boolean): void {
    if (verdict.kind === "same") {
      this.#text = null;
      this.#backoff = NO_BACKOFF;
      const known = this.#adoptOtherId(verdict.server, mounted) ? mounted : verdict.server;
      this.#recorded.add(verdict.server);
      for (const subject of steady) this.#known[subject].server = known;
    } else if (isSteady) {
      this.#text = verdict.text;
      // While programs wait, the pause does not grow.
      const before = this.#inUseBefore?.goesOn === false ? NO_BACKOFF : this.#backoff;
      this.#backoff = backOff(before, this.#tools.clock.monotonicMs());
      const other = verdict.kind === "different" ? (verdict.server ?? null) : null;
      if (verdict.kind === "different" && steady.length > 1) {
        this.#different = verdict.text;
        this.#areTwo = true;
      }
      for (const subject of steady) {
        if (verdict.kind === "unproved") this.#known[subject].wasTried = true;
        if (other === null) continue;
        this.#known[subject].server = other;
        if (subject !== "unconfigured") this.#otherText[subject] = verdict.text;
      }
    } else return;
    this.#state = verdict.kind;
    this.#isEmpty = verdict.kind === "unproved" && verdict.isEmpty === true;
  }

  /**
   * Records that a proof knows the mounted server by another id, because the mount is older than the proof. Returns
   * whether `#known` keeps the mount's id.
   */
  #adoptOtherId(server: string, mounted: string | null): mounted is string {
    if (mounted === null || server === mounted) return false;
    if ((this.#inUseBefore?.server ?? null) === null) {
      this.#assumed = server;
      return false;
    }
    this.#better = server;
    this.#recorded.add(mounted);
    return true;
  }
}

const SPLIT = "the routes lead to two servers that are known";

function unknownRoute(): RouteTrust {
  return { server: null, wasTried: false, invalidations: 0, identity: null };
}

function ownSubject({ route, unconfigured = null }: RouteInUse): Subject {
  return unconfigured === null ? route : "unconfigured";
}

function probeOf({ routes, inUse }: IdentityInput, subject: Subject): RouteObservation["probe"] | null {
  return (subject === "unconfigured" ? inUse?.unconfigured?.observed : routes[subject])?.probe ?? null;
}

/**
 * The routes that were in use since the previous check, and on which the relay may have counted an outage since
 * then.
 */
function routesLost(before: RouteInUse | null, inUse: RouteInUse): readonly RouteName[] {
  if (before === null) return inUse.goesOn ? [] : [inUse.route];
  if (inUse.outage === before.outage) return [];
  if (inUse.route === before.route) return [inUse.route];
  const { outageAtMove = null } = inUse;
  if (outageAtMove === before.outage) return [inUse.route];
  return outageAtMove !== null && outageAtMove === inUse.outage
    ? [before.route]
    : [before.route, inUse.route];
}

/** Aborts a proof after its route or server was lost. Its result would be worthless; the proof is repeated. */
function cutOff(proof: AbortController | null): void {
  proof?.abort(LOST);
}

function endpointOf(input: IdentityInput, subject: Subject): ProofEndpoint | null {
  const probe = probeOf(input, subject);
  if (probe?.verdict !== "answers") return null;
  const { inUse, spec } = input;
  if (subject === "unconfigured")
    return proofEndpoint(probe, { host: null, port: inUse?.unconfigured?.port ?? 445 });
  return proofEndpoint(probe, spec.routes[subject]);
}

export function proofEndpoint(
  { address, localAddress, serverGuid }: RouteObservation["probe"],
  { host, port }: Pick<RouteSpec, "host" | "port">,
): ProofEndpoint | null {
  if (address === null) return null;
  return { host, address, port, localAddress: localAddress ?? null, serverGuid: serverGuid ?? null };
}
