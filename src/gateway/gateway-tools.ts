// Clock and logger, which most parts of the gateway take.
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";

export interface GatewayTools {
  readonly clock: Clock;
  readonly logger: Logger;
}
