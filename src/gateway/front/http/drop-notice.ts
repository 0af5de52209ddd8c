// Owns telling that connections were refused because there are too many: at once, and then once a minute at most.

import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { createThrottle } from "../../../runtime/time/throttle.ts";

const BETWEEN_WARNINGS_MS = 60_000;

interface DropNotice extends Disposable {
  /** One more was refused. */
  dropped(): void;
}

interface DropNoticeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly port: number;
  /** Connections at once. */
  readonly limit: number;
}

export function createDropNotice({ clock, logger, port, limit }: DropNoticeOptions): DropNotice {
  let count = 0;
  const notice = createThrottle(clock, BETWEEN_WARNINGS_MS, () => {
    logger.warn("connections were refused: too many are open", {
      count,
      limit,
      hint: `see who keeps them open (\`lsof -i :${port}\`), and end or mend that client`,
    });
    count = 0;
  });
  return {
    dropped() {
      count++;
      notice.due();
    },
    [Symbol.dispose]: () => notice[Symbol.dispose](),
  };
}
