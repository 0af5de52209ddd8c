// A status as text, for a width and a time. Pure.

import type { GlobalStatus, RouteName, ShareStatus, StatusReport } from "../../api/contract.ts";
import type { Paint } from "../../runtime/text/paint.ts";
import {
  columns,
  durationText,
  glued,
  harmless,
  padded,
  shellWord,
  wrapped,
} from "../../runtime/text/plain-text.ts";
import { backendBlock, gatewayBlock } from "./gateway-view.ts";
import {
  conditionLines,
  INDENT,
  labelled,
  marked,
  nameColumns,
  type StatusViewOptions,
  sinceText,
  text,
  type View,
  viewOf,
} from "./view-lines.ts";

/** From so many shares on, the head repeats who is ready, since the banner may have scrolled away. */
const MANY_SHARES = 4;

const WAITING = "waiting_for_approval";

const SHARE_TOML = [
  "[[shares]]",
  'name = "CORE"',
  'thunderbolt_host = "10.0.0.2"',
  'fallback_host = "192.168.1.20"',
];
const SHARE_YAML = [
  "shares:",
  "  - name: CORE",
  "    thunderbolt_host: 10.0.0.2",
  "    fallback_host: 192.168.1.20",
];
const BACKEND_TOML = [
  "[backends.memory]",
  'command = "npx"',
  'args = ["-y", "@modelcontextprotocol/server-memory"]',
];
const BACKEND_YAML = [
  "backends:",
  "  memory:",
  "    command: npx",
  "    args: [-y, '@modelcontextprotocol/server-memory']",
];

const ROUTE_LABELS: Readonly<Record<RouteName, string>> = { tb: "Thunderbolt", fallback: "Fallback" };

/** What the lines about shares are made from: they also show some settings. */
interface ShareView extends View {
  readonly global: GlobalStatus;
}

/** The status as lines of text, ending in a newline. Of shares and gateway only that is shown which is configured. */
export function renderStatus(report: StatusReport, options: StatusViewOptions): string {
  const view: ShareView = { ...viewOf(options), global: report.global };
  const { shares, gateway, backends = [] } = report;
  const blocks = [headLines(report, view)];
  if (shares.length === 0 && gateway === undefined) blocks.push(emptyLines(view));
  const nameWidth = nameColumns(shares);
  for (const share of shares) blocks.push(shareLines(share, nameWidth, view));
  if (gateway !== undefined) {
    blocks.push(gatewayBlock(gateway, report.global.pid !== null, view));
    if (backends.length > 0) blocks.push(backendBlock(backends, view, report.global.pid !== null));
  }
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function headLines(report: StatusReport, view: ShareView): string[] {
  const { paint, global, now } = view;
  const lines: string[] = [];
  const title = paint.bold(`Mountaineer ${harmless(global.version)}`);
  if (global.pid === null) {
    lines.push(`${title}  ${paint.yellow(`${paint.symbols.off} no daemon runs`)}`);
    const isEmpty = report.shares.length === 0 && report.gateway === undefined;
    const purpose = showsShares(report) ? "to keep shares up" : "to serve the gateway";
    if (!isEmpty) lines.push(...text(`${purpose}, start it: mountaineer up`, "  ", view).map(paint.dim));
  } else {
    const since = sinceText(global.started_at, now);
    const detail = paint.dim(` (pid ${global.pid}${since === null ? "" : `, for ${since}`})`);
    lines.push(`${title}  ${paint.green(`${paint.symbols.on} running`)}${detail}`);
  }
  lines.push(`  ${paint.dim("config  ")}  ${harmless(global.config_path)}`);
  if (global.pid !== null && showsShares(report)) {
    lines.push(
      ...labelled("looking", `every ${global.check_interval_secs} s; ${eventsText(global)}`, view),
      ...labelled("recovery", failbackText(global), view),
    );
  }
  const ready = report.shares.filter((share) => share.tb_recovery_pending);
  if (ready.length > 0 && report.shares.length >= MANY_SHARES) {
    const names = ready.map(({ name }) => harmless(name)).join(", ");
    lines.push(...banner([`TB READY: ${names}`], "  ", view));
  }
  // What waits of a backend stands with that backend.
  const told = new Set(
    (report.backends ?? []).flatMap(({ conditions }) => conditions.map(({ hint }) => hint)),
  );
  const conditions = global.conditions.filter(({ code, hint }) => code !== WAITING || !told.has(hint));
  lines.push(...conditions.flatMap((condition) => conditionLines(condition, "  ", view)));
  return lines;
}

/** A gateway alone shows nothing of shares. */
function showsShares({ shares, gateway }: StatusReport): boolean {
  return shares.length > 0 || gateway === undefined;
}

function eventsText(global: GlobalStatus): string {
  switch (global.network_events) {
    case "rtnetlink":
    case "scdynamicstore":
    case "scutil":
      return `network events by ${global.network_events}`;
    case "polling":
      return "the network is polled, so changes may be seen seconds late";
    case "off":
      return "network events off";
  }
}

function failbackText({ auto_failback, lsof_recheck, auto_failback_stable_secs }: GlobalStatus): string {
  if (!auto_failback && !lsof_recheck) return "to Thunderbolt when you say so";
  const files = lsof_recheck ? "once files are closed" : "unless files are open";
  return `to Thunderbolt after ${glued(`${auto_failback_stable_secs} s`)} steady, ${files}`;
}

function emptyLines(view: ShareView): string[] {
  const { paint, global } = view;
  const isYaml = /\.ya?ml$/i.test(global.config_path);
  const example = (lines: readonly string[]): string[] => lines.map((line) => `${INDENT}${paint.cyan(line)}`);
  return [
    paint.bold("Nothing is configured yet."),
    ...text(`mountaineer init asks what you have. Or write into ${harmless(global.config_path)}:`, "", view),
    "",
    ...text("For a NAS with two cables:", "", view),
    "",
    ...example(isYaml ? SHARE_YAML : SHARE_TOML),
    "",
    ...text("For an MCP server that your agents use:", "", view),
    "",
    ...example(isYaml ? BACKEND_YAML : BACKEND_TOML),
  ];
}

function shareLines(share: ShareStatus, nameWidth: number, view: ShareView): string[] {
  const { paint, now } = view;
  const { dot, state } = stateOf(share, paint);
  const name = paint.bold(padded(harmless(share.name), nameWidth));
  const since =
    share.mount_state === "mounted" && share.mount_alive ? sinceText(share.last_switch_at, now) : null;
  const lines = [`${dot} ${name}  ${state}${since === null ? "" : paint.dim(`, for ${since}`)}`];
  if (share.tb_recovery_pending) lines.push(...readyLines(share, view));
  lines.push(...routeLines(share, view), ...pathLines(share, view));
  const window = windowText(share, view);
  if (window !== null) lines.push(...text(window, INDENT, view).map(paint.cyan));
  lines.push(...heldLines(share, view));
  if (share.last_error !== null) {
    lines.push(
      ...marked(paint.symbols.bad, `last error: ${harmless(share.last_error)}`, INDENT, paint.red, view),
    );
    const isTold = share.conditions.some(({ severity, hint }) => severity !== "info" && hint !== null);
    if (!isTold) lines.push(...text(mendOf(share), `${INDENT}  `, view).map(paint.dim));
  }
  lines.push(...share.conditions.flatMap((condition) => conditionLines(condition, INDENT, view)));
  return lines;
}

function stateOf(share: ShareStatus, paint: Paint): { dot: string; state: string } {
  const { symbols } = paint;
  if (share.mount_state === "error") return { dot: paint.red(symbols.bad), state: paint.red("not mounted") };
  if (share.mount_state === "unmounted") return { dot: symbols.off, state: "not mounted" };
  const over =
    share.active_interface === "none"
      ? "over an unknown route"
      : `over ${ROUTE_LABELS[share.active_interface]}`;
  const phase = share.carried?.phase ?? "carrying";
  if (phase !== "carrying") {
    const what = phase === "refusing" ? "no route" : "programs wait for a route";
    return { dot: paint.yellow(symbols.off), state: paint.yellow(`mounted, ${what}`) };
  }
  if (!share.mount_alive) {
    return { dot: paint.red(symbols.bad), state: paint.red(`mounted ${over}, not answering`) };
  }
  const style = share.active_interface === "tb" ? paint.green : paint.yellow;
  const carried = share.carried === undefined ? "" : ", carried";
  return { dot: style(symbols.on), state: `mounted ${style(over)}${carried}` };
}

function readyLines(share: ShareStatus, view: ShareView): string[] {
  const steady = sinceText(share.tb_healthy_since, view.now);
  const what = `TB READY: Thunderbolt is back${steady === null ? "" : `, steady for ${glued(steady)}`}.`;
  const how = view.global.lsof_recheck
    ? "It switches once files are closed; to switch by hand:"
    : "To switch to it:";
  return banner([`${what} ${how}`, `mountaineer switch --share ${nameWord(share)} --to tb`], INDENT, view);
}

/** Full lines in the banner's colour; without colour each begins with the mark. */
function banner(parts: readonly string[], indent: string, view: View): string[] {
  const mark = ` ${view.paint.symbols.ready} `;
  const inner = view.width - columns(indent) - columns(mark) - 1;
  const lines = parts.flatMap((part, index) =>
    // The command below stays in one piece, to be copied.
    index === 0 ? wrapped(part, inner) : [`  ${part}`],
  );
  return lines.map((line) => `${indent}${view.paint.banner(`${mark}${padded(line, inner)} `)}`.trimEnd());
}

function routeLines(share: ShareStatus, view: View): string[] {
  const { paint } = view;
  const preferred = routeCell(share, "tb", view);
  const fallback = routeCell(share, "fallback", view);
  const arrow = `  ${paint.symbols.arrow}  `;
  const oneLine = columns(INDENT) + preferred.columns + columns(arrow) + fallback.columns;
  if (oneLine <= view.width) return [`${INDENT}${preferred.text}${paint.dim(arrow)}${fallback.text}`];
  return [`${INDENT}${preferred.text}`, `${paint.dim(stackedArrow(view))}${fallback.text}`];
}

function routeCell(share: ShareStatus, route: RouteName, { paint }: View): { text: string; columns: number } {
  const reachable = route === "tb" ? share.tb_reachable : share.fb_reachable;
  const host = harmless((route === "tb" ? share.tb_host : share.fb_host) ?? "folder");
  const used = share.mount_state === "mounted" && share.active_interface === route;
  const label = ROUTE_LABELS[route];
  const dot = reachable ? paint.symbols.on : paint.symbols.off;
  const notes: string[] = [];
  if (used) notes.push("in use");
  if (!reachable)
    notes.push(route === "tb" && share.tb_reachable_since !== null ? "connects, no SMB" : "no answer");
  const note = notes.length === 0 ? "" : ` (${notes.join(", ")})`;
  const style = used ? paint.bold : (plain: string) => plain;
  const noteStyle = reachable ? style : paint.red;
  return {
    text: `${style(label)} ${(reachable ? paint.green : paint.red)(dot)} ${style(host)}${noteStyle(note)}`,
    columns: columns(`${label} ${dot} ${host}${note}`),
  };
}

function pathLines(share: ShareStatus, view: View): string[] {
  const { paint } = view;
  const stable = harmless(share.stable_path);
  const mount = harmless(share.mount_path);
  if (stable === mount) return [`${INDENT}${stable}`];
  const arrow = ` ${paint.symbols.arrow} `;
  const fits = columns(INDENT) + columns(stable) + columns(arrow) + columns(mount) <= view.width;
  if (fits) return [`${INDENT}${stable}${paint.dim(`${arrow}${mount}`)}`];
  return [`${INDENT}${stable}`, paint.dim(`${stackedArrow(view)}${mount}`)];
}

/** Stands in the indent of a line that continues the one above. */
function stackedArrow({ paint }: View): string {
  return `${paint.symbols.arrow} `.padStart(INDENT.length);
}

/** How far a recovery is, while its window runs. */
function windowText(share: ShareStatus, { global, now }: ShareView): string | null {
  if (share.active_interface !== "fallback" || share.held !== null || share.tb_recovery_pending) return null;
  if (!share.tb_reachable || share.tb_healthy_since === null) return null;
  const steadyMs = now - Date.parse(share.tb_healthy_since);
  if (!(steadyMs >= 0) || steadyMs >= global.auto_failback_stable_secs * 1000) return null;
  return `Thunderbolt steady for ${durationText(steadyMs)} of ${global.auto_failback_stable_secs} s`;
}

/** What to do about its last error, where no condition says so. */
function mendOf(share: ShareStatus): string {
  if (!share.tb_reachable && !share.fb_reachable)
    return "switch the server on, or check the cable: it goes on by itself then";
  return share.mount_state === "mounted"
    ? `see why: mountaineer verify --share ${nameWord(share)}`
    : `try at once: mountaineer mount --share ${nameWord(share)}`;
}

function heldLines(share: ShareStatus, view: View): string[] {
  if (share.held === null) return [];
  const [what, how] =
    share.held === "fallback"
      ? [
          "held on Fallback by hand; to let the rules go on:",
          `mountaineer switch --share ${nameWord(share)} --to auto`,
        ]
      : ["held unmounted by hand; to mount it again:", `mountaineer mount --share ${nameWord(share)}`];
  const { paint } = view;
  // A command stays in one piece, to be copied.
  return [...marked(paint.symbols.info, what, INDENT, paint.cyan, view), `${INDENT}    ${how}`];
}

function nameWord(share: ShareStatus): string {
  return harmless(shellWord(share.name));
}
