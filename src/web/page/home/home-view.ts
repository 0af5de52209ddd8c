// Everything at a glance: what is wrong and what mends it, and what happened.
import { type ComponentChild, h } from "preact";
import { useMemo } from "preact/hooks";
import { counted } from "../../../runtime/text/plain-text.ts";
import type { SeenEvent } from "../daemon/live.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { code, nothing, section } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { findTroubles, type Trouble } from "./troubles.ts";

const EVENTS_SHOWN = 10;
const TROUBLES_SHOWN = 12;

export function HomeView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const approvals = useStore(app.store, (state) => state.approvals);
  const troubles = useMemo(
    () => (status === null ? [] : findTroubles({ status, approvals })),
    [status, approvals],
  );
  if (status === null) return nothing("Asking the daemon …");
  const isEmpty = status.shares.length === 0 && status.gateway === undefined;
  return h(
    "div",
    { class: "home" },
    isEmpty && troubles.length === 0 ? null : h(Summary, { app, troubles }),
    isEmpty ? emptyHome() : null,
    h(Events, { app }),
  );
}

function emptyHome(): ComponentChild {
  return nothing(
    "Nothing is configured yet.",
    h(
      "p",
      {},
      "Run ",
      code("mountaineer init"),
      " in a terminal, or write the file in ",
      h("a", { href: "#/settings/configuration" }, "Settings"),
      ".",
    ),
  );
}

interface SummaryProps {
  readonly app: App;
  readonly troubles: readonly Trouble[];
}

function Summary({ app, troubles }: SummaryProps): ComponentChild {
  const tone = troubles[0]?.tone ?? "good";
  const more = troubles.length - TROUBLES_SHOWN;
  return h(
    "div",
    { class: `verdict ${tone}` },
    h(
      "p",
      { class: "verdict-line", role: "status" },
      troubles.length === 0
        ? "All is well"
        : `${counted(troubles.length, "thing")} ${troubles.length === 1 ? "needs" : "need"} attention`,
    ),
    troubles.length === 0
      ? null
      : h(
          "ul",
          { class: "plain-list" },
          troubles.slice(0, TROUBLES_SHOWN).map((trouble) => troubleRow(app, trouble)),
          more > 0 ? h("li", { class: "dim" }, `and ${more} more`) : null,
        ),
  );
}

function troubleRow(app: App, { tone, about, text, hint, action, at }: Trouble): ComponentChild {
  const said = shown(about === null ? text : `${about}: ${text}`);
  return h(
    "li",
    { key: `${about} ${text}`, class: `trouble ${tone}` },
    h(
      "div",
      {},
      h("a", { href: `#/${at}` }, said),
      hint === null ? null : h("p", { class: "hint" }, shown(hint)),
    ),
    action === null ? null : h(ActionButton, { app, action }),
  );
}

function Events({ app }: { readonly app: App }): ComponentChild {
  const events = useStore(app.store, (state) => state.events);
  const now = useNow();
  return section(
    "Just now",
    events.length === 0
      ? nothing("Nothing has happened since this page was opened.")
      : h(
          "ol",
          { class: "events" },
          events.slice(0, EVENTS_SHOWN).map((event) => eventRow(event, now)),
        ),
    h("p", { class: "more" }, h("a", { href: "#/activity" }, "All that happened")),
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
