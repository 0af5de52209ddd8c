// What the status reads may fail, and the daemon keeps running: the condition `internal_error` says so, and the log has the stack.
import type { Condition } from "../../api/contract/contract.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, isoTime } from "../../runtime/time/clock.ts";

interface Fault {
  readonly since: string;
  readonly reason: string;
}

export function createReadFaults({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
  const faults = new Map<string, Fault>();
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
        faults.set(what, { since: faults.get(what)?.since ?? isoTime(clock.wallMs()), reason });
        return otherwise;
      }
    },
    conditions: (): Condition[] =>
      [...faults].map(([what, { since, reason }]) => ({
        code: "internal_error",
        severity: "error",
        title: `The status of ${what} cannot be read: ${reason}`,
        hint: "This is a fault in Mountaineer. The log has its stack: mountaineer logs. Report it, and then: mountaineer restart",
        since,
      })),
  };
}
