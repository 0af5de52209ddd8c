// The data of the menu: the daemon's last report, and the menu's own running actions.
import type { SyncReport } from "../../api/contract/config.ts";
import type { OpenFileHolder, StatusReport, StepResult } from "../../api/contract/contract.ts";
import { actionText, type MenuAction } from "./action.ts";

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
  /** The result for each share, if the action was about shares. */
  readonly results: readonly StepResult[];
}

/** A share that could not be unmounted or switched, and the files that prevented it. */
export interface BusyShare {
  readonly action: MenuAction;
  readonly holders: readonly OpenFileHolder[];
}

export interface MenuWorld {
  readonly connection: MenuConnection;
  /** The last status, also while the daemon is silent; null: none yet, or no daemon. */
  readonly status: StatusReport | null;
  readonly sync: SyncState | null;
  readonly running: readonly MenuAction[];
  /** The outcome of the newest action, if it failed. */
  readonly failure: ActionOutcome | null;
  /** Actions refused because of open files, by share name, until they succeed or the share is unmounted. */
  readonly busy: ReadonlyMap<string, BusyShare>;
  /** Path of the log file, absolute; null: not known. */
  readonly logPath: string | null;
}

export const FIRST_WORLD: MenuWorld = {
  connection: { kind: "connecting" },
  status: null,
  sync: null,
  running: [],
  failure: null,
  busy: new Map(),
  logPath: null,
};

/** A running action is not started again: it would only queue behind itself. */
export function isRunning({ running }: Pick<MenuWorld, "running">, action: MenuAction): boolean {
  return running.some((each) => actionText(each) === actionText(action));
}
