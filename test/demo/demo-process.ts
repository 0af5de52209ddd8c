// Runs the real demo in a process of its own, and finds what it left behind.

import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import type { TestContext } from "node:test";
import { describeLeftBehind, findLeftBehind } from "../../scripts/left-behind.ts";
import { COMMAND, environmentOf } from "../cli/command-line.ts";
import { collect } from "../support/collect.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export interface DemoEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type RunningDemo = Awaited<ReturnType<typeof startDemo>>;

const DEADLINE_MS = 120_000;

/** The demo's environment: that of every test command, with its folder for temporary files. */
export function demoEnvironment(temporary: string, env: Readonly<Record<string, string>> = {}) {
  return environmentOf({ home: temporary, env: { TMPDIR: temporary, ...env } });
}

/** Starts `mountaineer demo ARGS` without a terminal; it is killed when the test ends or after 120 s. */
export async function startDemo(
  t: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  /** The demo's folder for temporary files: all that remains in it was left behind. */
  const temporary = await temporaryFolder(t);
  const [node = "", ...own] = COMMAND;
  const child = spawn(node, [...own, "demo", ...args], {
    env: demoEnvironment(temporary, env),
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  t.after(() => child.kill("SIGKILL"));
  const { ended, stdout, stderr } = collect(child);
  return { child, temporary, stdout, stderr, ended: ended.then(({ code, signal }) => ({ code, signal })) };
}

/** Processes, mounts and folders left by demos with this folder. */
export async function leftBehind(temporary: string): Promise<readonly string[]> {
  const found = await findLeftBehind({ folder: temporary, token: "no-namespace" });
  const folders = (await readdir(temporary)).filter((name) => name.startsWith("mountaineer-demo-"));
  return [...describeLeftBehind(found), ...folders.map((name) => `folder ${name}`)];
}
