// Waits until an added or changed backend serves, or has failed, and describes the outcome.
import type { BackendStatus } from "../../api/contract/contract.ts";
import { isAwaitingApproval } from "../../api/labels/backend-labels.ts";
import { WAITING_CODE } from "../../api/labels/label.ts";
import type { CallOperation } from "../../api/operations/operations.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Paint } from "../../runtime/text/paint.ts";
import { pluralize, printable } from "../../runtime/text/plain-text.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import { doneLine, warningLine } from "../input/options.ts";

const BETWEEN_POLLS_MS = 200;
/**
 * The backend counts as settled after this many checks in a row. A single check may see the old state, because
 * the new instance starts a moment after the change is applied.
 */
const OUTCOME_POLLS = 3;

/**
 * The backend's state when settled, or after `waitMs`; null if the daemon has no such backend. Rejects with
 * `daemon_unreachable` if no daemon answers by then: during a handover, none answers for a moment.
 */
export async function waitForBackend(
  daemon: { readonly call: CallOperation<"status"> },
  name: string,
  waitMs: number,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<BackendStatus | null> {
  const untilMs = clock.monotonicMs() + waitMs;
  let readyPolls = 0;
  for (;;) {
    const isLate = clock.monotonicMs() >= untilMs;
    try {
      const { backends = [] } = await daemon.call("status", null, signal);
      const backend = backends.find((one) => one.name === name) ?? null;
      readyPolls = backend === null || hasOutcome(backend) ? readyPolls + 1 : 0;
      if (readyPolls >= OUTCOME_POLLS || isLate) return backend;
    } catch (error) {
      if (isLate || !(error instanceof MountaineerError) || error.code !== "daemon_unreachable") throw error;
      readyPolls = 0;
    }
    await clock.sleep(BETWEEN_POLLS_MS, signal);
  }
}

/** Conditions that end the wait: nothing more happens automatically. */
const ENDS: readonly string[] = ["change_failed", "secret_missing", WAITING_CODE];

/** True if only a person or a new event can change the backend. */
export function hasOutcome({ enabled, phase, instances, draining, conditions }: BackendStatus): boolean {
  if (!enabled) return true;
  if (phase === "Failed" || conditions.some(({ code }) => ENDS.includes(code))) return true;
  if (phase === "Asleep") return true;
  return (phase === "Ready" || phase === "Degraded") && instances - (draining > 0 ? 1 : 0) <= 1;
}

/** True if the backend serves as changed, or is disabled. */
export function servesAsChanged({ enabled, phase, conditions }: BackendStatus): boolean {
  if (!enabled) return true;
  return (
    (phase === "Ready" || phase === "Asleep") && conditions.every(({ code }) => code !== "change_failed")
  );
}

export function isStarting({ phase }: BackendStatus): boolean {
  return phase === "Initializing" || phase === "Pending";
}

export function outcomeLines(backend: BackendStatus, paint: Paint): string[] {
  const { symbols } = paint;
  const { name, enabled, phase, reason, tools, resources, prompts, conditions } = backend;
  const title = paint.bold(printable(name));
  const troubles = conditions.flatMap(({ title: what, hint }) => [
    `  ${printable(what)}`,
    ...(hint === null ? [] : [paint.dim(`    ${printable(hint)}`)]),
  ]);
  if (isAwaitingApproval(backend))
    return [warningLine(paint, `${title}  stays disabled until it is approved`), ...troubles];
  if (!enabled) return [`${paint.dim(symbols.skip)} ${title}  is disabled`];
  if (servesAsChanged(backend)) {
    const what = [pluralize(tools, "tool")];
    if (resources > 0) what.push(pluralize(resources, "resource"));
    if (prompts > 0) what.push(pluralize(prompts, "prompt"));
    if (tools + resources + prompts === 0 && troubles.length === 0) {
      troubles.push(
        paint.dim("    it lists nothing, or names that are another server's: mountaineer status"),
      );
    }
    return [doneLine(paint, `${title}  is ready: ${what.join(", ")}`), ...troubles];
  }
  const why = reason === null || troubles.length > 0 ? "" : `: ${printable(reason)}`;
  const head = isStarting(backend)
    ? warningLine(paint, `${title}  is still being started${why}`)
    : `${paint.red(symbols.bad)} ${title}  is ${phase}${why}`;
  return [head, ...troubles];
}
