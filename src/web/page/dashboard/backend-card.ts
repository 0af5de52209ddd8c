// One backend: its phase, what it publishes, its routes, its calls, its last lines, and what can be done.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import { phaseWord, waitingText } from "../../../api/backend-phases.ts";
import type { BackendRouteStatus, BackendStatus } from "../../../api/contract.ts";
import { placesText } from "../../../api/words/tool-places.ts";
import { counted, durationText } from "../../../runtime/text/plain-text.ts";
import type { App } from "../parts/app.ts";
import { code, conditionList, mark, textBlock, WorkButton } from "../parts/elements.ts";
import { forText, shown } from "../parts/text.ts";
import { callFigures } from "./call-figures.ts";

interface BackendCardProps {
  readonly app: App;
  readonly backend: BackendStatus;
  readonly now: number;
}

export function BackendCard({ app, backend, now }: BackendCardProps): ComponentChild {
  const [lines, setLines] = useState<readonly string[] | null>(null);
  const name = shown(backend.name);
  const state = backendState(backend);
  const since = backend.enabled ? forText(backend.since, now) : null;
  const { server } = backend;
  const error = backend.last_error;
  const waiting = waitingText(backend);
  return h(
    "article",
    { class: `card ${state.tone}`, "aria-label": `Backend ${name}` },
    h(
      "header",
      {},
      h("h3", {}, name),
      mark(state.tone, state.text),
      since === null ? null : h("span", { class: "dim" }, since),
    ),
    backend.enabled ? h("p", { class: "facts" }, facts(backend).join(" · ")) : null,
    backend.enabled ? callFigures(backend) : null,
    waiting === null ? null : h("p", { class: "ready" }, waiting),
    server === null
      ? null
      : h("p", { class: "dim" }, `${shown(server.name)} ${shown(server.version)}`, protocolText(backend)),
    backend.reason === null || backend.phase === "Ready"
      ? null
      : h("p", { class: "hint" }, shown(backend.reason)),
    retryLine(backend, now),
    error === null || error === backend.reason
      ? null
      : h("p", { class: backend.phase === "Ready" ? "dim" : "problem" }, `Last error: ${shown(error)}`),
    backend.routes === undefined ? null : h(Routes, { app, backend, now }),
    conditionList(backend.conditions, now),
    h(
      "div",
      { class: "row actions" },
      backend.enabled
        ? h(WorkButton, {
            label: "Restart",
            says: `Restart ${name}`,
            run: () => restartBackend(app, backend),
          })
        : null,
      backend.type === "stdio" && backend.enabled
        ? h(WorkButton, {
            label: lines === null ? "What it wrote" : "Close",
            says: `${lines === null ? "What it wrote" : "Close what it wrote"}: ${name}`,
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
      : textBlock(lines.length === 0 ? "It wrote nothing." : lines.join("\n"), `What ${name} wrote`),
  );
}

function backendState({ enabled, phase, conditions }: BackendStatus): {
  tone: "good" | "plain" | "warning" | "bad";
  text: string;
} {
  if (!enabled && conditions.some((condition) => condition.code === "waiting_for_approval"))
    return { tone: "warning", text: "Waits for approval" };
  if (!enabled) return { tone: "plain", text: "Disabled" };
  const tones = { Ready: "good", Degraded: "warning", Failed: "bad" } as const;
  return { tone: phase in tones ? tones[phase as keyof typeof tones] : "plain", text: phaseWord(phase) };
}

function facts(backend: BackendStatus): string[] {
  const { tools, resources, prompts, instances, restarts, draining, withheld_tools: withheld = 0 } = backend;
  const { together } = backend;
  return [
    counted(tools, "tool"),
    ...(together === undefined ? [] : [`${together.tools} in common: ${shown(placesText(together.places))}`]),
    ...(resources > 0 ? [counted(resources, "resource")] : []),
    ...(prompts > 0 ? [counted(prompts, "prompt")] : []),
    ...(withheld > 0 ? [`${counted(withheld, "tool")} withheld`] : []),
    ...(draining > 0 ? [`${draining} draining`] : []),
    ...(instances > 1 ? [counted(instances, "instance")] : []),
    ...(restarts > 0 ? [counted(restarts, "restart")] : []),
    ...(backend.group === null ? [] : [`group ${shown(backend.group)}`]),
    wayText(backend),
  ];
}

function wayText({ type, pid }: BackendStatus): string {
  if (type === "fleet") return "on another machine";
  return type === "streamable-http" ? "over HTTP" : pid === null ? "stdio" : `pid ${pid}`;
}

function protocolText({ protocol_version: version }: BackendStatus): string {
  return version === null ? "" : `, MCP ${shown(version)}`;
}

function retryLine({ retry_at: retryAt }: BackendStatus, now: number): ComponentChild | null {
  const ms = retryAt === null ? Number.NaN : Date.parse(retryAt) - now;
  if (Number.isNaN(ms)) return null;
  const text = ms <= 0 ? "Tries again now." : `Tries again in ${durationText(Math.max(1000, ms))}.`;
  return h("p", { class: "hint" }, text);
}

function Routes({ app, backend, now }: BackendCardProps): ComponentChild {
  const { list = [], held = null, recovery_pending: pending = null } = backend.routes ?? {};
  const to = (route: string): Promise<void> => switchBackend(app, backend.name, route);
  return h(
    "div",
    {},
    pending === null
      ? null
      : h("p", { class: "ready" }, `${shown(pending.route)} is ready: ${shown(pending.reason)}`),
    h(
      "ul",
      { class: "plain-list" },
      list.map((route) =>
        h(
          "li",
          { key: route.name, class: "row" },
          h("strong", {}, shown(route.name)),
          code(route.target),
          h("span", { class: "dim" }, routeFact(route, now)),
          route.in_use
            ? mark("plain", "in use")
            : h(WorkButton, {
                label: "Use",
                says: `Use route ${shown(route.name)} of ${shown(backend.name)}`,
                run: () => to(route.name),
              }),
        ),
      ),
    ),
    held === null
      ? null
      : h(
          "p",
          { class: "row" },
          `Held on ${shown(held)} by hand.`,
          h(WorkButton, { label: "Let the rules go on", run: () => to("auto") }),
        ),
  );
}

function routeFact(
  { in_use: inUse, healthy_since: since, last_error: error }: BackendRouteStatus,
  now: number,
): string {
  if (inUse) return "";
  const steady = forText(since, now);
  return steady === null ? (error === null ? "not in use" : shown(error)) : `steady ${steady}`;
}

async function restartBackend(app: App, { name, in_flight: inFlight }: BackendStatus): Promise<void> {
  const yes = await app.ask({
    title: `Restart ${shown(name)}?`,
    body: h(
      "p",
      {},
      "A new instance is started, and serves once it is ready. The old one finishes its calls first",
      inFlight > 0 ? ` (${inFlight} now).` : ".",
    ),
    action: "Restart",
    destroys: true,
  });
  if (!yes) return;
  await app.attempt(name, async () => {
    const { restarted } = await app.requests.ask("restart", { backends: [name] });
    app.tell("good", `${restarted.join(", ") || name}: started anew`);
  });
}

async function switchBackend(app: App, backend: string, to: string): Promise<void> {
  await app.attempt(backend, async () => {
    const { result, detail } = await app.requests.ask("switchBackend", { backend, to });
    app.tell(result === "failed" ? "bad" : "good", `${backend}: ${detail}`);
  });
}
