// The plugin's process: writes a frame for each new menu to a pipe whose reader may pause.
import type { Writable } from "node:stream";
import type { Tone } from "../../api/labels/label.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { actionText, type MenuAction } from "../menu/action.ts";
import type { Menu, MenuItem, MenuState } from "../menu/menu.ts";
import type { MenuSession } from "../menu/session.ts";

/**
 * Writes the menu now and whenever its frame changes, until `signal` aborts or the reader closes the pipe. While the pipe
 * is full, only the newest menu is kept.
 */
export async function streamFrames(
  session: Pick<MenuSession, "menu" | "onChange">,
  output: Writable,
  options: PluginOptions,
  signal: AbortSignal,
): Promise<void> {
  const ended = Promise.withResolvers<void>();
  let shown = "";
  let isFull = false;
  const draw = (menu: Menu): void => {
    if (isFull) return;
    const frame = pluginFrame(menu, options);
    if (frame === shown) return;
    shown = frame;
    // The reader drops a chunk that ends within a character. Therefore the frame is written in small parts of whole
    // lines.
    for (const part of inParts(frame)) isFull = !output.write(part);
  };
  const onDrain = (): void => {
    isFull = false;
    draw(session.menu());
  };
  const end = (): void => ended.resolve();
  output.on("drain", onDrain).on("close", end).on("error", end);
  signal.addEventListener("abort", end, { once: true });
  const unregister = session.onChange(draw);
  try {
    if (signal.aborted) return;
    draw(session.menu());
    await ended.promise;
  } finally {
    unregister();
    signal.removeEventListener("abort", end);
    output.off("drain", onDrain).off("close", end);
  }
}

/** A write of up to this many bytes to a pipe is never split, on any system. */
const PART_LENGTH = 512;

function inParts(frame: string): string[] {
  const parts: string[] = [];
  let part = "";
  for (const line of frame.split(/(?<=\n)/)) {
    if (part !== "" && Buffer.byteLength(part) + Buffer.byteLength(line) > PART_LENGTH) {
      parts.push(part);
      part = "";
    }
    part += line;
  }
  return part === "" ? parts : [...parts, part];
}

// The menu in the format of SwiftBar and xbar: lines of text, `---`, dashes for submenus, `| key=value`.

/** Starts a frame of a streamable plugin, which replaces the frame before it. */
const FRAME_BREAK = "~~~";

const SYMBOLS: Readonly<Record<MenuState, string>> = {
  healthy: "externaldrive.connected.to.line.below",
  tb_ready: "bolt.circle.fill",
  degraded: "exclamationmark.triangle",
  down: "xmark.octagon",
};

/** xbar has no symbols, and shows these characters. */
const SIGNS: Readonly<Record<MenuState, string>> = { healthy: "▲", tb_ready: "⚡", degraded: "△", down: "✕" };

/** Colours for the light and for the dark appearance. */
const COLORS: Readonly<Record<Tone, string | null>> = {
  plain: null,
  good: null,
  warning: "#9a6700,#e3b341",
  bad: "#c5221f,#ff7b72",
};

/** Switches off symbols that a name could contain (`:name:`). */
const PLAIN_LABEL = "emojize=false symbolize=false";

export interface PluginOptions {
  /**
   * The command that is started with `--act ACTION`. It is the plugin's own file where possible, because not every
   * reader of the menu handles quoted parameters.
   */
  readonly command: readonly string[];
  /** True: SwiftBar, with symbols and colours for both appearances. False: xbar. */
  readonly isSwiftBar: boolean;
}

/** One frame, which begins with `FRAME_BREAK`. Throws `usage` if the format cannot express the program's path. */
export function pluginFrame(menu: Menu, options: PluginOptions): string {
  const title = options.isSwiftBar
    ? `| sfimage=${SYMBOLS[menu.state]} tooltip=${quoted(tooltipText(menu.summary))}`
    : `${SIGNS[menu.state]} | ${PLAIN_LABEL}`;
  return [`${FRAME_BREAK}`, title, "---", ...lines(menu.items, "", options)].join("\n").concat("\n");
}

function lines(items: readonly MenuItem[], depth: string, options: PluginOptions): string[] {
  return items.flatMap((item) => {
    if (!isPossible(item, options)) return [];
    if (item.kind === "separator") return [`${depth}---`];
    const style = styleOf(item, options);
    const line = `${depth}${labelText(item.label)} | ${[PLAIN_LABEL, ...style].join(" ")}`;
    return item.kind === "submenu" ? [line, ...lines(item.items, `${depth}--`, options)] : [line];
  });
}

/** A click runs in another process, which can quit the menu through SwiftBar only. */
function isPossible(item: MenuItem, { isSwiftBar }: PluginOptions): boolean {
  return isSwiftBar || item.kind !== "action" || item.action.kind !== "quit";
}

function styleOf(item: Exclude<MenuItem, { kind: "separator" }>, options: PluginOptions): string[] {
  const color = COLORS[item.tone];
  const style = color === null ? [] : [`color=${options.isSwiftBar ? color : color.split(",")[0]}`];
  return item.kind === "action" && item.enabled
    ? [...style, ...actionStyle(item.action, options.command)]
    : style;
}

function actionStyle(action: MenuAction, [file = "", ...first]: readonly string[]): string[] {
  const args = [...first, "--act", actionText(action)];
  const params = args.map((arg, index) => `param${index + 1}=${quoted(arg)}`);
  return [`bash=${quoted(file)}`, ...params, "terminal=false"];
}

/**
 * The label without `|`, without leading dashes, and without marks that readers interpret anywhere in a text.
 */
function labelText(label: string): string {
  const text = label.replaceAll("|", "∣").trim();
  return text === "" ? " " : text.replace(/^[-~]+|-{3,}|~{3,}/g, inOtherMarks);
}

function inOtherMarks(marks: string): string {
  return marks.replaceAll("-", "\u2010").replaceAll("~", "\u223c");
}

/** The summary without characters that `quoted` would refuse. */
function tooltipText(summary: string): string {
  return labelText(summary).replace(/["\\]/g, "'");
}

/** A value as the plugin's text spells it. That format has no escapes inside quotes. */
function quoted(value: string): string {
  if (/^[\w%+:,./-]+$/.test(value)) return value;
  const mark = value.includes('"') ? "'" : '"';
  if (/[|\n\r\\]|---|~~~/.test(value) || value.includes(mark))
    throw new MountaineerError("usage", `the menu cannot spell ${JSON.stringify(value)}`, {
      hint: "install Mountaineer at a path without |, backslashes and both kinds of quotes",
    });
  return `${mark}${value}${mark}`;
}
