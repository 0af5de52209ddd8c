// Owns what came of offering a content to the service: the answer that decides whether it is tried again.
import { errorText, MountaineerError } from "../runtime/errors.ts";

/** What the file held, whole. */
export interface ConfigContent {
  readonly bytes: Uint8Array;
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
}

export type ReloadOutcome =
  | {
      readonly kind: "applied";
      /** False: other bytes, the same meaning. */
      readonly changed: boolean;
      /** `3 backends reloaded`; "no changes" is said for what did not change. */
      readonly details: string;
    }
  | {
      /** The content is wrong: offering the same bytes again is useless. */
      readonly kind: "rejected";
      /** It cannot even be parsed, as a file half written: looked at once more before it counts. */
      readonly unparsable: boolean;
      readonly reason: string;
    }
  | {
      /** The content may be right; what is in the way may pass. */
      readonly kind: "failed";
      readonly reason: string;
    };

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
    return { kind: "rejected", unparsable: false, reason };
  }
  return { kind: "failed", reason };
}

export const NO_CHANGES = "no changes";
export const LEFT: ReloadResult = { kind: "failed", reason: "watching ended before the file was read" };
