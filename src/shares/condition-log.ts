// Tells in the log what keeps a share from working, when it begins and when it is over.
import type { Logger } from "../runtime/log.ts";
import type { StandingCondition } from "./decide.ts";

export interface ConditionLog {
  /** What stands now; only what has changed since the last call is told. */
  note(share: string, conditions: readonly StandingCondition[]): void;
  forget(share: string): void;
}

export function createConditionLog(logger: Logger): ConditionLog {
  /** By share and code: its title. */
  const told = new Map<string, ReadonlyMap<string, string>>();
  return {
    note(share, conditions) {
      const before = told.get(share) ?? new Map<string, string>();
      const errors = conditions.filter(({ severity }) => severity === "error");
      const now = new Map(errors.map(({ code, title }) => [code, title]));
      told.set(share, now);
      for (const { code, title, hint } of errors) {
        if (before.has(code)) continue;
        logger.error("share.condition", { share, code, reason: title, ...(hint === null ? {} : { hint }) });
      }
      for (const [code, title] of before)
        if (!now.has(code)) logger.info("share.condition_over", { share, code, reason: title });
    },
    forget(share) {
      told.delete(share);
    },
  };
}
