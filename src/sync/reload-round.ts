// Owns one round of looking at the file and offering what it holds, with the second look that a doubtful content
// gets: a file may be read between the two halves of being written.
import { decideReload, type ReloadLook, type ReloadMemory, type SeenFile } from "./decide-reload.ts";
import type { ConfigContent, ReloadOutcome } from "./reload-outcome.ts";

interface ReloadRoundParts {
  readonly asked: boolean;
  /** Whether a detector said that something changed before the latest look. */
  readonly noticed: () => boolean;
  readonly memory: () => ReloadMemory;
  /** Never rejects. */
  readonly observe: () => Promise<SeenFile>;
  /** Never rejects. */
  readonly offer: (content: ConfigContent) => Promise<ReloadOutcome>;
  /** Waits a moment; resolves with whether a second look is still this round's business. */
  readonly untilSecondLook: () => Promise<boolean>;
}

export type RoundEnd =
  | { readonly kind: "rest"; readonly seen: SeenFile }
  | { readonly kind: "problem_gone" }
  | { readonly kind: "same"; readonly sha256: string }
  | { readonly kind: "unreadable"; readonly reason: string }
  | { readonly kind: "offered"; readonly sha256: string; readonly outcome: ReloadOutcome }
  /** Somebody else's business now: the file changed again, or watching ended. */
  | { readonly kind: "left" };

/** Never rejects. Offers at most twice, and never the same bytes twice. */
export async function reloadRound(parts: ReloadRoundParts): Promise<RoundEnd> {
  const first = await look(parts, false);
  if (first.kind !== "doubtful") return first;
  if (!(await parts.untilSecondLook())) return { kind: "left" };
  const second = await look(parts, true, first.rejected);
  return second.kind === "doubtful" ? { kind: "left" } : second;
}

type Rejected = Extract<RoundEnd, { kind: "offered" }>;

interface Doubtful {
  readonly kind: "doubtful";
  /** What was offered, unless it was not even worth that. */
  readonly rejected: Rejected | null;
}

async function look(
  parts: ReloadRoundParts,
  second: boolean,
  rejected: Rejected | null = null,
): Promise<RoundEnd | Doubtful> {
  const seen = await parts.observe();
  if (rejected !== null && seen.kind === "content" && seen.sha256 === rejected.sha256) return rejected;
  const how: ReloadLook = { asked: parts.asked, noticed: parts.noticed(), second };
  const decision = decideReload(seen, parts.memory(), how);
  switch (decision.do) {
    case "rest":
      return { kind: "rest", seen };
    case "forget_problem":
      return { kind: "problem_gone" };
    case "look_again":
      return { kind: "doubtful", rejected: null };
    case "fail":
      return { kind: "unreadable", reason: decision.reason };
    case "report_same":
      return { kind: "same", sha256: decision.sha256 };
    case "offer": {
      const { sha256 } = decision.content;
      const outcome = await parts.offer(decision.content);
      const end: Rejected = { kind: "offered", sha256, outcome };
      const isTorn = outcome.kind === "rejected" && outcome.unparsable;
      return isTorn && !second ? { kind: "doubtful", rejected: end } : end;
    }
  }
}
