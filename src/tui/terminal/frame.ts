// The current screen, and the keys that work on every screen: to another screen, and to quit.
import type { Key } from "./key.ts";
import type { Screen } from "./screen.ts";
import { createStore } from "./store.ts";

export type Frame = ReturnType<typeof createFrame>;

/** Shows the first screen first. If leaving by `q` would lose something, the first `q` only warns. */
export function createFrame(screens: readonly [Screen, ...Screen[]]) {
  const shown = createStore<Screen>(screens[0]);
  let hasWarned = false;
  return {
    shown,
    /** True: a person wants to leave. */
    press(key: Key): boolean {
      if (key.kind === "named" && key.name === "quit") return true;
      const screen = shown.get();
      if (screen.onKey(key)) {
        hasWarned = false;
        return false;
      }
      if (key.kind !== "character") return false;
      if (key.text === "q") {
        if (hasWarned || !screen.warnUnsaved()) return true;
        hasWarned = true;
        return false;
      }
      shown.set(screens.find((other) => other.key === key.text) ?? screen);
      return false;
    },
  };
}
