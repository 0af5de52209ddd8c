// The way of a call to the instance that serves: at once, when one is ready, or refused.
import type { BackendConfig } from "../../../config/snapshot.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import type { ClientPort } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, isError, type Reply } from "../../json-rpc.ts";
import type { PoolCall } from "../policy/backend-pool-contract.ts";
import type { BackendDecision } from "../policy/decide-backend.ts";
import type { ClientInstances } from "./client-instances.ts";
import type { PoolInstance } from "./pool-instance.ts";
import type { PoolSubscriptions } from "./subscriptions.ts";
import type { WaitingCalls } from "./waiting-calls.ts";

interface LaneCallsParts {
  readonly waiting: WaitingCalls;
  readonly subscriptions: PoolSubscriptions;
  readonly config: () => BackendConfig;
  readonly configured: () => boolean;
  readonly stopped: () => string | null;
  readonly serving: () => PoolInstance | null;
  readonly decision: () => BackendDecision;
  readonly isPerClient: () => boolean;
  readonly isWanted: () => boolean;
  readonly own: ClientInstances;
  readonly unavailable: () => string;
  readonly source: () => CatalogSource | null;
}

export function createLaneCalls({
  waiting,
  subscriptions,
  config,
  configured,
  stopped,
  serving,
  decision,
  isPerClient,
  isWanted,
  own,
  unavailable,
  source,
}: LaneCallsParts) {
  /** What is no call on a ready instance: waits for one, or is refused. */
  const dispatch = (
    client: ClientPort | null,
    signal: AbortSignal,
    deadlineMs: number,
    run: (entry: PoolInstance, leftMs: number) => Promise<Reply>,
  ): Promise<Reply> => {
    const isRefused = stopped() !== null || !isWanted() || decision().calls.kind === "refuse";
    if (isRefused) return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, unavailable()));
    const again = (leftMs: number): Promise<Reply> => dispatch(client, signal, leftMs, run);
    const ownClient = isPerClient() ? client : null;
    if (ownClient !== null) {
      const ready = own.ready(ownClient);
      if (ready !== null) return run(ready, deadlineMs);
      const runUnlessShared = (entry: PoolInstance, leftMs: number): Promise<Reply> =>
        isWanted() && !isPerClient() ? again(leftMs) : run(entry, leftMs);
      if (serving() !== null) return own.call(ownClient, { run: runUnlessShared, deadlineMs, signal });
    } else {
      const shared = serving();
      if (shared?.isReady === true) return run(shared, deadlineMs);
    }
    return waiting.add({ run: again, deadlineMs, signal });
  };

  /** The instance that a client's requests go to now. */
  const instanceOf = (client: ClientPort): PoolInstance | null =>
    isPerClient() ? own.ready(client) : serving();

  const call = (call: PoolCall): Promise<Reply> => {
    const callMs = config().timeouts.callMs;
    const shared = serving();
    const isPlain = config().instances === "shared" && source() !== null && stopped() === null;
    if (shared?.isReady === true && isPlain) return shared.send(call, callMs);
    return dispatch(call.port?.client ?? null, call.signal, callMs, (entry, leftMs) => {
      // Of a backend that is wanted no more it goes on as it was accepted: the new catalog knows nothing of it.
      const renewed = (isWanted() ? call.renew?.() : null) ?? { params: call.params, answer: null };
      return renewed.answer ?? entry.send({ ...call, params: renewed.params }, leftMs);
    });
  };

  const subscribe = (uri: string, client: ClientPort): Promise<Reply> =>
    dispatch(client, client.ended, config().timeouts.callMs, async (entry) => {
      const reply = await entry.watch(entry.instance.subscribe(uri, client));
      if (isError(reply) || client.ended.aborted || !configured()) return reply;
      subscriptions.add(client, uri);
      const target = instanceOf(client);
      // It was replaced meanwhile; the new one does not know of it.
      if (target !== null && target !== entry) target.instance.adopt(new Map([[uri, new Set([client])]]));
      return reply;
    });

  const unsubscribe = (uri: string, client: ClientPort): Promise<Reply> => {
    subscriptions.delete(client, uri);
    const entry = instanceOf(client);
    // With nobody there it is not subscribed to, which is what was asked for.
    if (entry?.isReady !== true) return Promise.resolve({ result: {} });
    return entry.watch(entry.instance.unsubscribe(uri, client));
  };

  return { call, subscribe, unsubscribe };
}
