// The result of adding or changing a backend: waits until it serves, or until it is known why not.
import type { BackendStatus } from "../../api/contract.ts";
import type { Ask } from "../../api/operations.ts";
import { isHeldBack } from "../../api/words/backend-words.ts";
import { WAITING_CODE } from "../../api/words/words.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { counted, harmless } from "../../runtime/text/plain-text.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import type { TerminalStyle } from "../views/terminal-style.ts";
import { paintFor } from "../views/terminal-style.ts";

const BETWEEN_LOOKS_MS = 200;
/** A change begins a new instance a moment after it is applied, so a settled state is looked at again. */
const SETTLED_LOOKS = 3;

/**
 * Its state when it has settled, or after `waitMs`; null: the daemon has no such backend. Rejects with `daemon_unreachable`
 * when none answers by then: one that hands over is away for a moment.
 */
export async function settledBackend(
  daemon: { readonly ask: Ask<"status"> },
  name: string,
  waitMs: number,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<BackendStatus | null> {
  const untilMs = clock.monotonicMs() + waitMs;
  let settledLooks = 0;
  for (;;) {
    const isLate = clock.monotonicMs() >= untilMs;
    try {
      const { backends = [] } = await daemon.ask("status", null, signal);
      const backend = backends.find((one) => one.name === name) ?? null;
      settledLooks = backend === null || isSettled(backend) ? settledLooks + 1 : 0;
      if (settledLooks >= SETTLED_LOOKS || isLate) return backend;
    } catch (error) {
      if (isLate || !(error instanceof MountaineerError) || error.code !== "daemon_unreachable") throw error;
      settledLooks = 0;
    }
    await clock.sleep(BETWEEN_LOOKS_MS, signal);
  }
}

/** Conditions that end an edit: the backend runs as before, or waits for a person. */
const ENDS: readonly string[] = ["change_failed", "secret_missing", WAITING_CODE];

/** Whether nothing more comes of its start by itself. */
export function isSettled({ enabled, phase, instances, draining, conditions }: BackendStatus): boolean {
  if (!enabled) return true;
  if (phase === "Failed" || conditions.some(({ code }) => ENDS.includes(code))) return true;
  return (phase === "Ready" || phase === "Degraded") && instances - (draining > 0 ? 1 : 0) <= 1;
}

/** Whether its state is the wanted one. */
export function isWell({ enabled, phase, conditions }: BackendStatus): boolean {
  if (!enabled) return true;
  return phase === "Ready" && conditions.every(({ code }) => code !== "change_failed");
}

/** One line, and what is wrong below it, each ending in a newline. */
export function renderOutcome(backend: BackendStatus, style: TerminalStyle): string {
  const paint = paintFor(style);
  const { symbols } = paint;
  const { name, enabled, phase, reason, tools, resources, prompts, conditions } = backend;
  const title = paint.bold(harmless(name));
  const troubles = conditions.flatMap(({ title: what, hint }) => [
    `  ${harmless(what)}\n`,
    ...(hint === null ? [] : [paint.dim(`    ${harmless(hint)}\n`)]),
  ]);
  if (isHeldBack(backend)) {
    return [
      `${paint.yellow(symbols.warning)} ${title}  stays disabled until it is approved\n`,
      ...troubles,
    ].join("");
  }
  if (!enabled) return `${paint.dim(symbols.skip)} ${title}  is disabled\n`;
  if (isWell(backend)) {
    const what = [counted(tools, "tool")];
    if (resources > 0) what.push(counted(resources, "resource"));
    if (prompts > 0) what.push(counted(prompts, "prompt"));
    if (tools + resources + prompts === 0 && troubles.length === 0) {
      troubles.push(
        paint.dim("    it lists nothing, or names that are another backend's: mountaineer status\n"),
      );
    }
    return [`${paint.green(symbols.good)} ${title}  is ready: ${what.join(", ")}\n`, ...troubles].join("");
  }
  const why = reason === null || troubles.length > 0 ? "" : `: ${harmless(reason)}`;
  const mark =
    phase === "Initializing" || phase === "Pending" ? paint.yellow(symbols.warning) : paint.red(symbols.bad);
  const state = phase === "Initializing" || phase === "Pending" ? "is still being started" : `is ${phase}`;
  return [`${mark} ${title}  ${state}${why}\n`, ...troubles].join("");
}
