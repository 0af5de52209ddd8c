// The state behind a menu: the last report of the daemon, and the redraws.
import type { Clock } from "../../runtime/time/clock.ts";
import { createThrottle } from "../../runtime/time/throttle.ts";
import type { Menu } from "./menu.ts";
import { menuOf } from "./model.ts";
import { startMenuSource } from "./source.ts";
import { type ActionOutcome, FIRST_WORLD, type MenuWorld } from "./world.ts";

/** Least time between two redraws, ms. */
const BETWEEN_REDRAWS_MS = 50;

export type MenuSession = ReturnType<typeof startMenuSession>;

interface MenuSessionOptions {
  /** Absolute. */
  readonly home: string;
  readonly clock: Clock;
  /** Path of the log file, absolute; null: not known. */
  readonly logPath: string | null;
  readonly signal: AbortSignal;
}

export function startMenuSession({ home, clock, logPath, signal }: MenuSessionOptions) {
  const listeners = new Set<(menu: Menu) => void>();
  let world: MenuWorld = { ...FIRST_WORLD, logPath };
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
    ...{ home, clock, signal },
    onGlance: (glance) => {
      const isThere = glance.connection.kind === "connected";
      change({ ...glance, failure: isThere ? null : world.failure });
    },
  });
  const session = {
    menu(): Menu {
      if (isStale) {
        isStale = false;
        menu = menuOf(world);
      }
      return menu;
    },
    /** Shows why the daemon could not be started, until one runs. */
    showFailure: (failure: ActionOutcome): void => change({ failure }),
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
