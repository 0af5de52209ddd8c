// Owns at which address the gateway listens: a busy port at the start is tried again, a new address is bound before the
// old one is given up.
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Backoff, backOff, NO_BACKOFF } from "../../reconcile/route-health.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { BackendCondition } from "../backends/policy/backend-pool-contract.ts";
import { type Listener, openListener, rebind } from "../front/http/listener.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import type { PreparedGateway } from "./gateway-contract.ts";

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

interface ListenerKeeperOptions {
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly announce: (transition: GatewayTransition) => void;
  /** How long what came through an old address may go on, ms. */
  readonly drainMs: () => number;
}

export interface ListenerKeeper {
  /** Null while it does not listen. */
  readonly url: string | null;
  /** As wanted; loopback while nothing is. */
  readonly host: string;
  /** Why it does not listen although it should. */
  readonly condition: BackendCondition | null;
  /** Listens, or tries again with backoff; resolves after the first try, whatever came of it. */
  open(address: ListenAddress): Promise<void>;
  /** Null: listen no more. Rejects with `listen_failed`, and all is as before. */
  prepare(address: ListenAddress | null): Promise<PreparedGateway>;
  /** Ends what was cut off in `graceMs`. */
  close(graceMs: number): Promise<void>;
}

const NOTHING: PreparedGateway = { commit() {}, retire: async () => {}, rollback: async () => {} };

export function createListenerKeeper(options: ListenerKeeperOptions): ListenerKeeper {
  const { handler, clock, logger, announce, drainMs } = options;
  let wanted: ListenAddress | null = null;
  let current: Listener | null = null;
  let condition: BackendCondition | null = null;
  let backoff: Backoff = NO_BACKOFF;
  let retry: Timer | null = null;
  let closed = false;
  const old = new Set<Listener>();

  const listenerOptions = ({ host, port }: ListenAddress) => ({ host, port, handler, clock, logger });

  const settle = (listener: Listener | null): void => {
    retry?.[Symbol.dispose]();
    retry = null;
    condition = null;
    backoff = NO_BACKOFF;
    if (current !== null && listener !== current) {
      announce({ name: "gateway.stopped_listening", url: current.url });
    }
    current = listener;
    if (listener !== null) announce({ name: "gateway.listening", url: listener.url });
  };

  const attempt = async (address: ListenAddress): Promise<void> => {
    try {
      const listener = await openListener(listenerOptions(address));
      // Another address may be wanted by now, or none.
      if (closed || wanted !== address) await listener.close(0);
      else settle(listener);
    } catch (error) {
      if (closed || wanted !== address) return;
      const reason = errorText(error);
      if (condition === null) {
        announce({ name: "gateway.listen_failed", address: `${address.host}:${address.port}`, reason });
      }
      condition = {
        code: "listen_failed",
        severity: "error",
        title: reason,
        hint: error instanceof MountaineerError ? error.hint : null,
        sinceMs: condition?.sinceMs ?? clock.wallMs(),
      };
      backoff = backOff(backoff, clock.monotonicMs());
      retry = clock.setTimer(backoff.notBeforeMs - clock.monotonicMs(), () => void attempt(address));
    }
  };

  const retireOld = async (listener: Listener | null): Promise<void> => {
    if (listener === null) return;
    old.add(listener);
    await listener.drain(drainMs());
    old.delete(listener);
  };

  return {
    get url() {
      return current?.url ?? null;
    },
    get host() {
      return wanted?.host ?? "127.0.0.1";
    },
    get condition() {
      return condition;
    },
    async open(address) {
      wanted = address;
      await attempt(address);
    },
    async prepare(address) {
      if (address?.host === wanted?.host && address?.port === wanted?.port) return NOTHING;
      // Known at commit: until then the old address, which was busy, may have been got after all.
      let replaced: Listener | null = null;
      const replaceBy = (listener: Listener | null): void => {
        wanted = address;
        replaced = current;
        replaced?.stopListening();
        settle(listener);
      };
      const retire = (): Promise<void> => retireOld(replaced);
      if (address === null) return { commit: () => replaceBy(null), retire, rollback: NOTHING.rollback };
      // What comes to the new address already is served by the rules that come with it, never by the old ones.
      const held = holdRequests(handler);
      const options = { ...listenerOptions(address), handler: held.handler };
      const rebinding = current === null ? await openAlone(options) : await rebind(current, options);
      return {
        commit() {
          replaceBy(rebinding.listener);
          held.release();
        },
        retire,
        rollback: () => rebinding.rollback(),
      };
    },
    async close(graceMs) {
      closed = true;
      retry?.[Symbol.dispose]();
      await Promise.all([current, ...old].map((listener) => listener?.close(graceMs)));
    },
  };
}

/** Requests wait for `release`; those of a listener that is closed meanwhile are never begun. */
function holdRequests(handler: ListenerKeeperOptions["handler"]) {
  const released = Promise.withResolvers<void>();
  let isReleased = false;
  return {
    handler(request: IncomingMessage, response: ServerResponse): void {
      if (isReleased) handler(request, response);
      else void released.promise.then(() => handler(request, response));
    },
    release(): void {
      isReleased = true;
      released.resolve();
    },
  };
}

async function openAlone(options: Parameters<typeof openListener>[0]) {
  const listener = await openListener(options);
  return { listener, rollback: () => listener.close(0) };
}
