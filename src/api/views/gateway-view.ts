// The gateway and its backends as text. Pure.

import { tonePaint } from "../../runtime/text/paint.ts";
import {
  columns,
  nonBreaking,
  padded,
  pluralize,
  printable,
  shellCommand,
  wrapped,
} from "../../runtime/text/plain-text.ts";
import type { BackendStatus, GatewayStatus } from "../contract/contract.ts";
import {
  backendFacts,
  backendLabel,
  backendRouteLabel,
  callFacts,
  publishedText,
  retryText,
  routeReadyText,
  waitingText,
} from "../labels/backend-labels.ts";
import { withoutName } from "../labels/label.ts";
import {
  conditionLines,
  factLines,
  hanging,
  INDENT,
  isUnsaid,
  marked,
  nameColumns,
  type StatusViewOptions,
  text,
  type View,
  viewOf,
} from "./view-lines.ts";

/** Width of the state; most states fit, so that the facts after them are aligned. */
const STATE_COLUMNS = 12;

/** Without a daemon, the gateway has no address and no sessions. */
export function gatewayBlock(gateway: GatewayStatus, daemonRuns: boolean, view: View): string[] {
  const { paint } = view;
  const { symbols } = paint;
  const title = paint.bold("gateway");
  const dot = gateway.url === null ? paint.red(symbols.bad) : paint.green(symbols.on);
  const head =
    gateway.url === null && !daemonRuns
      ? `${symbols.off} ${title}  not serving`
      : `${dot} ${title}  ${gateway.url === null ? paint.red("not listening") : printable(gateway.url)}`;
  const facts = [
    ...(daemonRuns ? [pluralize(gateway.sessions, "session"), `${gateway.in_flight} in flight`] : []),
    ...(daemonRuns ? [publishedText(gateway)] : []),
    ...programsText(gateway),
  ];
  return [
    head,
    ...text(facts.map(nonBreaking).join(", "), INDENT, view),
    ...conditionLines(gateway.conditions, INDENT, view),
  ];
}

/** `12 servers run (840 MB), 28 asleep`. */
function programsText({ programs }: GatewayStatus): readonly string[] {
  if (programs === undefined) return [];
  const { running, asleep, memory_mb: memory } = programs;
  const takes = memory === null || running === 0 ? "" : ` (${memory} MB)`;
  const runs = `${pluralize(running, "server")} ${running === 1 ? "runs" : "run"}${takes}`;
  return asleep === 0 ? [runs] : [runs, `${asleep} asleep`];
}

/** `started` false: no daemon runs, so only problems that would prevent a start are shown. */
export function backendBlock(backends: readonly BackendStatus[], view: View, started = true): string[] {
  const width = nameColumns(backends);
  return backends.flatMap((backend) => [
    ...backendHead(backend, width, view),
    ...(backend.enabled ? factLines(callFacts(backend), view) : []),
    ...routeBlock(backend, view),
    ...(started ? backendTroubles(backend, view) : conditionsOf(backend, view)),
  ]);
}

export function renderBackends(
  backends: readonly BackendStatus[],
  options: StatusViewOptions,
  started = true,
): string {
  return backendBlock(backends, viewOf(options), started)
    .map((line) => `${line}\n`)
    .join("");
}

/** A line for each route, and below them a pending failback, or the command that ends a hold. */
function routeBlock(backend: BackendStatus, view: View): string[] {
  const { name, routes } = backend;
  if (routes === undefined) return [];
  const { paint, now } = view;
  const width = nameColumns(routes.list);
  const lines = routes.list.flatMap((route) => {
    const { text: state, tone } = backendRouteLabel(route, now);
    const dot = tone === "good" ? paint.green(paint.symbols.on) : paint.symbols.off;
    const label = padded(printable(route.name), width);
    const facts = `${printable(route.target)}, ${tone === "good" ? nonBreaking(state) : printable(state)}`;
    const lead = `${INDENT}${dot} ${route.in_use ? paint.bold(label) : label}  `;
    return hanging(`${INDENT}  ${label}  `, facts, view.width, () => lead);
  });
  const { recovery_pending: pending, override } = routes;
  const ready = routeReadyText(backend, now);
  const command = (to: string): string =>
    `${INDENT}    ${shellCommand`mountaineer switch --backend ${name} --to ${to}`}`;
  if (pending !== null && ready !== null) {
    lines.push(...marked(paint.symbols.ready, printable(ready), INDENT, paint.yellow, view));
    lines.push(command(pending.route));
  }
  if (override !== null)
    lines.push(paint.cyan(`${INDENT}${paint.symbols.info} Back to automatic:`), command("auto"));
  return lines;
}

function backendHead(backend: BackendStatus, nameWidth: number, { paint, width }: View): string[] {
  const label = backendLabel(backend);
  const { mark, style } = tonePaint(label.tone, paint);
  const name = padded(printable(backend.name), nameWidth);
  const state = padded(printable(label.text), STATE_COLUMNS);
  const lead = columns(`${mark} ${name}  ${state}  `);
  const facts = printable(backendFacts(backend).join(", ")).split(", ").map(nonBreaking);
  const [first = "", ...more] = wrapped(facts.join(", "), width - lead);
  return [
    `${style(mark)} ${paint.bold(name)}  ${style(state)}  ${first}`.trimEnd(),
    ...more.map((line) => `${" ".repeat(lead)}${line}`),
  ];
}

/** The reason for the phase, the last error and the conditions, without repetitions. */
function backendTroubles(backend: BackendStatus, view: View): string[] {
  const { paint } = view;
  const lines: string[] = [];
  if (backend.enabled && backend.phase !== "Ready") {
    const reason = isUnsaid(backend.reason, backend.conditions) ? printable(backend.reason) : null;
    const why = [reason, retryText(backend, view.now)].filter((part) => part !== null);
    if (why.length > 0) lines.push(...text(why.join("; "), INDENT, view).map(paint.dim));
  }
  const waiting = waitingText(backend);
  if (waiting !== null) lines.push(...marked(paint.symbols.warning, waiting, INDENT, paint.yellow, view));
  if (backend.last_error !== backend.reason && isUnsaid(backend.last_error, backend.conditions)) {
    const error = `last error: ${printable(backend.last_error)}`;
    const [mark, paintError] =
      backend.phase === "Ready"
        ? ([paint.symbols.info, paint.dim] as const)
        : ([paint.symbols.bad, paint.red] as const);
    lines.push(...marked(mark, error, INDENT, paintError, view));
  }
  return [...lines, ...conditionsOf(backend, view)];
}

function conditionsOf({ name, conditions }: BackendStatus, view: View): string[] {
  const own = conditions.map((condition) => ({ ...condition, title: withoutName(condition.title, name) }));
  return conditionLines(own, INDENT, view);
}
