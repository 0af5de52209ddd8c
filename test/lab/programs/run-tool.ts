// Runs a system tool for a program at work.
import { spawn } from "node:child_process";

/** Rejects with the tool's own words when it fails. `answers`: to what it asks. */
export function runTool(file: string, args: readonly string[], cwd: string, answers = ""): Promise<string> {
  const child = spawn(file, [...args], { cwd, stdio: "pipe" });
  // It may end without reading them.
  child.stdin.on("error", () => {}).end(answers);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve(stdout);
      // Some say on stdout why they fail, as git does where it finds nothing to commit.
      else
        reject(new Error(`${file} ended with ${code ?? signal}: ${(stderr || stdout).trim().slice(-500)}`));
    });
  });
}
