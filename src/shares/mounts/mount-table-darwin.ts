// The mount table on macOS, by getfsstat.
import { MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { loadGetfsstat, type MountLine } from "./getfsstat-darwin.ts";
import type { MountEntry, MountTable } from "./mount-entry.ts";
import { createMountRecognition, shareReadings } from "./mount-table-readings.ts";

interface MountTableDarwinOptions {
  readonly clock: Clock;
  /** Default: the system's getfsstat. A rejection means that it is missing. */
  readonly load?: () => Promise<() => readonly MountLine[]>;
}

/** Marks entries of another user's mounts, which only that user can use. */
export const ANOTHER_USERS = "another user's";

export function createMountTableDarwin({ clock, load = loadGetfsstat }: MountTableDarwinOptions): MountTable {
  let source: ReturnType<typeof load> | null = null;
  const recognize = createMountRecognition({ keyOf, entryOf });
  return shareReadings(clock, async () => {
    source ??= load().catch((cause: unknown) => {
      throw new MountaineerError("driver_unavailable", "the mount table cannot be read without koffi", {
        hint: "reinstall Mountaineer with its optional dependencies",
        cause,
      });
    });
    return recognize((await source)());
  });
}

function keyOf({ fsid, path, type, source }: MountLine): readonly string[] {
  return [fsid, path, type, source];
}

function entryOf(line: MountLine, generation: number, index: number): MountEntry {
  const own = process.getuid?.() ?? 0;
  const isOurs = own === 0 || line.ownerId === own;
  return {
    id: `${line.fsid}:${generation}:${index}`,
    path: line.path,
    type: line.type,
    source: line.source,
    options: isOurs ? line.options : [...line.options, ANOTHER_USERS],
    deviceMinor: 0,
  };
}
