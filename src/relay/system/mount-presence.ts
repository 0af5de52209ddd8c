// Whether the mount that uses a share's port still exists.
import { readFile } from "node:fs/promises";
import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { isRunning } from "../../runtime/process/process-identity.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import type { RelayedMount } from "../relay.ts";

type MountPresence = (mount: RelayedMount) => Promise<boolean>;

const isMounted: MountPresence = process.platform === "darwin" ? isMountedDarwin : isMountedLinux;

/** False only if neither the mount nor the process that serves it exists. Rejects if the mounts cannot be read. */
export async function isPresent(mount: RelayedMount): Promise<boolean> {
  if (await isMounted(mount)) return true;
  return mount.process !== null && (await isRunning(mount.process));
}

const DEADLINE_MS = 2_000;

async function isMountedDarwin({ path }: RelayedMount): Promise<boolean> {
  const answer = await runCommand("/sbin/mount", [], { clock: systemClock, deadlineMs: DEADLINE_MS });
  if (answer.timedOut || answer.exitCode !== 0)
    throw new MountaineerError("timed_out", "the mounts cannot be listed", { retry: "later" });
  return answer.stdout.split("\n").some((line) => line.includes(` on ${path} (`));
}

/** Looks for both the id and the path of the mount, because ids are reused. */
async function isMountedLinux(mount: RelayedMount): Promise<boolean> {
  return hasMount(await readFile("/proc/self/mountinfo", "utf8"), mount);
}

/**
 * The daemon's id of a mount begins with the kernel's id, optionally followed by `:MAJOR:MINOR`; only these
 * parts are compared.
 */
const ID = /^(\d+)(?::(\d+:\d+))?/u;

/** The table writes blanks, newlines and backslashes of paths in octal: `\040`. */
export function hasMount(table: string, { id, path }: Pick<RelayedMount, "id" | "path">): boolean {
  const [, mountId, device] = ID.exec(id) ?? [];
  const written = path.replace(
    /[ \t\n\\#]/gu,
    (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
  return table.split("\n").some((line) => {
    const fields = line.split(" ");
    const isIt = fields[0] === mountId && (device === undefined || fields[2] === device);
    return isIt && (fields[4] === path || fields[4] === written);
  });
}
