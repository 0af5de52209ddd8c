// Owns reading /proc/self/mountinfo: shared between those who ask at once, parsed again only when it changed.
import { readFile } from "node:fs/promises";
import type { Clock } from "../runtime/clock.ts";
import type { MountEntry, MountTable } from "./mount-entry.ts";
import { type MountInfoLine, parseMountInfo } from "./mount-table-mountinfo.ts";

export interface MountTableLinuxOptions {
  readonly clock: Clock;
  /** Default: /proc/self/mountinfo. */
  readonly readTable?: () => Promise<Buffer>;
}

const KERNELS_SMB = new Set(["cifs", "smb3", "fuse.rclone"]);

interface Reading {
  readonly startedAtMs: number;
  readonly entries: Promise<readonly MountEntry[]>;
}

export function createMountTableLinux({
  clock,
  readTable = readMountInfo,
}: MountTableLinuxOptions): MountTable {
  let newest: Reading | null = null;
  let bytes: Buffer | null = null;
  let entries: readonly MountEntry[] = [];
  let known = new Map<string, MountEntry>();
  let generation = 0;

  /** The kernel gives a freed id to the next mount: one that was away, or looks different, is another mount. */
  const identify = (lines: readonly MountInfoLine[]): readonly MountEntry[] => {
    generation++;
    const next = new Map<string, MountEntry>();
    for (const line of topMost(lines)) {
      const key = [line.mountId, line.device, line.path, line.type, line.source, line.root].join("\0");
      next.set(
        key,
        known.get(key) ?? {
          id: `${line.mountId}:${line.device}:${generation}`,
          path: line.path,
          type: line.type,
          source: sourceOf(line),
          options: line.options,
          deviceMinor: line.deviceMinor,
        },
      );
    }
    known = next;
    return [...next.values()];
  };

  const readOnce = async (): Promise<readonly MountEntry[]> => {
    const content = await readTable();
    if (bytes === null || !content.equals(bytes)) {
      entries = identify(parseMountInfo(content));
      bytes = content;
    }
    return entries;
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

/** A folder of a share, bound or mounted beside the whole, has the share's own source in the table. */
function sourceOf({ type, source, root }: MountInfoLine): string {
  return KERNELS_SMB.has(type) && root !== "/" ? `${source}${root}` : source;
}

/** Of mounts over one path only the last is seen by anyone. */
function topMost(lines: readonly MountInfoLine[]): readonly MountInfoLine[] {
  const byPath = new Map<string, MountInfoLine>();
  for (const line of lines) {
    byPath.delete(line.path);
    byPath.set(line.path, line);
  }
  return [...byPath.values()];
}

function readMountInfo(): Promise<Buffer> {
  return readFile("/proc/self/mountinfo");
}
