// Owns the requests that the home's owner makes without a connection (`mountaineer call`): all are of one session.

import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import { OWNER } from "../client-port.ts";
import type { FrontGateway } from "../front/session/front-contract.ts";
import type { CallOutlet } from "../front/session/outlet.ts";
import { Session } from "../front/session/session.ts";
import { createSessionStore } from "../front/session/session-store.ts";
import { BACKEND_UNAVAILABLE, errorReply, INTERNAL_ERROR, type JsonObject, type Reply } from "../json-rpc.ts";
import { LATEST_VERSION } from "../protocol.ts";

const SESSION_ID = "owner";
const STOPPING = "the gateway is stopping";

interface OwnerCallsOptions {
  readonly gateway: FrontGateway;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface OwnerCalls {
  readonly inFlight: number;
  /** Never rejects. The signal takes this request back, and no other. */
  ask(method: string, params: JsonObject | undefined, signal: AbortSignal): Promise<Reply>;
  /** Takes no more, waits `graceMs` at most for what is in flight, and ends the session. */
  stop(graceMs: number): Promise<void>;
}

/** The session begins with the first request, and ends when it was idle as long as any may be. */
export function createOwnerCalls({ gateway, clock, logger }: OwnerCallsOptions): OwnerCalls {
  const store = createSessionStore(clock);
  const idle = Promise.withResolvers<void>();
  let stopping = false;
  let lastId = 0;

  const inFlight = (): number => {
    let count = 0;
    for (const session of store.sessions) count += session.inFlight;
    return count;
  };
  // The gateway is not told that it began: there is no stream on which it could hear of a change.
  const begin = (): Session => {
    const session = new Session({
      id: SESSION_ID,
      principal: OWNER,
      protocolVersion: LATEST_VERSION,
      capabilities: {},
      clientInfo: { name: "mountaineer" },
      gateway,
      logger,
      onSettled: () => {
        if (stopping && inFlight() === 0) idle.resolve();
      },
      onEnded: () => store.delete(session),
    });
    store.add(session);
    return session;
  };

  return {
    get inFlight() {
      return inFlight();
    },
    ask(method, params, signal) {
      if (stopping) return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, STOPPING));
      if (signal.aborted) return Promise.resolve(cancelled());
      const session = store.find(SESSION_ID) ?? begin();
      lastId += 1;
      const id = lastId;
      const { promise, resolve } = Promise.withResolvers<Reply>();
      const cancel = (): void => {
        const given = { requestId: id, reason: errorText(signal.reason) };
        session.hear({ jsonrpc: "2.0", method: "notifications/cancelled", params: given });
      };
      signal.addEventListener("abort", cancel);
      const outlet: CallOutlet = {
        congested: null,
        // There is nobody who could be told or asked anything meanwhile.
        send: () => false,
        answer(_id, reply) {
          signal.removeEventListener("abort", cancel);
          resolve(reply ?? cancelled());
        },
      };
      session.serve({ jsonrpc: "2.0", id, method, ...(params !== undefined && { params }) }, outlet);
      return promise;
    },
    async stop(graceMs) {
      stopping = true;
      if (inFlight() > 0 && graceMs > 0) await settledWithin(clock, graceMs, idle.promise);
      for (const session of store.sessions) session.end(STOPPING);
      store[Symbol.dispose]();
    },
  };
}

function cancelled(): Reply {
  return errorReply(INTERNAL_ERROR, "the request was cancelled");
}
