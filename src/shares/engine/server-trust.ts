// What is proved about the servers behind a share's two routes. After a route was away, it is proved again.
import { backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteSeen, TrustSeen } from "../policy/share-seen.ts";
import type { ProofEndpoint, ProofVerdict, ServerProof } from "../server-proof/server-proof.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../share-spec.ts";

export interface TrustInput {
  readonly spec: ShareSpec;
  readonly routes: Readonly<Record<RouteName, RouteSeen>>;
  /** Whether a proof is of use now: the share is carried, or could be. */
  readonly wanted: boolean;
  /** The route that something is carried over; null: nothing is, and one route alone is worth no proof. */
  readonly inUse: RouteInUse | null;
}

export interface RouteInUse {
  readonly route: RouteName;
  /** A number that changes each time the server is lost; null: not told. */
  readonly outage: number | null;
  /** What it was when this route was taken; null or absent: not told. */
  readonly outageAtMove?: number | null;
  /** Its connections have gone on since they were proved: its server is the one. */
  readonly goesOn: boolean;
}

interface RouteTrust {
  proved: boolean;
  /** Counts what made an earlier proof worthless. */
  doubts: number;
  /** Address and GUID at the last look. */
  identity: string | null;
}

interface TrustTools {
  readonly clock: Clock;
  readonly proof: Pick<ServerProof, "compare" | "recognise">;
  /** What is told now of the route in use. */
  readonly outage: () => number | null;
}

type Ask = (signal: AbortSignal) => Promise<ProofVerdict>;

const ALWAYS = (): boolean => true;
const PROOF_DEADLINE_MS = 12_000;
/** Why a proof was ended early. */
const LOST = Symbol("a route or its server was lost");

/** The two routes of one share, and the proof about them that is under way. */
export class ServerTrust implements AsyncDisposable {
  readonly #tools: TrustTools;
  readonly #onVerdict: () => void;
  readonly #known: Readonly<Record<RouteName, RouteTrust>> = {
    tb: { proved: false, doubts: 0, identity: null },
    fallback: { proved: false, doubts: 0, identity: null },
  };
  #state: TrustSeen["state"] = "unasked";
  #text: string | null = null;
  #asking: AbortController | null = null;
  /** The newest proof, until its programs have ended and the login that they read is removed. */
  #newest: Promise<void> = Promise.resolve();
  /** The proof under way, as long as it needs both routes. */
  #compared: AbortController | null = null;
  #backoff = NO_BACKOFF;
  #inUseBefore: RouteInUse | null = null;

  /** `onVerdict` is called when a proof that was begun has ended. */
  constructor(tools: TrustTools, onVerdict: () => void) {
    this.#tools = tools;
    this.#onVerdict = onVerdict;
  }

  /** Takes in what the probes found, begins a proof when one is due, and tells what is known now. */
  note(input: TrustInput): TrustSeen {
    for (const route of ROUTE_NAMES) this.#fold(route, input.routes[route]);
    const { inUse } = input;
    this.#foldInUse(inUse);
    if (inUse?.goesOn === true && input.routes[inUse.route].probe.verdict === "answers")
      this.#known[inUse.route].proved = true;
    if (input.wanted) this.#beginIfDue(input);
    return {
      state: this.#state,
      asking: this.#asking !== null,
      text: this.#text,
      proved: { tb: this.#known.tb.proved, fallback: this.#known.fallback.proved },
    };
  }

  /** The server behind `route` has ended connections. */
  doubt(route: RouteName): void {
    this.#known[route].proved = false;
    this.#known[route].doubts++;
    this.#backoff = NO_BACKOFF;
  }

  /** Resolves when nothing of a proof is left: no program, and no file with a login. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#asking?.abort();
    this.#asking = null;
    return this.#newest;
  }

  #fold(route: RouteName, { probe }: RouteSeen): void {
    const one = this.#known[route];
    const isAway = probe.verdict !== "answers";
    const identity = isAway ? one.identity : `${probe.address} ${probe.serverGuid ?? ""}`;
    const isOther = one.identity !== null && identity !== one.identity;
    one.identity = identity;
    if (isAway ? one.proved || this.#compared !== null : isOther) this.doubt(route);
    // What is left to ask is the other route alone, and whoever is moved there waits for that.
    if (isAway) cutOff(this.#compared);
  }

  /** A server that is back within one look was not seen away: only its connections tell. */
  #foldInUse(inUse: RouteInUse | null): void {
    const before = this.#inUseBefore;
    this.#inUseBefore = inUse;
    const lost = inUse === null ? [] : routesLost(before, inUse);
    for (const route of lost) this.doubt(route);
    if (lost.length > 0) cutOff(this.#asking);
  }

  #beginIfDue(input: TrustInput): void {
    const { spec, inUse } = input;
    const known = this.#known;
    if (this.#asking !== null || this.#tools.clock.monotonicMs() < this.#backoff.notBeforeMs) return;
    if (ROUTE_NAMES.every((route) => known[route].proved)) return;
    const endpoints = { tb: endpointOf(input, "tb"), fallback: endpointOf(input, "fallback") };
    const { tb, fallback } = endpoints;
    if (tb !== null && fallback !== null) {
      // Both may have been away together: that they are equal does not say that they are the one of before.
      if (inUse !== null && !known[inUse.route].proved)
        this.#recognise(spec, inUse.route, { tb, fallback }[inUse.route]);
      else this.#compare(spec, ROUTE_NAMES, { tb, fallback });
      return;
    }
    const endpoint = tb ?? fallback;
    if (inUse === null || endpoint === null) return;
    const route: RouteName = tb === null ? "fallback" : "tb";
    if (!known[route].proved) this.#recognise(spec, route, endpoint);
    // Nothing is known yet to recognise the server by after it was away: it is looked at while it is certain.
    else if (this.#state === "unasked") this.#compare(spec, [route], { tb: endpoint, fallback: endpoint });
  }

  #recognise(spec: ShareSpec, route: RouteName, endpoint: ProofEndpoint): void {
    this.#begin([route], (signal) => this.#tools.proof.recognise(spec, route, endpoint, signal));
  }

  /** What was seen is kept only if the server in use was not lost meanwhile: what answers then may be another server. */
  #compare(
    spec: ShareSpec,
    routes: readonly RouteName[],
    endpoints: Readonly<Record<RouteName, ProofEndpoint>>,
  ): void {
    const { proof, outage: outageNow } = this.#tools;
    const outage = outageNow();
    const isSteady = (): boolean => outage === null || outageNow() === outage;
    this.#begin(routes, (signal) => proof.compare(spec, endpoints, isSteady, signal), isSteady);
  }

  #begin(routes: readonly RouteName[], ask: Ask, isSteady = ALWAYS): void {
    const controller = new AbortController();
    const before = new Map(routes.map((route) => [route, this.#known[route].doubts]));
    const deadline = this.#tools.clock.setTimer(PROOF_DEADLINE_MS, () => controller.abort());
    this.#asking = controller;
    this.#compared = routes.length > 1 ? controller : null;
    this.#newest = ask(controller.signal)
      .catch((error: unknown): ProofVerdict => ({ kind: "unproved", text: errorText(error) }))
      .then((verdict) => {
        deadline[Symbol.dispose]();
        if (this.#asking !== controller) return;
        this.#asking = null;
        this.#compared = null;
        if (controller.signal.reason !== LOST) {
          const steady = routes.filter((route) => before.get(route) === this.#known[route].doubts);
          this.#take(verdict, steady, steady.length === routes.length && isSteady());
        }
        this.#onVerdict();
      });
  }

  /** What a lost route or server fell into says nothing, or is of another server than the one there now. */
  #take(verdict: ProofVerdict, steady: readonly RouteName[], isSteady: boolean): void {
    if (verdict.kind === "same") {
      this.#text = null;
      this.#backoff = NO_BACKOFF;
      for (const route of steady) this.#known[route].proved = true;
    } else if (isSteady) {
      this.#text = verdict.text;
      this.#backoff = backOff(this.#backoff, this.#tools.clock.monotonicMs());
    } else return;
    this.#state = verdict.kind;
  }
}

/** Those that were in use when a server was lost since the look before. */
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

/** Aborts a proof during which a connection was lost: its result would say nothing, so it is run again. */
function cutOff(proof: AbortController | null): void {
  proof?.abort(LOST);
}

function endpointOf({ spec, routes }: TrustInput, route: RouteName): ProofEndpoint | null {
  const { probe } = routes[route];
  if (probe.verdict !== "answers" || probe.address === null) return null;
  return {
    address: probe.address,
    port: spec.routes[route].port,
    localAddress: probe.localAddress ?? null,
    serverGuid: probe.serverGuid ?? null,
  };
}
