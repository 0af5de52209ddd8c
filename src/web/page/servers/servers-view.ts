// All servers as rows that open into panels, and where clients connect.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import type { BackendStatus, GatewayStatus, StatusReport } from "../../../api/contract/contract.ts";
import type { NumbersReport } from "../../../api/contract/numbers.ts";
import { actionsFor, actionWith, restartAction } from "../../../api/labels/actions.ts";
import { backendLabel } from "../../../api/labels/backend-labels.ts";
import { msText, sinceText, troublesOf, worstFirst } from "../../../api/labels/label.ts";
import { mergeTroubles } from "../../../api/labels/merge-troubles.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import { matcherOf } from "../../../runtime/text/typed-words.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { ViewProps } from "../parts/app.ts";
import {
  actionRow,
  Copyable,
  conditionList,
  details,
  line,
  loading,
  nothing,
  searchPart,
  stateAndCause,
} from "../parts/elements.ts";
import { later } from "../parts/later.ts";
import { type Opened, useOpened } from "../parts/opened.ts";
import { Table, type TableRow } from "../parts/table.ts";
import { shown } from "../parts/text.ts";
import { spark, useNumbers } from "../plots/strip.ts";
import { ServerActions } from "./server-actions.ts";

const ServerPanel = later(async () => (await import("./server-panel.ts")).ServerPanel);

/** From this many servers on, a search is above them. */
const MANY = 8;
const TITLES = ["Server", "State", "Tools", "Calls, last hour", "99 % within", "Last used"];

export function ServersView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const now = useNow();
  if (status === null) return loading();
  const { gateway, backends = [] } = status;
  // The rows share what is above them.
  const conditions = mergeTroubles(status).status.gateway?.conditions ?? [];
  const notes = conditions.filter(({ severity }) => severity === "info");
  return h(
    "section",
    {},
    gateway === undefined ? null : gatewayLine(gateway),
    conditionList(troublesOf(conditions), now),
    notes.length === 0 ? null : details(pluralize(notes.length, "note"), conditionList(notes, now)),
    backends.length === 0
      ? nothing(
          "No server is configured.",
          h("p", {}, h("a", { href: "#/servers/add" }, "Add a server"), "."),
        )
      : h(ServerTable, { app, status, now }),
  );
}

function gatewayLine({ url, sessions, in_flight: inFlight, tools }: GatewayStatus): ComponentChild {
  const where = url === null ? ["It does not listen."] : ["Clients connect to ", h(Copyable, { text: url })];
  const counts = [pluralize(sessions, "session"), `${inFlight} in flight`, pluralize(tools, "tool")].join(
    ", ",
  );
  return h("p", { class: "facts" }, ...where, ` · ${counts}`);
}

interface ServerTableProps extends ViewProps {
  readonly status: StatusReport;
  readonly now: number;
}

/** All servers, those in trouble first, many of them with a search; each row opens into its panel. */
function ServerTable({ app, status, now }: ServerTableProps): ComponentChild {
  const [typed, setTyped] = useState("");
  const [state, setState] = useState<string | null>(null);
  const numbers = useNumbers(app);
  const { backends = [] } = status;
  const opened = useOpened("servers", backends);
  const isMany = backends.length >= MANY;
  const causes = new Map(
    mergeTroubles(status).groups.flatMap(({ names, text }) => names.map((name) => [name, text] as const)),
  );
  const labelled = backends.map((backend) => ({ backend, ...backendLabel(backend) }));
  const byText = labelled.toSorted(
    (one, other) => one.text.localeCompare(other.text) || one.backend.name.localeCompare(other.backend.name),
  );
  const isWanted = matcherOf(typed);
  const found = worstFirst(byText, ({ tone }) => tone)
    .map((one) => ({ ...one, why: causes.get(one.backend.name) ?? one.why }))
    .filter(({ text }) => state === null || text === state)
    .filter(({ backend: { name }, text, why }) => isWanted(`${name} ${text} ${why ?? ""}`));
  const chips = [...Map.groupBy(labelled, ({ text }) => text)].map(([text, { length }]) =>
    h(
      "button",
      {
        ...{ key: text, type: "button", "aria-pressed": text === state },
        onClick: () => setState(text === state ? null : text),
      },
      `${length} ${shown(text)}`,
    ),
  );
  const chosen = found.map(({ backend }) => backend);
  const restart =
    found.length === backends.length
      ? restartAction(null, "all servers", chosen)
      : restartAction(
          chosen.map(({ name }) => name),
          pluralize(chosen.length, "server"),
          chosen,
        );
  return [
    isMany
      ? [
          searchPart(
            { id: "servers-search", text: typed, onText: setTyped },
            pluralize(found.length, "server"),
          ),
          h("div", { class: "row choices", role: "group", "aria-label": "State" }, chips),
        ]
      : null,
    h(Table, {
      ...{
        label: "Servers",
        titles: TITLES,
        opened: [opened.open, opened.put],
      },
      rows: found.map(({ backend, why }) => serverRow({ app, backend, why, now, opened, numbers })),
    }),
    line(
      "hint",
      numbers === null || numbers.servers_omitted === 0
        ? null
        : `${pluralize(numbers.servers_omitted, "server")} without numbers: those in trouble and the busiest have them.`,
    ),
    isMany ? actionRow(found.length === 0 ? null : h(ActionButton, { app, action: restart })) : null,
  ];
}

interface ServerRowProps extends ViewProps {
  readonly backend: BackendStatus;
  /** What is wrong with this server; null: nothing. */
  readonly why: string | null;
  readonly now: number;
  readonly opened: Opened;
  readonly numbers: NumbersReport | null;
}

function serverRow({ app, backend, why, now, opened, numbers }: ServerRowProps): TableRow {
  const { name, enabled, tools } = backend;
  const { text, tone } = backendLabel(backend);
  const isAsleep = backend.phase === "Asleep";
  const start = actionWith(actionsFor({ shares: [], backends: [backend] }), "restart", name);
  const own = numbers?.servers.find((each) => each.name === name);
  return {
    key: name,
    cells: [
      shown(name),
      [
        stateAndCause(tone, text, opened.open === name ? null : why),
        isAsleep && start ? h(ActionButton, { key: "start", app, action: start }) : null,
        isAsleep ? h(ServerActions, { key: "actions", app, backend, isRow: true }) : null,
      ],
      enabled && String(tools),
      own !== undefined && [spark(own.spark), ` ${callsText(own.calls_hour, own.errors_hour)}`],
      own !== undefined && own.p99_ms !== null && msText(own.p99_ms),
      own !== undefined && lastUsed(own.last_used, now),
    ],
    card: () =>
      h(ServerPanel, { app, backend, now, part: opened.part, onPart: (part) => opened.put(name, part) }),
  };
}

export function callsText(calls: number, errors: number): string {
  return `${calls}${errors > 0 ? `, ${errors} failed` : ""}`;
}

function lastUsed(iso: string | null, now: number): string | null {
  const since = sinceText(iso, now);
  return since === null ? null : `${since} ago`;
}
