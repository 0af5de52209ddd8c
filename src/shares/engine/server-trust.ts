// Keeps what is proved about the server behind each route of one share, and has it proved again when a route was away.
import { backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteSeen, TrustSeen } from "../policy/share-seen.ts";
import type { ProofEndpoint, ProofVerdict, ServerProof } from "../server-proof/server-proof.ts";
import { otherRoute, ROUTE_NAMES, type RouteName, type ShareSpec } from "../share-spec.ts";

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
  /** Another one after each loss of its server; null: not told. */
  readonly outage: number | null;
  /** Its connections have gone on since they were proved: its server is the one. */
  readonly goesOn: boolean;
}

export interface ServerTrust extends Disposable {
  /** Takes in what the probes found, begins a proof when one is due, and tells what is known now. */
  note(input: TrustInput): TrustSeen;
  /** The server behind `route` has ended connections. */
  doubt(route: RouteName): void;
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

/** `onVerdict` is called when a proof that was begun has ended. */
export function createServerTrust(
  { clock, proof, outage: outageNow }: TrustTools,
  onVerdict: () => void,
): ServerTrust {
  const known: Record<RouteName, RouteTrust> = {
    tb: { proved: false, doubts: 0, identity: null },
    fallback: { proved: false, doubts: 0, identity: null },
  };
  let state: TrustSeen["state"] = "unasked";
  let text: string | null = null;
  let asking: AbortController | null = null;
  /** The proof under way, as long as it needs both routes. */
  let compared: AbortController | null = null;
  let backoff = NO_BACKOFF;
  let inUseBefore: RouteInUse | null = null;

  /** Aborts a proof during which a connection was lost: its result would say nothing, so it is run again. */
  const cutOff = (proof: AbortController | null): void => proof?.abort(LOST);

  const distrust = (route: RouteName): void => {
    known[route].proved = false;
    known[route].doubts++;
    backoff = NO_BACKOFF;
  };

  const fold = (route: RouteName, { probe }: RouteSeen): void => {
    const one = known[route];
    const identity =
      probe.verdict === "answers" ? `${probe.address} ${probe.serverGuid ?? ""}` : one.identity;
    const isOther = one.identity !== null && identity !== one.identity;
    one.identity = identity;
    const isAway = probe.verdict !== "answers";
    if (isAway ? one.proved || compared !== null : isOther) distrust(route);
    // What is left to ask is the other route alone, and whoever is moved there waits for that.
    if (isAway) cutOff(compared);
  };

  /** A server that is back within one look was not seen away: only its connections tell. */
  const foldInUse = (inUse: RouteInUse | null): void => {
    const before = inUseBefore;
    inUseBefore = inUse;
    if (inUse === null) return;
    const isLost = before === null ? !inUse.goesOn : inUse.outage !== before.outage;
    if (!isLost) return;
    for (const route of new Set([before?.route ?? inUse.route, inUse.route])) distrust(route);
    cutOff(asking);
  };

  const begin = (routes: readonly RouteName[], ask: Ask, isSteady = ALWAYS): void => {
    const controller = new AbortController();
    const before = new Map(routes.map((route) => [route, known[route].doubts]));
    const deadline = clock.setTimer(PROOF_DEADLINE_MS, () => controller.abort());
    asking = controller;
    compared = routes.length > 1 ? controller : null;
    void ask(controller.signal)
      .catch((error: unknown): ProofVerdict => ({ kind: "unproved", text: errorText(error) }))
      .then((verdict) => {
        deadline[Symbol.dispose]();
        if (asking !== controller) return;
        asking = null;
        compared = null;
        if (controller.signal.reason === LOST) return onVerdict();
        const steady = routes.filter((route) => before.get(route) === known[route].doubts);
        // What a lost route or server fell into says nothing, or is of another server than the one there now.
        if (verdict.kind === "same" || (steady.length === routes.length && isSteady())) {
          state = verdict.kind;
          text = verdict.kind === "same" ? null : verdict.text;
          backoff = verdict.kind === "same" ? NO_BACKOFF : backOff(backoff, clock.monotonicMs());
        }
        if (verdict.kind === "same") for (const route of steady) known[route].proved = true;
        onVerdict();
      });
  };

  const recognise = (spec: ShareSpec, route: RouteName, endpoint: ProofEndpoint | null): void => {
    if (endpoint !== null) begin([route], (signal) => proof.recognise(spec, route, endpoint, signal));
  };
  /** What was seen is remembered only if the server in use was not lost meanwhile: it may be another's. */
  const compare = (
    spec: ShareSpec,
    routes: readonly RouteName[],
    endpoints: Readonly<Record<RouteName, ProofEndpoint>>,
  ): void => {
    const outage = outageNow();
    const isSteady = (): boolean => outage === null || outageNow() === outage;
    begin(routes, (signal) => proof.compare(spec, endpoints, isSteady, signal), isSteady);
  };

  const beginIfDue = ({ spec, routes, inUse }: TrustInput): void => {
    if (asking !== null || clock.monotonicMs() < backoff.notBeforeMs) return;
    const endpoints = { tb: endpointOf(spec, routes, "tb"), fallback: endpointOf(spec, routes, "fallback") };
    if (ROUTE_NAMES.every((route) => known[route].proved)) return;
    const { tb, fallback } = endpoints;
    if (tb !== null && fallback !== null) {
      // Both may have been away together: that they are equal does not say that they are the one of before.
      if (inUse !== null && !known[inUse.route].proved) recognise(spec, inUse.route, endpoints[inUse.route]);
      else compare(spec, ROUTE_NAMES, { tb, fallback });
      return;
    }
    const route = ROUTE_NAMES.find(
      (name) => endpoints[name] !== null && endpoints[otherRoute(name)] === null,
    );
    const endpoint = route === undefined ? null : endpoints[route];
    if (inUse === null || route === undefined) return;
    if (!known[route].proved) recognise(spec, route, endpoint);
    // Nothing is known yet to recognise the server by after it was away: it is looked at while it is certain.
    else if (state === "unasked" && endpoint !== null) {
      compare(spec, [route], { tb: endpoint, fallback: endpoint });
    }
  };

  return {
    note(input) {
      for (const route of ROUTE_NAMES) fold(route, input.routes[route]);
      const { inUse } = input;
      foldInUse(inUse);
      if (inUse?.goesOn === true && input.routes[inUse.route].probe.verdict === "answers")
        known[inUse.route].proved = true;
      if (input.wanted) beginIfDue(input);
      return {
        state,
        asking: asking !== null,
        text,
        proved: { tb: known.tb.proved, fallback: known.fallback.proved },
      };
    },
    doubt: distrust,
    [Symbol.dispose]() {
      asking?.abort();
      asking = null;
    },
  };
}

function endpointOf(
  spec: ShareSpec,
  routes: Readonly<Record<RouteName, RouteSeen>>,
  route: RouteName,
): ProofEndpoint | null {
  const { probe } = routes[route];
  if (probe.verdict !== "answers" || probe.address === null) return null;
  return {
    address: probe.address,
    port: spec.routes[route].port,
    localAddress: probe.localAddress ?? null,
    serverGuid: probe.serverGuid ?? null,
  };
}
