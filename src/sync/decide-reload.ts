// Owns what one look at the file leads to. Pure: what was seen and what is remembered in, one decision out.
import type { ConfigContent } from "./reload-outcome.ts";

/** What a look at the file found. */
export type SeenFile =
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly reason: string }
  | ({ readonly kind: "content" } & ConfigContent);

export interface ReloadMemory {
  /** Of the content that runs; null: what runs is no file's content, or it is not known. */
  readonly runningSha256: string | null;
  /** Running bytes put into the file by the service itself, not seen there yet: to be met in silence. */
  readonly expectedSha256: string | null;
  readonly problem: {
    readonly kind: "unreadable" | "rejected" | "failed";
    /** Of the content it is about; null for one that could not be read. */
    readonly sha256: string | null;
  } | null;
}

export interface ReloadLook {
  /** Somebody asked for it and wants an answer. */
  readonly asked: boolean;
  /** A detector said that something changed. */
  readonly noticed: boolean;
  /** It was looked at before, a moment ago, and was doubtful. */
  readonly second: boolean;
}

type ReloadDecision =
  | { readonly do: "rest" }
  /** The running bytes: worth an event. */
  | { readonly do: "report_same"; readonly sha256: string }
  /** What stood in the way is gone, and there is nothing to apply. */
  | { readonly do: "forget_problem" }
  /** Perhaps only half written: look once more before it counts. */
  | { readonly do: "look_again" }
  | { readonly do: "fail"; readonly reason: string }
  | { readonly do: "offer"; readonly content: ConfigContent };

/** A missing file is no change, rejected bytes are not offered twice, and an empty file is doubted once. */
export function decideReload(seen: SeenFile, memory: ReloadMemory, look: ReloadLook): ReloadDecision {
  const { problem } = memory;
  switch (seen.kind) {
    case "missing":
      return { do: problem?.kind === "unreadable" ? "forget_problem" : "rest" };
    case "unreadable":
      return { do: "fail", reason: seen.reason };
    case "content": {
      const { bytes, sha256 } = seen;
      if (sha256 === memory.runningSha256) {
        const isNews = look.asked || (look.noticed && sha256 !== memory.expectedSha256);
        return isNews || problem !== null ? { do: "report_same", sha256 } : { do: "rest" };
      }
      const wasRejected = problem?.kind === "rejected" && problem.sha256 === sha256;
      if (wasRejected && !look.asked) return { do: "rest" };
      if (bytes.length === 0 && !look.second) return { do: "look_again" };
      return { do: "offer", content: { bytes, sha256 } };
    }
  }
}
