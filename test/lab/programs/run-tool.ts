// Runs a system tool for a program at work.

import { spawn } from "node:child_process";
import { collect } from "../../support/collect.ts";

/** Rejects with the tool's own words when it fails. `answers`: to what it asks. */
export async function runTool(
  file: string,
  args: readonly string[],
  cwd: string,
  answers = "",
): Promise<string> {
  const child = spawn(file, [...args], { cwd, stdio: "pipe" });
  const { code, signal, stdout, stderr } = await collect(child, answers).ended;
  if (code === 0) return stdout;
  // Some say on stdout why they fail, as git does where it finds nothing to commit.
  throw new Error(`${file} ended with ${code ?? signal}: ${(stderr || stdout).trim().slice(-500)}`);
}
