// The carrier's own log: one small file, cut when it is full.
import { appendFile, rename, stat } from "node:fs/promises";
import type { LogFields, Logger, LogLevel } from "../../runtime/log/log.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";

const FILE_BYTES_AT_MOST = 1024 * 1024;
const WAITING_LINES_AT_MOST = 1_000;

/** Never throws and never waits; what a full disk refuses is dropped. Beyond 1 MiB the file makes way to `PATH.1`. */
export function createCarrierLog(path: string, clock: Clock): Logger {
  let waiting: string[] = [];
  let writing = false;
  const writeAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const text = waiting.join("");
      waiting = [];
      try {
        const size = await stat(path).then(
          (found) => found.size,
          () => 0,
        );
        if (size + text.length > FILE_BYTES_AT_MOST) await rename(path, `${path}.1`).catch(() => {});
        await appendFile(path, text, { mode: 0o600 });
      } catch {
        // There is no place left to report it.
      }
    }
    writing = false;
  };
  const write = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    if (waiting.length >= WAITING_LINES_AT_MOST) return;
    waiting.push(`${JSON.stringify({ time: isoTime(clock.wallMs()), level, message, ...fields })}\n`);
    if (writing) return;
    writing = true;
    void writeAll();
  };
  return {
    debug() {},
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
  };
}
