// What one run of a suite came to, and the reasons for what it did not reach.
import type { Check, ConformanceResult } from "../../test/mcp/run-conformance.ts";
import { reasonFor, type Situation } from "./reasons.ts";

export interface Missed {
  readonly scenario: string;
  readonly check: string;
  readonly message: string;
  /** False: an extension, or what the suite itself does not count. */
  readonly counts: boolean;
  /** Null: nobody knows yet. */
  readonly reason: string | null;
}

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** Scenarios that count, without a failed check, of how many. */
  readonly scenarios: readonly [passed: number, of: number];
  readonly missed: readonly Missed[];
}

export function outcomeOf(
  result: ConformanceResult,
  counted: ReadonlySet<string>,
  situation: Omit<Situation, "scenario" | "message">,
): Outcome {
  const all = [...result].flatMap(([scenario, checks]) => checks.map((check) => ({ scenario, ...check })));
  const count = (status: string): number => all.filter((check) => check.status === status).length;
  const ofThose = [...result].filter(([scenario]) => counted.has(scenario));
  return {
    passed: count("SUCCESS"),
    failed: count("FAILURE"),
    scenarios: [ofThose.filter(([, checks]) => !checks.some(isFailed)).length, ofThose.length],
    missed: all
      .filter((check) => isFailed(check) || check.status === "WARNING")
      .map(({ scenario, id, errorMessage = "", status }) => ({
        scenario,
        check: id,
        message: errorMessage,
        counts: status === "FAILURE" && counted.has(scenario),
        reason: reasonFor({ ...situation, scenario, message: errorMessage }),
      })),
  };
}

function isFailed({ status }: Pick<Check, "status">): boolean {
  return status === "FAILURE";
}
