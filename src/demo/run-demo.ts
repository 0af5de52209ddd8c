// Runs the demo: sets up the stage, plays the story or the live view, and clears everything up.
import { readFile } from "node:fs/promises";
import { MountaineerError } from "../runtime/errors.ts";
import type { Paint } from "../runtime/text/paint.ts";
import { printable } from "../runtime/text/plain-text.ts";
import { systemClock } from "../runtime/time/clock.ts";
import type { LiveOptions } from "./live/live.ts";
import { openStage, type Stage, type StageOptions } from "./stage/stage.ts";
import { storySteps } from "./story/story.ts";
import { type Step, StoryFailure } from "./story/story-checks.ts";

interface DemoOptions extends Omit<StageOptions, "onRouteChange"> {
  /**
   * How to show the live view; null: the scripted story is played instead, because there is no terminal view.
   */
  readonly view: Pick<LiveOptions, "style"> | null;
  readonly style: TerminalStyle;
  readonly print: (text: string) => void;
}

/** Printed after the view, and after a story that went well. */
const NEXT = `
next: mountaineer init     asks what you have: a NAS, MCP servers, or both
      mountaineer up       keeps it all up from then on
      mountaineer import   takes over the MCP servers of Claude Desktop, Cursor and others
In a clone, type first: export PATH="$PWD/bin:$PATH"
`;

/**
 * Runs the demo, and clears up in every case. Resolves with the exit code: 0, or 1 when a step of the story
 * failed. Rejects with `driver_unavailable` when real SMB is asked for and not available, and with `aborted`.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { program, driver, view, style, print, signal } = options;
  // The story begins with a mount per route and shows moves later; the view shows moves from the start.
  const onRouteChange = view === null ? "remount" : "move";
  const stage = await openStage({ program, driver, onRouteChange, signal });
  try {
    print(introduction(stage, style));
    if (view !== null) {
      const { playLive } = await import("./live/live.ts");
      await playLive(stage, { ...view, print, signal });
      print(NEXT);
      return 0;
    }
    if (!(await playScript(stage, { style, print, signal }))) return 1;
    print(NEXT);
    return 0;
  } catch (error) {
    // After a cancellation, reports the signal's reason and not the failures that followed from it.
    signal.throwIfAborted();
    throw error;
  } finally {
    await stage[Symbol.asyncDispose]();
  }
}

function introduction({ nas, insteadBecause, layout }: Stage, { paint }: TerminalStyle): string {
  const lines = [
    paint.bold(`Mountaineer demo, on ${nas.driver === "smb" ? "a real SMB server" : "plain folders"}`),
    nas.driver === "smb"
      ? "  real SMB: smbd on this machine, mounted by mountaineer-fs"
      : "  plain folders (driver local): a pulled cable is a folder renamed away",
    insteadBecause && `  ${paint.yellow(`not real SMB, because: ${printable(insteadBecause)}`)}`,
    `  everything is in ${printable(layout.folder)}`,
  ];
  return `${lines.filter((line) => line !== null).join("\n")}\n\n`;
}

type ScriptOptions = Pick<DemoOptions, "style" | "print" | "signal">;

const LOG_LINES_SHOWN = 30;

/**
 * Plays the story, and prints a line with the duration for each step. Disposes `stage`. Resolves with true if
 * all steps and the clearing up succeeded. Rejects with `aborted`.
 */
async function playScript(stage: Stage, { style, print, signal }: ScriptOptions): Promise<boolean> {
  const { paint } = style;
  const startedAtMs = systemClock.monotonicMs();
  const secondsSince = (fromMs: number): string =>
    `${((systemClock.monotonicMs() - fromMs) / 1000).toFixed(1)} s`;
  const steps = storySteps(stage, signal);
  const width = Math.max(...steps.map(({ title }) => title.length));
  const succeeds = async ({ title, play }: Step): Promise<boolean> => {
    const fromMs = systemClock.monotonicMs();
    const report = (mark: string, text: string): void => {
      const took = secondsSince(fromMs).padStart(7);
      print(`${mark} ${paint.dim(took)}  ${title.padEnd(width)}  ${printable(text)}\n`);
    };
    try {
      report(paint.green(paint.symbols.good), await play());
      return true;
    } catch (error) {
      const isExpected =
        error instanceof StoryFailure || (error instanceof MountaineerError && error.code !== "aborted");
      if (!isExpected) throw error;
      report(paint.red(paint.symbols.bad), error.message);
      return false;
    }
  };
  let played = 0;
  for (const step of steps) {
    if (!(await succeeds(step))) {
      print(await logEnd(stage, style));
      break;
    }
    played++;
  }
  const isCleared = await succeeds({
    title: "clean up",
    async play() {
      await stage[Symbol.asyncDispose]();
      return "no process, no mount and no temporary folder is left";
    },
  });
  const isWhole = isCleared && played === steps.length;
  const all = steps.length + 1;
  print(
    isWhole
      ? `${paint.green(`all ${all} steps went as told`)}, in ${secondsSince(startedAtMs)}\n`
      : `${paint.red(`the story ended at step ${played + 1} of ${all}`)}, after ${secondsSince(startedAtMs)}\n`,
  );
  return isWhole;
}

async function logEnd({ layout }: Stage, { paint }: TerminalStyle): Promise<string> {
  const text = await readFile(layout.daemonOutput, "utf8").catch(() => "");
  const lines = text.trimEnd().split("\n").slice(-LOG_LINES_SHOWN);
  return `\nThe end of the daemon's log:\n${lines.map((line) => `  ${paint.dim(printable(line))}\n`).join("")}\n`;
}

interface TerminalStyle {
  readonly unicode: boolean;
  readonly paint: Paint;
}
