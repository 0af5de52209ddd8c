// What a server's row opens into: its state with the cause and its numbers, its tools, its logs, and its settings.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import type { BackendStatus } from "../../../api/contract/contract.ts";
import { type Action, actionsFor, actionWith } from "../../../api/labels/actions.ts";
import {
  backendFacts,
  backendLabel,
  backendRouteLabel,
  callFacts,
  retryText,
  routeReadyText,
  waitingText,
} from "../../../api/labels/backend-labels.ts";
import { troublesOf, withoutName } from "../../../api/labels/label.ts";
import { backendWhy } from "../../../api/labels/why.ts";
import { pluralize, shellCommand } from "../../../runtime/text/plain-text.ts";
import { CatalogView } from "../catalog/catalog-view.ts";
import { ActionButton } from "../parts/action-button.ts";
import type { ViewProps } from "../parts/app.ts";
import {
  actionRow,
  card,
  cardHead,
  code,
  conditionList,
  details,
  line,
  loading,
  mark,
  plainList,
  textBlock,
  WorkButton,
} from "../parts/elements.ts";
import { useMayRunCommands } from "../parts/owner-lock.ts";
import { panelParts } from "../parts/panel-parts.ts";
import { forText, shown } from "../parts/text.ts";
import { useLoaded } from "../parts/use-loaded.ts";
import { whyDetails } from "../parts/why.ts";
import { NumberPlots } from "../plots/number-plots-later.ts";
import { ServerActions } from "./server-actions.ts";

interface OverviewProps extends ViewProps {
  readonly backend: BackendStatus;
  readonly now: number;
}

interface ServerPanelProps extends OverviewProps {
  /** The part that is open; null: the first one. */
  readonly part: string | null;
  readonly onPart: (part: string) => void;
}

export function ServerPanel({ app, backend, now, part, onPart }: ServerPanelProps): ComponentChild {
  const name = shown(backend.name);
  const state = backendLabel(backend);
  const since = backend.enabled ? forText(backend.since, now) : null;
  const isStdio = backend.type === "stdio" && backend.enabled;
  return card(
    state.tone,
    `Server ${name}`,
    cardHead(name, state, since),
    panelParts(
      name,
      [
        ["Overview", () => h(Overview, { app, backend, now })],
        ["Tools", () => h(CatalogView, { app, server: backend.name })],
        ...(isStdio ? [["Logs", () => h(Logs, { app, backend })] as const] : []),
        ...(backend.type === "fleet" ? [] : [["Settings", () => h(Settings, { app, backend })] as const]),
      ],
      part,
      onPart,
    ),
  );
}

function Overview({ app, backend, now }: OverviewProps): ComponentChild {
  const actions = actionsFor({ shares: [], backends: [backend] });
  const restart = backend.enabled ? actionWith(actions, "restart", backend.name) : null;
  const retry = retryText(backend, now);
  const { reason, last_error: error } = backend;
  const isReady = backend.phase === "Ready";
  const troubles = troublesOf(backend.conditions).map((condition) => ({
    ...condition,
    title: withoutName(condition.title, backend.name),
  }));
  const notes = backend.conditions.filter(({ severity }) => severity === "info");
  const isTitled = (text: string): boolean => troubles.some(({ title }) => title.includes(text));
  return [
    line("ready", waitingText(backend)),
    line("hint", reason === null || isReady || !backend.enabled || isTitled(reason) ? null : reason),
    line("hint", retry && `It ${retry}.`),
    error === null || error === reason || isTitled(error)
      ? null
      : line(isReady ? "dim" : "problem", `Last error: ${error}`),
    conditionList(troubles, now),
    notes.length === 0 ? null : details(pluralize(notes.length, "note"), conditionList(notes, now)),
    backend.routes === undefined ? null : h(Routes, { app, backend, now, actions }),
    h(SignIn, { app, backend }),
    actionRow(
      restart === null ? null : h(ActionButton, { app, action: restart }),
      h(
        "a",
        { class: "button", href: `#/activity?${new URLSearchParams({ on: backend.name })}` },
        "What happened",
      ),
    ),
    line("facts", [...backendFacts(backend), ...(backend.enabled ? callFacts(backend) : [])].join(" · ")),
    h(NumberPlots, { app, of: "server", name: backend.name }),
    whyDetails(backendWhy(backend), now),
  ];
}

function Logs({ app, backend: { name } }: Pick<OverviewProps, "app" | "backend">): ComponentChild {
  const load = (signal: AbortSignal) => app.requests.call("logs", { backend: name }, { signal });
  const { report, problem, reload } = useLoaded(load, name);
  if (report === null) return loading(problem);
  const text = report.lines.length === 0 ? "It logged nothing." : report.lines.join("\n");
  return [
    textBlock(text, `Logs of ${shown(name)}`),
    actionRow(h(WorkButton, { label: "Read again", run: reload })),
  ];
}

function Settings({ app, backend }: Pick<OverviewProps, "app" | "backend">): ComponentChild {
  const { server, protocol_version: protocol } = backend;
  return [
    line("dim", server && `${server.name} ${server.version}${protocol === null ? "" : `, MCP ${protocol}`}`),
    actionRow(h(ServerActions, { app, backend })),
  ];
}

/** If a condition asks for a login: a button that begins one, then the address where the person signs in. */
function SignIn({ app, backend }: Pick<OverviewProps, "app" | "backend">): ComponentChild {
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
}: OverviewProps & { readonly actions: readonly Action[] }): ComponentChild {
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
