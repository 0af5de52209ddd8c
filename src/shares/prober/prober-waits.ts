// Waits for answers, with a deadline: a thousand waits that begin in one turn for the same time share one timer.
import type { Clock, Timer } from "../../runtime/time/clock.ts";

export type ProberWaits = ReturnType<typeof createProberWaits>;

interface Room {
  readonly waiting: Set<() => void>;
  readonly timer: Timer;
}

export function createProberWaits(clock: Clock) {
  const rooms = new Set<Room>();
  let open = new Map<number, Room>();
  let ended = false;

  const empty = (room: Room): void => {
    room.timer[Symbol.dispose]();
    rooms.delete(room);
    for (const resolve of [...room.waiting]) resolve();
  };
  const roomFor = (waitMs: number): Room => {
    const known = open.get(waitMs);
    // An emptied room has fired, or given up its timer.
    if (known !== undefined && rooms.has(known)) return known;
    // If this process was held up, answers may wait to be read, but timers run first.
    const late = (): void => void setImmediate(() => empty(room));
    const room: Room = { waiting: new Set(), timer: clock.setTimer(waitMs, late) };
    rooms.add(room);
    open.set(waitMs, room);
    return room;
  };

  return {
    /**
     * Resolves with the result of `read` when a waiter in `waiters` is called, after `waitMs`, or when everything ends.
     * One promise for each wait, because there are thousands in a cycle.
     */
    wait<T>(waiters: Set<() => void>, waitMs: number, read: () => T): Promise<T> {
      if (ended) return Promise.resolve(read());
      const room = roomFor(waitMs);
      return new Promise((resolve) => {
        const done = (): void => {
          waiters.delete(done);
          room.waiting.delete(done);
          if (room.waiting.size === 0 && rooms.has(room)) empty(room);
          resolve(read());
        };
        waiters.add(done);
        room.waiting.add(done);
      });
    },
    /** Waits begun from now on get timers of their own. */
    closeTurn(): void {
      open = new Map();
    },
    /** Resolves every wait; later ones resolve at once. */
    endAll(): void {
      ended = true;
      for (const room of [...rooms]) empty(room);
    },
  };
}
