// What a decision about a share is made from.
import type { ShareMemory } from "../../reconcile/state-store.ts";
import type { SharePolicy, ShareSpec } from "../share-spec.ts";
import type { ReconcileState } from "./reconcile-state.ts";
import type { ShareObservation } from "./share-observation.ts";
import type { ShareRequest } from "./share-request.ts";

export interface DecideInput {
  readonly spec: ShareSpec;
  readonly policy: SharePolicy;
  /** How long the mount's client may answer a readdir from its cache, ms. */
  readonly cacheMs: number;
  /** True: a mount that is made now moves to another route. Absent: it stays on its route. */
  readonly moves?: boolean;
  /** True if an unanswered check may mean that a dialog of the system waits for a person. Absent: false. */
  readonly mayWaitForPermission?: boolean;
  readonly observed: ShareObservation;
  /** This daemon runs programs on the share, which have to end before a remount. Absent: no. */
  readonly programsRun?: boolean;
  readonly memory: ShareMemory;
  readonly state: ReconcileState;
  readonly request: ShareRequest | null;
}
