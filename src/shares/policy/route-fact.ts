// The fact about the route that a mount uses: whether its host is gone. Pure: equal input gives an equal fact, however
// often it is asked for.
import { suspect } from "../../reconcile/route-health.ts";
import type { RouteName } from "../share-spec.ts";
import type { DecideInput } from "./decide-input.ts";
import { isDeadErrno, isLocalErrno, SILENT_CHECK_MS } from "./mount-errno.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import type { MountObservation } from "./share-observation.ts";

/** `waiting`: a second probe or a check must confirm the loss. `slow`: the host is silent, but the mount answers. */
type RouteState = "answers" | "waiting" | "slow" | "gone";

export interface RouteFact {
  readonly route: RouteName;
  readonly state: RouteState;
  /** The loss that these probes show; the next decision needs to know it. null: they show none. */
  readonly suspectedLoss: ReconcileState["suspectedLoss"];
  /** When the next probe or check is due, monotonic ms; null: at the regular time. */
  readonly recheckAtMs: number | null;
}

type Input = Pick<DecideInput, "observed" | "state" | "cacheMs">;
type Judgement = Omit<RouteFact, "route" | "suspectedLoss">;

/**
 * Whether the host of a mounted share is gone: two probes with the verdict `gone` prove that, two silent ones only if a
 * mount check also fails.
 */
export function routeFact(input: Input, mount: MountObservation, route: RouteName): RouteFact {
  const { observed, state } = input;
  const { probe, atMs } = observed.routes[route];
  if (probe.verdict === "answers") return { route, ...judged("answers"), suspectedLoss: null };
  // A link of this machine that is down needs no second probe.
  if (probe.reason === "link_down") return { route, ...judged("gone"), suspectedLoss: state.suspectedLoss };
  const loss = suspect(state.suspectedLoss, `${route} ${mount.found.id}`, atMs, probe.verdict === "gone");
  const suspectedLoss = loss.suspectedLoss;
  if (loss.state === "waiting") return { route, ...judged("waiting", loss.confirmAtMs), suspectedLoss };
  if (suspectedLoss.certain) return { route, ...judged("gone"), suspectedLoss };
  return { route, ...judgeSilence(input, mount, suspectedLoss.firstAtMs), suspectedLoss };
}

function judged(state: RouteState, recheckAtMs: number | null = null): Judgement {
  return { state, recheckAtMs };
}

function judgeSilence(input: Input, { found, check }: MountObservation, sinceMs: number): Judgement {
  if (found.processGone) return judged("gone");
  if (check.state !== "pending") return judgeByCheck(input, check, sinceMs);
  const goneAtMs = check.startedAtMs + SILENT_CHECK_MS;
  return input.observed.atMs >= goneAtMs ? judged("gone") : judged("waiting", goneAtMs);
}

/**
 * Judges a host that does not answer by a mount check. Only a check that began at `sinceMs` or later is used; without
 * one, plans one.
 */
function judgeByCheck(
  { observed: { atMs }, cacheMs }: Input,
  check: MountObservation["check"],
  sinceMs: number,
): Judgement {
  if (check.state === "answered" && check.startedAtMs >= sinceMs && !isLocalErrno(check.errno))
    return judged(isDeadErrno(check.errno) ? "gone" : "slow");
  const finishedAtMs = check.state === "answered" ? check.finishedAtMs : atMs;
  return judged("waiting", Math.max(atMs + 1, finishedAtMs + cacheMs));
}
