// The rules for mounts that move. Their program moves them when a route is lost; the rules say what a person or the configuration
// wants: which addresses, and what becomes of a program that does not answer.
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { otherRoute, routesOf } from "../share-spec.ts";
import { type ConditionDraft, SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { allHostsGone, answers, bestRoutes, hostOf } from "./hosts.ts";
import { refusedCondition } from "./login.ts";
import { reportOn } from "./moving-mount.ts";
import { remountOnceClosed } from "./open-files.ts";
import { failing, pauseOf, type Rule, recheck } from "./rule.ts";

/** Interval of checks while programs wait for a route, ms: each check tells the program which routes answer. */
const WAITING_CHECK_MS = 400;

/** Waits with the programs that use the mount. The mount's program takes the first route that leads to its server. */
export const waitForRoute: Rule = {
  name: "fail over",
  answer: (now, { mount }) => {
    const report = reportOn(mount);
    if (report === null) return null;
    const { phase, other } = report;
    const { observed, spec } = now;
    if (phase.is === "unheard") return { why: "its program has not reported yet" };
    if (phase.is !== "waiting" && phase.is !== "over")
      return phase.is === "away" ? failing(allHostsGone(now)) : null;
    const soon =
      phase.is === "waiting" && observed.offNetwork === null
        ? recheck(observed.atMs + WAITING_CHECK_MS, "retry")
        : {};
    if (other !== null) return { ...failing(`${other.address} ${other.text}`), ...soon };
    const isAny = routesOf(spec).some((route) => answers(now, route));
    const why = isAny ? `no route is back yet: ${phase.text ?? phase.why}` : allHostsGone(now);
    return { ...failing(why), ...soon };
  },
};

/** Moves to the configured address of the route, if the mount still uses a former one. Its program keeps it where it is unless the same server answers. */
export const followHost: Rule = {
  name: "move to the new address",
  answer: (now, { mount, routeFact }) => {
    const report = reportOn(mount);
    if (report?.endpoint?.isFormer !== true || routeFact === null) return null;
    const { route } = routeFact;
    const goal = routesOf(now.spec).includes(route) ? route : otherRoute(route);
    if (!answers(now, goal)) return { passes: true, why: `${hostOf(now, goal)} does not answer` };
    const pause = pauseOf(now);
    if (pause !== null) return { ...pause, passes: true };
    const reason = `its host is ${hostOf(now, goal)} now`;
    return { start: { kind: "remount", reason, mode: "plain", plan: [goal], moves: true } };
  },
};

/** Replaces a mount whose program gives no answer, once nothing on it is open. */
export const replaceSilent: Rule = {
  name: "replace the mount",
  answer: (now, { mount, mountFact: { verdict } }) => {
    if (verdict.state !== "unproven" || verdict.why !== "silent") return null;
    const pause = pauseOf(now);
    if (pause !== null) return pause;
    return remountOnceClosed(now, mount, {
      ...{ reason: "its program does not answer", plan: bestRoutes(now), lost: true },
    });
  },
};

export function movingConditions(input: DecideInput): ConditionDraft[] {
  const { observed, spec, state } = input;
  const { mount, offNetwork } = observed;
  const report = reportOn(mount);
  if (report === null) {
    if (mount === null) return lastMountConditions(input);
    return mount.loginRefused == null ? [] : [refusedCondition(input, mount.loginRefused)];
  }
  const { phase, other, refused, mostConnections, isEmpty, endpoint, route, unheard, lostLocks } = report;
  const conditions: ConditionDraft[] = [];
  if ((phase.is === "waiting" || phase.is === "over") && offNetwork === null)
    conditions.push(
      SHARE_CONDITIONS.waiting_for_route(phase.is, phase.why === "no_share" ? phase.text : null),
    );
  if (mostConnections !== null) conditions.push(SHARE_CONDITIONS.connections_limited(mostConnections));
  if (refused !== null) conditions.push(refusedCondition(input, refused.text));
  if (other !== null) conditions.push(otherServer(spec.name, `${other.address} ${other.text}`));
  if (endpoint?.isFormer === true && route !== null && state.mountBackoff.failures > 0) {
    const why = other?.text ?? observed.routes[route].probe.text;
    const host = hostOf(input, route);
    conditions.push(SHARE_CONDITIONS.host_unproved(host, why, endpoint.address));
  }
  if (phase.is === "serving" && route !== null && endpoint !== null && endpoint.uncertain !== "") {
    const { interfaceName } = spec.routes[route];
    // Two interfaces in the LAN of the only or the other route are usual: a laptop with Wi-Fi and a dock.
    if (interfaceName !== null || (route === "tb" && routesOf(spec).length > 1))
      conditions.push(SHARE_CONDITIONS.cable_uncertain(interfaceName, endpoint.uncertain));
  }
  if (unheard !== null)
    conditions.push(SHARE_CONDITIONS.changes_unheard(spec.name, unheard.folders, unheard.missing));
  const lost = lostLocks.at(-1);
  if (lost !== undefined) conditions.push(SHARE_CONDITIONS.lock_lost(lost.path, lost.program));
  if (isEmpty) conditions.push(SHARE_CONDITIONS.share_empty());
  return conditions;
}

/** Why the share is not mounted: the answer to the last mount. */
function lastMountConditions(input: DecideInput): ConditionDraft[] {
  const { loginRefused, otherServer: text } = input.state;
  return [
    ...(loginRefused === null ? [] : [refusedCondition(input, loginRefused)]),
    ...(text === null ? [] : [otherServer(input.spec.name, text)]),
  ];
}

function otherServer(name: string, text: string): ConditionDraft {
  return {
    ...SHARE_CONDITIONS.different_servers(text),
    hint: `Open files are not moved to it. If it is your new NAS: ${shellCommand`mountaineer mount --share ${name} --new-server`}. Otherwise check thunderbolt_host and fallback_host.`,
  };
}
