// The gateway and its backends as text. Pure.

import { phaseWord, waitingText } from "../../api/backend-phases.ts";
import type {
  BackendRouteStatus,
  BackendStatus,
  BackendSwitchReport,
  GatewayStatus,
} from "../../api/contract.ts";
import { placesText } from "../../api/words/tool-places.ts";
import type { Paint } from "../../runtime/text/paint.ts";
import {
  columns,
  counted,
  durationText,
  glued,
  harmless,
  padded,
  wrapped,
} from "../../runtime/text/plain-text.ts";
import { paintFor, type TerminalStyle } from "./terminal-style.ts";
import {
  conditionLines,
  INDENT,
  marked,
  nameColumns,
  type StatusViewOptions,
  sinceText,
  text,
  type View,
  viewOf,
} from "./view-lines.ts";

/** Width of the longest phase, so that what follows is aligned. */
const PHASE_COLUMNS = "ShuttingDown".length;

/** The gateway's lines: where it listens, who is there, and what it publishes. `daemonRuns`: only then it could. */
export function gatewayBlock(gateway: GatewayStatus, daemonRuns: boolean, view: View): string[] {
  const { paint } = view;
  const { symbols } = paint;
  const title = paint.bold("gateway");
  const dot = gateway.url === null ? paint.red(symbols.bad) : paint.green(symbols.on);
  const head =
    gateway.url === null && !daemonRuns
      ? `${symbols.off} ${title}  not serving`
      : `${dot} ${title}  ${gateway.url === null ? paint.red("not listening") : harmless(gateway.url)}`;
  const facts = [
    ...(daemonRuns ? [counted(gateway.sessions, "session"), `${gateway.in_flight} in flight`] : []),
    ...(daemonRuns ? [published(gateway)] : []),
  ];
  return [
    head,
    ...text(facts.map(glued).join(", "), INDENT, view),
    ...gateway.conditions.flatMap((condition) => conditionLines(condition, INDENT, view)),
  ];
}

/** A line for each backend, and below it what is wrong: without a daemon (not `started`), what would keep it from starting. */
export function backendBlock(backends: readonly BackendStatus[], view: View, started = true): string[] {
  const width = nameColumns(backends);
  return backends.flatMap((backend) => [
    ...backendHead(backend, width, view),
    ...routeBlock(backend, view),
    ...togetherLines(backend, view),
    ...(started ? backendTroubles(backend, view) : conditionsOf(backend, view)),
  ]);
}

/** The backends alone, ending in a newline; "" when there is none. */
export function renderBackends(backends: readonly BackendStatus[], options: StatusViewOptions): string {
  return backendBlock(backends, viewOf(options))
    .map((line) => `${line}\n`)
    .join("");
}

/** What became of a switch, ending in a newline. */
export function renderBackendSwitch(report: BackendSwitchReport, style: TerminalStyle): string {
  const paint = paintFor(style);
  const { symbols } = paint;
  const isFailed = report.result === "failed";
  const mark = isFailed
    ? paint.red(symbols.bad)
    : report.result === "switched"
      ? paint.green(symbols.good)
      : paint.dim(symbols.skip);
  const detail = isFailed ? `stays as it is: ${report.detail}` : report.detail;
  return `${mark} ${paint.bold(harmless(report.backend))}  ${harmless(detail)}\n`;
}

/** Each route on a line, and below them why it does not go back, or who holds it. */
function routeBlock({ name, routes }: BackendStatus, view: View): string[] {
  if (routes === undefined) return [];
  const { paint, now } = view;
  const width = nameColumns(routes.list);
  const lines = routes.list.flatMap((route) => {
    const dot =
      route.in_use || route.healthy_since !== null ? paint.green(paint.symbols.on) : paint.symbols.off;
    const label = padded(harmless(route.name), width);
    const facts = [harmless(route.target), ...routeFacts(route, view)].join(", ");
    const below = " ".repeat(columns(INDENT) + width + 4);
    const [first = "", ...more] = wrapped(facts, view.width - below.length);
    return [
      `${INDENT}${dot} ${route.in_use ? paint.bold(label) : label}  ${first}`,
      ...more.map((line) => `${below}${line}`),
    ];
  });
  const { recovery_pending: pending, held } = routes;
  if (pending !== null) {
    const route = routes.list.find((one) => one.name === pending.route);
    const steady = sinceText(route?.healthy_since ?? null, now);
    const what = `${harmless(pending.route)} READY: it is back${steady === null ? "" : `, steady for ${glued(steady)}`}; ${harmless(pending.reason)}`;
    lines.push(...marked(paint.symbols.ready, what, INDENT, paint.yellow, view));
    lines.push(`${INDENT}    mountaineer switch --backend ${harmless(name)} --to ${harmless(pending.route)}`);
  }
  if (held !== null) {
    const what = `held on ${harmless(held)} by hand; to let the rules go on:`;
    lines.push(...marked(paint.symbols.info, what, INDENT, paint.cyan, view));
    lines.push(`${INDENT}    mountaineer switch --backend ${harmless(name)} --to auto`);
  }
  return lines;
}

/** Where calls of the tools go that it has in common with other machines. */
function togetherLines({ together }: BackendStatus, view: View): string[] {
  if (together === undefined) return [];
  const { tools, places } = together;
  const what = `${counted(tools, "tool")} in common: calls go to ${harmless(placesText(places))}`;
  return text(what, INDENT, view).map(view.paint.dim);
}

function routeFacts(route: BackendRouteStatus, view: View): string[] {
  if (route.in_use) return ["in use"];
  const steadyMs = route.healthy_since === null ? Number.NaN : view.now - Date.parse(route.healthy_since);
  if (steadyMs >= 0) return [`steady for ${glued(durationText(steadyMs))}`];
  const retry = retryText(route, view);
  return [
    ...(route.last_error === null ? ["not in use"] : [harmless(route.last_error)]),
    ...(retry === null ? [] : [retry]),
  ];
}

function backendHead(backend: BackendStatus, nameWidth: number, view: View): string[] {
  const { paint } = view;
  const { dot, phase, style } = stateOf(backend, paint);
  const name = padded(harmless(backend.name), nameWidth);
  const lead = columns(`${paint.symbols.on} ${name}  `) + PHASE_COLUMNS + 2;
  const [first = "", ...more] = wrapped(factsOf(backend).map(glued).join(", "), view.width - lead);
  return [
    `${dot} ${paint.bold(name)}  ${style(padded(phase, PHASE_COLUMNS))}  ${first}`.trimEnd(),
    ...more.map((line) => `${" ".repeat(lead)}${line}`),
  ];
}

/** Why it is not ready, what its last error was, and what stands: each trouble once. */
function backendTroubles(backend: BackendStatus, view: View): string[] {
  const { paint } = view;
  const lines: string[] = [];
  const isTold = (trouble: string): boolean =>
    backend.conditions.some(({ title }) => title.includes(trouble));
  if (backend.enabled && backend.phase !== "Ready") {
    const reason = backend.reason === null || isTold(backend.reason) ? null : harmless(backend.reason);
    const why = [reason, retryText(backend, view)].filter((part) => part !== null);
    if (why.length > 0) lines.push(...text(why.join("; "), INDENT, view).map(paint.dim));
  }
  const waiting = waitingText(backend);
  if (waiting !== null) lines.push(...marked(paint.symbols.warning, waiting, INDENT, paint.yellow, view));
  if (backend.last_error !== null && backend.last_error !== backend.reason && !isTold(backend.last_error)) {
    const error = `last error: ${harmless(backend.last_error)}`;
    const [mark, paintError] =
      backend.phase === "Ready"
        ? ([paint.symbols.info, paint.dim] as const)
        : ([paint.symbols.bad, paint.red] as const);
    lines.push(...marked(mark, error, INDENT, paintError, view));
  }
  return [...lines, ...conditionsOf(backend, view)];
}

function conditionsOf({ conditions }: BackendStatus, view: View): string[] {
  return conditions.flatMap((condition) => conditionLines(condition, INDENT, view));
}

interface State {
  readonly dot: string;
  readonly phase: string;
  readonly style: (text: string) => string;
}

/** Switched on in the file, and nobody has approved it. */
function isHeld({ enabled, conditions }: BackendStatus): boolean {
  return !enabled && conditions.some(({ code }) => code === "waiting_for_approval");
}

function stateOf(backend: BackendStatus, paint: Paint): State {
  const { enabled, phase } = backend;
  const { symbols } = paint;
  if (isHeld(backend)) return { dot: paint.yellow(symbols.warning), phase: "waiting", style: paint.yellow };
  if (!enabled) return { dot: symbols.off, phase: "disabled", style: paint.dim };
  switch (phase) {
    case "Ready":
      return { dot: paint.green(symbols.on), phase, style: paint.green };
    case "Degraded":
      return { dot: paint.yellow(symbols.warning), phase, style: paint.yellow };
    case "Failed":
      return { dot: paint.red(symbols.bad), phase, style: paint.red };
    case "Pending":
    case "Initializing":
    case "ShuttingDown":
      return { dot: symbols.off, phase: phaseWord(phase), style: paint.cyan };
  }
}

function factsOf(backend: BackendStatus): string[] {
  if (!backend.enabled) return [];
  const { in_flight: inFlight, draining, instances, restarts, withheld_tools: withheld = 0 } = backend;
  return [
    published(backend),
    ...(backend.routes?.in_use ? [`over ${harmless(backend.routes.in_use)}`] : []),
    ...(withheld > 0 ? [`${counted(withheld, "tool")} withheld`] : []),
    ...(backend.group === null ? [] : [`group ${harmless(backend.group)}`]),
    ...(inFlight > 0 ? [`${inFlight} in flight`] : []),
    ...(draining > 0 ? [`${draining} draining`] : []),
    ...(instances > 1 ? [`${instances} instances`] : []),
    ...(restarts > 0 ? [counted(restarts, "restart")] : []),
    ...wayTexts(backend),
  ];
}

function wayTexts({ type, pid }: Pick<BackendStatus, "type" | "pid">): readonly string[] {
  if (type === "fleet") return ["on another machine"];
  return type === "streamable-http" ? ["over HTTP"] : pid === null ? [] : [`pid ${pid}`];
}

function retryText({ retry_at: retryAt }: Pick<BackendStatus, "retry_at">, { now }: View): string | null {
  const ms = retryAt === null ? Number.NaN : Date.parse(retryAt) - now;
  if (Number.isNaN(ms)) return null;
  return ms <= 0 ? "retries now" : `retries in ${glued(durationText(Math.max(ms, 1_000)))}`;
}

function published(counts: Pick<BackendStatus, "tools" | "resources" | "prompts">): string {
  const told = [
    counted(counts.tools, "tool"),
    ...(counts.resources > 0 ? [counted(counts.resources, "resource")] : []),
    ...(counts.prompts > 0 ? [counted(counts.prompts, "prompt")] : []),
  ];
  return told.join(", ");
}

/** For people who wonder where a tool is: what each backend that publishes nothing yet is up to. */
export function absentBackends(backends: readonly BackendStatus[], now: number): string[] {
  return backends
    .filter((backend) =>
      backend.enabled ? backend.phase !== "Ready" && backend.phase !== "Degraded" : isHeld(backend),
    )
    .map((backend) => {
      const { name, phase, reason, last_error: lastError, since } = backend;
      if (isHeld(backend)) return `backend ${harmless(name)} waits for approval: mountaineer approve`;
      const why = reason ?? lastError;
      const lasted = sinceText(since, now);
      const state = `${phaseWord(phase)}${lasted === null ? "" : ` for ${lasted}`}`;
      return `backend ${harmless(name)} is ${state}${why === null ? "" : `: ${harmless(why)}`}`;
    });
}
