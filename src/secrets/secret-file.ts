// Secrets that are files of other programs: of systemd, Docker, Kubernetes, sops, 1Password. `${file:PATH}` refers to one.
import { fileURLToPath } from "node:url";
import { MountaineerError } from "../runtime/errors.ts";
import { ownNode } from "../runtime/process/build-copy.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { programBeside } from "../runtime/process/program-beside.ts";
import { jsonObject } from "../runtime/text/json-object.ts";
import type { Clock } from "../runtime/time/clock.ts";

const DEADLINE_MS = 2_000;
const FILE_PREFIX = "file:";

/** The path in the name of a secret that is a file; null: it is stored. */
export function secretFilePath(name: string, userHome: string): string | null {
  if (!name.startsWith(FILE_PREFIX)) return null;
  return name.slice(FILE_PREFIX.length).replace(/^~(?=\/)/, () => userHome);
}

/** The file's text without a line end at its end. Rejects with `secret_unavailable`, and with the signal's reason. */
export async function readSecretFile(path: string, clock: Clock, signal: AbortSignal): Promise<string> {
  const child = fileURLToPath(programBeside(import.meta.url, "secret-file-child"));
  const limits = { clock, signal, deadlineMs: DEADLINE_MS };
  const { stdout, stderr, timedOut } = await runCommand(ownNode(), [child, path], limits);
  const { value, problem = stderr.trim() } = jsonObject(stdout) ?? {};
  if (typeof value === "string") return value;
  const why = timedOut ? `${path} does not answer within 2 s` : String(problem);
  throw new MountaineerError("secret_unavailable", why, { retry: "later" });
}

const STATE = `for path; do
  if [ -f "$path" ]; then stat -L -c '%d:%i:%s:%y' -- "$path" 2>/dev/null || stat -L -f '%d:%i:%z:%Fm' -- "$path"; fi
done`;

/** A text that differs when one of the files has changed. A pipe is not checked: a read takes what is in it. */
export async function secretFilesState(paths: readonly string[], clock: Clock): Promise<string | null> {
  const limits = { clock, deadlineMs: DEADLINE_MS };
  const { stdout, timedOut } = await runCommand("sh", ["-c", STATE, "sh", ...paths], limits);
  return timedOut ? null : stdout;
}
