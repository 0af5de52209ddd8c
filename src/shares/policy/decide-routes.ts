// What the answers of a share's two hosts mean: health, ups and downs, and whether the active host is gone.
import { foldHealth, suspect } from "../../reconcile/route-health.ts";
import { ROUTE_NAMES, type RouteName } from "../share-spec.ts";
import { answers, type Builder, clearPending, hostOf, setMemory, setState } from "./decision-builder.ts";
import type { LaneState } from "./lane-state.ts";
import type { MountSeen } from "./share-seen.ts";

/** More than this many check intervals without an observation are a gap. */
const GAP_INTERVALS = 3;

/** How long a cycle's own looks may take besides probing: a readdir 1 s, open files 2 s. */
const OWN_LOOKS_MS = 3000;

/** If a readdir over a silent host takes longer than this, it also says that the host is gone, ms. */
export const SILENT_LOOK_MS = 1000;

const LOCAL_ERRNOS: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EINTR"]);

export function foldRoutes(builder: Builder): void {
  for (const route of ROUTE_NAMES) foldRoute(builder, route);
  const { tb } = builder.state.health;
  const reachable = tb.reachableSince?.wallMs ?? null;
  const healthy = tb.healthySince?.wallMs ?? null;
  if (builder.memory.tbReachableSince !== reachable || builder.memory.tbHealthySince !== healthy) {
    setMemory(builder, { tbReachableSince: reachable, tbHealthySince: healthy });
  }
  if (healthy === null || !answers(builder, "tb")) clearPending(builder, "Thunderbolt dropped");
}

function foldRoute(builder: Builder, route: RouteName): void {
  const { probe, atMs } = builder.seen.routes[route];
  const before = builder.state.health[route];
  if (before.observedAt !== null && before.observedAt.monotonicMs > atMs) return;
  const up = probe.verdict === "answers";
  const age = builder.seen.atMs - atMs;
  const { health, dropped } = foldHealth(
    before,
    {
      at: { monotonicMs: atMs, wallMs: builder.seen.wallMs - age },
      reachable: probe.tcpAnswered,
      healthy: up,
    },
    gapMs(builder),
  );
  if (builder.state.announced[route]?.up !== up) announce(builder, route, { up, atMs }, probe.text);
  setState(builder, { health: { ...builder.state.health, [route]: health } });
  // A gap counts as a drop, even if the host answers again by now; so does a health that was not recalled.
  if (route === "tb" && (dropped || before.healthySince === null))
    clearPending(builder, up ? "Thunderbolt was not observed" : probe.text);
}

/** With short intervals, a long cycle of our own (silent hosts, a slow look, a late check) is not a gap. */
function gapMs({ policy }: Builder): number {
  return Math.max(GAP_INTERVALS * policy.checkIntervalMs, policy.connectTimeoutMs + OWN_LOOKS_MS);
}

function announce(
  builder: Builder,
  route: RouteName,
  news: NonNullable<LaneState["announced"][RouteName]>,
  reason: string,
): void {
  setState(builder, { announced: { ...builder.state.announced, [route]: news } });
  builder.transitions.push({
    name: news.up ? "share.route_up" : "share.route_down",
    route,
    host: hostOf(builder, route),
    reason,
  });
}

/** - `waiting`: a loss that a second probe must confirm (a wake is set). - `slow`: silent, but the mount answers. */
export type OwnRoute = "answers" | "waiting" | "slow" | "gone";

/**
 * Whether the host of a mounted share is gone: by two probes if they are certain, by silence only if the mount agrees.
 */
export function judgeOwnRoute(builder: Builder, route: RouteName, mount: MountSeen): OwnRoute {
  const judged = judgeByProbes(builder, route, mount);
  return typeof judged === "string" ? judged : judgeSilence(builder, mount, judged.silentSinceMs);
}

/** The verdict of the host's probes alone; `silentSinceMs`: two of them had no answer, which proves nothing yet. */
export function judgeByProbes(
  builder: Builder,
  route: RouteName,
  { found }: MountSeen,
): Exclude<OwnRoute, "slow"> | { readonly silentSinceMs: number } {
  const { probe, atMs } = builder.seen.routes[route];
  if (probe.verdict === "answers") {
    if (builder.state.suspicion !== null) setState(builder, { suspicion: null });
    return "answers";
  }
  // This machine's own link reports it.
  if (probe.reason === "link_down") return "gone";
  const key = `${route} ${found.id}`;
  const verdict = suspect(builder.state.suspicion, key, atMs, probe.verdict === "gone");
  setState(builder, { suspicion: verdict.suspicion });
  if (verdict.state === "waiting") {
    builder.wakes.push({ atMs: verdict.confirmAtMs, reason: "confirm" });
    return "waiting";
  }
  return verdict.suspicion.certain ? "gone" : { silentSinceMs: verdict.suspicion.firstAtMs };
}

function judgeSilence(
  builder: Builder,
  { found, look, pinned = null }: MountSeen,
  sinceMs: number,
): OwnRoute {
  // No look is begun through a carrier that has lost the route, either.
  if (found.processGone || (pinned !== null && pinned.phase !== "carrying")) return "gone";
  const { atMs: nowMs } = builder.seen;
  if (look.state === "pending") {
    const waited = nowMs - look.startedAtMs;
    if (waited >= SILENT_LOOK_MS) return "gone";
    builder.wakes.push({ atMs: look.startedAtMs + SILENT_LOOK_MS, reason: "confirm" });
    return "waiting";
  }
  if (look.state === "answered" && look.startedAtMs >= sinceMs && !isLocalErrno(look.errno))
    return isDeadErrno(look.errno) ? "gone" : "slow";
  const finishedAtMs = look.state === "answered" ? look.finishedAtMs : nowMs;
  builder.wakes.push({ atMs: Math.max(nowMs, finishedAtMs + builder.cacheMs), reason: "confirm" });
  return "waiting";
}

/**
 * EACCES and EPERM come from a living server or from the system's privacy, and a shortage on this machine says nothing;
 * any other errno means no answer.
 */
export function isDeadErrno(errno: string | null): boolean {
  return errno !== null && errno !== "EACCES" && errno !== "EPERM" && !isLocalErrno(errno);
}

/** This machine could not look, which says nothing about the mount. */
export function isLocalErrno(errno: string | null): boolean {
  return errno !== null && LOCAL_ERRNOS.has(errno);
}
