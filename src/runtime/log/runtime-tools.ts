// The clock and the log, which most parts of the daemon take.
import type { Clock } from "../time/clock.ts";
import type { Logger } from "./log.ts";

export interface RuntimeTools {
  readonly clock: Clock;
  readonly logger: Logger;
}
