// All backends, a card each, and where clients connect.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import type {
  BackendStatus,
  Condition,
  GatewayStatus,
  StatusReport,
} from "../../../api/contract/contract.ts";
import { type Action, actionsFor, actionWith, restartAction } from "../../../api/labels/actions.ts";
import {
  backendFacts,
  backendLabel,
  backendRouteLabel,
  callFacts,
  retryText,
  routeReadyText,
  waitingText,
} from "../../../api/labels/backend-labels.ts";
import { troublesOf, withoutName, worstFirst } from "../../../api/labels/label.ts";
import { mergeTroubles } from "../../../api/labels/merge-troubles.ts";
import { backendWhy } from "../../../api/labels/why.ts";
import { pluralize, shellCommand } from "../../../runtime/text/plain-text.ts";
import { matcherOf } from "../../../runtime/text/typed-words.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { App, ViewProps } from "../parts/app.ts";
import {
  actionRow,
  Copyable,
  card,
  cardHead,
  code,
  conditionList,
  details,
  line,
  loading,
  mark,
  nothing,
  plainList,
  searchPart,
  textBlock,
  WorkButton,
  withCode,
} from "../parts/elements.ts";
import { useMayRunCommands } from "../parts/owner-lock.ts";
import { Table, type TableRow } from "../parts/table.ts";
import { forText, shown } from "../parts/text.ts";
import { whyDetails } from "../parts/why.ts";
import { ServerActions } from "./server-actions.ts";

/** From this many servers on, they are a table. */
const MANY = 8;

export function ServersView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const now = useNow();
  if (status === null) return loading();
  const { gateway, backends = [] } = status;
  // Each card has its own trouble; the rows of a table share what is above them.
  const isTable = backends.length >= MANY;
  const conditions = (isTable ? mergeTroubles(status).status.gateway : gateway)?.conditions ?? [];
  return h(
    "section",
    {},
    gateway === undefined ? null : gatewayLine(gateway),
    conditionList(troublesOf(conditions), now),
    noteDetails(conditions, now),
    backends.length === 0
      ? nothing(
          "No server is configured.",
          h("p", {}, h("a", { href: "#/servers/add" }, "Add a server"), "."),
        )
      : isTable
        ? h(ServerTable, { app, status, now })
        : serverCards(app, backends, now),
  );
}

function serverCards(app: App, backends: readonly BackendStatus[], now: number): ComponentChild {
  const sleeping = backends.filter(
    (one) => one.phase === "Asleep" && troublesOf(one.conditions).length === 0,
  );
  return [
    h(
      "div",
      { key: "cards", class: "cards" },
      worstFirst(backends, (backend) => backendLabel(backend).tone).map((backend) =>
        sleeping.includes(backend) ? null : h(BackendCard, { key: backend.name, app, backend, now }),
      ),
    ),
    sleeping.length === 0
      ? null
      : h(Table, {
          ...{ key: "sleeping", label: "Sleeping servers", titles: SERVER_TITLES },
          rows: sleeping.map((backend) => serverRow({ app, backend, now }, null)),
        }),
  ];
}

const SERVER_TITLES = ["Server", "State", "Tools", "Calls", "What is wrong"];

interface ServerTableProps extends ViewProps {
  readonly status: StatusReport;
  readonly now: number;
}

/** All servers, those in trouble first, with a search; each row opens to its card. */
function ServerTable({ app, status, now }: ServerTableProps): ComponentChild {
  const [typed, setTyped] = useState("");
  const [state, setState] = useState<string | null>(null);
  const { backends = [] } = status;
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
    searchPart({ id: "servers-search", text: typed, onText: setTyped }, pluralize(found.length, "server")),
    h("div", { class: "row", role: "group", "aria-label": "State" }, chips),
    h(Table, {
      ...{ label: "Servers", titles: SERVER_TITLES },
      rows: found.map(({ backend, why }) => serverRow({ app, backend, now }, why)),
    }),
    actionRow(found.length === 0 ? null : h(ActionButton, { app, action: restart })),
  ];
}

/** `why`: what is wrong with this server; null: nothing. */
function serverRow(card: BackendCardProps, why: string | null): TableRow {
  const { app, backend } = card;
  const { name, enabled, tools, calls, errors } = backend;
  const { text, tone } = backendLabel(backend);
  const isAsleep = backend.phase === "Asleep";
  const start = actionWith(actionsFor({ shares: [], backends: [backend] }), "restart", name);
  return {
    key: name,
    cells: [
      shown(name),
      mark(tone, text),
      enabled && String(tools),
      calls > 0 && `${calls}${errors > 0 ? `, ${errors} failed` : ""}`,
      [
        why === null ? null : withCode(why),
        isAsleep && start ? h(ActionButton, { key: "start", app, action: start }) : null,
        isAsleep ? h(ServerActions, { key: "actions", app, backend, isRow: true }) : null,
      ],
    ],
    card: () => h(BackendCard, card),
  };
}

function noteDetails(all: readonly Condition[], now: number): ComponentChild {
  const notes = all.filter(({ severity }) => severity === "info");
  return notes.length === 0 ? null : details(pluralize(notes.length, "note"), conditionList(notes, now));
}

function gatewayLine({ url, sessions, in_flight: inFlight, tools }: GatewayStatus): ComponentChild {
  const where = url === null ? ["It does not listen."] : ["Clients connect to ", h(Copyable, { text: url })];
  const counts = [pluralize(sessions, "session"), `${inFlight} in flight`, pluralize(tools, "tool")].join(
    ", ",
  );
  return h("p", { class: "facts" }, ...where, ` · ${counts}`);
}

// One backend: its phase, its tools and calls, its routes, its logs, and its actions.

interface BackendCardProps extends ViewProps {
  readonly backend: BackendStatus;
  readonly now: number;
}

export function BackendCard({ app, backend, now }: BackendCardProps): ComponentChild {
  const [lines, setLines] = useState<readonly string[] | null>(null);
  const name = shown(backend.name);
  const state = backendLabel(backend);
  const actions = actionsFor({ shares: [], backends: [backend] });
  const restart = backend.enabled ? actionWith(actions, "restart", backend.name) : null;
  const facts = backendFacts(backend);
  const calls = backend.enabled ? callFacts(backend) : [];
  const retry = retryText(backend, now);
  const since = backend.enabled ? forText(backend.since, now) : null;
  const { server, reason, last_error: error, protocol_version: protocol } = backend;
  const isReady = backend.phase === "Ready";
  const troubles = troublesOf(backend.conditions).map((condition) => ({
    ...condition,
    title: withoutName(condition.title, backend.name),
  }));
  const isTitled = (text: string): boolean => troubles.some(({ title }) => title.includes(text));
  return card(
    state.tone,
    `Server ${name}`,
    cardHead(name, state, since),
    line("facts", facts.join(" · ")),
    line("facts", calls.join(" · ")),
    line("ready", waitingText(backend)),
    line("dim", server && `${server.name} ${server.version}${protocol === null ? "" : `, MCP ${protocol}`}`),
    line("hint", reason === null || isReady || !backend.enabled || isTitled(reason) ? null : reason),
    line("hint", retry && `It ${retry}.`),
    error === null || error === reason || isTitled(error)
      ? null
      : line(isReady ? "dim" : "problem", `Last error: ${error}`),
    backend.routes === undefined ? null : h(Routes, { app, backend, now, actions }),
    conditionList(troubles, now),
    noteDetails(backend.conditions, now),
    whyDetails(backendWhy(backend), now),
    h(SignIn, { app, backend }),
    actionRow(
      restart === null ? null : h(ActionButton, { app, action: restart }),
      backend.type === "stdio" && backend.enabled
        ? h(WorkButton, {
            label: lines === null ? "Logs" : "Close",
            accessibleName: `${lines === null ? "Logs" : "Close the logs"}: ${name}`,
            run: async () => {
              if (lines !== null) setLines(null);
              else
                await app.attempt(backend.name, async () => {
                  setLines((await app.requests.call("logs", { backend: backend.name })).lines);
                });
            },
          })
        : null,
      h(ServerActions, { app, backend }),
    ),
    lines === null
      ? null
      : textBlock(lines.length === 0 ? "It logged nothing." : lines.join("\n"), `Logs of ${name}`),
  );
}

/** If a condition asks for a login: a button that begins one, then the address where the person signs in. */
function SignIn({ app, backend }: Pick<BackendCardProps, "app" | "backend">): ComponentChild {
  const may = useMayRunCommands(app);
  const [address, setAddress] = useState<string | null>(null);
  const name = shown(backend.name);
  const command = shellCommand`mountaineer backends login ${backend.name}`;
  if (!backend.conditions.some(({ hint }) => hint?.startsWith(command) === true)) return null;
  const input = { backend: backend.name };
  const follow = (): Promise<unknown> =>
    app.attempt(`Sign in to ${backend.name}`, async () => {
      try {
        const { issuer } = await app.requests.call("awaitLogin", input);
        app.notify("good", `${name} is signed in at ${shown(issuer)}`);
      } finally {
        setAddress(null);
      }
    });
  const begin = (): Promise<unknown> =>
    app.attempt(`Sign in to ${backend.name}`, async () => {
      setAddress((await app.requests.call("beginLogin", input)).address);
      void follow();
    });
  if (!may) return null;
  if (address === null)
    return h(WorkButton, { label: "Sign in", accessibleName: `Sign in: ${name}`, run: begin });
  return h(
    "p",
    { role: "status" },
    h(
      "a",
      { href: address, target: "_blank", rel: "noopener noreferrer" },
      `Sign in at ${shown(new URL(address).host)}`,
    ),
    ", in a browser of the daemon's machine.",
  );
}

function Routes({
  app,
  backend,
  now,
  actions,
}: BackendCardProps & { readonly actions: readonly Action[] }): ComponentChild {
  const to = (route: string): ComponentChild | null => {
    const action = actionWith(actions, "route", backend.name, route);
    return action?.isUseful === true ? h(ActionButton, { app, action }) : null;
  };
  return h(
    "div",
    {},
    line("ready", routeReadyText(backend, now)),
    plainList(
      `Routes of ${shown(backend.name)}`,
      (backend.routes?.list ?? []).map((route) => {
        const { text, tone } = backendRouteLabel(route, now);
        return h(
          "li",
          { key: route.name, class: "row" },
          h("strong", {}, shown(route.name)),
          code(route.target),
          route.in_use
            ? mark("plain", text)
            : h("span", { class: tone === "warning" ? "hint" : "dim" }, shown(text)),
          to(route.name),
        );
      }),
    ),
    to("auto"),
  );
}
