// Finds who answers a command about aliases and folders: the running daemon, or the engine in this process.
import type { RemoteControl } from "../../api/client/client.ts";
import type { PlaceControl } from "../../api/control.ts";
import type { CommandContext } from "../input/command.ts";
import { type Ask, onceOpened, withDaemonOr } from "./control-session.ts";

export interface AskedPlaces {
  readonly places: PlaceControl;
  readonly control: RemoteControl;
}

/** Runs `use` with who answers for this home. Rejects as `withControl` does. */
export function withPlaces<T>(
  context: CommandContext,
  ask: Ask,
  use: (asked: AskedPlaces) => Promise<T>,
): Promise<T> {
  return withDaemonOr(
    context,
    ask.intent,
    (daemon) => use({ places: daemon.places, control: daemon }),
    async () => {
      const { openEngine } = await import("../in-process/open.ts");
      const { home, configPath, signal } = context;
      const opening = openEngine({ home, configPath, signal, ...ask, looksFirst: false });
      return onceOpened(opening, (engine) => use({ places: engine.places, control: engine }));
    },
  );
}
