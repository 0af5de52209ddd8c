// Plays the story: prints a line with the time for each step, and says at the end whether all went well.

import { readFile } from "node:fs/promises";
import { MountaineerError } from "../../runtime/errors.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { Stage } from "../stage/stage.ts";
import type { TerminalStyle } from "../stage/terminal-style.ts";
import { storySteps } from "./story.ts";
import { StoryFailure } from "./story-checks.ts";

interface ScriptOptions {
  readonly style: TerminalStyle;
  readonly print: (text: string) => void;
  readonly signal: AbortSignal;
}

const LOG_LINES_SHOWN = 30;

/** Plays on `stage`, disposes it, and resolves with whether everything was so. Rejects with `aborted`. */
export async function playScript(stage: Stage, { style, print, signal }: ScriptOptions): Promise<boolean> {
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
