// Texts about a share for all user interfaces: its state, its two routes, and the return to the preferred one.
// Pure.
import { durationText } from "../../runtime/text/plain-text.ts";
import type { GlobalStatus, RouteName, ShareStatus } from "../contract/contract.ts";
import { type Label, routeLabel, type StateLabel, sinceText, troublesOf, worseTone } from "./label.ts";

/** The state of a share, with the same words in every user interface: `mounted over Fallback, TB Ready`. */
export function shareLabel(share: ShareStatus): StateLabel {
  const { override, tb_recovery_pending: isReady } = share;
  const { text, tone } = stateLabel(share);
  // Off the home network an unmounted share is not a problem.
  if (isOffNetwork(share)) return { text, tone, why: null };
  const why = share.last_error ?? troublesOf(share.conditions)[0]?.title ?? null;
  return {
    text: [text, ...(override === null ? [] : ["set by hand"]), ...(isReady ? ["TB Ready"] : [])].join(", "),
    tone: why !== null || isReady ? worseTone(tone, "warning") : tone,
    why,
  };
}

export function isOffNetwork({ conditions }: ShareStatus): boolean {
  return conditions.some(({ code }) => code === "off_network");
}

function stateLabel(share: ShareStatus): Label {
  const { mount_state: state, active_interface: route, moves, override } = share;
  const { text, tone } = mountText(state, route, onlyHost(share), share.tb_link?.kind);
  if (isOffNetwork(share)) return { text: "off network", tone: "plain" };
  // A share that a person unmounted is neither good nor bad.
  if (state === "unmounted") return { text, tone: override === "unmounted" ? "plain" : "bad" };
  if (state !== "mounted") return { text, tone };
  if (moves?.phase === "refused") return { text: "mounted, login refused: programs get errors", tone: "bad" };
  if (moves?.phase === "over") return { text: "mounted, no route: programs get errors", tone: "bad" };
  if (moves?.phase === "waiting") return { text: "mounted, programs wait for a route", tone: "warning" };
  if (!share.mount_alive) return { text: `${text}, not answering`, tone: "bad" };
  return {
    text,
    tone: isSecondBest(share) && override === "fallback" ? "plain" : tone,
  };
}

/**
 * The label for the mount, from only its state and route. `only`: the host of a share that has one route; null: it has
 * two routes.
 */
export function mountText(state: string, route: string, only: string | null = null, link?: string): Label {
  if (state !== "mounted") return { text: "not mounted", tone: state === "error" ? "bad" : "plain" };
  const isKnown = route === "tb" || route === "fallback";
  const over = isKnown ? (only ?? routeLabel(route, link)) : "an unknown route";
  return {
    text: `mounted over ${over}`,
    tone: isKnown && (only !== null || route === "tb") ? "good" : "warning",
  };
}

/** The preferred route, in a sentence: `Thunderbolt`, `the preferred route`. */
export function preferredName({ tb_link: link }: Pick<ShareStatus, "tb_link">): string {
  return routeLabel("tb", link?.kind);
}

/** The preferred route, as a title: `Thunderbolt`, `Preferred`. */
function preferredTitle(share: ShareStatus): string {
  const name = preferredName(share);
  return name.startsWith("the ") ? "Preferred" : name;
}

interface RouteLabel extends Label {
  readonly route: RouteName;
  readonly label: string;
  readonly host: string;
  readonly isUsed: boolean;
}

/** The share's routes, the preferred one first, with whether each answers. */
export function routeLabels(share: ShareStatus): readonly RouteLabel[] {
  return shownRoutes(share).map((route) => {
    const answers = route === "tb" ? share.tb_reachable : share.fb_reachable;
    const connects = route === "tb" && share.tb_reachable_since !== null;
    const error = route === "tb" ? share.tb_error : share.fb_error;
    const silent: Label = { text: connects ? "connects, no SMB" : (error ?? "no answer"), tone: "bad" };
    const isUsed = share.mount_state === "mounted" && share.active_interface === route;
    const address = isUsed ? share.address_in_use : undefined;
    const label: Label = answers ? { text: "answers", tone: "good" } : silent;
    return {
      ...(address === undefined ? label : { text: `by its earlier address ${address}`, tone: "warning" }),
      route,
      label: onlyHost(share) !== null ? "Host" : route === "tb" ? preferredTitle(share) : "Fallback",
      host: (route === "tb" ? share.tb_host : share.fb_host) ?? "folder",
      isUsed,
    };
  });
}

interface CableLabel extends RouteLabel {
  /** `unproved`: the host answers, but is not proved to be the same server. */
  readonly state: "used" | "ready" | "unproved" | "down";
}

const UNPROVED: ReadonlySet<string> = new Set(["different_servers", "server_unproved"]);

/** The share's routes, each in use, ready, unproved or down. */
export function cableText(share: ShareStatus): readonly CableLabel[] {
  const isUnproved = share.conditions.some(({ code }) => UNPROVED.has(code));
  return routeLabels(share).map((route) => {
    const answers = route.tone === "good";
    if (route.isUsed) return { ...route, state: "used", text: answers ? "in use" : `in use, ${route.text}` };
    if (!answers) return { ...route, state: "down" };
    if (isUnproved) return { ...route, state: "unproved", text: "not proved", tone: "warning" };
    return { ...route, state: "ready", text: "ready", tone: "plain" };
  });
}

/**
 * Says that the preferred route is back and when the share switches; null unless a recovery is pending. Without
 * `nowMs`, the text has no duration.
 */
export function readyText(
  share: ShareStatus,
  { lsof_recheck: waitsForFiles }: Pick<GlobalStatus, "lsof_recheck">,
  nowMs: number | null = null,
): string | null {
  if (!share.tb_recovery_pending) return null;
  const steady = nowMs === null ? null : sinceText(share.tb_healthy_since, nowMs);
  const how = waitsForFiles ? "It switches once files are closed." : "It waits for you to switch it.";
  return `TB Ready: ${preferredName(share)} is back${steady === null ? "" : `, steady for ${steady}`}. ${how}`;
}

/**
 * `TB Ready: CORE, MEDIA`, the shares that wait to switch back; null if none does. `shown` makes a name safe
 * to show.
 */
export function readyNames(shares: readonly ShareStatus[], shown: (name: string) => string): string | null {
  const ready = shares.filter((share) => share.tb_recovery_pending);
  return ready.length === 0 ? null : `TB Ready: ${ready.map(({ name }) => shown(name)).join(", ")}`;
}

/**
 * Says that the share works over the fallback route, and when it returns to the preferred one; null if the share
 * has another problem, or none.
 */
export function secondBestHint(
  share: ShareStatus,
  { auto_failback: goesBack, auto_failback_stable_secs: secs, lsof_recheck: rechecks }: GlobalStatus,
): string | null {
  const { active_interface: route, moves, override, tb_recovery_pending: isReady } = share;
  const { tone, why } = shareLabel(share);
  const isWell = why === null && tone === "warning" && override === null && !isReady;
  if (!isWell || route !== "fallback" || (moves?.phase ?? "serving") !== "serving") return null;
  if (!goesBack && !rechecks)
    return `Work continues. It returns to ${preferredName(share)} when you switch it.`;
  const closed = moves === undefined ? " and no file is open" : "";
  return `Work continues. It returns once ${preferredName(share)} has answered for ${secs} s${closed}.`;
}

/**
 * Returns how long the preferred route has been steady and how long it must be steady before the automatic return. Returns
 * null if no return is coming up.
 */
export function recoveryWindow(
  share: ShareStatus,
  { auto_failback_stable_secs: wholeSecs }: GlobalStatus,
  nowMs: number,
): { readonly text: string; readonly steadyMs: number; readonly wholeMs: number } | null {
  const { override, tb_recovery_pending: isReady, tb_healthy_since: since } = share;
  if (share.active_interface !== "fallback" || override !== null || isReady) return null;
  if (!share.tb_reachable || since === null) return null;
  const [steadyMs, wholeMs] = [nowMs - Date.parse(since), wholeSecs * 1000];
  if (!(steadyMs >= 0) || steadyMs >= wholeMs) return null;
  return {
    text: `${preferredTitle(share)} steady for ${durationText(steadyMs)} of ${wholeSecs} s`,
    steadyMs,
    wholeMs,
  };
}

type Hosts = Pick<ShareStatus, "tb_host" | "fb_host">;

/**
 * The routes to show: one if the share has one host, otherwise two. A share of driver `local` has no host,
 * and two routes.
 */
function shownRoutes({ tb_host, fb_host }: Hosts): readonly RouteName[] {
  if (tb_host !== null && fb_host === null) return ["tb"];
  return tb_host === null && fb_host !== null ? ["fallback"] : ["tb", "fallback"];
}

/** True if the share does not use its preferred route. */
function isSecondBest(share: Hosts & Pick<ShareStatus, "active_interface">): boolean {
  return share.active_interface !== (shownRoutes(share)[0] ?? "tb");
}

/** The host of a share with a single route; null if it has two. */
export function onlyHost(share: Hosts): string | null {
  return shownRoutes(share).length === 1 ? (share.tb_host ?? share.fb_host) : null;
}
