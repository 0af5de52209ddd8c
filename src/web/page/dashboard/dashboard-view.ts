// Everything at a glance: the daemon, shares, backends, and what happened.
import { type ComponentChild, h } from "preact";
import type { StatusReport } from "../../../api/contract.ts";
import { actionsFor, actionWith } from "../../../api/words/actions.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import type { SeenEvent } from "../daemon/live.ts";
import { useNow, useStore } from "../daemon/use-store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { code, conditionList, nothing, section } from "../parts/elements.ts";
import { clockText, forText, shown } from "../parts/text.ts";
import { ActionButton } from "./action-button.ts";
import { BackendCard } from "./backend-card.ts";
import { ClientsTable } from "./clients-table.ts";
import { ShareCard } from "./share-card.ts";

const EVENTS_SHOWN = 50;
const GENERAL_ACTIONS = ["check", "reload", "hand-over"];

export function DashboardView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const waiting = useStore(app.store, (state) => state.approvals?.waiting.length ?? 0);
  const now = useNow();
  if (status === null) return nothing("Asking the daemon …");
  const { global, shares, gateway, backends = [] } = status;
  const isEmpty = shares.length === 0 && gateway === undefined;
  return h(
    "div",
    { class: "dashboard" },
    waiting === 0
      ? null
      : h(
          "p",
          { class: "ready" },
          h(
            "a",
            { href: "#/approvals" },
            `${waiting === 1 ? "1 entry waits" : `${waiting} entries wait`} for your approval`,
          ),
        ),
    isEmpty
      ? nothing(
          "Nothing is configured yet.",
          h(
            "p",
            {},
            "Run ",
            code("mountaineer init"),
            " in a terminal, or write the file in ",
            h("a", { href: "#/config" }, "Config"),
            ".",
          ),
        )
      : null,
    shares.length === 0
      ? null
      : section(
          "Shares",
          h(
            "div",
            { class: "cards" },
            shares.map((share) => h(ShareCard, { key: share.name, app, share, global, now })),
          ),
        ),
    gateway === undefined
      ? null
      : section(
          "Backends",
          gatewayLine(status),
          conditionList(gateway.conditions, now),
          backends.length === 0
            ? nothing("No backend is configured.")
            : h(
                "div",
                { class: "cards" },
                backends.map((backend) => h(BackendCard, { key: backend.name, app, backend, now })),
              ),
        ),
    gateway === undefined ? null : h(ClientsTable, { app, now }),
    h(Events, { app, now }),
    section("Daemon", h(DaemonCard, { app, status, now })),
  );
}

function gatewayLine({ gateway }: StatusReport): ComponentChild | null {
  if (gateway === undefined) return null;
  const where =
    gateway.url === null ? ["It does not listen."] : ["Clients connect to ", code(gateway.url), "."];
  const counts = [
    counted(gateway.sessions, "session"),
    `${gateway.in_flight} in flight`,
    counted(gateway.tools, "tool"),
  ].join(", ");
  return h("p", { class: "facts" }, ...where, ` ${counts}`);
}

function DaemonCard({
  app,
  status,
  now,
}: {
  readonly app: App;
  readonly status: StatusReport;
  readonly now: number;
}): ComponentChild {
  const { global } = status;
  const actions = actionsFor(status);
  return h(
    "article",
    { class: "card plain", "aria-label": "Daemon" },
    h(
      "p",
      {},
      `Mountaineer ${shown(global.version)}, process ${global.pid ?? "unknown"}, running ${forText(global.started_at, now) ?? ""}`,
    ),
    h("p", { class: "path" }, code(global.config_path)),
    conditionList(global.conditions, now),
    h(
      "div",
      { class: "row actions" },
      GENERAL_ACTIONS.map((id) => {
        const action = actionWith(actions, id);
        return action === null ? null : h(ActionButton, { key: id, app, action });
      }),
    ),
  );
}

function Events({ app, now }: { readonly app: App; readonly now: number }): ComponentChild {
  const events = useStore(app.store, (state) => state.events);
  return section(
    "Events",
    events.length === 0
      ? nothing("Nothing has happened since this page was opened.")
      : h(
          "ol",
          { class: "events" },
          events.slice(0, EVENTS_SHOWN).map((event) => eventRow(event, now)),
        ),
    h("p", {}, h("a", { href: "#/records" }, "Older events, audit and log")),
  );
}

function eventRow({ id, atMs, about, text, tone }: SeenEvent, now: number): ComponentChild {
  return h(
    "li",
    { key: id, class: tone },
    h("time", { dateTime: new Date(atMs).toISOString() }, clockText(atMs, now)),
    h("strong", {}, about === null ? "" : shown(about)),
    h("span", {}, shown(text)),
  );
}
