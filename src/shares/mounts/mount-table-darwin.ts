// The mount table on macOS: by getfsstat, or by the `mount` command where koffi is missing.
import { userInfo } from "node:os";
import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { loadGetfsstat } from "./getfsstat-darwin.ts";
import type { MountEntry, MountTable } from "./mount-entry.ts";
import { type MountLine, parseMountOutput } from "./mount-output-darwin.ts";
import { createMountRecognition, shareReadings } from "./mount-table-readings.ts";

interface MountTableDarwinOptions {
  readonly clock: Clock;
  /** Default: the system's getfsstat. A rejection means that it is missing. */
  readonly load?: () => Promise<() => readonly MountLine[]>;
  /** Default: runs `mount`. */
  readonly runMount?: () => Promise<string>;
}

/** Marks entries of another user's mounts, which only that user can use. */
export const ANOTHER_USERS = "another user's";

/** `mount` reads the same table and asks no file system either. */
const MOUNT_COMMAND = "/sbin/mount";
const MOUNT_DEADLINE_MS = 3_000;

export function createMountTableDarwin(options: MountTableDarwinOptions): MountTable {
  const { clock, load = loadGetfsstat, runMount = () => mountOutput(clock) } = options;
  let source: Promise<() => readonly MountLine[] | Promise<readonly MountLine[]>> | null = null;
  const recognize = createMountRecognition({ keyOf, entryOf });
  const byCommand = async (): Promise<readonly MountLine[]> => parseMountOutput(await runMount());

  return shareReadings(clock, async () => {
    source ??= load().then(
      (getfsstat) => getfsstat,
      () => byCommand,
    );
    return recognize(await (await source)());
  });
}

function keyOf({ fsid, path, type, source }: MountLine): readonly string[] {
  return [fsid ?? "", path, type, source];
}

function entryOf(line: MountLine, generation: number, place: number): MountEntry {
  return {
    id: `${line.fsid ?? "mount"}:${generation}:${place}`,
    path: line.path,
    type: line.type,
    source: line.source,
    options: isOurs(line) ? line.options : [...line.options, ANOTHER_USERS],
    deviceMinor: 0,
  };
}

function isOurs({ owner }: MountLine): boolean {
  if (owner === null) return true;
  const { uid, username } = ownUser();
  return "userId" in owner ? owner.userId === uid || uid === 0 : owner.userName === username || uid === 0;
}

function ownUser(): { readonly uid: number; readonly username: string } {
  try {
    return userInfo();
  } catch {
    // A user id without an entry in the user database.
    return { uid: process.getuid?.() ?? 0, username: "" };
  }
}

async function mountOutput(clock: Clock): Promise<string> {
  const result = await runCommand(MOUNT_COMMAND, [], {
    clock,
    deadlineMs: MOUNT_DEADLINE_MS,
    killGraceMs: 0,
    maxOutputBytes: 4 * 1024 * 1024,
  });
  if (result.exitCode === 0 && !result.truncated) return result.stdout;
  const why = result.timedOut ? "gave no answer" : result.stderr.trim() || `ended with ${result.exitCode}`;
  throw new MountaineerError("timed_out", `the table of mounts cannot be read: mount ${why}`, {
    retry: "later",
  });
}
