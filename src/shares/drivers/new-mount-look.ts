// Looks at a mount that a step has just made, for as long as the step goes on.
import type { Look, Prober } from "../prober.ts";
import type { FoundMount } from "./mount-driver.ts";

/** null: the step was cancelled. `waitMs` below 0 counts as 0. */
export function lookAtNewMount(
  prober: Prober,
  { id, path }: Pick<FoundMount, "id" | "path">,
  waitMs: number,
  signal: AbortSignal,
): Promise<Look | null> {
  return Promise.race([prober.look(id, path, Math.max(0, waitMs)), aborted(signal)]);
}

function aborted(signal: AbortSignal): Promise<null> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener("abort", () => resolve(null), { once: true });
  });
}
