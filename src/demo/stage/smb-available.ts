// Whether this machine can mount real SMB: the last check is a trial mount from the demo's own server.
import { mkdir, mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createMountProgram, missingProgram } from "../../mount-program/mount-program.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { missingForPlainRig, type PlainRig } from "./plain-rig.ts";
import { SHARE } from "./stage-layout.ts";

const TRIAL_WITHIN_MS = 30_000;
const POLL_MS = 20;

/** Why no server can be started, or no program mounts from it, in words for people; null: it can be tried. */
export async function missingForSmb(folder: string): Promise<string | null> {
  const missing = missingForPlainRig();
  if (missing !== null) return missing;
  if ((await createMountProgram(folder).find()) !== null) return null;
  const { text, hint } = await missingProgram();
  return `${text} (${hint})`;
}

/**
 * Tries a mount: in a container, `/dev/fuse` may open although mounting is refused. Resolves with the reason, or null if
 * the mount succeeds. `parent`: a folder for the trial.
 */
export async function refusedMount(
  { serverPort, username, password }: Pick<PlainRig, "serverPort" | "username" | "password">,
  parent: string,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | null> {
  const folder = join(await mkdtemp(join(parent, "trial-")), "mount");
  await mkdir(folder);
  const options = { deadlineMs: TRIAL_WITHIN_MS, env: environment };
  const login = ["-share", SHARE, "-user", username, "-sign"];
  let hasEnded = false;
  const mounting = runCommand(
    (await createMountProgram(parent).find()) ?? "",
    ["mount", "-address", `127.0.0.1:${serverPort}`, ...login, folder],
    { ...options, stdin: `${password}\n`, signal },
  ).finally(() => {
    hasEnded = true;
  });
  while (!hasEnded && !(await isMounted(folder))) await systemClock.sleep(POLL_MS);
  await runCommand("fusermount3", ["-u", folder], options);
  const { exitCode, stdout } = await mounting;
  if (exitCode === 0) return null;
  const { message } = objectOf(jsonObject(stdout.trim().split("\n").at(-1) ?? "")?.["error"]);
  return `a trial mount failed${message === undefined ? "" : `: ${String(message)}`}`;
}

async function isMounted(folder: string): Promise<boolean> {
  return (await readFile("/proc/self/mounts", "utf8")).includes(` ${folder} fuse`);
}
