// Runs the demo: sets up the stage, plays the story or the live view, and clears everything up.
import { readFile } from "node:fs/promises";
import { MountaineerError } from "../runtime/errors.ts";
import type { Paint } from "../runtime/text/paint.ts";
import { harmless } from "../runtime/text/plain-text.ts";
import { systemClock } from "../runtime/time/clock.ts";
import type { LiveOptions } from "./live/live.ts";
import { openStage, type Stage, type StageOptions } from "./stage/stage.ts";
import { storySteps } from "./story/story.ts";
import { StoryFailure } from "./story/story-checks.ts";

interface DemoOptions extends Omit<StageOptions, "carry"> {
  /** null: no view; the story is played. */
  readonly view: Pick<LiveOptions, "style" | "yieldInterrupts"> | null;
  readonly style: TerminalStyle;
  readonly print: (text: string) => void;
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

// Plays the story: prints a line with the time for each step, and says at the end whether all went well.

type ScriptOptions = Pick<DemoOptions, "style" | "print" | "signal">;

const LOG_LINES_SHOWN = 30;

/** Plays on `stage`, disposes it, and resolves with whether everything was so. Rejects with `aborted`. */
async function playScript(stage: Stage, { style, print, signal }: ScriptOptions): Promise<boolean> {
  const { paint } = style;
  const startedAtMs = systemClock.monotonicMs();
  const steps = storySteps(stage, signal);
  const width = Math.max(...steps.map(({ title }) => title.length));
  const tell = (ok: boolean, title: string, fromMs: number, text: string): void => {
    const mark = ok ? paint.green(paint.symbols.good) : paint.red(paint.symbols.bad);
    const took = `${((systemClock.monotonicMs() - fromMs) / 1000).toFixed(1)} s`.padStart(7);
    print(`${mark} ${paint.dim(took)}  ${title.padEnd(width)}  ${harmless(text)}\n`);
  };
  let played = 0;
  for (const { title, play } of steps) {
    const fromMs = systemClock.monotonicMs();
    try {
      tell(true, title, fromMs, await play());
      played++;
    } catch (error) {
      const known =
        error instanceof StoryFailure || (error instanceof MountaineerError && error.code !== "aborted");
      if (!known) throw error;
      tell(false, title, fromMs, error.message);
      print(await logEnd(stage, style));
      break;
    }
  }
  const cleared = await clear(stage, tell);
  const failed = steps.length - played + (cleared ? 0 : 1);
  const total = `${((systemClock.monotonicMs() - startedAtMs) / 1000).toFixed(1)} s`;
  const all = steps.length + 1;
  print(
    failed === 0
      ? `${paint.green(`all ${all} steps went as told`)}, in ${total}\n`
      : `${paint.red(`the story ended at step ${played + 1} of ${all}`)}, after ${total}\n`,
  );
  return failed === 0;
}

type Tell = (ok: boolean, title: string, fromMs: number, text: string) => void;

async function clear(stage: Stage, tell: Tell): Promise<boolean> {
  const title = "clean up";
  const fromMs = systemClock.monotonicMs();
  try {
    await stage[Symbol.asyncDispose]();
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    tell(false, title, fromMs, error.message);
    return false;
  }
  tell(true, title, fromMs, "no process, no mount and no temporary folder is left");
  return true;
}

async function logEnd({ layout }: Stage, { paint }: TerminalStyle): Promise<string> {
  const text = await readFile(layout.daemonOutput, "utf8").catch(() => "");
  const lines = text.trimEnd().split("\n").slice(-LOG_LINES_SHOWN);
  return `\nThe end of the daemon's log:\n${lines.map((line) => `  ${paint.dim(harmless(line))}\n`).join("")}\n`;
}

// What the demo knows of its terminal; the command line provides it.

interface TerminalStyle {
  readonly unicode: boolean;
  readonly paint: Paint;
}
