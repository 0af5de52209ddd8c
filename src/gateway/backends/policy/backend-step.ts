// The rules, the steps and the events of a decision about one backend.
import type { Draining } from "./draining.ts";
import type { RouteChange } from "./route-memory.ts";

export type BackendEvent =
  | { readonly kind: "ended"; readonly reason: string; readonly retryInMs: number | null }
  | { readonly kind: "promoted"; readonly id: number }
  /** This instance drains, because another one serves. */
  | { readonly kind: "replaced"; readonly id: number }
  | { readonly kind: "change_failed"; readonly reason: string }
  | {
      readonly kind: RouteChange;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  /** A better route is ready, but the switch has to wait. */
  | { readonly kind: "route_ready"; readonly route: string; readonly reason: string }
  | { readonly kind: "route_ready_cleared"; readonly route: string; readonly reason: string }
  /** A person asked to switch the route. */
  | { readonly kind: "asked_done"; readonly route: string; readonly changed: boolean }
  | { readonly kind: "asked_failed"; readonly route: string; readonly reason: string };

export type BackendStep =
  | { readonly kind: "start"; readonly id: number; readonly key: string }
  /** `drained` is null if the instance never served, or exited unasked. */
  | {
      readonly kind: "close";
      readonly id: number;
      readonly drained: Pick<Draining, "why" | "sinceMs"> | null;
    }
  | { readonly kind: "check"; readonly id: number }
  | { readonly kind: "refresh"; readonly id: number };

/** The rules that may take a step or change what runs, by the names that people see. */
export type RuleName =
  | "end the old instance"
  | "check that it answers"
  | "read its lists again"
  | "start"
  | "use a better route"
  | "sleep"
  | "hide its tools"
  | "stop without its data"
  | "refuse calls";
