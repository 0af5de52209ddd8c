// What came of a content: the answer that decides whether it is tried again.
import type { ConfigDiff } from "../config/diff.ts";
import type { ConfigMistake } from "../config/values/mistakes.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";

export type ReloadOutcome =
  | {
      readonly kind: "applied";
      /** False: other bytes, the same meaning. */
      readonly changed: boolean;
      /** `3 backends reloaded`; "no changes" is said for what did not change. */
      readonly details: string;
      readonly diff: ConfigDiff | null;
    }
  /** The content is wrong: trying the same bytes again is useless. */
  | { readonly kind: "rejected"; readonly reason: string; readonly mistakes: readonly ConfigMistake[] }
  /** The content may be right; what is in the way may pass. */
  | { readonly kind: "failed"; readonly reason: string };

/** What came of looking at the file because somebody asked. */
export type ReloadResult =
  | ReloadOutcome
  /** The running bytes: nothing to do. */
  | { readonly kind: "same" }
  /** No file: what runs goes on. */
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly reason: string };

/** The outcome that a thrown value stands for: rejected for a wrong configuration, else a failure that may pass. */
export function outcomeOfThrown(error: unknown): ReloadOutcome {
  const reason = errorText(error);
  if (error instanceof MountaineerError && error.code === "config_invalid") {
    return { kind: "rejected", reason, mistakes: [] };
  }
  return { kind: "failed", reason };
}

export const NO_CHANGES = "no changes";
export const LEFT: ReloadResult = { kind: "failed", reason: "watching ended before the file was read" };
