// Sync: whether the configuration file is watched, what came of its changes, and the settings of the watch.
import { type ComponentChild, h } from "preact";
import type { SyncReport } from "../../../api/contract.ts";
import { actionsFor, actionWith } from "../../../api/words/actions.ts";
import { type EventRow, FILE_MISSING_TEXT, watchingWords, withEvent } from "../../../api/words/sync-words.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { ViewProps } from "../parts/app.ts";
import { code, mark, nothing, section, table } from "../parts/elements.ts";
import { forText, shown } from "../parts/text.ts";
import { SyncConfigPanel } from "./sync-config-panel.ts";

export function SyncView({ app }: ViewProps): ComponentChild {
  const sync = useStore(app.store, (state) => state.sync);
  const now = useNow();
  if (sync === null) return nothing("Asking the daemon …");
  const reload = actionWith(actionsFor({ shares: [] }), "reload");
  return h(
    "div",
    {},
    section(
      "State",
      h(StateList, { sync, now }),
      sync.last_error === null
        ? null
        : h("p", { class: "problem" }, `${shown(sync.last_error.reason)} (${shown(sync.last_error.kind)})`),
      sync.degraded === null ? null : h("p", { class: "ready" }, shown(sync.degraded)),
      sync.file_missing ? h("p", { class: "ready" }, FILE_MISSING_TEXT) : null,
      reload === null ? null : h("p", { class: "row actions" }, h(ActionButton, { app, action: reload })),
    ),
    section("Settings", h(SyncConfigPanel, { app, sync })),
    section("Last changes", h(SyncEvents, { sync })),
  );
}

function StateList({ sync, now }: { readonly sync: SyncReport; readonly now: number }): ComponentChild {
  const { tone, text } = watchingWords(sync.watching);
  const last = forText(sync.last_sync, now);
  const rows: readonly (readonly [string, ComponentChild])[] = [
    ["File", code(sync.config_path)],
    ["Hash", code(sync.sha256.slice(0, 12))],
    ["Watch", mark(tone, text)],
    ["Last sync", last === null ? "none since the start" : `${last.replace("for ", "")} ago`],
    ...((sync.waiting ?? []).length === 0
      ? []
      : [
          [
            "Waiting",
            h("a", { href: "#/settings/approvals" }, `${sync.waiting?.length} for your approval`),
          ] as const,
        ]),
  ];
  return h(
    "dl",
    { class: "sync-state" },
    rows.map(([name, value]) => [h("dt", { key: name }, name), h("dd", { key: `${name} is` }, value)]),
  );
}

function SyncEvents({ sync }: { readonly sync: SyncReport }): ComponentChild {
  const rows = sync.events.reduce<readonly EventRow[]>(withEvent, []).toReversed();
  if (rows.length === 0) return nothing("The file has not changed since the daemon started.");
  return table(
    "Changes",
    ["Time", "What", "Details"],
    rows.map(({ time, type, details, count }) => [
      shown(time),
      mark(type === "error" ? "bad" : type === "changed" ? "good" : "plain", type),
      [shown(details), count > 1 ? ` (${count} times)` : ""],
    ]),
  );
}
