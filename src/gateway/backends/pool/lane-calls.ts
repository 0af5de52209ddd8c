// The way of a call to the instance that serves: at once when one is ready, after a wait, or refused.
import type { ClientPort } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, isError, type Reply } from "../../json-rpc.ts";
import type { PoolCall } from "../policy/backend-pool-contract.ts";
import type { ClientInstances } from "./client-instances.ts";
import type { Published } from "./lane-published.ts";
import type { LaneState } from "./lane-state.ts";
import type { PoolInstance } from "./pool-instance.ts";
import type { PoolSubscriptions } from "./subscriptions.ts";
import type { WaitingCalls } from "./waiting-calls.ts";

interface LaneCallsParts {
  readonly state: LaneState;
  readonly waiting: WaitingCalls;
  readonly subscriptions: PoolSubscriptions;
  readonly own: ClientInstances;
  readonly published: Published;
}

export class LaneCalls {
  readonly #parts: LaneCallsParts;

  constructor(parts: LaneCallsParts) {
    this.#parts = parts;
  }

  call(call: PoolCall): Promise<Reply> {
    const { state, published } = this.#parts;
    const { serving, config } = state;
    const { callMs } = config.timeouts;
    const isPlain = config.instances === "shared" && published.source !== null && state.stopped === null;
    if (serving?.isReady === true && isPlain) return serving.send(call, callMs);
    return this.#dispatch(call.port?.client ?? null, call.signal, callMs, (entry, leftMs) => {
      // Of a backend that is wanted no more it goes on as it was accepted: the new catalog knows nothing of it.
      const renewed = (state.isWanted ? call.renew?.() : null) ?? { params: call.params, answer: null };
      return renewed.answer ?? entry.send({ ...call, params: renewed.params }, leftMs);
    });
  }

  subscribe(uri: string, client: ClientPort): Promise<Reply> {
    const { state, subscriptions } = this.#parts;
    return this.#dispatch(client, client.ended, state.config.timeouts.callMs, async (entry) => {
      const reply = await entry.watch(entry.instance.subscribe(uri, client));
      if (isError(reply) || client.ended.aborted || !state.isConfigured) return reply;
      subscriptions.add(client, uri);
      const target = this.#instanceOf(client);
      // It was replaced meanwhile; the new one does not know of it.
      if (target !== null && target !== entry) target.instance.adopt(new Map([[uri, new Set([client])]]));
      return reply;
    });
  }

  async unsubscribe(uri: string, client: ClientPort): Promise<Reply> {
    this.#parts.subscriptions.delete(client, uri);
    const entry = this.#instanceOf(client);
    // With nobody there it is not subscribed to, which is what was asked for.
    if (entry?.isReady !== true) return { result: {} };
    return entry.watch(entry.instance.unsubscribe(uri, client));
  }

  /** A call that finds no ready instance waits for one, or is refused. */
  #dispatch(
    client: ClientPort | null,
    signal: AbortSignal,
    deadlineMs: number,
    run: (entry: PoolInstance, leftMs: number) => Promise<Reply>,
  ): Promise<Reply> {
    const { state, waiting, own } = this.#parts;
    if (state.stopped !== null || !state.isWanted || state.decision.calls.kind === "refuse") {
      return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, state.unavailable));
    }
    const again = (leftMs: number): Promise<Reply> => this.#dispatch(client, signal, leftMs, run);
    const ownClient = state.isPerClient ? client : null;
    if (ownClient !== null) {
      const ready = own.ready(ownClient);
      if (ready !== null) return run(ready, deadlineMs);
      const runUnlessShared = (entry: PoolInstance, leftMs: number): Promise<Reply> =>
        state.isWanted && !state.isPerClient ? again(leftMs) : run(entry, leftMs);
      if (state.serving !== null) return own.call(ownClient, { run: runUnlessShared, deadlineMs, signal });
    } else if (state.serving?.isReady === true) return run(state.serving, deadlineMs);
    return waiting.add({ run: again, deadlineMs, signal });
  }

  /** The instance that a client's requests go to now. */
  #instanceOf(client: ClientPort): PoolInstance | null {
    const { state, own } = this.#parts;
    return state.isPerClient ? own.ready(client) : state.serving;
  }
}
