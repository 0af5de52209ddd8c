// The state behind a menu: what is known, which actions run, and when the menu is drawn again.
import { connectToDaemon } from "../../api/client/client.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { actionText, type MenuAction } from "./action.ts";
import { type FolderPlace, findItem, type Menu, type MenuItem } from "./menu.ts";
import { menuOf } from "./model.ts";
import { type ActionPorts, type RunnableAction, runAction } from "./run-action.ts";
import { startMenuSource } from "./source.ts";
import {
  type ActionOutcome,
  type BusyShare,
  FIRST_WORLD,
  type FolderList,
  folderKey,
  type MenuConnection,
  type MenuWorld,
} from "./world.ts";

/** Twenty redraws a second at most. */
const BETWEEN_REDRAWS_MS = 50;
/** For the folders of a share, ms. */
const LOOK_DEADLINE_MS = 8_000;

export type MenuSession = ReturnType<typeof startMenuSession>;

interface MenuSessionOptions extends ActionPorts {
  /** Whether `open` is called for submenus: their folders are shown then. */
  readonly reportsOpening: boolean;
  /** Absolute; null: not known. */
  readonly logPath: string | null;
  readonly signal: AbortSignal;
  /** Somebody wants the menu to go. */
  readonly onQuit: () => void;
  /** Hears what became of each action. */
  readonly onOutcome?: (outcome: ActionOutcome) => void;
}

export function startMenuSession(options: MenuSessionOptions) {
  const { clock, signal, home } = options;
  const listeners = new Set<(menu: Menu) => void>();
  let world: MenuWorld = {
    ...FIRST_WORLD,
    folders: options.reportsOpening ? new Map() : null,
    logPath: options.logPath,
  };
  let menu = menuOf(world);
  let isStale = false;
  const redraws = createRedraws(clock, () => {
    for (const listener of [...listeners]) listener(session.menu());
  });
  const change = (changes: Partial<MenuWorld>): void => {
    if (signal.aborted) return;
    world = { ...world, ...changes };
    isStale = true;
    redraws.ask();
  };
  const source = startMenuSource({
    home,
    clock,
    signal,
    onGlance: ({ connection, status, sync }) =>
      change({
        connection,
        status,
        sync,
        busy: stillBusy(world.busy, status),
        failure: failureUnder(connection, world),
      }),
  });
  const run = async (action: RunnableAction): Promise<void> => {
    change({ running: [...world.running, action] });
    const outcome = await runAction(action, options, signal);
    const text = actionText(action);
    change({
      running: world.running.filter((each) => actionText(each) !== text),
      failure: failureAfter(world.failure, outcome),
      busy: busyAfter(world.busy, outcome),
    });
    if (!signal.aborted) options.onOutcome?.(outcome);
    // Events report what a step changed; this is for what it did not.
    source.lookAgain();
  };
  const lookAhead = createFolderLooks(options, {
    shown: () => session.menu(),
    known: () => world.folders,
    onList: (key, list) => change({ folders: withFolders(world.folders, key, list) }),
  });
  const session = {
    /** What is shown now; never waits. */
    menu(): Menu {
      if (isStale) {
        isStale = false;
        menu = menuOf(world);
      }
      return menu;
    },
    /** Does what the item stands for, unless it is disabled or under way already; returns at once. */
    click(item: MenuItem): void {
      if (item.kind !== "action" && item.kind !== "toggle") return;
      if (item.enabled) session.act(item.action);
    },
    /** Does that, unless it is under way already; returns at once. */
    act(action: MenuAction): void {
      if (signal.aborted) return;
      if (action.kind === "quit") options.onQuit();
      else if (action.kind === "dismiss") change({ failure: null });
      else if (!world.running.some((each) => actionText(each) === actionText(action))) void run(action);
    },
    /** Somebody opens the menu, or a submenu: what it shows is looked at afresh. */
    open(item: MenuItem | null): void {
      if (item === null) source.lookAgain();
      else if (item.kind === "submenu" && world.folders !== null) void lookAhead(item);
    },
    /** Hears each new menu, at most twenty a second, the last one always. Returns its unregister. */
    onChange(listener: (menu: Menu) => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** Settles when the signal aborts, and what was under way has been let go. */
    ended: source.ended.finally(() => redraws.stop()),
  };
  return session;
}

type SubmenuItem = Extract<MenuItem, { kind: "submenu" }>;

function placeOf(item: MenuItem): FolderPlace[] {
  return item.kind === "submenu" && item.folders !== undefined ? [item.folders] : [];
}

interface FolderLooks {
  readonly shown: () => Menu;
  readonly known: () => MenuWorld["folders"];
  readonly onList: (key: string, list: FolderList) => void;
}

/** Looks into an opened submenu's folders, and into those of the next level. */
function createFolderLooks(
  options: MenuSessionOptions,
  { shown, known, onList }: FolderLooks,
): (opened: SubmenuItem) => Promise<void> {
  /** Folders under way, by their key: a panel may report twice that one is opened. */
  const asking = new Set<string>();
  /** How often something was opened. */
  let turns = 0;
  const look = async (place: FolderPlace): Promise<void> => {
    const key = folderKey(place);
    if (asking.has(key)) return;
    asking.add(key);
    const list = await listFolders(place, options, options.signal);
    asking.delete(key);
    onList(key, list);
  };
  // One level further than is shown: a menu that grows while it is open is drawn badly by some panels.
  return async ({ key, folders }) => {
    const turn = ++turns;
    if (folders !== undefined) await look(folders);
    const opened = findItem(shown().items, key);
    const places = opened?.kind === "submenu" ? opened.items.flatMap(placeOf) : [];
    const unknown = places.filter((place) => known()?.has(folderKey(place)) === false);
    // Opening something else waits for that.
    await eachOf(unknown, look, () => turn === turns);
  };
}

/** A share that hangs must not hold up the others' lists. */
const LOOKS_AT_ONCE = 4;

async function eachOf(
  places: FolderPlace[],
  look: (place: FolderPlace) => Promise<void>,
  isWanted: () => boolean,
): Promise<void> {
  const worker = async (): Promise<void> => {
    for (let next = places.shift(); next !== undefined && isWanted(); next = places.shift()) await look(next);
  };
  await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, worker));
}

/** Those that were opened last; a menu that is open for days must not keep all that was ever looked at. */
const FOLDERS_KEPT = 256;

function withFolders(
  folders: ReadonlyMap<string, FolderList> | null,
  key: string,
  list: FolderList,
): ReadonlyMap<string, FolderList> {
  const others = [...(folders ?? [])].filter(([each]) => each !== key);
  return new Map([...others.slice(1 - FOLDERS_KEPT), [key, list]]);
}

/** What is left of a failure once the daemon is heard again, or gone. */
function failureUnder(now: MenuConnection, { connection: before, failure }: MenuWorld): ActionOutcome | null {
  // Somebody has started it meanwhile.
  if (now.kind === "connected" && failure?.action.kind === "start") return null;
  // While the daemon was silent, the advice was to kill its process: it may be well now, or its pid another's.
  const isOver = before.kind === "silent" && now.kind !== "silent";
  return isOver && failure !== null ? { ...failure, hint: null } : failure;
}

/** A success takes back what was said of the same shares, or of the same action; the failure of another action stays. */
function failureAfter(failure: ActionOutcome | null, outcome: ActionOutcome): ActionOutcome | null {
  if (!outcome.ok) return outcome;
  return failure !== null && makesGood(outcome, failure) ? null : failure;
}

function makesGood(outcome: ActionOutcome, failure: ActionOutcome): boolean {
  const done = new Set(outcome.results.map(({ share }) => share));
  const failed = failure.results.filter(({ result }) => result === "busy" || result === "failed");
  if (failed.length > 0) return failed.every(({ share }) => done.has(share));
  if ("share" in failure.action && failure.action.share !== null && done.has(failure.action.share))
    return true;
  return failure.action.kind === outcome.action.kind;
}

function busyAfter(
  busy: ReadonlyMap<string, BusyShare>,
  { action, results }: ActionOutcome,
): ReadonlyMap<string, BusyShare> {
  const next = new Map(busy);
  for (const { share, result, holders, unsent } of results) {
    if (result === "busy") next.set(share, { action, holders, unsent });
    else if (result !== "failed" && result !== "skipped" && result !== "pending") next.delete(share);
  }
  return next;
}

/** A share that is not configured or not mounted any more is not busy. */
function stillBusy(
  busy: ReadonlyMap<string, BusyShare>,
  status: MenuWorld["status"],
): ReadonlyMap<string, BusyShare> {
  const mounted = new Set(
    status?.shares.filter(({ mount_state }) => mount_state !== "unmounted").map(({ name }) => name),
  );
  return new Map([...busy].filter(([share]) => mounted.has(share)));
}

/** The first change at once, the rest of a burst together at the end of each interval. */
function createRedraws(clock: Clock, redraw: () => void) {
  let timer: Timer | null = null;
  let asked = false;
  let isStopped = false;
  const draw = (): void => {
    asked = false;
    timer = clock.setTimer(BETWEEN_REDRAWS_MS, () => {
      timer = null;
      if (asked && !isStopped) draw();
    });
    redraw();
  };
  return {
    ask(): void {
      if (isStopped) return;
      asked = true;
      if (timer === null) draw();
    },
    stop(): void {
      isStopped = true;
      timer?.[Symbol.dispose]();
    },
  };
}

/** Never rejects: for a share that hangs it returns a list that failed. */
async function listFolders(
  place: FolderPlace,
  { home, clock }: { readonly home: string; readonly clock: Clock },
  signal: AbortSignal,
): Promise<FolderList> {
  const limit = new AbortController();
  const timer = clock.setTimer(LOOK_DEADLINE_MS, () => limit.abort());
  try {
    const daemon = await connectToDaemon(home, { clock });
    if (daemon === null) return { kind: "failed", reason: "Mountaineer is not running" };
    const report = await daemon.ask("folders", { ...place }, AbortSignal.any([signal, limit.signal]));
    return { kind: "known", names: report.folders };
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    return { kind: "failed", reason: limit.signal.aborted ? "The share does not answer" : errorText(error) };
  } finally {
    timer[Symbol.dispose]();
  }
}
