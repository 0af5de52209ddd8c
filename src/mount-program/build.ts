// Builds mountaineer-fs in a clone, as `npm run mount` does.
import { fileURLToPath } from "node:url";
import { errorText } from "../runtime/errors.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { BUILD_SCRIPT, canBuildProgram, createMountProgram } from "./mount-program.ts";

/** Go may have to fetch its modules, and compiles for a minute on a slow machine. */
const BUILT_WITHIN_MS = 600_000;

/** Whether shares need a program here that is not there yet, and that this clone can build. */
export async function isBuildDue(home: string): Promise<boolean> {
  return (await createMountProgram(home).find()) === null && (await canBuildProgram());
}

/** Resolves with why the program could not be built; null: it is built. Rejects only when the signal aborts. */
export async function buildProgram(signal: AbortSignal): Promise<string | null> {
  const limits = { deadlineMs: BUILT_WITHIN_MS, killGroup: true, signal };
  const ended = await runCommand(process.execPath, [fileURLToPath(BUILD_SCRIPT)], limits).catch(
    (error: unknown) => {
      signal.throwIfAborted();
      return errorText(error);
    },
  );
  if (typeof ended === "string") return ended;
  return ended.exitCode === 0 ? null : (ended.stderr.trim().split("\n").at(-1) ?? "it failed");
}
