// The rules that replace a mount, or keep it: it is dead, does not match the configuration, or could be a better one.
import { otherRoute } from "../share-spec.ts";
import { SHARE_CONDITIONS } from "./condition-rows.ts";
import type { DecideInput } from "./decide-input.ts";
import { answers, bestRoutes, noHostAnswers, routesFrom } from "./hosts.ts";
import { UNPROVEN } from "./mount-fact.ts";
import { endedBackoff, shortLife } from "./mount-memory.ts";
import { reportOn } from "./moving-mount.ts";
import { remountOnceClosed } from "./open-files.ts";
import { mountObstacle } from "./operation.ts";
import { type Answer, failing, pauseOf, type Rule } from "./rule.ts";

/**
 * Replaces a mount whose host, share or path does not match the configuration: a dead one at once, a living one as soon
 * as no file is open, whatever `auto_failback` and `lsof_recheck` say.
 */
export const remountMismatched: Rule = {
  name: "remount",
  answer: (now, { mount, mountFact: { verdict }, routeFact }) => {
    if (routeFact !== null) return null;
    const { path, source, route } = mount.found;
    const reason =
      route === null ? `no configured route explains ${source}` : `its path is ${now.spec.mountPath} now`;
    const { unknown_route, path_changed } = SHARE_CONDITIONS;
    const conditions = [(route === null ? unknown_route : path_changed)(path, source, reason)];
    if (verdict.state === "unproven" || now.memory.override === "unmounted") return { conditions };
    // A working mount is kept while no new one could be made; conditions say what is missing.
    if (verdict.state === "alive" && mountObstacle(now) !== null) return { conditions };
    const plan = bestRoutes(now);
    if (plan.length === 0)
      return verdict.state === "dead"
        ? { conditions, ...failing(deadWithoutHost(now, verdict.reason)) }
        : { conditions };
    const pause = pauseOf(now);
    if (pause !== null) return { ...pause, conditions };
    if (verdict.state === "dead")
      return { conditions, start: { kind: "remount", reason, mode: "force", plan } };
    const remount = remountOnceClosed(now, mount, { reason, plan });
    return { ...remount, conditions: [...conditions, ...(remount.conditions ?? [])] };
  },
};

/** A person has unmounted the share, so someone else made this mount. */
export const leaveToOthers: Rule = {
  name: "mount",
  answer: ({ memory }) => (memory.override === "unmounted" ? {} : null),
};

/** Replaces a dead mount. If its host is gone and it does not move, it fails over instead. */
export const replaceDead: Rule = {
  name: "replace the mount",
  answer: (now, { mount, mountFact: { verdict }, routeFact }) => {
    if (routeFact === null) return null;
    const { found } = mount;
    const { route, state } = routeFact;
    if (verdict.state === "alive") return { passes: true, why: "the mount answers" };
    if (verdict.state === "unproven") return { passes: true, why: UNPROVEN[verdict.why] };
    const stays = reportOn(mount) === null;
    if (stays && (state === "gone" || state === "waiting")) return null;
    if (!stays && !answers(now, route) && !answers(now, otherRoute(route)))
      return failing(deadWithoutHost(now, verdict.reason));
    const reason = `the mount is dead: ${verdict.reason}`;
    const learned = shortLife(now, found.id);
    const pause = pauseOf({ ...now, state: { ...now.state, ...learned } });
    if (pause === null) {
      const plan = routesFrom(now, route);
      return { learned, start: { kind: "remount", reason, mode: "force", plan } };
    }
    // An earlier error is kept, because it says more, for example that of a failed unmount.
    const error = now.memory.lastError === null ? `${reason}; it is mounted again after a pause` : null;
    return { ...pause, learned, ...(error === null ? {} : { error }) };
  },
};

/** The mount answers: what counted against it is over. */
export const keep: Rule = {
  name: "replace the mount",
  answer: (now, { mount, routeFact }) => {
    const isBack = routeFact?.state === "answers";
    return {
      passes: true,
      ...(isBack ? { clearsError: "host and mount answer" } : {}),
      learned: {
        // The pause after a failed move stays: files work over the present address, so the next try can wait.
        ...(reportOn(mount)?.endpoint?.isFormer ? {} : endedBackoff(now)),
      },
    };
  },
};

/** Replaces a mount that was made with other options than now, or by another program, as soon as no file on it is open. */
export const remountOutdated: Rule = {
  name: "remount",
  answer: (now, { mount, routeFact }) => {
    if (mount.found.outdated !== true || routeFact === null) return null;
    const obstacle = mountObstacle(now);
    const plan = routesFrom(now, routeFact.route);
    const next: Answer =
      pauseOf(now) ??
      (obstacle === null
        ? remountOnceClosed(now, mount, { reason: "its settings have changed", plan })
        : { why: obstacle });
    const outdated = SHARE_CONDITIONS.mount_outdated();
    return { ...next, passes: true, conditions: [outdated, ...(next.conditions ?? [])] };
  },
};

function deadWithoutHost(input: DecideInput, why: string): string {
  return `the mount is dead (${why}) and ${noHostAnswers(input)}`;
}
