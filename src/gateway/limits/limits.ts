// The limits in the chain of a request: whoever is over one gets an error that says which, and when to come back.
import type { GatewayRequest, Handle, Middleware } from "../middleware/middleware.ts";
import { OWN_ANSWERS } from "../middleware/own-answers.ts";
import type { KeptResults } from "./kept-results.ts";
import { withinSize } from "./large-results.ts";
import type { PrincipalLimiter } from "./principal-limits.ts";

/** Outlives any one chain: what was used and kept stays so over a reload. */
export interface LimitParts {
  readonly limiter: PrincipalLimiter;
  readonly kept: KeptResults;
}

export function createLimits({ limiter, kept }: LimitParts): Middleware {
  return (next: Handle) => (request: GatewayRequest) => {
    const counted = request.isCounted === true ? "already" : OWN_ANSWERS.has(request.method) ? "own" : "call";
    const admitted = limiter.admit(request.port.client.principal, counted);
    if ("error" in admitted) return Promise.resolve(admitted);
    const { account, limits } = admitted;
    return next(request).then(
      (reply) => {
        account.inFlight -= 1;
        return withinSize(request, reply, limits, kept);
      },
      (error: unknown) => {
        account.inFlight -= 1;
        throw error;
      },
    );
  };
}
