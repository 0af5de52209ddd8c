// The steps by which a service applies a new configuration, and their results.
import type { ConfigDiff } from "../config/diff.ts";
import type { ConfigMistake } from "../config/values/mistakes.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import type { LoadedContent } from "./decide-reload.ts";
import type { FileContent } from "./watched-file.ts";

export interface Running<Snapshot> {
  /** Hash of the file's bytes, hexadecimal. */
  readonly sha256: string;
  readonly snapshot: Snapshot;
  /** 1 at the start; grows by one with each applied content that has another meaning. */
  readonly generation: number;
}

export interface CheckedContent<Snapshot> {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly snapshot: Snapshot;
  /** The inode that holds the content, if that is known. */
  readonly inode?: string | undefined;
  /** The origin of the content: "file", "cli", "rollback 1". */
  readonly source: string;
}

export interface AppliedContent<Snapshot> {
  /** The snapshot in use. It differs from the content's snapshot if parts of the content wait for approval. */
  readonly snapshot: Snapshot;
  /** False: the bytes differ, but their meaning is the same. */
  readonly changed: boolean;
  readonly details: string;
  readonly diff: ConfigDiff | null;
}

/** Implemented by the service. The steps never overlap. */
export interface ConfigSteps<Snapshot> {
  /**
   * `file`: the inode that had the bytes, how it came, and how long to wait for a program that has it open for writing; absent: the
   * bytes are not from a file. Rejects only for a passing reason.
   */
  readonly load: (
    bytes: Uint8Array,
    signal: AbortSignal,
    file?: Omit<FileContent, "bytes"> & { readonly waitMs: number },
  ) => Promise<LoadedContent<Snapshot>>;
  /**
   * Prepares the new parts, switches to them, and ends the old ones. Resolves once it has switched, in bounded time.
   * `outcomeOfThrown` says what a rejection means.
   */
  readonly apply: (
    content: CheckedContent<Snapshot>,
    running: Running<Snapshot>,
    signal: AbortSignal,
  ) => Promise<AppliedContent<Snapshot>>;
  /** Called after `content` was applied. `isNew`: other bytes than before. Never rejects. */
  readonly onApplied?: (
    content: CheckedContent<Snapshot>,
    applied: AppliedContent<Snapshot>,
    isNew: boolean,
  ) => Promise<void>;
}

export type ReloadOutcome =
  /** `details`: a text for people, such as `3 backends reloaded`. */
  | ({ readonly kind: "applied" } & Omit<AppliedContent<unknown>, "snapshot">)
  /** The content is wrong: trying the same bytes again is useless. */
  | { readonly kind: "rejected"; readonly reason: string; readonly mistakes: readonly ConfigMistake[] }
  /** The content may be right, and another attempt may succeed. */
  | { readonly kind: "failed"; readonly reason: string };

export type ReloadResult =
  | ReloadOutcome
  /** The file is unchanged: its bytes are those of the running configuration. */
  | { readonly kind: "same" }
  /** There is no file; the running configuration stays. */
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly reason: string };

/** The outcome for an error that a step threw: `rejected` for the code `config_invalid`, else `failed`. */
export function outcomeOfThrown(error: unknown): ReloadOutcome {
  const reason = errorText(error);
  if (error instanceof MountaineerError && error.code === "config_invalid") {
    return { kind: "rejected", reason, mistakes: [] };
  }
  return { kind: "failed", reason };
}

export const NO_CHANGES = "no changes";
export const ENDED: ReloadResult = { kind: "failed", reason: "watching ended before the file was read" };
