// The long-lived plugin process: writes a frame for each new menu to a pipe whose reader may pause.
import type { Writable } from "node:stream";
import type { Menu } from "../menu/menu.ts";
import type { MenuSession } from "../menu/session.ts";
import { type PluginOptions, pluginFrame } from "./plugin-output.ts";

/**
 * Writes the menu now and whenever its frame changes, until `signal` aborts or the reader is gone. While the pipe is
 * full, only the newest menu is kept.
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
    if (isFull || signal.aborted) return;
    const frame = pluginFrame(menu, options);
    if (frame === shown) return;
    shown = frame;
    // By lines, in small writes: a reader that gets half a character in one read drops all of it.
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

/** What every system's pipe accepts at once. */
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
