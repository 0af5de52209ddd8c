// All backends, a card each, and where clients connect.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import type { BackendStatus, GatewayStatus } from "../../../api/contract.ts";
import { type Action, actionsFor, actionWith } from "../../../api/words/actions.ts";
import {
  backendFacts,
  backendRouteWords,
  backendWords,
  callFacts,
  retryText,
  routeReadyText,
  togetherText,
  waitingText,
} from "../../../api/words/backend-words.ts";
import { troublesOf, withoutName } from "../../../api/words/words.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import { useNow, useStore } from "../daemon/store.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { CommandsNote, useMayRunCommands } from "../parts/commands-note.ts";
import {
  Copyable,
  cardHead,
  code,
  conditionList,
  mark,
  nothing,
  textBlock,
  WorkButton,
} from "../parts/elements.ts";
import { forText, shown } from "../parts/text.ts";

export function ServersView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const now = useNow();
  if (status === null) return nothing("Asking the daemon …");
  const { gateway, backends = [] } = status;
  return h(
    "section",
    { "aria-label": "Servers" },
    gateway === undefined ? null : [gatewayLine(gateway), conditionList(gateway.conditions, now)],
    backends.length === 0
      ? nothing(
          "No server is configured.",
          h("p", {}, h("a", { href: "#/servers/add" }, "Add a server"), "."),
        )
      : h(
          "div",
          { class: "cards" },
          backends.map((backend) => h(BackendCard, { key: backend.name, app, backend, now })),
        ),
  );
}

function gatewayLine({ url, sessions, in_flight: inFlight, tools }: GatewayStatus): ComponentChild {
  const where = url === null ? ["It does not listen."] : ["Clients connect to ", h(Copyable, { text: url })];
  const counts = [counted(sessions, "session"), `${inFlight} in flight`, counted(tools, "tool")].join(", ");
  return h("p", { class: "facts" }, ...where, ` · ${counts}`);
}

// One backend: its phase, what it publishes, its routes, its calls, its last lines, and what can be done.

interface BackendCardProps {
  readonly app: App;
  readonly backend: BackendStatus;
  readonly now: number;
}

export function BackendCard({ app, backend, now }: BackendCardProps): ComponentChild {
  const [lines, setLines] = useState<readonly string[] | null>(null);
  const name = shown(backend.name);
  const state = backendWords(backend);
  const actions = actionsFor({ shares: [], backends: [backend] });
  const restart = backend.enabled ? actionWith(actions, "restart", backend.name) : null;
  const facts = [...backendFacts(backend), togetherText(backend)].filter((fact) => fact !== null);
  const calls = backend.enabled ? callFacts(backend) : [];
  const retry = retryText(backend, now);
  const since = backend.enabled ? forText(backend.since, now) : null;
  const { server } = backend;
  const error = backend.last_error;
  const waiting = waitingText(backend);
  const notes = backend.conditions.filter(({ severity }) => severity === "info");
  const troubles = troublesOf(backend.conditions).map((condition) => ({
    ...condition,
    title: withoutName(condition.title, backend.name),
  }));
  const isTold = (text: string): boolean => troubles.some(({ title }) => title.includes(text));
  return h(
    "article",
    { class: `card ${state.tone}`, "aria-label": `Backend ${name}` },
    cardHead(name, state, since),
    facts.length === 0 ? null : h("p", { class: "facts" }, shown(facts.join(" · "))),
    calls.length === 0 ? null : h("p", { class: "facts" }, calls.join(" · ")),
    waiting === null ? null : h("p", { class: "ready" }, waiting),
    server === null
      ? null
      : h("p", { class: "dim" }, `${shown(server.name)} ${shown(server.version)}`, protocolText(backend)),
    backend.reason === null || backend.phase === "Ready" || isTold(backend.reason)
      ? null
      : h("p", { class: "hint" }, shown(backend.reason)),
    retry === null ? null : h("p", { class: "hint" }, `It ${retry}.`),
    error === null || error === backend.reason || isTold(error)
      ? null
      : h("p", { class: backend.phase === "Ready" ? "dim" : "problem" }, `Last error: ${shown(error)}`),
    backend.routes === undefined ? null : h(Routes, { app, backend, now, actions }),
    conditionList(troubles, now),
    notes.length === 0
      ? null
      : h("details", {}, h("summary", {}, counted(notes.length, "note")), conditionList(notes, now)),
    h(SignIn, { app, backend }),
    h(
      "div",
      { class: "row actions" },
      restart === null ? null : h(ActionButton, { app, action: restart }),
      backend.type === "stdio" && backend.enabled
        ? h(WorkButton, {
            label: lines === null ? "Logs" : "Close",
            says: `${lines === null ? "Logs" : "Close the logs"}: ${name}`,
            run: async () => {
              if (lines !== null) setLines(null);
              else
                await app.attempt(backend.name, async () => {
                  setLines((await app.requests.ask("logs", { backend: backend.name })).lines);
                });
            },
          })
        : null,
    ),
    lines === null
      ? null
      : textBlock(lines.length === 0 ? "It logged nothing." : lines.join("\n"), `Logs of ${name}`),
  );
}

/** Where a condition asks for a login: begins one, and says where the person signs in. */
function SignIn({ app, backend }: Pick<BackendCardProps, "app" | "backend">): ComponentChild {
  const may = useMayRunCommands(app);
  const [address, setAddress] = useState<string | null>(null);
  const name = shown(backend.name);
  const asks = `mountaineer backends login ${backend.name}`;
  if (!backend.conditions.some(({ hint }) => hint?.startsWith(asks) === true)) return null;
  const input = { backend: backend.name };
  const follow = (): Promise<unknown> =>
    app.attempt(`Sign in to ${backend.name}`, async () => {
      try {
        const { issuer } = await app.requests.ask("awaitLogin", input);
        app.notify("good", `${name} is signed in at ${shown(issuer)}`);
      } finally {
        setAddress(null);
      }
    });
  const begin = (): Promise<unknown> =>
    app.attempt(`Sign in to ${backend.name}`, async () => {
      setAddress((await app.requests.ask("beginLogin", input)).address);
      void follow();
    });
  if (!may) return h(CommandsNote, { app, refused: "Nobody signs in to it here" });
  if (address === null) return h(WorkButton, { label: "Sign in", says: `Sign in: ${name}`, run: begin });
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
  const ready = routeReadyText(backend, now);
  const to = (route: string): ComponentChild | null => {
    const action = actionWith(actions, "route", backend.name, route);
    return action?.isUseful === true ? h(ActionButton, { app, action }) : null;
  };
  return h(
    "div",
    {},
    ready === null ? null : h("p", { class: "ready" }, shown(ready)),
    h(
      "ul",
      { class: "plain-list" },
      (backend.routes?.list ?? []).map((route) => {
        const { text, tone } = backendRouteWords(route, now);
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

function protocolText({ protocol_version: version }: BackendStatus): string {
  return version === null ? "" : `, MCP ${shown(version)}`;
}
