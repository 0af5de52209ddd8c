// Checks whether this machine can serve and mount real SMB; the last check is a trial mount.
import { mkdir, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "../../runtime/process/child-process.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { missingForPlainRig } from "./plain-rig.ts";

/** The first rclone with an SMB backend. */
const OLDEST = { major: 1, minor: 60 };
/** Deadline for `rclone version`, ms; long enough for a slow machine. */
const VERSION_WITHIN_MS = 15_000;
const TRIAL_WAIT_SECS = 15;
const TRIAL_WITHIN_MS = 20_000;

/**
 * Resolves with the reason why real SMB is not available, in words for people; null: it is available. `parent`: a folder
 * for the trial mount.
 */
export async function missingForSmb(
  parent: string,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | null> {
  return (
    missingForPlainRig() ?? (await oldRclone(signal)) ?? (await refusedMount(parent, environment, signal))
  );
}

async function oldRclone(signal: AbortSignal): Promise<string | null> {
  const { stdout } = await runCommand("rclone", ["version"], {
    clock: systemClock,
    deadlineMs: VERSION_WITHIN_MS,
    signal,
  });
  const version = /^rclone v(\d+)\.(\d+)/.exec(stdout);
  const [major, minor] = [Number(version?.[1]), Number(version?.[2])];
  const tooOld = major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor);
  return tooOld ? `rclone ${major}.${minor} cannot speak SMB (1.60 and newer can)` : null;
}

/**
 * Tries a mount: in a container, `/dev/fuse` may open although mounting is refused. Resolves with the reason,
 * or null if the mount succeeds.
 */
async function refusedMount(
  parent: string,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | null> {
  const folder = await mkdtemp(join(parent, "trial-"));
  const [from, to] = [join(folder, "from"), join(folder, "to")];
  await mkdir(from);
  await mkdir(to);
  const options = { clock: systemClock, deadlineMs: TRIAL_WITHIN_MS, env: environment };
  const { exitCode, stderr } = await runCommand(
    "rclone",
    [
      "mount",
      from,
      to,
      "--config",
      join(folder, "none.conf"),
      "--daemon",
      "--daemon-wait",
      `${TRIAL_WAIT_SECS}s`,
    ],
    { ...options, signal },
  );
  if (exitCode !== 0) {
    const lastLine = stderr.trim().split("\n").at(-1) ?? "";
    return `this machine refuses FUSE mounts${lastLine === "" ? "" : ` (${lastLine})`}`;
  }
  await runCommand("fusermount3", ["-u", to], options);
  return null;
}
