// Owns one backend: its instances, the lane that decides about them, and the way of a call to the one that serves.
// No cycle of the lane waits for anything: what is slow is begun, and triggers the lane when there is news.
import { isDeepStrictEqual } from "node:util";
import type { BackendConfig } from "../../../config/snapshot.ts";
import { createLane } from "../../../reconcile/lane.ts";
import type { TriggerReason } from "../../../reconcile/trigger.ts";
import { errorText } from "../../../runtime/errors.ts";
import { BACKEND_UNAVAILABLE } from "../../json-rpc.ts";
import type { Now } from "../policy/decide-backend-draft.ts";
import type { BackendLane, LaneTools } from "./backend-lane-contract.ts";
import { backendView, inFlightOf, unavailableMessage } from "./backend-lane-news.ts";
import { createClientInstances } from "./client-instances.ts";
import { type ConnectionOutcome, resolveConnection } from "./connection-key.ts";
import { createLaneCalls } from "./lane-calls.ts";
import { createCycles } from "./lane-cycles.ts";
import { createLaneInstances } from "./lane-instances.ts";
import { createHandover, createPublished } from "./lane-published.ts";
import { startPoolInstance } from "./pool-instance.ts";
import { createPoolSubscriptions } from "./subscriptions.ts";
import { createWaitingCalls } from "./waiting-calls.ts";

export function createBackendLane(tools: LaneTools, name: string, first: BackendConfig): BackendLane {
  const { clock, logger } = tools;
  const waiting = createWaitingCalls(clock, name);
  const subscriptions = createPoolSubscriptions();
  /** Its last wish, even when it is removed: for messages, and calls that drain. */
  let config = first;
  let configured = false;
  let outcome: ConnectionOutcome = { ok: false, missing: [] };
  let revision = 0;
  let epoch = 0;
  let stopped: string | null = null;
  const now = (): Now => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });

  const trigger = (reason: TriggerReason): void => {
    lane.trigger({ reason, atMs: clock.monotonicMs(), details: [] });
  };
  const changed = (): void => tools.onChanged(backend);
  const isPerClient = (): boolean => config.instances === "per-client";
  const isWanted = (): boolean => configured && config.enabled;

  const own = createClientInstances({
    backend: name,
    clock,
    logger,
    base: () => (isPerClient() && cycles.decision.calls.kind !== "refuse" ? handover.base : null),
    start: (owner, ofBase, events) =>
      startPoolInstance(shared.starter, ofBase, shared.optionsFor(ofBase, owner), events),
    drainTimeoutMs: tools.drainTimeoutMs,
    onReady: (owner, entry) => subscriptions.move(null, entry.instance, owner),
    onSettled: () => {
      if (!isWanted()) trigger("drain");
      if (stopped !== null) changed();
    },
  });

  const lane = createLane({
    clock,
    run: async () => (stopped === null ? cycles.cycle() : null),
    onFailure: (error) => logger.error("cycle failed", { backend: name, reason: errorText(error) }),
  });

  const unavailable = (): string => {
    if (stopped !== null) return stopped;
    if (!configured) return `backend ${name} was removed from the configuration`;
    if (!config.enabled) return `backend ${name} is disabled in the configuration`;
    return unavailableMessage(name, cycles.decision, clock.monotonicMs());
  };
  const published = createPublished({
    name,
    config: () => config,
    outcome: () => outcome,
    serving: () => cycles.serving,
    decision: () => cycles.decision,
    isWanted,
    changed,
  });
  const handover = createHandover({
    subscriptions,
    config: () => config,
    serving: () => cycles.serving,
    isPerClient,
    own,
    published,
  });
  const calls = createLaneCalls({
    waiting,
    subscriptions,
    config: () => config,
    configured: () => configured,
    stopped: () => stopped,
    serving: () => cycles.serving,
    decision: () => cycles.decision,
    isPerClient,
    isWanted,
    own,
    unavailable,
    source: () => published.source,
  });
  const shared = createLaneInstances({
    tools,
    name,
    clock,
    logger,
    config: () => config,
    stopped: () => stopped,
    serving: () => cycles.serving,
    decision: () => cycles.decision,
    trigger,
    askCheck: () => cycles.askCheck(),
    relist: published.relist,
    changed,
  });

  const cycles = createCycles({
    tools,
    name,
    waiting,
    config: () => config,
    configured: () => configured,
    outcome: () => outcome,
    revision: () => revision,
    epoch: () => epoch,
    now,
    trigger,
    isPerClient,
    own,
    unavailable,
    published,
    handover,
    shared,
    changed,
  });

  const backend: BackendLane = {
    name,
    get source() {
      return published.source;
    },
    get isSettled() {
      if (cycles.cycleDue) return false;
      if (!isWanted()) return true;
      return cycles.decision.phase !== "Pending" && cycles.decision.phase !== "Initializing";
    },
    get isGone() {
      return !configured && shared.instances.size === 0 && own.all.length === 0;
    },
    get inFlight() {
      return inFlightOf([...shared.instances.values(), ...own.all].map(({ instance }) => instance));
    },
    configure(next) {
      if (next === null ? !configured : configured && isDeepStrictEqual(next, config)) return;
      const before = config;
      configured = next !== null;
      if (next !== null) {
        config = next;
        outcome = resolveConnection(next.connection, tools.environment);
        if (outcome.ok) outcome.secrets.forEach(tools.redact);
        published.applyShape();
      }
      revision++;
      cycles.due();
      if (!isWanted()) {
        const why = configured ? "disabled" : "removed";
        own.retire(() => false, why);
        waiting.fail(unavailable());
        subscriptions.clear();
      } else handover.changeInstances(before.instances);
      published.publish();
      trigger("config");
    },
    lookAgain: () => trigger("config"),
    call: calls.call,
    subscribe: calls.subscribe,
    unsubscribe: calls.unsubscribe,
    notifyOwn(client, method, params) {
      if (isPerClient()) own.ready(client)?.instance.notify(method, params);
    },
    setLogLevel(level) {
      for (const { instance } of [...shared.instances.values(), ...own.all]) instance.setLogLevel(level);
    },
    forget(client) {
      subscriptions.forget(client);
      for (const { instance } of shared.instances.values()) instance.forget(client);
      own.forget(client);
    },
    get greeting() {
      return published.source === null ? null : published.greeting;
    },
    view: () =>
      backendView({
        config,
        decision: cycles.decision,
        serving: cycles.serving?.instance ?? null,
        shared: [...shared.instances.values()].map(({ instance }) => instance),
        own: own.all.map(({ instance }) => instance),
        ownDraining: own.drainingInFlight,
        phaseSinceMs: cycles.phase.since.wallMs,
        now: now(),
      }),
    restart() {
      if (!isWanted()) return;
      epoch++;
      revision++;
      cycles.due();
      trigger("user");
    },
    logLines: shared.logLines,
    stop(message) {
      if (stopped !== null) return;
      stopped = message;
      waiting.fail(message);
      void lane[Symbol.asyncDispose]();
    },
    async close(message) {
      const error = { code: BACKEND_UNAVAILABLE, message };
      const ended = [...shared.instances.values()].map(async (entry) => {
        await entry.close(error);
        shared.instances.delete(entry.id);
      });
      await Promise.all([...ended, own.close(message)]);
    },
  };
  backend.configure(first);
  return backend;
}
