// The instances of one backend that all clients share: how they start and end, and what they logged.
import { BACKEND_UNAVAILABLE } from "../../json-rpc.ts";
import type { BackendStep } from "../policy/backend-decision-builder.ts";
import { drainMessage } from "../policy/draining.ts";
import type { Published } from "./lane-published.ts";
import type { LaneState } from "./lane-state.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";

export class SharedInstances {
  readonly instances = new Map<number, PoolInstance>();
  readonly #state: LaneState;
  readonly #published: Published;
  #lastLog: readonly string[] = [];
  #failedLog: readonly string[] = [];

  constructor(state: LaneState, published: Published) {
    this.#state = state;
    this.#published = published;
  }

  start(base: InstanceBase): void {
    const state = this.#state;
    const entry = state.startInstance(base, null, {
      onChange: () => state.trigger("instance"),
      onListings: (changed) => this.#published.relist(changed),
      onSettled: (settled) => {
        const isAwaited =
          state.decision.memory.routes.pending !== null && settled.instance.seen.inFlight === 0;
        if (settled !== state.serving || isAwaited) state.trigger("drain");
        if (state.stopped !== null) state.changed();
      },
      onDoubt: (doubtful) => {
        if (doubtful === state.serving) state.askCheck();
      },
    });
    this.instances.set(entry.id, entry);
  }

  async end(entry: PoolInstance, drained: Extract<BackendStep, { kind: "close" }>["drained"]): Promise<void> {
    const { name, tools } = this.#state;
    const { instance } = entry;
    const { seen } = instance;
    const cut = drained?.isLate === true ? seen.inFlight : 0;
    const message =
      drained === null
        ? `backend ${name}: this instance has ended`
        : drainMessage(name, drained.why, tools.drainTimeoutMs());
    if (seen.state.kind === "ended" && !seen.state.wasReady) this.#failedLog = [...instance.logLines];
    await entry.close({ code: BACKEND_UNAVAILABLE, message });
    this.#lastLog = [...instance.logLines];
    this.instances.delete(entry.id);
    if (drained !== null) {
      const took_ms = Math.round(tools.clock.monotonicMs() - drained.sinceMs);
      tools.announce({ name: "backend.drained", backend: name, took_ms, cut });
    }
    this.#state.trigger("drain");
  }

  /** Ends every instance: calls in flight get the error. */
  async close(message: string): Promise<void> {
    const all = [...this.instances.values()];
    await Promise.all(all.map((entry) => entry.close({ code: BACKEND_UNAVAILABLE, message })));
    this.instances.clear();
  }

  logLines(): readonly string[] {
    const { serving, decision } = this.#state;
    const newest = serving ?? [...this.instances.values()].at(-1) ?? null;
    const lines = newest?.instance.logLines ?? this.#lastLog;
    const isChangeFailed = serving !== null && decision.memory.changeFailure !== null;
    if (!isChangeFailed || this.#failedLog.length === 0) return lines;
    return [...lines, "--- the instance that did not come up:", ...this.#failedLog];
  }
}
