// Looks at a mount that a step has just made, for as long as the step goes on.
import { whenAborted } from "../../runtime/abort.ts";
import type { Look, Prober } from "../prober/prober.ts";
import type { FoundMount } from "./mount-driver.ts";

/** null: the step was cancelled. `waitMs` below 0 counts as 0. */
export function lookAtNewMount(
  prober: Prober,
  { id, path }: Pick<FoundMount, "id" | "path">,
  waitMs: number,
  signal: AbortSignal,
): Promise<Look | null> {
  return Promise.race([prober.look(id, path, Math.max(0, waitMs)), whenAborted(signal).then(() => null)]);
}
