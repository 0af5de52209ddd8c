// Logs what keeps a share from working, when it begins and when it is over.
import type { Logger } from "../../runtime/log/log.ts";
import type { StandingCondition } from "../policy/decide.ts";

export function createConditionLog(logger: Logger) {
  const logged = new Map<string, ReadonlyMap<string, StandingCondition>>();
  return {
    /** What stands now; only what has changed since the last call is logged. */
    note(share: string, conditions: readonly StandingCondition[]): void {
      const before = logged.get(share) ?? new Map<string, StandingCondition>();
      const errors = conditions.filter(({ severity }) => severity === "error");
      const now = new Map(errors.map((condition) => [aboutOf(condition), condition]));
      logged.set(share, now);
      for (const [about, { code, title }] of before)
        if (!now.has(about)) logger.info("share.condition_over", { share, code, reason: title });
      for (const [about, { code, title, hint }] of now) {
        if (before.has(about)) continue;
        logger.error("share.condition", { share, code, reason: title, ...(hint === null ? {} : { hint }) });
      }
    },
    forget(share: string): void {
      logged.delete(share);
    },
  };
}

/** A title with a counter counts as the same while only its numbers change. */
function aboutOf({ code, title }: StandingCondition): string {
  return `${code} ${title.replaceAll(/\d+/g, "#")}`;
}
