// The text of the live view, for a state and a terminal's size. Pure.

import type { RouteName, ShareStatus } from "../../api/contract.ts";
import { shareWords } from "../../api/words/share-words.ts";
import { ROUTE_LABELS } from "../../api/words/words.ts";
import { type Paint, tonePaint } from "../../runtime/text/paint.ts";
import { columns, firstColumns, harmless } from "../../runtime/text/plain-text.ts";
import { exactLocalClock } from "../../runtime/time/local-time.ts";
import type { DemoDriver } from "../stage/nas.ts";
import type { Reading } from "../stage/share-reader.ts";
import { HELD_FILE, SHARE, SIGN_FILE } from "../stage/stage-layout.ts";
import type { TerminalStyle } from "../stage/terminal-style.ts";
import type { LogEvent } from "./log-events.ts";

/** The program that copies a large file off the share. */
export interface CopySeen {
  /** From 0 to 1. */
  readonly progress: number;
  /** How long it has got nothing; null: it goes on. */
  readonly waitingMs: number | null;
  readonly complaint: string | null;
}

export interface LiveState {
  readonly driver: DemoDriver;
  readonly plugged: Readonly<Record<RouteName, boolean>>;
  readonly addresses: Readonly<Record<RouteName, string>>;
  readonly stablePath: string;
  /** null: the daemon does not answer (yet). */
  readonly share: ShareStatus | null;
  /** The last look at the file, and whether one has been under way for long. */
  readonly reading: Reading | null;
  readonly waitingMs: number | null;
  /** null: nothing is copied. */
  readonly copy: CopySeen | null;
  /** The process that has the file open. */
  readonly heldBy: number | null;
  /** Oldest first. */
  readonly events: readonly LogEvent[];
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

type Style = (text: string) => string;
type Part = readonly [text: string, style?: Style];

const ROOMY = 20;
const LABEL_WIDTH = Math.max(...Object.values(ROUTE_LABELS).map((label) => label.length));

/** At most `height` lines of at most `width` columns; the last one has the keys. */
export function renderLive(state: LiveState, { width, height }: Size, style: TerminalStyle): string[] {
  const { paint } = style;
  const blank: readonly Part[][] = height >= ROOMY ? [[]] : [];
  const head: (readonly Part[])[] = [
    [
      [" Mountaineer demo ", paint.bold],
      [` ${driverText(state.driver)}`, paint.dim],
    ],
    ...blank,
    cableLine(state, "tb", "t", style),
    cableLine(state, "fallback", "f", style),
    ...blank,
    shareLine(state.share, paint),
    [[`   ${state.stablePath}`]],
    ...(state.copy === null ? [] : [copyLine(state.copy, style)]),
    readingLine(state, paint),
    holderLine(state, paint),
    noticeLine(state, width, style),
    ...blank,
  ];
  const room = Math.max(0, height - head.length - 1);
  const events = state.events.slice(-room).map((event) => eventLine(event, paint));
  const filler = Array.from({ length: Math.max(0, room - events.length) }, (): readonly Part[] => []);
  const lines = [...head, ...(room === 0 ? [] : events), ...filler].slice(0, Math.max(0, height - 1));
  return [...lines, keyLine(state, paint)].map((line) => fit(line, width));
}

const asIs: Style = (text) => text;

function driverText(driver: DemoDriver): string {
  return driver === "smb" ? "real SMB (smbd, rclone, FUSE)" : "plain folders (driver local)";
}

function cableLine(state: LiveState, route: RouteName, key: string, style: TerminalStyle): Part[] {
  const { paint, unicode } = style;
  const plugged = state.plugged[route];
  const used = state.share?.active_interface === route && state.share.mount_state === "mounted";
  const [line, gap] = unicode ? ["━", "╸  ╺"] : ["=", "-  -"];
  const wire = plugged ? line.repeat(12) : `${line.repeat(4)}${gap}${line.repeat(4)}`;
  const tone = plugged ? paint.green : paint.red;
  const { on } = paint.symbols;
  return [
    [` ${key} `, paint.cyan],
    [` ${ROUTE_LABELS[route].padEnd(LABEL_WIDTH)}  `, used ? paint.bold : asIs],
    [`${on}${wire}${on}`, tone],
    [plugged ? "  plugged" : "  PULLED ", tone],
    [used ? "  in use" : "        ", paint.bold],
    [`  ${state.addresses[route]}`, paint.dim],
  ];
}

function shareLine(share: ShareStatus | null, paint: Paint): Part[] {
  const { symbols } = paint;
  if (share === null)
    return [
      [` ${symbols.off} ${SHARE}`, paint.bold],
      ["  the daemon does not answer", paint.dim],
    ];
  const { text, tone } = shareWords(share);
  const { mark, style } = tonePaint(tone, paint);
  return [
    [` ${mark} `, style],
    [`${SHARE}  `, paint.bold],
    [text, style],
  ];
}

function readingLine({ reading, waitingMs }: LiveState, paint: Paint): Part[] {
  const name: Part = [`   ${SIGN_FILE}  `];
  if (waitingMs !== null) return [name, [`no answer for ${(waitingMs / 1000).toFixed(1)} s`, paint.yellow]];
  if (reading === null) return [name, ["not read yet", paint.dim]];
  if (!reading.ok) return [name, [`${paint.symbols.bad} ${reading.why}`, paint.red]];
  return [
    name,
    [`"${reading.text.trim()}"`, paint.green],
    [`  read in ${Math.round(reading.tookMs)} ms`, paint.dim],
  ];
}

const BAR = 16;

function copyLine({ progress, waitingMs, complaint }: CopySeen, { paint, unicode }: TerminalStyle): Part[] {
  const name: Part = ["   a copy     "];
  if (complaint !== null) return [name, [`${paint.symbols.bad} ${complaint}`, paint.red]];
  const [full, empty] = unicode ? ["█", "░"] : ["#", "."];
  const done = Math.floor(progress * BAR);
  const style = waitingMs === null ? paint.green : paint.yellow;
  const state = waitingMs === null ? "goes on" : `waits ${(waitingMs / 1000).toFixed(1)} s`;
  const percent = `${Math.floor(progress * 100)} %`.padStart(5);
  return [
    name,
    [full.repeat(done) + empty.repeat(BAR - done), style],
    [percent],
    [`, no error, ${state}`, style],
  ];
}

function holderLine({ heldBy }: LiveState, paint: Paint): Part[] {
  const name: Part = [`   ${HELD_FILE} `];
  if (heldBy === null) return [name, ["not open", paint.dim]];
  return [name, [`open in tail (pid ${heldBy})`, paint.yellow]];
}

/** The line with what a person should know first. */
function noticeLine(
  { share, heldBy, copy, plugged }: LiveState,
  width: number,
  { paint }: TerminalStyle,
): Part[] {
  if (share === null) return [];
  if (share.tb_recovery_pending) {
    const why = heldBy === null ? "it switches once nothing is open" : "close the file (o) and it switches";
    const text = ` ${paint.symbols.ready} TB Ready: Thunderbolt is back; ${why}`;
    return [[text + " ".repeat(Math.max(0, width - columns(text))), paint.banner]];
  }
  if (share.last_error !== null) return [[` ${paint.symbols.bad} ${share.last_error}`, paint.red]];
  if (share.held !== null) return [[heldText(share.held), paint.cyan]];
  if (copy === null || !plugged.fallback) return [];
  const what = plugged.tb
    ? "press t to pull the Thunderbolt cable: the copy goes on"
    : "the copy goes on over Fallback; t plugs it in again";
  return [[` ${paint.symbols.arrow} ${what}`, paint.bold]];
}

function heldText(held: "fallback" | "unmounted"): string {
  return ` held ${held === "fallback" ? "on Fallback" : "unmounted"} by hand; h goes back to automatic`;
}

function eventLine({ atMs, text, tone }: LogEvent, paint: Paint): Part[] {
  const styles: Readonly<Record<LogEvent["tone"], Style>> = {
    plain: asIs,
    good: paint.green,
    warning: paint.yellow,
    bad: paint.red,
    person: paint.cyan,
  };
  return [
    [` ${exactLocalClock(new Date(atMs))}  `, paint.dim],
    [text, styles[tone]],
  ];
}

/** All of them, in one row of 60 columns; what t and f do stands with the cables. */
function keyLine({ driver, heldBy, share }: LiveState, paint: Paint): Part[] {
  const key = (name: string): Part => [` ${name} `, paint.cyan];
  return [
    key("t"),
    key("f"),
    ["pull, plug "],
    key("o"),
    [heldBy === null ? "open file " : "close file "],
    key("h"),
    [share?.held === "fallback" ? "let go " : "hold "],
    ...(driver === "smb" ? [key("c"), [share?.carried === undefined ? "carry " : "no carry "] as const] : []),
    key("q"),
    ["quit"],
  ];
}

/** Cut to the width, measured without styles. */
function fit(parts: readonly Part[], width: number): string {
  let left = width;
  let line = "";
  for (const [text, style] of parts) {
    const whole = harmless(text);
    const kept = firstColumns(whole, left);
    if (kept !== "") line += style === undefined ? kept : style(kept);
    if (kept !== whole) break;
    left -= columns(kept);
  }
  return line;
}
