// Owns one backend: its instances, the lane that decides about them, and the way of a call to the one that serves.
// No cycle of the lane waits for anything: what is slow is begun, and triggers the lane when there is news.
import { isDeepStrictEqual } from "node:util";
import type { BackendConfig } from "../../config/snapshot.ts";
import { createLane, type Wake } from "../../reconcile/lane.ts";
import type { TriggerReason } from "../../reconcile/trigger.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { CatalogSource } from "../catalog/catalog.ts";
import type { ClientPort } from "../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, isError, type JsonObject, type Reply } from "../json-rpc.ts";
import type { BackendLane, LaneTools } from "./backend-lane-contract.ts";
import { backendView, eventTransition, inFlightOf, unavailableMessage } from "./backend-lane-news.ts";
import type { ServerGreeting } from "./backend-pool-contract.ts";
import { type ConnectionOutcome, resolveConnection } from "./connection-key.ts";
import { type BackendDecision, type BackendStep, decideBackend, UNDECIDED } from "./decide-backend.ts";
import { type BackendSpec, NEW_BACKEND, type Now } from "./decide-backend-draft.ts";
import { type DrainReason, drainMessage } from "./draining.ts";
import { NO_LISTINGS } from "./listings.ts";
import { createClientInstances } from "./pool-client-instances.ts";
import { type InstanceBase, type PoolInstance, startPoolInstance } from "./pool-instance.ts";
import { createPoolSubscriptions } from "./pool-subscriptions.ts";
import { createWaitingCalls } from "./pool-waiting-calls.ts";

/** More steps than instances that may have to end at once; reaching it is a mistake in the decision. */
/** How long `npx` and the like may download a server before its time to answer begins. */
const DOWNLOAD_MS = 60_000;
const MAX_STEPS = 200;

/** What was published last, and of which connection. */
interface Shape extends Pick<CatalogSource, "filters" | "toolOverrides" | "listings"> {
  readonly key: string;
}

export function createBackendLane(tools: LaneTools, name: string, first: BackendConfig): BackendLane {
  const { clock, logger } = tools;
  const instances = new Map<number, PoolInstance>();
  const waiting = createWaitingCalls(clock, name);
  const subscriptions = createPoolSubscriptions();
  /** Its last wish, even when it is removed: for messages, and calls that drain. */
  let config = first;
  let configured = false;
  let outcome: ConnectionOutcome = { ok: false, missing: [] };
  let revision = 0;
  let epoch = 0;
  let nextId = 1;
  let checkAsked = false;
  let cycleDue = false;
  let turn: "none" | "asked" | "given" = "none";
  let stopped: string | null = null;
  let serving: PoolInstance | null = null;
  /** Of what the clients' own are made: what served last. */
  let base: InstanceBase | null = null;
  let shape: Shape | null = null;
  let source: CatalogSource | null = null;
  const now = (): Now => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  /** As announced. */
  let phase = { name: NEW_BACKEND.phase, since: now() };
  let greeting: ServerGreeting | null = null;
  let lastLog: readonly string[] = [];
  let failedLog: readonly string[] = [];
  let decision: BackendDecision = UNDECIDED;

  const trigger = (reason: TriggerReason): void => {
    lane.trigger({ reason, atMs: clock.monotonicMs(), details: [] });
  };
  const isPerClient = (): boolean => config.instances === "per-client";
  const isWanted = (): boolean => configured && config.enabled;

  const own = createClientInstances({
    backend: name,
    clock,
    logger,
    base: () => (isPerClient() && decision.calls.kind !== "refuse" ? base : null),
    start: (owner, ofBase, events) => startPoolInstance(starter, ofBase, optionsFor(ofBase, owner), events),
    drainTimeoutMs: tools.drainTimeoutMs,
    onReady: (owner, entry) => subscriptions.move(null, entry.instance, owner),
    onSettled: () => {
      if (!isWanted()) trigger("drain");
      if (stopped !== null) tools.onChanged(backend);
    },
  });
  const starter = { start: tools.startInstance, clock, logger };

  const optionsFor = (ofBase: InstanceBase, owner: ClientPort | null) => ({
    id: nextId++,
    backend: name,
    open: tools.openLink(ofBase.connection, name, ofBase.secrets),
    secrets: ofBase.secrets,
    initMs: config.timeouts.initMs,
    downloadMs: "url" in ofBase.connection ? 0 : DOWNLOAD_MS,
    listMs: config.timeouts.listMs,
    clientInfo: tools.clientInfo,
    owner,
    logLevel: tools.logLevel(),
    onLog: (params: JsonObject) => tools.onLog(params, name),
  });

  const spec = (): BackendSpec => ({
    name,
    origin: "url" in config.connection ? (URL.parse(config.connection.url)?.origin ?? null) : null,
    wanted: !configured
      ? { kind: "nothing", because: "removed" }
      : !config.enabled
        ? { kind: "nothing", because: "disabled" }
        : outcome.ok
          ? { kind: "connection", key: outcome.key }
          : { kind: "secret_missing", variables: outcome.missing },
    revision,
    epoch,
    replace: config.replace,
    drainTimeoutMs: tools.drainTimeoutMs(),
  });

  const cycle = (): Wake | null => {
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      decision = decideBackend(
        spec(),
        {
          instances: [...instances.values()].map(({ instance }) => instance.seen),
          clientInstances: own.all.length,
          mayStart: turn === "given",
          nextId,
          checkAsked,
          jitter: tools.random(),
        },
        decision.memory,
        now(),
      );
      keep(decision);
      if (decision.step === null) {
        if (turn === "given") turn = "none";
        if (decision.wantsTurn) askForTurn();
        rest();
        return decision.wake;
      }
      perform(decision.step);
    }
    throw new MountaineerError("internal", `backend ${name} did not settle in ${MAX_STEPS} steps`);
  };

  const askForTurn = (): void => {
    if (turn !== "none") return;
    turn = "asked";
    tools.takeTurn(() => {
      turn = "given";
      trigger("start");
    });
  };

  /** The swap: who serves and what is published change in one go, before anybody else runs. */
  const keep = ({ calls, events }: BackendDecision): void => {
    const next = calls.kind === "serve" ? (instances.get(calls.id) ?? null) : null;
    const before = serving;
    if (next !== before) {
      serving = next;
      checkAsked = false;
      if (next !== null) takeOver(next, before);
    }
    publish();
    // After the swap: calls that waited for a client's own go to the shared one, by what is published now.
    if (!isPerClient()) own.retire(() => false, "replaced");
    for (const event of events) {
      tools.announce(eventTransition(name, event, (id) => instances.get(id)?.instance ?? null));
    }
    if (calls.kind === "refuse") {
      if (waiting.size > 0) waiting.fail(unavailable());
    } else if (serving?.isReady === true && waiting.size > 0) waiting.begin();
  };

  const takeOver = (next: PoolInstance, before: PoolInstance | null): void => {
    const { filters, toolOverrides } = config;
    const { capabilities, instructions } = next.instance;
    greeting = { backend: name, capabilities, instructions };
    shape = { key: next.base.key, filters, toolOverrides, listings: next.instance.listings ?? NO_LISTINGS };
    const isOther = base !== null && (base.key !== next.base.key || base.epoch !== next.base.epoch);
    const why: DrainReason = base?.key === next.base.key ? "restarted" : "replaced";
    base = next.base;
    if (!isPerClient()) {
      subscriptions.move(before?.instance ?? null, next.instance);
      return;
    }
    if (!isOther) return;
    own.retire((entry) => entry.base.key === next.base.key && entry.base.epoch === next.base.epoch, why);
    // What a client waits to hear of must not depend on its next call.
    for (const client of subscriptions.clients) own.ensure(client);
  };

  const publish = (): void => {
    const isPublished = isWanted() && decision.calls.kind !== "refuse" && shape !== null;
    if (!isPublished || shape === null) {
      if (source === null) return;
      source = null;
    } else {
      const { filters, toolOverrides, listings } = shape;
      const isSame =
        source !== null &&
        source.listings === listings &&
        source.filters === filters &&
        source.toolOverrides === toolOverrides;
      if (isSame) return;
      source = { backend: name, filters, toolOverrides, listings };
    }
    tools.onChanged(backend);
  };

  const perform = (step: BackendStep): void => {
    if (step.kind === "start") {
      turn = "none";
      if (outcome.ok) start({ ...outcome, epoch });
      return;
    }
    const entry = instances.get(step.id);
    if (entry === undefined) return;
    if (step.kind === "close") void end(entry, step.drained);
    else if (step.kind === "refresh") entry.instance.refresh();
    else {
      checkAsked = false;
      entry.instance.check();
    }
  };

  const start = (ofBase: InstanceBase): void => {
    const entry = startPoolInstance(starter, ofBase, optionsFor(ofBase, null), {
      onChange: () => trigger("instance"),
      onListings: (changed) => {
        if (changed !== serving || shape === null) return;
        shape = { ...shape, listings: changed.instance.listings ?? shape.listings };
        publish();
      },
      onSettled: (settled) => {
        if (settled !== serving) trigger("drain");
        if (stopped !== null) tools.onChanged(backend);
      },
      onDoubt: (doubtful) => {
        if (doubtful !== serving) return;
        checkAsked = true;
        trigger("check");
      },
    });
    instances.set(entry.id, entry);
  };

  const end = async (
    entry: PoolInstance,
    drained: Extract<BackendStep, { kind: "close" }>["drained"],
  ): Promise<void> => {
    const { seen } = entry.instance;
    const cut = drained?.isLate === true ? seen.inFlight : 0;
    const message =
      drained === null
        ? `backend ${name}: this instance has ended`
        : drainMessage(name, drained.why, tools.drainTimeoutMs());
    if (seen.state.kind === "ended" && !seen.state.wasReady) failedLog = [...entry.instance.logLines];
    await entry.close({ code: BACKEND_UNAVAILABLE, message });
    lastLog = [...entry.instance.logLines];
    instances.delete(entry.id);
    if (drained !== null) {
      const took_ms = Math.round(clock.monotonicMs() - drained.sinceMs);
      tools.announce({ name: "backend.drained", backend: name, took_ms, cut });
    }
    trigger("drain");
  };

  const rest = (): void => {
    cycleDue = decision.wantsTurn;
    const { phase: to, reason } = decision;
    if (to !== phase.name) {
      const { name: from, since } = phase;
      phase = { name: to, since: now() };
      const took_ms = Math.round(phase.since.monotonicMs - since.monotonicMs);
      tools.announce({ name: "backend.phase", backend: name, from, to, reason, took_ms });
    }
    tools.onChanged(backend);
  };

  const lane = createLane({
    clock,
    run: async () => (stopped === null ? cycle() : null),
    onFailure: (error) => logger.error("cycle failed", { backend: name, reason: errorText(error) }),
  });

  const unavailable = (): string => {
    if (stopped !== null) return stopped;
    if (!configured) return `backend ${name} was removed from the configuration`;
    if (!config.enabled) return `backend ${name} is disabled in the configuration`;
    return unavailableMessage(name, decision, clock.monotonicMs());
  };

  /** What is no call on a ready instance: waits for one, or is refused. */
  const dispatch = (
    client: ClientPort | null,
    signal: AbortSignal,
    deadlineMs: number,
    run: (entry: PoolInstance, leftMs: number) => Promise<Reply>,
  ): Promise<Reply> => {
    const isRefused = stopped !== null || !isWanted() || decision.calls.kind === "refuse";
    if (isRefused) return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, unavailable()));
    const again = (leftMs: number): Promise<Reply> => dispatch(client, signal, leftMs, run);
    const ownClient = isPerClient() ? client : null;
    if (ownClient !== null) {
      const ready = own.ready(ownClient);
      if (ready !== null) return run(ready, deadlineMs);
      const runUnlessShared = (entry: PoolInstance, leftMs: number): Promise<Reply> =>
        isWanted() && !isPerClient() ? again(leftMs) : run(entry, leftMs);
      if (serving !== null) return own.call(ownClient, { run: runUnlessShared, deadlineMs, signal });
    } else if (serving?.isReady === true) return run(serving, deadlineMs);
    return waiting.add({ run: again, deadlineMs, signal });
  };

  /** The instance that a client's requests go to now. */
  const instanceOf = (client: ClientPort): PoolInstance | null =>
    isPerClient() ? own.ready(client) : serving;

  const applyShape = (): void => {
    const isSameConnection = outcome.ok && shape?.key === outcome.key;
    if (!isSameConnection || shape === null) return;
    const { filters, toolOverrides } = config;
    const isSame =
      isDeepStrictEqual(filters, shape.filters) && isDeepStrictEqual(toolOverrides, shape.toolOverrides);
    if (!isSame) shape = { ...shape, filters, toolOverrides };
  };

  const changeInstances = (before: BackendConfig["instances"]): void => {
    if (before === config.instances) return;
    if (!isPerClient()) {
      subscriptions.move(null, serving?.instance ?? null);
      return;
    }
    for (const client of subscriptions.clients) {
      own.ensure(client);
      subscriptions.move(serving?.instance ?? null, null, client);
    }
  };

  const backend: BackendLane = {
    name,
    get source() {
      return source;
    },
    get isSettled() {
      if (cycleDue) return false;
      if (!isWanted()) return true;
      return decision.phase !== "Pending" && decision.phase !== "Initializing";
    },
    get isGone() {
      return !configured && instances.size === 0 && own.all.length === 0;
    },
    get inFlight() {
      return inFlightOf([...instances.values(), ...own.all].map(({ instance }) => instance));
    },
    configure(next) {
      if (next === null ? !configured : configured && isDeepStrictEqual(next, config)) return;
      const before = config;
      configured = next !== null;
      if (next !== null) {
        config = next;
        outcome = resolveConnection(next.connection, tools.environment);
        if (outcome.ok) outcome.secrets.forEach(tools.redact);
        applyShape();
      }
      revision++;
      cycleDue = true;
      if (!isWanted()) {
        const why = configured ? "disabled" : "removed";
        own.retire(() => false, why);
        waiting.fail(unavailable());
        subscriptions.clear();
      } else changeInstances(before.instances);
      publish();
      trigger("config");
    },
    lookAgain: () => trigger("config"),
    call(call) {
      const callMs = config.timeouts.callMs;
      if (serving?.isReady === true && config.instances === "shared" && source !== null && stopped === null) {
        return serving.send(call, callMs);
      }
      return dispatch(call.port?.client ?? null, call.signal, callMs, (entry, leftMs) => {
        // Of a backend that is wanted no more it goes on as it was accepted: the new catalog knows nothing of it.
        const renewed = (isWanted() ? call.renew?.() : null) ?? { params: call.params, answer: null };
        return renewed.answer ?? entry.send({ ...call, params: renewed.params }, leftMs);
      });
    },
    subscribe: (uri, client) =>
      dispatch(client, client.ended, config.timeouts.callMs, async (entry) => {
        const reply = await entry.watch(entry.instance.subscribe(uri, client));
        if (isError(reply) || client.ended.aborted || !configured) return reply;
        subscriptions.add(client, uri);
        const target = instanceOf(client);
        // It was replaced meanwhile; the new one does not know of it.
        if (target !== null && target !== entry) target.instance.adopt(new Map([[uri, new Set([client])]]));
        return reply;
      }),
    unsubscribe(uri, client) {
      subscriptions.delete(client, uri);
      const entry = instanceOf(client);
      // With nobody there it is not subscribed to, which is what was asked for.
      if (entry?.isReady !== true) return Promise.resolve({ result: {} });
      return entry.watch(entry.instance.unsubscribe(uri, client));
    },
    notifyOwn(client, method, params) {
      if (isPerClient()) own.ready(client)?.instance.notify(method, params);
    },
    setLogLevel(level) {
      for (const { instance } of [...instances.values(), ...own.all]) instance.setLogLevel(level);
    },
    forget(client) {
      subscriptions.forget(client);
      for (const { instance } of instances.values()) instance.forget(client);
      own.forget(client);
    },
    get greeting() {
      return source === null ? null : greeting;
    },
    view: () =>
      backendView({
        config,
        decision,
        serving: serving?.instance ?? null,
        shared: [...instances.values()].map(({ instance }) => instance),
        own: own.all.map(({ instance }) => instance),
        ownDraining: own.drainingInFlight,
        phaseSinceMs: phase.since.wallMs,
        now: now(),
      }),
    restart() {
      if (!isWanted()) return;
      epoch++;
      revision++;
      cycleDue = true;
      trigger("user");
    },
    logLines() {
      const newest = serving ?? [...instances.values()].at(-1) ?? null;
      const lines = newest?.instance.logLines ?? lastLog;
      if (serving === null || decision.memory.changeFailure === null || failedLog.length === 0) return lines;
      return [...lines, "--- the instance that did not come up:", ...failedLog];
    },
    stop(message) {
      if (stopped !== null) return;
      stopped = message;
      waiting.fail(message);
      void lane[Symbol.asyncDispose]();
    },
    async close(message) {
      const error = { code: BACKEND_UNAVAILABLE, message };
      const shared = [...instances.values()].map(async (entry) => {
        await entry.close(error);
        instances.delete(entry.id);
      });
      await Promise.all([...shared, own.close(message)]);
    },
  };
  backend.configure(first);
  return backend;
}
