// The daemon: its version, process and configuration file, its actions, and when its home was last backed up.
import { type ComponentChild, h } from "preact";
import { actionsFor, actionWith } from "../../../api/labels/actions.ts";
import { sinceText } from "../../../api/labels/label.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { ViewProps } from "../parts/app.ts";
import { actionRow, Copyable, card, code, conditionList, loading } from "../parts/elements.ts";
import { forText, shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";

const GENERAL_ACTIONS = ["check", "reload", "hand-over"];

export function AboutView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const now = useNow();
  const { report: backup } = useLoaded(() => app.requests.call("lastBackup"), "");
  if (status === null) return loading();
  const { version, pid, started_at: startedAt, config_path: path, conditions } = status.global;
  const actions = actionsFor(status);
  const last = sinceText(backup?.time ?? null, now);
  return card(
    "plain",
    "Daemon",
    h(
      "p",
      {},
      `Mountaineer ${shown(version)}, process ${pid ?? "unknown"}, running ${forText(startedAt, now) ?? ""}`,
    ),
    h("p", { class: "path" }, code(path)),
    conditionList(conditions, now),
    actionRow(
      GENERAL_ACTIONS.map((id) => {
        const action = actionWith(actions, id);
        return action === null ? null : h(ActionButton, { key: id, app, action });
      }),
    ),
    h(
      "p",
      {},
      last === null
        ? "No backup was made here. To make one: "
        : `The last backup was ${last} ago. To make one: `,
      h(Copyable, { text: "mountaineer backup FILE" }),
    ),
  );
}
