// What a share's row opens into: its routes, the cause of a trouble, its numbers, and what can be done with it.
import { type ComponentChild, h } from "preact";
import type { GlobalStatus, ShareStatus } from "../../../api/contract/contract.ts";
import { actionsFor, actionWith } from "../../../api/labels/actions.ts";
import { readyText, recoveryWindow, routeLabels, shareLabel } from "../../../api/labels/share-labels.ts";
import { shareFacts } from "../../../api/labels/traffic-labels.ts";
import { shareWhy } from "../../../api/labels/why.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { ViewProps } from "../parts/app.ts";
import { actionRow, Copyable, card, cardHead, code, conditionList, line, mark } from "../parts/elements.ts";
import { forText, shown } from "../parts/text.ts";
import { whyDetails } from "../parts/why.ts";
import { NumberPlots } from "../plots/number-plots-later.ts";

interface SharePanelProps extends ViewProps {
  readonly share: ShareStatus;
  readonly global: GlobalStatus;
  readonly now: number;
}

export function SharePanel({ app, share, global, now }: SharePanelProps): ComponentChild {
  const name = shown(share.name);
  const state = shareLabel(share);
  const actions = actionsFor({ shares: [share] });
  const ready = readyText(share, global, now);
  const back = ready === null ? null : actionWith(actions, "switch", share.name, "tb");
  const own = actions.filter(({ id, isUseful }) => isUseful && id[1] === share.name);
  const since = share.mount_state === "mounted" ? forText(share.last_switch_at, now) : null;
  return card(
    state.tone,
    `Share ${name}`,
    cardHead(name, state, since),
    ready === null
      ? null
      : h(
          "div",
          { class: "ready" },
          h("p", {}, ready),
          back === null ? null : h(ActionButton, { app, action: back, kind: "main" }),
        ),
    h(
      "div",
      { class: "routes" },
      routeLabels(share).map(({ route, label, host, isUsed, text, tone }) =>
        h(
          "div",
          { key: route, class: isUsed ? "route used" : "route" },
          h("span", { class: "route-name" }, label),
          code(host),
          mark(tone, text),
          isUsed ? mark("plain", "in use") : null,
        ),
      ),
    ),
    h("p", { class: "path" }, h(Copyable, { text: share.stable_path })),
    line("facts", shareFacts(share).join(" · ")),
    windowLine(share, global, now),
    line("problem", share.last_error),
    // Leaves out `tb_ready` if the note above already says that Thunderbolt is ready, and has a button.
    conditionList(
      share.conditions.filter((condition) => condition.code !== "tb_ready" || !share.tb_recovery_pending),
      now,
    ),
    actionRow(
      own
        .filter((action) => action !== back)
        .map((action) => h(ActionButton, { key: action.name, app, action })),
      h(
        "a",
        { class: "button", href: `#/activity?${new URLSearchParams({ on: share.name })}` },
        "What happened",
      ),
    ),
    h(NumberPlots, { app, of: "share", name: share.name, link: share.tb_link?.kind }),
    whyDetails(shareWhy(share), now),
  );
}

/** Progress of the recovery window; null while none runs. */
function windowLine(share: ShareStatus, global: GlobalStatus, now: number): ComponentChild | null {
  const window = recoveryWindow(share, global, now);
  if (window === null) return null;
  const { text, steadyMs, wholeMs } = window;
  return h(
    "p",
    { class: "window" },
    h("progress", { max: wholeMs, value: steadyMs, "aria-label": text }),
    ` ${text}`,
  );
}
