// The steps of a service that takes up a configuration: parse it, apply it, and take note that it runs.
import type { ConfigDiff } from "../config/diff.ts";
import type { LoadedContent } from "./decide-reload.ts";

/** What runs. */
export interface Running<Snapshot> {
  /** Of the file's bytes, hexadecimal. */
  readonly sha256: string;
  readonly snapshot: Snapshot;
  /** 1 at the start; grows with each accepted content that means something else. */
  readonly generation: number;
}

/** A content that is parsed and right. */
export interface CheckedContent<Snapshot> {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly snapshot: Snapshot;
  /** Who brings it: "file", "cli", "rollback 1". */
  readonly source: string;
}

export interface AppliedContent<Snapshot> {
  /** What runs from now on. */
  readonly snapshot: Snapshot;
  /** False: other bytes, the same meaning. */
  readonly changed: boolean;
  readonly details: string;
  readonly diff: ConfigDiff | null;
}

/** How the service takes part. None of these is called while another one runs. */
export interface ConfigSteps<Snapshot> {
  /** Parses and checks. Rejects only with failures that may pass by themselves. */
  readonly load: (bytes: Uint8Array, signal: AbortSignal) => Promise<LoadedContent<Snapshot>>;
  /**
   * Prepares, commits, retires; resolves at commit, and in bounded time. What it throws counts as an outcome
   * (`outcomeOfThrown`).
   */
  readonly apply: (
    content: CheckedContent<Snapshot>,
    running: Running<Snapshot>,
    signal: AbortSignal,
  ) => Promise<AppliedContent<Snapshot>>;
  /** It runs now. `isNew`: other bytes than before. Never rejects. */
  readonly onApplied?: (
    content: CheckedContent<Snapshot>,
    applied: AppliedContent<Snapshot>,
    isNew: boolean,
  ) => Promise<void>;
}
