// The state behind a menu: the last report of the daemon, the running actions, and the redraws.
import { createThrottle } from "../../runtime/time/throttle.ts";
import { actionText, type MenuAction } from "./action.ts";
import type { Menu, MenuItem } from "./menu.ts";
import { menuOf } from "./model.ts";
import { type ActionPorts, type RunnableAction, runAction } from "./run-action.ts";
import { startMenuSource } from "./source.ts";
import {
  type ActionOutcome,
  type BusyShare,
  FIRST_WORLD,
  isRunning,
  type MenuConnection,
  type MenuWorld,
} from "./world.ts";

/** Least time between two redraws, ms. */
const BETWEEN_REDRAWS_MS = 50;

export type MenuSession = ReturnType<typeof startMenuSession>;

interface MenuSessionOptions extends ActionPorts {
  /** Path of the log file, absolute; null: not known. */
  readonly logPath: string | null;
  readonly signal: AbortSignal;
  readonly onQuit: () => void;
  readonly onOutcome?: (outcome: ActionOutcome) => void;
}

export function startMenuSession(options: MenuSessionOptions) {
  const { clock, signal, home } = options;
  const listeners = new Set<(menu: Menu) => void>();
  let world: MenuWorld = { ...FIRST_WORLD, logPath: options.logPath };
  let menu = menuOf(world);
  let isStale = false;
  const redraws = createThrottle(clock, BETWEEN_REDRAWS_MS, () => {
    for (const listener of [...listeners]) listener(session.menu());
  });
  const change = (changes: Partial<MenuWorld>): void => {
    if (signal.aborted) return;
    world = { ...world, ...changes };
    isStale = true;
    redraws.due();
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
    // Reads the status again, because an action that has changed nothing causes no event.
    source.refresh();
  };
  const session = {
    menu(): Menu {
      if (isStale) {
        isStale = false;
        menu = menuOf(world);
      }
      return menu;
    },
    /** Does nothing for a disabled item, or while its action runs. */
    click(item: MenuItem): void {
      if (item.kind === "action" && item.enabled) session.act(item.action);
    },
    act(action: MenuAction): void {
      if (signal.aborted) return;
      if (action.kind === "quit") options.onQuit();
      else if (action.kind === "dismiss") change({ failure: null });
      else if (!isRunning(world, action)) void run(action);
    },
    /** Called when the menu is opened: reads the status again. */
    open: (): void => source.refresh(),
    /**
     * Calls `listener` with each new menu, at most twenty times a second, and always with the last menu.
     * Returns a function that unregisters it.
     */
    onChange(listener: (menu: Menu) => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** Resolves when the signal aborts; rejects if `source.ended` rejects. */
    ended: source.ended.finally(() => redraws[Symbol.dispose]()),
  };
  return session;
}

/** The failure to show after the connection has changed. */
function failureUnder(now: MenuConnection, { connection: before, failure }: MenuWorld): ActionOutcome | null {
  // Another program has started the daemon, so the failed start is over.
  if (now.kind === "connected" && failure?.action.kind === "start") return null;
  // Drops the hint to kill a silent process: it answers again, or its id may belong to another program.
  const isOver = before.kind === "silent" && now.kind !== "silent";
  return isOver && failure !== null ? { ...failure, hint: null } : failure;
}

/** A success removes an earlier failure of the same shares or of the same action. */
function failureAfter(failure: ActionOutcome | null, outcome: ActionOutcome): ActionOutcome | null {
  if (!outcome.ok) return outcome;
  return failure !== null && makesGood(outcome, failure) ? null : failure;
}

function makesGood(outcome: ActionOutcome, failure: ActionOutcome): boolean {
  const done = new Set(outcome.results.map(({ share }) => share));
  const failed = failure.results.filter(({ result }) => result === "busy" || result === "failed");
  if (failed.length > 0) return failed.every(({ share }) => done.has(share));
  if (failure.action.kind !== "do") return failure.action.kind === outcome.action.kind;
  const [verb, name] = failure.action.id;
  if (name !== undefined && done.has(name)) return true;
  return outcome.action.kind === "do" && outcome.action.id[0] === verb;
}

function busyAfter(
  busy: ReadonlyMap<string, BusyShare>,
  { action, results }: ActionOutcome,
): ReadonlyMap<string, BusyShare> {
  const next = new Map(busy);
  for (const { share, result, holders } of results) {
    if (result === "busy") next.set(share, { action, holders });
    else if (result !== "failed" && result !== "skipped" && result !== "pending") next.delete(share);
  }
  return next;
}

/** The busy shares that are still configured and mounted. */
function stillBusy(
  busy: ReadonlyMap<string, BusyShare>,
  status: MenuWorld["status"],
): ReadonlyMap<string, BusyShare> {
  const mounted = new Set(
    status?.shares.filter(({ mount_state }) => mount_state !== "unmounted").map(({ name }) => name),
  );
  return new Map([...busy].filter(([share]) => mounted.has(share)));
}
