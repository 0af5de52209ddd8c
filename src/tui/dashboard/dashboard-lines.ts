// The text of the dashboard: its rows as lines, the part of them that fits, and the newest events below.
import { waitingText } from "../../api/backend-phases.ts";
import type { BackendStatus, Condition, ShareStatus } from "../../api/contract.ts";
import { counted, padded } from "../../runtime/text/plain-text.ts";
import { eventLine } from "../events/event-line.ts";
import type { KeptEvent } from "../events/event-ring.ts";
import { cutLine, cutText, type Line, type Span, span, type Tone } from "../terminal/line.ts";
import type { ScreenSize } from "../terminal/screen.ts";
import type { View } from "../terminal/view.ts";
import { type ChoiceRow, type DashboardRow, isChoice } from "./dashboard-rows.ts";

/** From this height on events are always shown; below it, where the rows leave room. */
const ROOMY_HEIGHT = 18;
const LEAST_EVENTS = 4;
const HOLDERS_SHOWN = 3;

/** `events` newest first; only as many are read as are shown. */
export function dashboardLines(
  rows: readonly DashboardRow[],
  chosen: ChoiceRow | null,
  events: Iterable<KeptEvent>,
  size: ScreenSize,
): readonly Line[] {
  const drawn = rows.map((row) => ({ row, lines: rowLines(row, row === chosen, size) }));
  const all = drawn.flatMap(({ row, lines }) => lines.map((line) => ({ row, line })));
  const kept = size.height >= ROOMY_HEIGHT ? LEAST_EVENTS : 0;
  const listHeight = Math.max(1, Math.min(all.length, size.height - kept));
  const first = all.findIndex(({ row }) => row === chosen);
  const last = all.findLastIndex(({ row }) => row === chosen);
  const part = windowAround(all.length, listHeight, first, last);
  const shown = all.slice(part, part + listHeight).map(({ line }) => line);
  if (part + listHeight < all.length) {
    const more = all.length - part - listHeight + 1;
    shown[shown.length - 1] = [span(`  ${size.symbols.ellipsis} ${more} more lines`, "faint")];
  }
  const eventRoom = size.height - shown.length;
  return [...shown, ...eventsPart(events, size, eventRoom)];
}

/** The first line shown, such that the chosen ones are, and what is above them where there is room. */
function windowAround(count: number, height: number, first: number, last: number): number {
  if (first < 0 || last < height - 1) return 0;
  return Math.min(Math.max(0, count - height), Math.max(0, Math.min(first, last - height + 2)));
}

function eventsPart(events: Iterable<KeptEvent>, size: ScreenSize, room: number): readonly Line[] {
  if (room < 2) return [];
  const lines: Line[] = [[span("Events", "strong"), span("  newest first; e shows all", "faint")]];
  for (const event of events) {
    if (lines.length >= room) break;
    lines.push(eventLine(event, false, size));
  }
  if (lines.length === 1) lines.push([span("  none yet", "faint")]);
  return lines;
}

function rowLines(row: DashboardRow, isChosen: boolean, size: ScreenSize): readonly Line[] {
  const { width, symbols } = size;
  const fit = (line: Line): Line => cutLine(line, width, symbols.ellipsis);
  const lead = span(isChoice(row) ? `${isChosen ? symbols.focus : " "} ` : "", "accent");
  switch (row.kind) {
    case "head":
      return [fit([span(row.text, "strong")])];
    case "share":
      return [fit([lead, ...shareSpans(row.share, isChosen, size)])];
    case "ready":
      return readyLines(row.share, size).map(fit);
    case "backend":
      return [fit([lead, ...backendSpans(row.backend, isChosen, size)])];
    case "client":
      return [fit(clientLine(row.words, size))];
    case "waiting":
      return [fit([lead, span(`${symbols.warning} ${row.summary}`, "warning")])];
    case "condition":
      return [fit(conditionLine(row.subject, row.condition, size))];
  }
}

function nameWidth(width: number): number {
  return width >= 100 ? 24 : 14;
}

function nameSpan(name: string, isChosen: boolean, { width, symbols }: View): Span {
  const room = nameWidth(width);
  return span(
    padded(cutText(span(name).text, room, symbols.ellipsis), room + 1),
    isChosen ? "strong" : "plain",
  );
}

function shareSpans(share: ShareStatus, isChosen: boolean, view: View): readonly Span[] {
  const [mark, tone, word] = shareState(share, view);
  const { carried, held, last_error: error, conditions } = share;
  const route = { tb: "Thunderbolt", fallback: "fallback", none: "no route" }[share.active_interface];
  const facts = [
    ...(carried === undefined ? [] : [`carried, ${counted(carried.connections, "connection")}`]),
    ...(held === null ? [] : [`held: ${held}`]),
    ...(share.active_interface === "tb" || share.tb_reachable ? [] : ["Thunderbolt unreachable"]),
    ...(share.active_interface === "fallback" || share.fb_host === null || share.fb_reachable
      ? []
      : ["fallback unreachable"]),
  ];
  const trouble = error ?? conditions.find(({ severity }) => severity !== "info")?.title ?? null;
  return [
    span(`${mark} `, tone),
    nameSpan(share.name, isChosen, view),
    span(padded(route, 12), share.active_interface === "tb" ? "good" : "plain"),
    span(padded(word, 14), tone),
    span(facts.join(", ")),
    ...(trouble === null ? [] : [span(`${facts.length === 0 ? "" : "  "}${trouble}`, "bad")]),
  ];
}

function shareState(share: ShareStatus, { symbols }: View): readonly [string, Tone, string] {
  if (share.mount_state === "error") return [symbols.error, "bad", "not mounted"];
  if (share.mount_state === "unmounted") return [symbols.off, "faint", "not mounted"];
  const phase = share.carried?.phase ?? "carrying";
  if (phase !== "carrying") return [symbols.warning, "warning", phase === "refusing" ? "no route" : "waits"];
  return share.mount_alive ? [symbols.on, "good", "mounted"] : [symbols.error, "bad", "no answer"];
}

/** Thunderbolt is back: how to go to it, and who keeps files open. */
function readyLines({ conditions }: ShareStatus, { symbols }: View): readonly Line[] {
  const holders = conditions.flatMap(({ holders: own = [] }) => own);
  const shown = holders.slice(0, HOLDERS_SHOWN);
  const more = holders.length - shown.length;
  const how =
    holders.length === 0
      ? "t switches to it"
      : "it waits until these files are closed; t tries now, ! forces it";
  return [
    [span(`    ${symbols.warning} TB READY: Thunderbolt is back; ${how}`, "warning")],
    ...shown.map(({ command, pid, path }): Line => [span(`      ${command} (${pid}) `), span(path, "faint")]),
    ...(more > 0 ? [[span(`      and ${more} more`, "faint")]] : []),
  ];
}

function backendSpans(backend: BackendStatus, isChosen: boolean, view: View): readonly Span[] {
  const { enabled, phase, routes, conditions, calls, latency_ms: latency } = backend;
  const [mark, tone] = backendMark(backend, view);
  const used = routes?.in_use ?? null;
  const pending = routes?.recovery_pending ?? null;
  const facts = [
    ...(enabled ? [`${backend.tools} tools`, `${backend.in_flight} in flight`] : []),
    ...(used === null ? [] : [`over ${used}${routes?.held === used ? " (held)" : ""}`]),
    ...(pending === null ? [] : [`${pending.route} READY: ${pending.reason}`]),
    ...(calls === undefined ? [] : [`${calls} calls`]),
    ...(latency == null ? [] : [`p50 ${Math.round(latency.p50)} ms, p99 ${Math.round(latency.p99)} ms`]),
    ...(backend.restarts > 0 ? [`${backend.restarts} restarts`] : []),
    ...(backend.draining > 0 ? [`${backend.draining} draining`] : []),
  ];
  const trouble =
    conditions.find(({ severity }) => severity !== "info")?.title ??
    waitingText(backend) ??
    (phase === "Ready" || !enabled ? null : (backend.reason ?? backend.last_error));
  return [
    span(`${mark} `, tone),
    nameSpan(backend.name, isChosen, view),
    span(padded(enabled ? phase : "disabled", 14), tone),
    span(facts.join(", ")),
    ...(trouble === null ? [] : [span(`  ${trouble}`, tone === "good" ? "warning" : tone)]),
  ];
}

function backendMark({ enabled, phase }: BackendStatus, { symbols }: View): readonly [string, Tone] {
  if (!enabled) return [symbols.off, "faint"];
  if (phase === "Ready") return [symbols.on, "good"];
  if (phase === "Degraded") return [symbols.warning, "warning"];
  return phase === "Failed" ? [symbols.error, "bad"] : [symbols.off, "accent"];
}

function clientLine([name = "", ...words]: readonly string[], view: View): Line {
  const error = words.at(-1) ?? "";
  const [user = "", speaks = "", since = "", calls = ""] = words;
  return [
    span("  "),
    nameSpan(name, false, view),
    span(`${user}  ${speaks}  for ${since}  ${calls} calls`),
    ...(error === "" ? [] : [span(`  ${error}`, "bad")]),
  ];
}

function conditionLine(
  subject: string | null,
  { severity, title, hint }: Condition,
  { symbols }: View,
): Line {
  const [mark, tone]: readonly [string, Tone] =
    severity === "error"
      ? [symbols.error, "bad"]
      : severity === "warning"
        ? [symbols.warning, "warning"]
        : [symbols.on, "faint"];
  return [
    span(`  ${mark} `, tone),
    ...(subject === null ? [] : [span(`${subject}: `)]),
    span(title, tone),
    ...(hint === null ? [] : [span(`  ${hint}`, "faint")]),
  ];
}
