// Owns the interface the management API is served over: what a running service (or the in-process engine) can do.
import type { StatusReport, StepResult, SwitchTarget, VerifyReport } from "./contract.ts";

/** Which shares a command means: null is all. Unknown names reject with `share_unknown`. */
export type ShareSelection = readonly string[] | null;

export interface DaemonControl {
  /** What is known now; never waits for a mount or a host. */
  status(): StatusReport;
  /** A fresh look at everything, no step taken. */
  verify(selection: ShareSelection, signal: AbortSignal): Promise<VerifyReport>;
  /** One cycle of each share, until it has nothing more to do at once. */
  reconcile(selection: ShareSelection, signal: AbortSignal): Promise<readonly StepResult[]>;
  mount(selection: ShareSelection, signal: AbortSignal): Promise<readonly StepResult[]>;
  unmount(selection: ShareSelection, options: { force: boolean }, signal: AbortSignal): Promise<readonly StepResult[]>;
  /** `wait`: until open files close, or the signal aborts. */
  switchRoute(
    selection: ShareSelection,
    options: { to: SwitchTarget; force: boolean; wait: boolean },
    signal: AbortSignal,
  ): Promise<readonly StepResult[]>;
}
