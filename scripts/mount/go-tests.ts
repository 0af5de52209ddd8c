// Plays Go tests, and says which packages failed: `.ci/run` plays those once more in the end.
import { spawn } from "node:child_process";
import { loadavg } from "node:os";
import { type FailedFiles, goSuite } from "../test-replay.ts";

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

/** These packages of mountaineer-fs, as the run's replay takes them. */
export function failedPackages(packages: readonly string[], isRace: boolean): FailedFiles[] {
  return packages.map((name) => ({
    suite: goSuite(isRace),
    files: [name],
    counted: { passed: 0, failed: 1, skipped: 0 },
    failures: [`${name}: see above`],
    load: loadavg(),
  }));
}
