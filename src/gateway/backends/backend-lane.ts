// Owns one backend: its instances, the lane that decides about them, and the way of a call to the one that serves.
// No cycle of the lane waits for anything: what is slow is begun, and triggers the lane when there is news.
import { isDeepStrictEqual } from "node:util";
import type { BackendConfig } from "../../config/snapshot.ts";
import { createLane, type Wake } from "../../reconcile/lane.ts";
import type { TriggerReason } from "../../reconcile/trigger.ts";
import type { Clock } from "../../runtime/clock.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log.ts";
import type { CatalogSource } from "../catalog/catalog.ts";
import type { ClientPort } from "../client-port.ts";
import type { GatewayTransition } from "../gateway-transitions.ts";
import { BACKEND_UNAVAILABLE, errorReply, isError, type JsonObject, type Reply } from "../json-rpc.ts";
import type { McpLogLevel } from "../protocol.ts";
import type { InstanceOptions, StartInstance } from "./backend-instance.ts";
import type { OpenLink } from "./backend-link.ts";
import type { BackendView, PoolCall, ServerGreeting } from "./backend-pool-contract.ts";
import { type ConnectionOutcome, type ResolvedConnection, resolveConnection } from "./connection-key.ts";
import { type BackendDecision, type BackendStep, decideBackend } from "./decide-backend.ts";
import { type BackendEvent, type BackendSpec, NEW_BACKEND } from "./decide-backend-draft.ts";
import { type DrainReason, drainMessage } from "./draining.ts";
import { NO_LISTINGS } from "./listings.ts";
import { createClientInstances } from "./pool-client-instances.ts";
import { type InstanceBase, type PoolInstance, startPoolInstance } from "./pool-instance.ts";
import { createPoolSubscriptions } from "./pool-subscriptions.ts";
import { createWaitingCalls } from "./pool-waiting-calls.ts";

/** More steps than instances that may have to end at once; reaching it is a mistake in the decision. */
const MAX_STEPS = 200;

export interface LaneTools {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly redact: (secret: string) => void;
  readonly announce: (transition: GatewayTransition) => void;
  readonly clientInfo: InstanceOptions["clientInfo"];
  readonly startInstance: StartInstance;
  /** `secrets`: what of the connection's values must appear in no message. */
  readonly openLink: (
    connection: ResolvedConnection,
    backend: string,
    secrets: readonly string[],
  ) => OpenLink;
  /** 0 to 1. */
  readonly random: () => number;
  /** A log message that belongs to no call. */
  readonly onLog: (params: JsonObject, backend: string) => void;
  readonly logLevel: () => McpLogLevel | null;
  readonly drainTimeoutMs: () => number;
  /** What is published of it, or the phase, may be another, or calls have ended. */
  readonly onChanged: (lane: BackendLane) => void;
}

export interface BackendLane {
  readonly name: string;
  /** What is published of it; null: nothing. The same object until it changes. */
  readonly source: CatalogSource | null;
  /** No first attempt is under way or due. */
  readonly isSettled: boolean;
  /** It is not configured, and nothing is left of it. */
  readonly isGone: boolean;
  readonly inFlight: number;
  /** What the serving instance said of itself; null: none serves. */
  readonly greeting: ServerGreeting | null;
  /** Null: it is not configured any more. What needs no connection takes effect in this call. */
  configure(config: BackendConfig | null): void;
  /** Never rejects. */
  call(call: PoolCall): Promise<Reply>;
  subscribe(uri: string, client: ClientPort): Promise<Reply>;
  unsubscribe(uri: string, client: ClientPort): Promise<Reply>;
  notifyOwn(client: ClientPort, method: string, params: JsonObject | undefined): void;
  setLogLevel(level: McpLogLevel | null): void;
  forget(client: ClientPort): void;
  view(): BackendView;
  restart(): void;
  logLines(): readonly string[];
  /** Takes no more calls and no more steps; those in flight go on. */
  stop(message: string): void;
  /** Ends every instance: calls in flight get the error. */
  close(message: string): Promise<void>;
}

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
  let stopped: string | null = null;
  let serving: PoolInstance | null = null;
  /** Of what the clients' own are made: what served last. */
  let base: InstanceBase | null = null;
  let shape: Shape | null = null;
  let source: CatalogSource | null = null;
  let phaseSince = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  let announcedPhase = NEW_BACKEND.phase;
  let lastLog: readonly string[] = [];
  let failedLog: readonly string[] = [];
  let decision: BackendDecision = {
    memory: NEW_BACKEND,
    step: null,
    wake: null,
    calls: { kind: "refuse", reason: "it is not running yet" },
    phase: NEW_BACKEND.phase,
    reason: null,
    retryAtMs: null,
    conditions: [],
    events: [],
  };

  const trigger = (reason: TriggerReason): void => {
    lane.trigger({ reason, atMs: clock.monotonicMs(), details: [] });
  };
  const isPerClient = (): boolean => config.instances === "per-client";

  const own = createClientInstances({
    backend: name,
    clock,
    base: () => (decision.calls.kind === "refuse" ? null : base),
    start: (owner, ofBase, events) => startPoolInstance(starter, ofBase, optionsFor(ofBase, owner), events),
    drainTimeoutMs: tools.drainTimeoutMs,
    onReady: (owner, entry) => subscriptions.move(null, entry.instance, owner),
    onSettled: () => {
      if (!configured) trigger("drain");
      if (stopped !== null) tools.onChanged(backend);
    },
  });
  const starter = { start: tools.startInstance, clock, logger };

  const optionsFor = (ofBase: InstanceBase, owner: ClientPort | null) => ({
    id: nextId++,
    backend: name,
    open: tools.openLink(ofBase.connection, name, ofBase.secrets),
    initMs: config.timeouts.initMs,
    listMs: config.timeouts.listMs,
    clientInfo: tools.clientInfo,
    owner,
    logLevel: tools.logLevel(),
    onLog: (params: JsonObject) => tools.onLog(params, name),
  });

  const spec = (): BackendSpec => ({
    name,
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
          nextId,
          checkAsked,
          jitter: tools.random(),
        },
        decision.memory,
        { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() },
      );
      keep(decision);
      if (decision.step === null) {
        rest();
        return decision.wake;
      }
      perform(decision.step);
    }
    throw new MountaineerError("internal", `backend ${name} did not settle in ${MAX_STEPS} steps`);
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
    for (const event of events) tell(event);
    if (calls.kind === "refuse") {
      if (waiting.size > 0) waiting.fail(unavailable());
    } else if (serving?.isReady === true && waiting.size > 0) waiting.begin();
  };

  const takeOver = (next: PoolInstance, before: PoolInstance | null): void => {
    const { filters, toolOverrides } = config;
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
    const isPublished = configured && config.enabled && decision.calls.kind !== "refuse" && shape !== null;
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

  const tell = (event: BackendEvent): void => {
    if (event.kind === "ended") {
      const { reason, retryInMs } = event;
      const retry_in_ms = retryInMs === null ? null : Math.round(retryInMs);
      tools.announce({ name: "backend.ended", backend: name, reason, retry_in_ms });
      return;
    }
    if (event.kind === "change_failed") {
      tools.announce({ name: "backend.change_failed", backend: name, reason: event.reason });
      return;
    }
    const { listings, seen } = instances.get(event.id)?.instance ?? { listings: null, seen: null };
    const { tools: offered, resources, prompts } = listings ?? NO_LISTINGS;
    tools.announce({
      name: "backend.ready",
      backend: name,
      tools: offered.length,
      resources: resources.length,
      prompts: prompts.length,
      took_ms: Math.round((seen?.readyAtMs ?? 0) - (seen?.startedAtMs ?? 0)),
    });
    if (event.replaced === null) return;
    const draining = instances.get(event.replaced)?.instance.seen.inFlight ?? 0;
    tools.announce({ name: "backend.replaced", backend: name, draining });
  };

  const perform = (step: BackendStep): void => {
    if (step.kind === "start") {
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
    cycleDue = false;
    const { phase, reason } = decision;
    if (phase !== announcedPhase) {
      const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
      const took_ms = Math.round(now.monotonicMs - phaseSince.monotonicMs);
      const from = announcedPhase;
      announcedPhase = phase;
      phaseSince = now;
      tools.announce({ name: "backend.phase", backend: name, from, to: phase, reason, took_ms });
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
    const { calls, retryAtMs } = decision;
    const reason = calls.kind === "refuse" ? calls.reason : "it is not ready";
    const leftMs = retryAtMs === null ? null : retryAtMs - clock.monotonicMs();
    const next =
      leftMs !== null && leftMs > 0
        ? `; it is tried again in ${Math.ceil(leftMs / 1000)} s`
        : decision.memory.candidate !== null
          ? "; it is being started"
          : "";
    return `backend ${name} is unavailable: ${reason}${next}`;
  };

  /** What is no call on a ready instance: waits for one, or is refused. */
  const dispatch = (
    client: ClientPort | null,
    signal: AbortSignal,
    deadlineMs: number,
    run: (entry: PoolInstance, leftMs: number) => Promise<Reply>,
  ): Promise<Reply> => {
    const isRefused = stopped !== null || !configured || !config.enabled || decision.calls.kind === "refuse";
    if (isRefused) return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, unavailable()));
    const ownClient = isPerClient() ? client : null;
    if (ownClient !== null) {
      const ready = own.ready(ownClient);
      if (ready !== null) return run(ready, deadlineMs);
      if (serving !== null) return own.call(ownClient, { run, deadlineMs, signal });
    } else if (serving?.isReady === true) return run(serving, deadlineMs);
    const again = (leftMs: number): Promise<Reply> => dispatch(client, signal, leftMs, run);
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
      own.retire(() => false, "replaced");
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
      if (!configured || !config.enabled) return true;
      return decision.phase !== "Pending" && decision.phase !== "Initializing";
    },
    get isGone() {
      return !configured && instances.size === 0 && own.all.length === 0;
    },
    get inFlight() {
      const all = [...instances.values(), ...own.all];
      return all.reduce((sum, { instance }) => sum + instance.seen.inFlight, 0);
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
      if (!configured || !config.enabled) {
        const why = configured ? "disabled" : "removed";
        own.retire(() => false, why);
        waiting.fail(unavailable());
        subscriptions.clear();
      } else changeInstances(before.instances);
      publish();
      trigger("config");
    },
    call(call) {
      const callMs = config.timeouts.callMs;
      if (serving?.isReady === true && config.instances === "shared" && source !== null && stopped === null) {
        return serving.send(call, callMs);
      }
      return dispatch(call.port?.client ?? null, call.signal, callMs, (entry, leftMs) =>
        entry.send(call, leftMs),
      );
    },
    subscribe: (uri, client) =>
      dispatch(client, client.ended, config.timeouts.callMs, async (entry) => {
        const reply = await entry.watch(entry.instance.subscribe(uri, client));
        if (isError(reply) || client.ended.aborted || !configured) return reply;
        subscriptions.add(client, uri);
        const now = instanceOf(client);
        // It was replaced meanwhile; the new one does not know of it.
        if (now !== null && now !== entry) now.instance.adopt(new Map([[uri, new Set([client])]]));
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
      if (serving === null) return null;
      const { capabilities, instructions } = serving.instance;
      return { backend: name, capabilities, instructions };
    },
    view() {
      const ownAll = own.all;
      const draining = decision.memory.draining.reduce(
        (sum, { id }) => sum + (instances.get(id)?.instance.seen.inFlight ?? 0),
        own.drainingInFlight,
      );
      const { retryAtMs } = decision;
      const shown = serving?.instance ?? null;
      return {
        name,
        group: config.group,
        type: config.connection.type,
        enabled: config.enabled,
        phase: decision.phase,
        reason: decision.reason,
        sinceMs: phaseSince.wallMs,
        pid: shown?.pid ?? null,
        server: shown?.serverInfo ?? null,
        protocolVersion: shown?.protocolVersion ?? null,
        instances: instances.size + ownAll.length,
        inFlight: backend.inFlight,
        draining,
        restarts: decision.memory.ends,
        retryAtMs: retryAtMs === null ? null : clock.wallMs() + retryAtMs - clock.monotonicMs(),
        lastError: decision.memory.lastError,
        conditions: decision.conditions,
      };
    },
    restart() {
      if (!configured || !config.enabled) return;
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
