// What the parts of the gateway work with, each of them.
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";

export interface GatewayTools {
  readonly clock: Clock;
  readonly logger: Logger;
}
