// The contract of change detectors. They only say that something may have changed; the file is read later.
import type { Clock } from "../runtime/time/clock.ts";
import type { Detection } from "./sync-settings.ts";
import type { WatchedFile } from "./watched-file.ts";

export interface DetectorOptions {
  readonly file: WatchedFile;
  readonly clock: Clock;
  readonly pollIntervalMs: number;
  /**
   * Something may have changed, at `atMs` (monotonic) where that is known better than now. Never called before the
   * first look has ended, nor after disposal.
   */
  readonly onChange: (atMs?: number) => void;
  /** The system told of something; a look will tell whether it is a change. */
  readonly onSign?: () => void;
  /** Whether there is a file: told at the first look and when it is another answer than before. */
  readonly onPresence: (present: boolean) => void;
  /** It works, but not as it should: why, or null when it is whole again. */
  readonly onDegraded: (reason: string | null) => void;
}

/** Disposing stops it at once; what it has under way ends unheard. */
export interface Detector extends Disposable {
  readonly detection: Detection;
  /**
   * Looks now; what it sees is reported before this resolves. The first look only learns what is there: what changed
   * before it ended, the one who starts a detector finds by reading the file afterwards. Never rejects.
   */
  look(): Promise<void>;
  /**
   * The file was read, and held bytes of this SHA-256. A detector that goes by content compares with these from now
   * on: else bytes that were there before the read, and are there again after it, would be no change to it.
   */
  noteRead(sha256: string): void;
}
