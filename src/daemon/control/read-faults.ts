// What the status reads may fail, and the daemon keeps running: the condition `internal_error` says so, and the log has the stack.
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { DAEMON_CONDITIONS, type DaemonCondition } from "../conditions/condition-rows.ts";

export function createReadFaults(logger: Logger) {
  const faults = new Map<string, string>();
  return {
    /** The result of `reading`, or `otherwise` if it throws. The first of several failures is logged. */
    read<Result>(what: string, reading: () => Result, otherwise: Result): Result {
      try {
        const result = reading();
        faults.delete(what);
        return result;
      } catch (error) {
        const reason = errorText(error);
        if (!faults.has(what)) {
          const stack = error instanceof Error ? error.stack : undefined;
          logger.error("internal error: a part of the status cannot be read", {
            what,
            stack: stack ?? reason,
          });
        }
        faults.set(what, reason);
        return otherwise;
      }
    },
    conditions: (): DaemonCondition[] =>
      [...faults].map(([what, reason]) => DAEMON_CONDITIONS.internal_error(what, reason)),
  };
}
