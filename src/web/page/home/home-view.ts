// Everything at a glance: what is wrong and what mends it, the picture of all that is joined, and what happened.
import { type ComponentChild, h } from "preact";
import { useContext, useMemo } from "preact/hooks";
import type { StatusReport } from "../../../api/contract.ts";
import { wholeText } from "../../../api/words/words.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import type { SeenEvent } from "../daemon/live.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { Copyable, Gone, nothing, section, withCode } from "../parts/elements.ts";
import { clockText, shown } from "../parts/text.ts";
import { PictureView } from "./picture-view.ts";
import { findTroubles, type Trouble } from "./troubles.ts";

const EVENTS_SHOWN = 10;
/** The gravest; below them is the picture. */
const TROUBLES_SHOWN = 4;

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
    isEmpty && troubles.length === 0 ? null : h(Summary, { app, status, troubles }),
    isEmpty ? emptyHome() : h(PictureView, { app }),
    isEmpty ? null : [beginnings(status), h(Events, { app })],
  );
}

function emptyHome(): ComponentChild {
  const beginning = (title: string, text: string, link: ComponentChild): ComponentChild =>
    h(
      "article",
      { class: "card plain", "aria-label": title },
      ...[h("h2", {}, title), h("p", { class: "dim" }, text), h("p", {}, link)],
    );
  return h(
    "div",
    { class: "verdict" },
    h("p", { class: "verdict-line welcome" }, "Begin with what you have"),
    h(
      "div",
      { class: "cards" },
      beginning(
        "A NAS",
        "Its shares stay mounted at one path, over two cables: one may be pulled.",
        addLink("a share", "shares", "button main"),
      ),
      beginning(
        "MCP servers",
        "All your agents reach all of their tools at one address.",
        addLink("a server", "servers", "button main"),
      ),
    ),
    h("p", { class: "dim" }, "Or run ", h(Copyable, { text: "mountaineer init" }), " in a terminal."),
  );
}

/** A view that nothing is in has no place in the bar. */
function beginnings({ shares, gateway }: StatusReport): ComponentChild {
  if (shares.length === 0) return h("p", { class: "row" }, addLink("a share", "shares", "button"));
  if (gateway !== undefined) return null;
  return h("p", { class: "row" }, addLink("an MCP server", "servers", "button"));
}

function addLink(what: string, view: "shares" | "servers", kind: string): ComponentChild {
  return h("a", { class: kind, href: `#/${view}/add` }, `Add ${what}`);
}

interface SummaryProps {
  readonly app: App;
  readonly status: StatusReport;
  readonly troubles: readonly Trouble[];
}

function Summary({ app, status, troubles }: SummaryProps): ComponentChild {
  const isGone = useContext(Gone);
  const tone = isGone ? "plain" : (troubles[0]?.tone ?? "good");
  const rows = troubles.map((trouble) => troubleRow(app, trouble));
  const more = rows.splice(TROUBLES_SHOWN);
  return h(
    "div",
    { class: `verdict ${tone}` },
    h(
      "p",
      { class: "verdict-line", role: "status" },
      isGone
        ? "Not known now"
        : troubles.length === 0
          ? "All is well"
          : `${counted(troubles.length, "thing")} ${troubles.length === 1 ? "needs" : "need"} attention`,
    ),
    troubles.length === 0 ? h("p", { class: "dim" }, wellText(status)) : h("ul", { class: "troubles" }, rows),
    more.length === 0
      ? null
      : h("details", {}, h("summary", {}, `${more.length} more`), h("ul", { class: "troubles" }, more)),
  );
}

/** Of those that are there: what is well. */
function wellText({ shares, gateway, backends = [] }: StatusReport): string {
  const servers = backends.filter(({ enabled }) => enabled).length;
  return [
    ...(shares.length === 0 ? [] : [counted(shares.length, "share")]),
    ...(servers === 0 ? [] : [counted(servers, "server")]),
    ...(gateway === undefined ? [] : [counted(gateway.tools, "tool"), counted(gateway.sessions, "session")]),
  ].join(" · ");
}

function troubleRow(app: App, trouble: Trouble): ComponentChild {
  const { tone, hint, action, at } = trouble;
  const said = shown(wholeText(trouble));
  return h(
    "li",
    { key: said, class: `trouble ${tone}` },
    h(
      "div",
      {},
      h("a", { href: `#/${at}` }, said),
      hint === null ? null : h("p", { class: "hint" }, withCode(hint)),
    ),
    action === null
      ? h("a", { class: "button", href: `#/${at}`, "aria-label": `Show: ${said}` }, "Show")
      : h(ActionButton, { app, action }),
  );
}

function Events({ app }: { readonly app: App }): ComponentChild {
  const events = useStore(app.store, (state) => state.events);
  const now = useNow();
  return section(
    "Just now",
    events.length === 0
      ? h("p", { class: "dim" }, "Nothing has happened since this page was opened.")
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
