// One share: its route, its health, what stands against it, and what can be done.
import { type ComponentChild, h } from "preact";
import type { GlobalStatus, RouteName, ShareStatus } from "../../../api/contract.ts";
import { counted, durationText } from "../../../runtime/text/plain-text.ts";
import { routeLabel } from "../daemon/event-text.ts";
import type { App } from "../parts/app.ts";
import { code, conditionList, mark, WorkButton } from "../parts/elements.ts";
import { bytesText, forText, shown } from "../parts/text.ts";
import { mountShare, reconcileShares, switchShare, unmountShare } from "./share-actions.ts";

interface ShareCardProps {
  readonly app: App;
  readonly share: ShareStatus;
  readonly global: GlobalStatus;
  readonly now: number;
}

export function ShareCard({ app, share, global, now }: ShareCardProps): ComponentChild {
  const name = shown(share.name);
  const state = shareState(share);
  const since = share.mount_state === "mounted" ? forText(share.last_switch_at, now) : null;
  return h(
    "article",
    { class: `card ${state.tone}`, "aria-label": `Share ${name}` },
    h(
      "header",
      {},
      h("h3", {}, name),
      mark(state.tone, state.text),
      since === null ? null : h("span", { class: "dim" }, since),
    ),
    share.tb_recovery_pending ? h(ReadyBanner, { app, share, global, now }) : null,
    h("div", { class: "routes" }, routeCell(share, "tb"), routeCell(share, "fallback")),
    h("p", { class: "path" }, code(share.stable_path)),
    carriedLine(share),
    windowLine(share, global, now),
    share.held === null
      ? null
      : h(
          "p",
          { class: "hint" },
          `Held ${share.held === "unmounted" ? "unmounted" : "on Fallback"} by hand.`,
        ),
    share.last_error === null ? null : h("p", { class: "problem" }, shown(share.last_error)),
    // The banner above says this one, with its button.
    conditionList(
      share.conditions.filter((condition) => condition.code !== "tb_ready" || !share.tb_recovery_pending),
      now,
    ),
    h("div", { class: "row actions" }, shareButtons(app, share)),
  );
}

function shareState(share: ShareStatus): { tone: "good" | "plain" | "warning" | "bad"; text: string } {
  if (share.mount_state === "error") return { tone: "bad", text: "Not mounted" };
  if (share.mount_state === "unmounted")
    return { tone: share.held === "unmounted" ? "plain" : "bad", text: "Not mounted" };
  const phase = share.carried?.phase ?? "carrying";
  if (phase === "refusing") return { tone: "bad", text: "Mounted, no route" };
  if (phase !== "carrying") return { tone: "warning", text: "Mounted, programs wait for a route" };
  if (!share.mount_alive) return { tone: "bad", text: "Mounted, not answering" };
  const over = share.active_interface === "none" ? "an unknown route" : routeLabel(share.active_interface);
  return {
    tone: share.active_interface === "tb" ? "good" : "warning",
    text: `Mounted over ${over}${share.carried === undefined ? "" : ", carried"}`,
  };
}

function ReadyBanner({ app, share, global, now }: ShareCardProps): ComponentChild {
  const steady = forText(share.tb_healthy_since, now);
  return h(
    "div",
    { class: "ready" },
    h(
      "p",
      {},
      h("strong", {}, "TB Ready. "),
      `Thunderbolt is back${steady === null ? "" : `, steady ${steady}`}. `,
      global.lsof_recheck ? "It switches once files are closed." : "It switches when you say so.",
    ),
    h(WorkButton, {
      label: "Switch to Thunderbolt",
      says: `Switch ${shown(share.name)} to Thunderbolt`,
      kind: "main",
      run: () => switchShare(app, share, "tb"),
    }),
  );
}

function routeCell(share: ShareStatus, route: RouteName): ComponentChild {
  const answers = route === "tb" ? share.tb_reachable : share.fb_reachable;
  const host = (route === "tb" ? share.tb_host : share.fb_host) ?? "a folder";
  const used = share.mount_state === "mounted" && share.active_interface === route;
  return h(
    "div",
    { class: used ? "route used" : "route" },
    h("span", { class: "route-name" }, routeLabel(route)),
    code(host),
    mark(answers ? "good" : "bad", answers ? "answers" : "no answer"),
    used ? mark("plain", "in use") : null,
  );
}

function carriedLine({ carried }: ShareStatus): ComponentChild | null {
  if (carried === undefined) return null;
  return h(
    "p",
    { class: "dim" },
    `Carried: ${counted(carried.connections, "connection")}, ${bytesText(carried.bytes_from_server)} read, ${bytesText(carried.bytes_to_server)} written, moved ${counted(carried.moves, "time")}`,
  );
}

/** How far the way back is, while its window runs. */
function windowLine(share: ShareStatus, global: GlobalStatus, now: number): ComponentChild | null {
  if (share.active_interface !== "fallback" || share.held !== null || share.tb_recovery_pending) return null;
  if (!share.tb_reachable || share.tb_healthy_since === null) return null;
  const steadyMs = now - Date.parse(share.tb_healthy_since);
  const wholeMs = global.auto_failback_stable_secs * 1000;
  if (!(steadyMs >= 0) || steadyMs >= wholeMs) return null;
  const text = `Thunderbolt steady for ${durationText(steadyMs)} of ${global.auto_failback_stable_secs} s`;
  return h(
    "p",
    { class: "window" },
    h("progress", { max: wholeMs, value: steadyMs, "aria-label": text }),
    ` ${text}`,
  );
}

function shareButtons(app: App, share: ShareStatus): (ComponentChild | null)[] {
  const { name } = share;
  const button = (label: string, run: () => Promise<void>, kind?: "danger"): ComponentChild =>
    h(WorkButton, {
      key: label,
      label,
      says: `${label}: ${shown(name)}`,
      run,
      ...(kind === undefined ? {} : { kind }),
    });
  const isMounted = share.mount_state === "mounted";
  return [
    isMounted ? null : button("Mount", () => mountShare(app, name)),
    isMounted && share.active_interface !== "tb" && !share.tb_recovery_pending
      ? button("To Thunderbolt", () => switchShare(app, share, "tb"))
      : null,
    isMounted && share.active_interface !== "fallback"
      ? button("To Fallback", () => switchShare(app, share, "fallback"))
      : null,
    share.held === "fallback" ? button("Let the rules go on", () => switchShare(app, share, "auto")) : null,
    button("Reconcile", () => reconcileShares(app, [name])),
    isMounted ? button("Unmount", () => unmountShare(app, name), "danger") : null,
  ];
}
