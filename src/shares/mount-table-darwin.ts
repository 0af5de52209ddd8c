// Owns reading macOS's table of mounts: getfsstat, or the `mount` command where koffi cannot be had; shared between
// those who ask at once.
import { userInfo } from "node:os";
import { runCommand } from "../runtime/child-process.ts";
import type { Clock } from "../runtime/clock.ts";
import { MountaineerError } from "../runtime/errors.ts";
import { loadGetfsstat } from "./getfsstat-darwin.ts";
import type { MountEntry, MountTable } from "./mount-entry.ts";
import { type MountLine, parseMountOutput } from "./mount-output-darwin.ts";

export interface MountTableDarwinOptions {
  readonly clock: Clock;
  /** Default: the system's getfsstat. A rejection means that it cannot be had. */
  readonly load?: () => Promise<() => readonly MountLine[]>;
  /** Default: runs `mount`. */
  readonly runMount?: () => Promise<string>;
}

/** An option of entries that another user made: only that user is let in. */
export const ANOTHER_USERS = "another user's";

interface Reading {
  readonly startedAtMs: number;
  readonly entries: Promise<readonly MountEntry[]>;
}

/** `mount` reads the same table and asks no file system either. */
const MOUNT_COMMAND = "/sbin/mount";
const MOUNT_DEADLINE_MS = 3_000;

export function createMountTableDarwin(options: MountTableDarwinOptions): MountTable {
  const { clock, load = loadGetfsstat, runMount = () => mountOutput(clock) } = options;
  let source: Promise<() => readonly MountLine[] | Promise<readonly MountLine[]>> | null = null;
  let newest: Reading | null = null;
  let known = new Map<string, MountEntry>();
  let generation = 0;

  const byCommand = async (): Promise<readonly MountLine[]> => parseMountOutput(await runMount());

  /** Numbers may be used again: one that was away, or looks different, is another mount. */
  const identify = (lines: readonly MountLine[]): readonly MountEntry[] => {
    generation++;
    const next = new Map<string, MountEntry>();
    for (const line of topMost(lines)) {
      const key = [line.fsid ?? "", line.path, line.type, line.source].join("\0");
      next.set(
        key,
        known.get(key) ?? {
          id: `${line.fsid ?? "mount"}:${generation}:${next.size}`,
          path: line.path,
          type: line.type,
          source: line.source,
          options: isOurs(line) ? line.options : [...line.options, ANOTHER_USERS],
          deviceMinor: 0,
        },
      );
    }
    known = next;
    return [...next.values()];
  };
  const readOnce = async (): Promise<readonly MountEntry[]> => {
    source ??= load().then(
      (getfsstat) => getfsstat,
      () => byCommand,
    );
    return identify(await (await source)());
  };

  return {
    read(notBeforeMs) {
      if (newest !== null && newest.startedAtMs >= notBeforeMs) return newest.entries;
      const reading: Reading = { startedAtMs: clock.monotonicMs(), entries: readOnce() };
      newest = reading;
      reading.entries.catch(() => {
        // The next one to ask gets a reading of their own.
        if (newest === reading) newest = null;
      });
      return reading.entries;
    },
  };
}

/** Of mounts over one path only the last is seen by anyone. */
function topMost(lines: readonly MountLine[]): readonly MountLine[] {
  const byPath = new Map<string, MountLine>();
  for (const line of lines) {
    byPath.delete(line.path);
    byPath.set(line.path, line);
  }
  return [...byPath.values()];
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
