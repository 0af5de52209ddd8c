// Plays Go tests, and says which packages failed: `.ci/run` plays those once more in the end.
import { spawn } from "node:child_process";
import { appendFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { FAILURES_VARIABLE, type FailedFiles, goSuite } from "../test-replay.ts";

export interface PackageCounts {
  readonly passed: number;
  /** Packages as their modules name them. */
  readonly failed: readonly string[];
}

/** `go test` with these arguments; its output goes to this terminal. Packages without tests are not counted. */
export function playGoTests(
  go: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<PackageCounts> {
  return new Promise((resolve, reject) => {
    const child = spawn(go, ["test", ...args], {
      cwd,
      env: { ...process.env, LC_ALL: "C", TZ: "UTC", ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      process.stdout.write(chunk);
    });
    child.once("error", reject);
    child.once("close", (code) => {
      const failed = [...output.matchAll(/^FAIL\t(\S+)/gm)].map(([, name = ""]) => name);
      if (code !== 0 && failed.length === 0) failed.push(`go test, which ended with ${code}`);
      resolve({ passed: [...output.matchAll(/^ok /gm)].length, failed });
    });
  });
}

/** Appends these packages of mountaineer-fs to the file that `.ci/run` names, if any. */
export async function tellFailed(packages: readonly string[], isRace: boolean): Promise<void> {
  const file = process.env[FAILURES_VARIABLE];
  if (file === undefined) return;
  for (const name of packages) {
    const failed: FailedFiles = {
      suite: goSuite(isRace),
      files: [name],
      counted: { passed: 0, failed: 1, skipped: 0 },
      failures: [`${name}: see above`],
      load: loadavg(),
    };
    await appendFile(file, `${JSON.stringify(failed)}\n`);
  }
}
