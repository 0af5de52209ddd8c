// The text of the demo's strip above the TUI: cables, the copy, and the file that the demo reads. Pure.
import type { RouteName, ShareStatus } from "../../api/contract/contract.ts";
import type { Label } from "../../api/labels/label.ts";
import { columns } from "../../runtime/text/plain-text.ts";
import { cutStart, type Line, span, type Tone, type View } from "../../tui/terminal/line.ts";
import type { DemoDriver } from "../stage/nas.ts";
import type { Reading } from "../stage/share-reader.ts";
import { OPEN_FILE, SIGN_FILE } from "../stage/stage-layout.ts";

/** The progress of the program that copies a large file off the share. */
export interface CopyObservation {
  readonly progress: number;
  /** Time since the last progress, ms; null: too short to show. */
  readonly waitingMs: number | null;
  readonly complaint: string | null;
}

export interface StripState {
  readonly driver: DemoDriver;
  readonly plugged: Readonly<Record<RouteName, boolean>>;
  readonly addresses: Readonly<Record<RouteName, string>>;
  readonly stablePath: string;
  /** null while the daemon does not answer. */
  readonly share: ShareStatus | null;
  readonly reading: Reading | null;
  /** True once the share was read: until then there is no file to show, and the keys do nothing. */
  readonly hasServed: boolean;
  /** How long the read in progress has taken, ms, if that is long enough to show; else null. */
  readonly waitingMs: number | null;
  readonly copy: CopyObservation | null;
  /** The pid of the process that has the file open; null: none. */
  readonly openedBy: number | null;
  /** The last action that a key started, or its result. */
  readonly notice: Label | null;
}

/** As the panel above calls the routes. */
export const CABLES: Readonly<Record<RouteName, string>> = { tb: "Preferred", fallback: "Fallback" };
const LABEL_WIDTH = Math.max(...Object.values(CABLES).map((label) => label.length));
const BAR = 16;

/** Seven lines at most; the last line lists the keys. */
export function stripLines(state: StripState, view: View): readonly Line[] {
  const { symbols, width } = view;
  const nas = state.driver === "smb" ? "a real SMB server" : "plain folders";
  const what = ` Demo on ${nas}: `;
  return [
    [
      span(what, "strong"),
      span(cutStart(state.stablePath, width - columns(what), symbols.ellipsis), "faint"),
    ],
    cableLine(state, "tb", "1", view),
    cableLine(state, "fallback", "2", view),
    ...(state.hasServed ? [readingLine(state, view)] : []),
    ...(state.copy === null ? [] : [copyLine(state.copy, view)]),
    noticeLine(state, view),
    state.hasServed ? keyLine(state) : [span(`   its share is being mounted ${symbols.ellipsis}`, "faint")],
  ];
}

function cableLine(state: StripState, route: RouteName, key: string, { style, symbols }: View): Line {
  const plugged = state.plugged[route];
  const used = state.share?.active_interface === route && state.share.mount_state === "mounted";
  const [line, gap] = style.unicode ? ["━", "╸  ╺"] : ["=", "-  -"];
  const wire = plugged ? line.repeat(12) : `${line.repeat(4)}${gap}${line.repeat(4)}`;
  const tone: Tone = plugged ? "good" : "bad";
  return [
    span(` ${key} `, "accent"),
    span(` ${CABLES[route].padEnd(LABEL_WIDTH)}  `, used ? "strong" : "plain"),
    span(`${symbols.on}${wire}${symbols.on}`, tone),
    span(plugged ? "  plugged" : "  PULLED ", tone),
    span(used ? "  in use" : "        ", "strong"),
    span(`  ${state.addresses[route]}`, "faint"),
  ];
}

function readingLine({ reading, waitingMs }: StripState, { symbols }: View): Line {
  const name = span(`   ${SIGN_FILE}  `);
  if (waitingMs !== null) return [name, span(`no answer for ${(waitingMs / 1000).toFixed(1)} s`, "warning")];
  if (reading === null) return [name, span("not read yet", "faint")];
  if (!reading.ok) return [name, span(`${symbols.bad} ${reading.why}`, "bad")];
  const took = span(`  read in ${Math.round(reading.tookMs)} ms`, "faint");
  return [name, span(`"${reading.text.trim()}"`, "good"), took];
}

function copyLine({ progress, waitingMs, complaint }: CopyObservation, { style, symbols }: View): Line {
  const name = span("   a copy     ");
  if (complaint !== null) return [name, span(`${symbols.bad} ${complaint}`, "bad")];
  const [full, empty] = style.unicode ? ["█", "░"] : ["#", "."];
  const done = Math.floor(progress * BAR);
  const tone: Tone = waitingMs === null ? "good" : "warning";
  const state = waitingMs === null ? "goes on" : `waits ${(waitingMs / 1000).toFixed(1)} s`;
  return [
    name,
    span(full.repeat(done) + empty.repeat(BAR - done), tone),
    span(`${Math.floor(progress * 100)} %`.padStart(5)),
    span(`, no error, ${state}`, tone),
  ];
}

/** The result of the last key, and a suggestion what to try next. */
function noticeLine({ notice, copy, plugged }: StripState, { symbols }: View): Line {
  const next =
    copy === null || !plugged.fallback
      ? null
      : plugged.tb
        ? "press 1 to pull the preferred cable: the copy continues"
        : "the copy continues over Fallback; 1 plugs it in again";
  return [
    ...(notice === null ? [] : [span(` ${notice.text} `, notice.tone === "plain" ? "accent" : notice.tone)]),
    ...(next === null ? [] : [span(` ${symbols.focus} ${next}`, "strong")]),
  ];
}

function keyLine({ driver, openedBy, share }: StripState): Line {
  const key = (name: string): Line[number] => span(` ${name} `, "accent");
  return [
    key("1"),
    key("2"),
    span("pull, plug "),
    key("3"),
    span(openedBy === null ? `open ${OPEN_FILE} ` : `close ${OPEN_FILE} (tail ${openedBy}) `),
    ...(driver === "smb" ? [key("4"), span(share?.moves === undefined ? "move" : "remount")] : []),
  ];
}
