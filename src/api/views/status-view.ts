// A status as text, for a width and a time. Pure.

import { tonePaint } from "../../runtime/text/paint.ts";
import {
  columns,
  nonBreaking,
  padded,
  printable,
  shellCommand,
  wrapped,
} from "../../runtime/text/plain-text.ts";
import type { GlobalStatus, ShareStatus, StatusReport } from "../contract/contract.ts";
import { sinceText, WAITING_CODE } from "../labels/label.ts";
import { mergeTroubles } from "../labels/merge-troubles.ts";
import {
  onlyHost,
  readyNames,
  readyText,
  recoveryWindow,
  routeLabels,
  shareLabel,
} from "../labels/share-labels.ts";
import { shareFacts } from "../labels/traffic-labels.ts";
import { backendBlock, gatewayBlock } from "./gateway-view.ts";
import {
  conditionLines,
  factLines,
  hintLines,
  INDENT,
  isUnsaid,
  labelled,
  marked,
  nameColumns,
  type StatusViewOptions,
  text,
  type View,
  viewOf,
} from "./view-lines.ts";

/**
 * With at least this many shares, the top of the status also names the shares that are ready to switch back,
 * because their own lines may have scrolled away.
 */
const MANY_SHARES = 4;

interface ShareView extends View {
  readonly global: GlobalStatus;
}

/** Shares and gateway are only shown if configured. */
export function renderStatus(full: StatusReport, options: StatusViewOptions): string {
  const { status: report } = mergeTroubles(full);
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
  const title = paint.bold(`Mountaineer ${printable(global.version)}`);
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
  lines.push(`  ${paint.dim("config  ")}  ${printable(global.config_path)}`);
  if (global.pid !== null && showsShares(report)) {
    lines.push(
      ...labelled("checking", `every ${global.check_interval_secs} s; ${eventsText(global)}`, view),
      ...(report.shares.some((share) => onlyHost(share) === null)
        ? labelled("recovery", failbackText(report), view)
        : []),
    );
  }
  const ready = readyNames(report.shares, printable);
  if (ready !== null && report.shares.length >= MANY_SHARES) lines.push(...banner([ready], "  ", view));
  // Leaves out waiting changes of backends, which are shown with their backend.
  const shownHints = new Set(
    (report.backends ?? []).flatMap(({ conditions }) => conditions.map(({ hint }) => hint)),
  );
  const conditions = global.conditions.filter(
    ({ code, hint }) => code !== WAITING_CODE || !shownHints.has(hint),
  );
  lines.push(...conditionLines(conditions, "  ", view));
  return lines;
}

function showsShares({ shares, gateway }: StatusReport): boolean {
  return shares.length > 0 || gateway === undefined;
}

function eventsText(global: GlobalStatus): string {
  switch (global.network_events) {
    case "rtnetlink":
    case "scdynamicstore":
      return `network events by ${global.network_events}`;
    case "polling":
      return "the network is polled, so changes may be seen seconds late";
    case "off":
      return "network events off";
  }
}

function failbackText({ global, shares }: StatusReport): string {
  const { auto_failback, lsof_recheck, auto_failback_stable_secs } = global;
  if (!auto_failback && !lsof_recheck) return "when you switch it";
  const steady = `after ${nonBreaking(`${auto_failback_stable_secs} s`)} steady`;
  if (shares.every((share) => onlyHost(share) !== null || share.moves !== undefined)) return steady;
  return `${steady}, ${lsof_recheck ? "once files are closed" : "unless files are open"}`;
}

function emptyLines(view: ShareView): string[] {
  const { paint } = view;
  const command = (command: string): string => `${INDENT}${paint.cyan(`mountaineer ${command}`)}`;
  return [
    paint.bold("Nothing is configured yet."),
    ...text("Begin with a NAS, or with an MCP server that your agents use:", "", view),
    "",
    command("shares add --share CORE --fallback-host nas.local"),
    command("backends add memory -- npx -y @modelcontextprotocol/server-memory"),
  ];
}

/** One share as `renderStatus` shows it. */
export function shareBlock(share: ShareStatus, global: GlobalStatus, options: StatusViewOptions): string[] {
  return shareLines(share, 0, { ...viewOf(options), global });
}

function shareLines(share: ShareStatus, nameWidth: number, view: ShareView): string[] {
  const { paint, now } = view;
  const { text: state, tone } = shareLabel(share);
  const { mark, style } = tonePaint(tone, paint);
  const name = paint.bold(padded(printable(share.name), nameWidth));
  const since = share.mount_alive ? sinceText(share.last_switch_at, now) : null;
  const lines = [
    `${style(mark)} ${name}  ${style(state)}${since === null ? "" : paint.dim(`, for ${since}`)}`,
  ];
  const ready = readyText(share, view.global, now);
  if (ready !== null) {
    const command = shellCommand`mountaineer switch --share ${share.name} --to tb`;
    lines.push(...banner([`${ready} To switch by hand:`, command], INDENT, view));
  }
  lines.push(...routeLines(share, view), ...pathLines(share, view));
  lines.push(...factLines(shareFacts(share), view));
  const window = recoveryWindow(share, view.global, now);
  if (window !== null) lines.push(...text(window.text, INDENT, view).map(paint.cyan));
  lines.push(...overrideLines(share, view));
  if (isUnsaid(share.last_error, share.conditions)) {
    lines.push(
      ...marked(paint.symbols.bad, `last error: ${printable(share.last_error)}`, INDENT, paint.red, view),
    );
    const hasHint = share.conditions.some(({ severity, hint }) => severity !== "info" && hint !== null);
    if (!hasHint) lines.push(...hintLines(remedyOf(share), `${INDENT}  `, view));
  }
  lines.push(...conditionLines(share.conditions, INDENT, view));
  return lines;
}

/** The parts as highlighted lines. Each line also has a mark, for terminals without colour. */
function banner(parts: readonly string[], indent: string, view: View): string[] {
  const mark = ` ${view.paint.symbols.ready} `;
  const inner = view.width - columns(indent) - columns(mark) - 1;
  const lines = parts.flatMap((part, index) =>
    // The command is not wrapped, so that it can be copied.
    index === 0 ? wrapped(part, inner) : [`  ${part}`],
  );
  return lines.map((line) => `${indent}${view.paint.banner(`${mark}${padded(line, inner)} `)}`.trimEnd());
}

function routeLines(share: ShareStatus, view: View): string[] {
  const { paint } = view;
  const cells = routeLabels(share).map(({ label, host, isUsed, text: state, tone }) => {
    const remarks = [...(isUsed ? ["in use"] : []), ...(tone === "good" ? [] : [state])];
    const remark = remarks.length === 0 ? "" : ` (${remarks.join(", ")})`;
    const dot = tone === "good" ? paint.symbols.on : paint.symbols.off;
    const style = isUsed ? paint.bold : (plain: string) => plain;
    const { style: toned } = tonePaint(tone, paint);
    const shown = printable(host);
    return {
      text: `${style(label)} ${toned(dot)} ${style(shown)}${tone === "good" ? style(remark) : toned(remark)}`,
      columns: columns(`${label} ${dot} ${shown}${remark}`),
    };
  });
  const arrow = `  ${paint.symbols.arrow}  `;
  const oneLine = cells.reduce((sum, cell) => sum + cell.columns, columns(`${INDENT}${arrow}`));
  if (oneLine <= view.width) return [`${INDENT}${cells.map((cell) => cell.text).join(paint.dim(arrow))}`];
  return cells.map((cell, index) => `${index === 0 ? INDENT : paint.dim(stackedArrow(view))}${cell.text}`);
}

function pathLines(share: ShareStatus, view: View): string[] {
  const { paint } = view;
  const stable = printable(share.stable_path);
  const mount = printable(share.mount_path);
  if (stable === mount) return [`${INDENT}${stable}`];
  const arrow = ` ${paint.symbols.arrow} `;
  const fits = columns(INDENT) + columns(stable) + columns(arrow) + columns(mount) <= view.width;
  if (fits) return [`${INDENT}${stable}${paint.dim(`${arrow}${mount}`)}`];
  return [`${INDENT}${stable}`, paint.dim(`${stackedArrow(view)}${mount}`)];
}

/** The arrow before a mount point that is on a separate line; it fills the indent. */
function stackedArrow({ paint }: View): string {
  return `${paint.symbols.arrow} `.padStart(INDENT.length);
}

/** Used if no condition has a hint. */
function remedyOf(share: ShareStatus): string {
  if (!share.tb_reachable && !share.fb_reachable)
    return `switch the server on, or check the cable${newAddress(share)}`;
  return share.mount_state === "mounted"
    ? `see why: ${shellCommand`mountaineer verify --share ${share.name}`}`
    : `try at once: ${shellCommand`mountaineer mount --share ${share.name}`}`;
}

/** The end of the sentence: how to name another address; a folder (driver `local`) has none. */
function newAddress({ name, nas, tb_host: thunderbolt, fb_host: fallback }: ShareStatus): string {
  if ((fallback ?? thunderbolt)?.startsWith("/")) return "";
  const key = `${nas === undefined ? `shares.${name}` : `nas.${nas}`}.${fallback === null ? "thunderbolt" : "fallback"}_host`;
  return `; if its address has changed: ${shellCommand`mountaineer config set ${key} ADDRESS`}`;
}

function overrideLines(share: ShareStatus, { paint }: View): string[] {
  if (share.override === null) return [];
  const [what, how] =
    share.override === "fallback"
      ? ["Back to automatic:", shellCommand`mountaineer switch --share ${share.name} --to auto`]
      : ["To mount it again:", shellCommand`mountaineer mount --share ${share.name}`];
  const lead = `${INDENT}${paint.symbols.info} ${what}`;
  // The command is not wrapped, so that it can be copied.
  return [paint.cyan(lead), `${INDENT}    ${how}`];
}
