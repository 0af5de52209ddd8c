// Runs the system tools that the root rig is built with.
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const DEADLINE_MS = 30_000;

/** Rejects with the tool's own words when it fails or takes longer than half a minute. */
export async function command(file: string, args: readonly string[], input?: string): Promise<string> {
  const running = promisify(execFile)(file, [...args], { timeout: DEADLINE_MS, killSignal: "SIGKILL" });
  // A tool that reads nothing may be gone before its stdin is closed: EPIPE, and no failure.
  running.child.stdin?.on("error", () => {});
  running.child.stdin?.end(input ?? "");
  try {
    return (await running).stdout;
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
    throw new Error(`${file} ${args.join(" ")} failed: ${said || String(error)}`, { cause: error });
  }
}
