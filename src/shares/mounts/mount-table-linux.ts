// The mount table on Linux: /proc/self/mountinfo, parsed again only after a change.
import { readFileSync } from "node:fs";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountEntry, MountTable } from "./mount-entry.ts";
import { type MountInfoLine, parseMountInfo } from "./mount-table-mountinfo.ts";
import { createMountRecognition, shareReadings } from "./mount-table-readings.ts";

interface MountTableLinuxOptions {
  readonly clock: Clock;
  /** Default: /proc/self/mountinfo. */
  readonly readTable?: () => Promise<Buffer>;
}

const KERNELS_SMB = new Set(["cifs", "smb3", "fuse.mountaineer-fs"]);

export function createMountTableLinux({
  clock,
  readTable = readMountInfo,
}: MountTableLinuxOptions): MountTable {
  const recognize = createMountRecognition({ keyOf, entryOf });
  let bytes: Buffer | null = null;
  let entries: readonly MountEntry[] = [];

  return shareReadings(clock, async () => {
    const content = await readTable();
    if (bytes === null || !content.equals(bytes)) {
      entries = recognize(parseMountInfo(content));
      bytes = content;
    }
    return entries;
  });
}

/** The values that identify a mount. The id is not enough, because the kernel gives a freed id to the next mount. */
function keyOf({ mountId, device, path, type, source, root }: MountInfoLine): readonly (string | number)[] {
  return [mountId, device, path, type, source, root];
}

function entryOf(line: MountInfoLine, generation: number): MountEntry {
  return {
    id: `${line.mountId}:${line.device}:${generation}`,
    path: line.path,
    type: line.type,
    source: sourceOf(line),
    options: line.options,
    deviceMinor: line.deviceMinor,
  };
}

/**
 * The source of a mount. For a mounted folder of a share, the table shows the share's own source, so the
 * folder is added.
 */
function sourceOf({ type, source, root }: MountInfoLine): string {
  return KERNELS_SMB.has(type) && root !== "/" ? `${source}${root}` : source;
}

/** Synchronous: the kernel answers from memory, and a thread would cost five times as much. */
async function readMountInfo(): Promise<Buffer> {
  return readFileSync("/proc/self/mountinfo");
}
