// Owns detection by content: the whole file is read and hashed each poll, so times that lie do not matter.
import { sha256Of } from "../runtime/sha256.ts";
import { startChangePoll } from "./change-poll.ts";
import type { Detector, DetectorOptions } from "./detector.ts";

/** A touch is no change. */
export function startHashDetector(options: DetectorOptions): Detector {
  const { file, clock, pollIntervalMs, onChange, onPresence } = options;
  const stopping = new AbortController();
  const poll = startChangePoll({
    clock,
    intervalMs: pollIntervalMs,
    onChange,
    onPresence,
    async fingerprint() {
      const bytes = await file.read(stopping.signal);
      return bytes === null ? null : sha256Of(bytes);
    },
  });
  return {
    detection: "hash",
    look: () => poll.look(),
    noteRead: (sha256) => poll.noteSeen(sha256),
    [Symbol.dispose]() {
      poll[Symbol.dispose]();
      stopping.abort();
    },
  };
}
