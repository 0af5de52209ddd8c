// Owns whether the server is still there: pings, and any message as a sign of life.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { Asked } from "./pending.ts";

interface Health {
  readonly missedChecks: number;
  /** Monotonic ms; null: never. */
  readonly checkedAtMs: number | null;
  /** A ping waits for its answer. */
  readonly checking: boolean;
  /** A message came. */
  heard(): void;
  /** A request did not reach the server. Of those that were under way together the first counts alone. */
  missed(id: number, newestId: number): void;
  check(): void;
}

interface HealthOptions {
  readonly clock: Clock;
  readonly ping: () => Promise<Asked>;
  readonly onChanged: () => void;
}

export function createHealth({ clock, ping, onChanged }: HealthOptions): Health {
  let missedChecks = 0;
  let checkedAtMs: number | null = null;
  let checking = false;
  let messages = 0;
  let missedUpToId = 0;

  const run = async (): Promise<void> => {
    const messagesBefore = messages;
    const asked = await ping();
    checking = false;
    checkedAtMs = clock.monotonicMs();
    // An error is an answer, too, and so is that the session is gone; a busy server says other things meanwhile.
    const alive =
      asked.kind === "answered" || asked.failure.kind === "session_lost" || messages !== messagesBefore;
    missedChecks = alive ? 0 : missedChecks + 1;
    onChanged();
  };

  return {
    get missedChecks() {
      return missedChecks;
    },
    get checkedAtMs() {
      return checkedAtMs;
    },
    get checking() {
      return checking;
    },
    heard() {
      messages++;
      if (missedChecks === 0) return;
      missedChecks = 0;
      onChanged();
    },
    missed(id, newestId) {
      if (id <= missedUpToId) return;
      missedUpToId = newestId;
      missedChecks++;
      onChanged();
    },
    check() {
      if (checking) return;
      checking = true;
      void run();
    },
  };
}
