// Owns detection by modification time: one stat a poll. It cannot see a change that keeps both mtime and size.
import { startChangePoll } from "./change-poll.ts";
import type { Detector, DetectorOptions } from "./detector.ts";

/** A touch counts as a change. */
export function startMtimeDetector(options: DetectorOptions): Detector {
  const { file, clock, pollIntervalMs, onChange, onPresence } = options;
  const stopping = new AbortController();
  const poll = startChangePoll({
    clock,
    intervalMs: pollIntervalMs,
    onChange,
    onPresence,
    async fingerprint() {
      const found = await file.stat(stopping.signal);
      return found === null ? null : `${found.mtimeNs} ${found.size}`;
    },
  });
  return {
    detection: "mtime",
    look: () => poll.look(),
    noteRead() {},
    [Symbol.dispose]() {
      poll[Symbol.dispose]();
      stopping.abort();
    },
  };
}
