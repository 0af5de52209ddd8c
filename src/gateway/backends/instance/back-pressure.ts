// Owns what happens while a client does not read: its source waits where that holds up nobody else.
import type { CallPort } from "../../client-port.ts";

interface BackPressure {
  /**
   * What the link has to wait for before it reads on; null: nothing. `alone`: nobody else waits for the same source,
   * and will not while it is held (`release`).
   */
  hold(port: CallPort, alone: boolean): Promise<void> | null;
  /** Somebody else waits for the server now: it is read on. */
  release(): void;
}

export function createBackPressure(): BackPressure {
  const held = new Set<() => void>();
  return {
    hold(port, alone) {
      const { congested } = port;
      if (congested === null || !alone) return null;
      const { promise, resolve } = Promise.withResolvers<void>();
      const goOn = (): void => {
        held.delete(goOn);
        resolve();
      };
      held.add(goOn);
      congested.then(goOn, goOn);
      return promise;
    },
    release() {
      if (held.size > 0) for (const goOn of [...held]) goOn();
    },
  };
}
