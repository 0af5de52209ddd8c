// The requests that a person can make of one share, and their outcomes.
import type { OpenFile } from "../prober/prober.ts";
import type { RouteName } from "../share-spec.ts";

export type ShareRequest = (
  | { readonly kind: "mount" | "wake" }
  | {
      readonly kind: "unmount";
      readonly force: boolean;
      /** Whether it stays unmounted until a person says otherwise. */
      readonly hold: boolean;
    }
  | {
      readonly kind: "switch";
      readonly to: RouteName | "auto";
      readonly force: boolean;
      /** Until open files close. */
      readonly wait: boolean;
    }
) & {
  /** Until when to wait for unsent writes (or, with `wait`, for open files), monotonic ms. */
  readonly waitUntilMs: number;
};

export interface RequestOutcome {
  readonly result: "mounted" | "unmounted" | "switched" | "skipped" | "busy" | "pending" | "failed";
  readonly detail: string;
  readonly hint: string | null;
  readonly holders: readonly OpenFile[];
  readonly unsent: readonly string[];
}

export function outcome(
  result: RequestOutcome["result"],
  detail: string,
  more: Partial<Omit<RequestOutcome, "result" | "detail">> = {},
): RequestOutcome {
  return { result, detail, hint: null, holders: [], unsent: [], ...more };
}
