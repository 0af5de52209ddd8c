// Owns a lost HTTP session: one renewal for all who notice, and an end to it when sessions do not last.

import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { LinkFailure } from "../links/backend-link.ts";

/** More renewals than that within a minute: the instance ends, and its restart backs off. */
const MOST_A_MINUTE = 5;

interface Renewal {
  /** Settles when it is over, however it went; null: none is. */
  readonly underWay: Promise<void> | null;
  begin(): void;
}

interface RenewalOptions {
  readonly backend: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Initializes anew; null: it went well. */
  readonly begin: () => Promise<LinkFailure | null>;
  readonly renewed: () => void;
  readonly failed: (failure: LinkFailure) => void;
}

export function createRenewal(options: RenewalOptions): Renewal {
  const { backend, clock, logger } = options;
  let underWay: Promise<void> | null = null;
  let recentMs: readonly number[] = [];
  const run = async (): Promise<void> => {
    const failure = await options.begin();
    underWay = null;
    if (failure !== null) return options.failed(failure);
    logger.info("a backend's session was renewed", { backend });
    options.renewed();
  };
  return {
    get underWay() {
      return underWay;
    },
    begin() {
      if (underWay !== null) return;
      const nowMs = clock.monotonicMs();
      recentMs = [...recentMs.filter((atMs) => nowMs - atMs < 60_000), nowMs];
      if (recentMs.length > MOST_A_MINUTE) {
        const message = `its session was lost ${recentMs.length} times within a minute`;
        return options.failed({ kind: "session_lost", message, hint: null });
      }
      underWay = run();
    },
  };
}
