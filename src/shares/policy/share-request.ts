// The requests that a person can make of one share, and their outcomes.
import type { OpenFile } from "../prober/prober.ts";
import type { RouteName } from "../share-spec.ts";

export type ShareRequest = (
  | { readonly kind: "wake" }
  | {
      readonly kind: "mount";
      /** Whether to let in another server than the recorded one: a person has a new NAS. */
      readonly newServer?: boolean;
    }
  | {
      readonly kind: "unmount";
      readonly force: boolean;
      /** Whether the share stays unmounted until a person asks for a mount. */
      readonly keepUnmounted: boolean;
    }
  | {
      readonly kind: "switch";
      readonly to: RouteName | "auto";
      readonly force: boolean;
      /** Whether to wait until open files are closed. */
      readonly wait: boolean;
    }
) & {
  /** When to stop waiting, monotonic ms: for a check, or, with `wait`, until open files are closed. */
  readonly waitUntilMs: number;
};

export interface RequestOutcome {
  readonly result: "mounted" | "unmounted" | "switched" | "skipped" | "busy" | "pending" | "failed";
  readonly detail: string;
  readonly hint: string | null;
  readonly holders: readonly OpenFile[];
}

export function outcome(
  result: RequestOutcome["result"],
  detail: string,
  more: Partial<Omit<RequestOutcome, "result" | "detail">> = {},
): RequestOutcome {
  return { result, detail, hint: null, holders: [], ...more };
}
