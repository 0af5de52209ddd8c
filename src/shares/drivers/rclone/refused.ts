// Finds uploads that the server refuses: rclone reports them only in its log, and tries again for ever.
import { open, stat } from "node:fs/promises";
import { recoverFrom } from "../../../runtime/errors.ts";
import type { RefusedUpload } from "../mount-driver.ts";
import type { RcloneFiles } from "./files.ts";
import { readRefusedUpload } from "./log.ts";

interface Reading {
  /** How far the log was read: the end of a line. */
  offset: number;
  inode: bigint;
  /** The last line that was read. After a log was cut, the offset is not enough to find where reading ended. */
  lastLine: string;
  readonly refused: Map<string, RefusedUpload>;
}

/** Maximum number of bytes that are read from a log that grew unread. */
const READ_AT_MOST = 2 * 1024 * 1024;
const SHOWN_AT_MOST = 1_000;

export function createRefusedUploads() {
  const readings = new Map<string, Reading>();

  const readOn = async (path: string, reading: Reading): Promise<void> => {
    const { size: fileSize, ino } = await stat(path, { bigint: true });
    const size = Number(fileSize);
    const isAnother = ino !== reading.inode || size < reading.offset;
    if (!isAnother && size === reading.offset) return;
    await using file = await open(path, "r");
    const from = isAnother ? Math.max(0, size - READ_AT_MOST) : Math.max(reading.offset, size - READ_AT_MOST);
    const buffer = Buffer.alloc(size - from);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    const whole = buffer.subarray(0, bytesRead).lastIndexOf("\n") + 1;
    let text = buffer.subarray(0, whole).toString("utf8");
    if (isAnother && reading.lastLine !== "") {
      const lastAt = text.lastIndexOf(reading.lastLine);
      if (lastAt !== -1) text = text.slice(lastAt + reading.lastLine.length);
    }
    reading.inode = ino;
    reading.offset = from + whole;
    for (const line of text.split("\n")) {
      if (line === "") continue;
      reading.lastLine = line;
      const refused = readRefusedUpload(line);
      if (refused === null) continue;
      if (reading.refused.size < SHOWN_AT_MOST || reading.refused.has(refused.path))
        reading.refused.set(refused.path, refused);
    }
  };

  return {
    /** Whether the last check found refused uploads. */
    isAny: (shareName: string): boolean => (readings.get(shareName)?.refused.size ?? 0) > 0,
    /**
     * Returns the refused files that are not on the server yet. `unsent` returns the paths of unsent files in the
     * share; it is called only while there are refused files. Rejects with the system's error.
     */
    async of(
      shareName: string,
      files: RcloneFiles,
      unsent: () => Promise<readonly string[]>,
    ): Promise<readonly RefusedUpload[]> {
      let reading = readings.get(shareName);
      if (reading === undefined) {
        reading = { offset: 0, inode: 0n, lastLine: "", refused: new Map() };
        readings.set(shareName, reading);
      }
      await readOn(files.log, reading).catch(recoverFrom("ENOENT"));
      if (reading.refused.size === 0) return [];
      const waiting = new Set(await unsent());
      // A file that no longer waits was sent, removed, or set aside by a person.
      for (const path of reading.refused.keys()) if (!waiting.has(path)) reading.refused.delete(path);
      return [...reading.refused.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    },
  };
}
