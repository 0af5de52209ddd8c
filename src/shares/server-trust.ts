// Keeps what is proved about the server behind each route of one share, and has it proved again when a route was away.
import { backOff, NO_BACKOFF } from "../reconcile/route-health.ts";
import type { Clock } from "../runtime/clock.ts";
import { errorText } from "../runtime/errors.ts";
import type { ProofEndpoint, ProofVerdict, ServerProof } from "./server-proof/server-proof.ts";
import type { RouteSeen, TrustSeen } from "./share-seen.ts";
import { otherRoute, ROUTE_NAMES, type RouteName, type ShareSpec } from "./share-spec.ts";

export interface TrustInput {
  readonly spec: ShareSpec;
  readonly routes: Readonly<Record<RouteName, RouteSeen>>;
  /** Whether a proof is of use now: the share is carried, or could be. */
  readonly wanted: boolean;
  /** Something is carried already, so that one route alone is worth a proof. */
  readonly carried: boolean;
  /** The route whose connections have gone on since they were proved: its server is the one. */
  readonly anchor: RouteName | null;
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

export interface TrustTools {
  readonly clock: Clock;
  readonly proof: Pick<ServerProof, "compare" | "recognise">;
}

const PROOF_DEADLINE_MS = 12_000;

/** `onVerdict` is called when a proof that was begun has ended. */
export function createServerTrust({ clock, proof }: TrustTools, onVerdict: () => void): ServerTrust {
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
    if (isAway) compared?.abort();
  };

  const begin = (routes: readonly RouteName[], ask: (signal: AbortSignal) => Promise<ProofVerdict>): void => {
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
        const steady = routes.filter((route) => before.get(route) === known[route].doubts);
        // One that could not end because a route went away says nothing.
        if (verdict.kind !== "unproved" || steady.length === routes.length) {
          state = verdict.kind;
          text = verdict.kind === "same" ? null : verdict.text;
          backoff = verdict.kind === "same" ? NO_BACKOFF : backOff(backoff, clock.monotonicMs());
        }
        if (verdict.kind === "same") for (const route of steady) known[route].proved = true;
        onVerdict();
      });
  };

  const recogniseThenCompare = async (
    spec: ShareSpec,
    endpoints: Readonly<Record<RouteName, ProofEndpoint>>,
    signal: AbortSignal,
  ): Promise<ProofVerdict> => {
    // Both may have been away together: that they are equal does not say that they are the one of before.
    const before = await proof.recognise(spec, "tb", endpoints.tb, signal);
    return before.kind === "same" ? proof.compare(spec, endpoints, signal) : before;
  };

  const beginIfDue = ({ spec, routes, carried }: TrustInput): void => {
    if (asking !== null || clock.monotonicMs() < backoff.notBeforeMs) return;
    const endpoints = { tb: endpointOf(spec, routes, "tb"), fallback: endpointOf(spec, routes, "fallback") };
    if (ROUTE_NAMES.every((route) => known[route].proved)) return;
    const { tb, fallback } = endpoints;
    if (tb !== null && fallback !== null) {
      const both = { tb, fallback };
      const isAnchored = ROUTE_NAMES.some((route) => known[route].proved);
      begin(ROUTE_NAMES, (signal) =>
        carried && !isAnchored ? recogniseThenCompare(spec, both, signal) : proof.compare(spec, both, signal),
      );
      return;
    }
    const route = ROUTE_NAMES.find(
      (name) => endpoints[name] !== null && endpoints[otherRoute(name)] === null,
    );
    const endpoint = route === undefined ? null : endpoints[route];
    if (!carried || route === undefined || endpoint === null) return;
    if (!known[route].proved) begin([route], (signal) => proof.recognise(spec, route, endpoint, signal));
    // Nothing is known yet to recognise the server by after it was away: it is looked at while it is certain.
    else if (state === "unasked") {
      begin([route], (signal) => proof.compare(spec, { tb: endpoint, fallback: endpoint }, signal));
    }
  };

  return {
    note(input) {
      for (const route of ROUTE_NAMES) fold(route, input.routes[route]);
      const { anchor } = input;
      if (anchor !== null && input.routes[anchor].probe.verdict === "answers") known[anchor].proved = true;
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
