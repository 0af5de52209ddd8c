// The data of the menu: the daemon's last report.
import type { SyncReport } from "../../api/contract/config.ts";
import type { StatusReport } from "../../api/contract/contract.ts";
import type { MenuAction } from "./action.ts";

export type SyncState = Omit<SyncReport, "events">;

export type MenuConnection =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected" }
  /** The daemon exists but does not answer. */
  | { readonly kind: "silent"; readonly reason: string }
  | { readonly kind: "absent"; readonly reason: string };

export interface ActionOutcome {
  readonly action: MenuAction;
  readonly ok: boolean;
  /** One line for people. */
  readonly text: string;
  readonly hint: string | null;
}

export interface MenuWorld {
  readonly connection: MenuConnection;
  /** The last status, also while the daemon is silent; null: none yet, or no daemon. */
  readonly status: StatusReport | null;
  readonly sync: SyncState | null;
  /** Why the menu could not start the daemon; null: it did not try, or a daemon runs. */
  readonly failure: ActionOutcome | null;
  /** Path of the log file, absolute; null: not known. */
  readonly logPath: string | null;
}

export const FIRST_WORLD: MenuWorld = {
  connection: { kind: "connecting" },
  status: null,
  sync: null,
  failure: null,
  logPath: null,
};
