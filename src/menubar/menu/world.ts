// The data that the menu is drawn from: the daemon's last report, and the menu's own running actions.
import type { OpenFileHolder, StatusReport, StepResult, SyncReport } from "../../api/contract.ts";
import { actionText, type MenuAction } from "./action.ts";
import type { FolderPlace } from "./menu.ts";

export type SyncState = Omit<SyncReport, "events">;

export type MenuConnection =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected" }
  /** The daemon exists but does not answer. */
  | { readonly kind: "silent"; readonly reason: string }
  | { readonly kind: "absent"; readonly reason: string };

/** What became of an action. */
export interface ActionOutcome {
  readonly action: MenuAction;
  readonly ok: boolean;
  /** One line for people. */
  readonly text: string;
  readonly hint: string | null;
  /** Of each share, where shares were asked for. */
  readonly results: readonly StepResult[];
}

/** A share that did not let go, and why. */
export interface BusyShare {
  readonly action: MenuAction;
  readonly holders: readonly OpenFileHolder[];
  readonly unsent: readonly string[];
}

/** What is in a folder of a share, as far as it is known. */
export type FolderList =
  | { readonly kind: "asked" }
  | { readonly kind: "known"; readonly names: readonly string[] }
  | { readonly kind: "failed"; readonly reason: string };

/** A folder of a share, as a key. */
export function folderKey({ share, subpath }: FolderPlace): string {
  return `${share}\0${subpath}`;
}

export interface MenuWorld {
  readonly connection: MenuConnection;
  /** The last status received; the daemon may be silent now. Null: none yet, or no daemon. */
  readonly status: StatusReport | null;
  readonly sync: SyncState | null;
  /** Actions under way. */
  readonly running: readonly MenuAction[];
  /** The outcome of the newest action, if it failed. */
  readonly failure: ActionOutcome | null;
  /** By the share's name: what was refused because of open files, until it is done or the share is free. */
  readonly busy: ReadonlyMap<string, BusyShare>;
  /** By `folderKey`; null: this menu does not report when one is opened, so nothing is looked at. */
  readonly folders: ReadonlyMap<string, FolderList> | null;
  /** Where the log file is, absolute; null: not known. */
  readonly logPath: string | null;
}

export const FIRST_WORLD: MenuWorld = {
  connection: { kind: "connecting" },
  status: null,
  sync: null,
  running: [],
  failure: null,
  busy: new Map(),
  folders: null,
  logPath: null,
};

/** Asking again for what is under way would only queue behind it. */
export function isRunning({ running }: Pick<MenuWorld, "running">, action: MenuAction): boolean {
  return running.some((each) => actionText(each) === actionText(action));
}

export function canAct({ connection }: MenuWorld): boolean {
  return connection.kind !== "absent";
}
