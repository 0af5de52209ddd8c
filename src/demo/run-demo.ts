// Runs the demo: sets up the stage, plays the story or the live view, and clears everything up.

import { harmless } from "../runtime/text/plain-text.ts";
import type { LiveOptions } from "./live/live.ts";
import type { DemoDriver } from "./stage/nas.ts";
import { openStage, type Stage } from "./stage/stage.ts";
import type { TerminalStyle } from "./stage/terminal-style.ts";
import { playScript } from "./story/script.ts";

interface DemoOptions {
  /** The argv that runs this very program. */
  readonly program: readonly string[];
  /** The script under which a daemon can hand over: `bin/service-keeper.sh`. */
  readonly keeper: string;
  /** null: real SMB where it can be had. */
  readonly driver: DemoDriver | null;
  /** null: no view; the story is played. */
  readonly view: Pick<LiveOptions, "style" | "yieldInterrupts"> | null;
  readonly style: TerminalStyle;
  readonly print: (text: string) => void;
  readonly signal: AbortSignal;
}

/** After the view, for whoever liked it. */
const NEXT = `
next: mountaineer init     asks what you have: a NAS, MCP servers, or both
      mountaineer up       keeps it all up from then on
      mountaineer import   takes over the MCP servers of Claude Desktop, Cursor and others
`;

/**
 * Resolves with the exit code: 0, 1 when the story did not go as told. Rejects with
 * `driver_unavailable` when real SMB was asked for and cannot be had, and with `aborted`. Nothing is left then.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { program, keeper, driver, view, style, print, signal } = options;
  // The story begins with what each route's own mount does; by hand the first thing is the mount that stays.
  const carry = view === null ? "off" : "auto";
  const stage = await openStage({ program, keeper, driver, carry, signal });
  try {
    print(introduction(stage, style));
    if (view !== null) {
      const { playLive } = await import("./live/live.ts");
      await playLive(stage, { ...view, print, signal });
      print(NEXT);
      return 0;
    }
    return (await playScript(stage, { style, print, signal })) ? 0 : 1;
  } catch (error) {
    // What was cancelled by the signal is not reported.
    signal.throwIfAborted();
    throw error;
  } finally {
    await stage[Symbol.asyncDispose]();
  }
}

function introduction({ nas, insteadBecause, layout }: Stage, { paint }: TerminalStyle): string {
  const what =
    nas.driver === "smb"
      ? "real SMB: smbd on this machine, mounted by rclone through FUSE"
      : "plain folders (driver local): a pulled cable is a folder renamed away";
  const why =
    insteadBecause === null
      ? []
      : [`  ${paint.yellow(`not real SMB, because: ${harmless(insteadBecause)}`)}`];
  return [
    paint.bold("Mountaineer demo"),
    `  ${what}`,
    ...why,
    `  everything is in ${harmless(layout.folder)}`,
    "",
    "",
  ].join("\n");
}
