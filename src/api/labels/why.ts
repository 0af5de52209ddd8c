// Which rule applies to a share or a server now, and why each other rule takes no step. Pure.
import { durationText, pluralize } from "../../runtime/text/plain-text.ts";
import type { BackendStatus, Condition, ExplanationReport, ShareStatus } from "../contract/contract.ts";
import { backendLabel } from "./backend-labels.ts";
import { shareLabel } from "./share-labels.ts";

export interface Why extends ExplanationReport {
  readonly name: string;
  readonly kind: "share" | "server";
  readonly state: string;
  readonly conditions: readonly Condition[];
}

/** When a rule that was passed over is due: "in 9 s", "now"; null: not known. */
export function dueText({ until }: ExplanationReport["passed_over"][number], nowMs: number): string | null {
  if (until === null) return null;
  const remainingMs = Date.parse(until) - nowMs;
  return remainingMs > 0 ? `in ${durationText(remainingMs)}` : "now";
}

const UNDECIDED: ExplanationReport = { rule: "wait", why: "nothing was decided yet", passed_over: [] };

export function shareWhy(share: ShareStatus): Why {
  const { name, conditions, explanation } = share;
  return { name, kind: "share", state: shareLabel(share).text, conditions, ...(explanation ?? UNDECIDED) };
}

export function backendWhy(backend: BackendStatus): Why {
  const { name, conditions, explanation = { ...UNDECIDED, why: backend.reason ?? UNDECIDED.why } } = backend;
  const passedOver = [...explanation.passed_over, ...filteredRules(backend)];
  const { text: state, why: trouble } = backendLabel(backend);
  // The policy knows nothing of the calls' results.
  const why = explanation.rule === "serve calls" ? (trouble ?? explanation.why) : explanation.why;
  return { name, kind: "server", state, conditions, ...explanation, why, passed_over: passedOver };
}

function filteredRules({ withheld_tools: withheld = 0 }: BackendStatus): ExplanationReport["passed_over"] {
  const rule = `publish ${pluralize(withheld, "more tool")}`;
  return withheld === 0 ? [] : [{ rule, why: "its filters leave them out", until: null }];
}
