// The instances of one backend that all clients share: how they start and end, and what they logged.
import type { BackendConfig } from "../../../config/snapshot.ts";
import type { TriggerReason } from "../../../reconcile/trigger.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { ClientPort } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, type JsonObject } from "../../json-rpc.ts";
import type { BackendDecision, BackendStep } from "../policy/decide-backend.ts";
import { drainMessage } from "../policy/draining.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import { type InstanceBase, type PoolInstance, startPoolInstance } from "./pool-instance.ts";

interface LaneInstancesParts {
  readonly tools: LaneTools;
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: () => BackendConfig;
  readonly stopped: () => string | null;
  readonly serving: () => PoolInstance | null;
  readonly decision: () => BackendDecision;
  readonly trigger: (reason: TriggerReason) => void;
  readonly askCheck: () => void;
  readonly relist: (changed: PoolInstance) => void;
  readonly changed: () => void;
}

/** How long `npx` and the like may download a server before its time to answer begins. */
const DOWNLOAD_MS = 60_000;

export type LaneInstances = ReturnType<typeof createLaneInstances>;

export function createLaneInstances({
  tools,
  name,
  clock,
  logger,
  config,
  stopped,
  serving,
  decision,
  trigger,
  askCheck,
  relist,
  changed,
}: LaneInstancesParts) {
  const instances = new Map<number, PoolInstance>();
  let nextId = 1;
  let lastLog: readonly string[] = [];
  let failedLog: readonly string[] = [];
  const starter = { start: tools.startInstance, clock, logger };

  const optionsFor = (ofBase: InstanceBase, owner: ClientPort | null) => ({
    id: nextId++,
    backend: name,
    open: tools.openLink(ofBase.connection, name, ofBase.secrets),
    secrets: ofBase.secrets,
    initMs: config().timeouts.initMs,
    downloadMs: "url" in ofBase.connection ? 0 : DOWNLOAD_MS,
    listMs: config().timeouts.listMs,
    clientInfo: tools.clientInfo,
    owner,
    logLevel: tools.logLevel(),
    onLog: (params: JsonObject) => tools.onLog(params, name),
  });

  const start = (ofBase: InstanceBase): void => {
    const entry = startPoolInstance(starter, ofBase, optionsFor(ofBase, null), {
      onChange: () => trigger("instance"),
      onListings: relist,
      onSettled: (settled) => {
        if (settled !== serving()) trigger("drain");
        if (stopped() !== null) changed();
      },
      onDoubt: (doubtful) => {
        if (doubtful === serving()) askCheck();
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

  const logLines = (): readonly string[] => {
    const newest = serving() ?? [...instances.values()].at(-1) ?? null;
    const lines = newest?.instance.logLines ?? lastLog;
    if (serving() === null || decision().memory.changeFailure === null || failedLog.length === 0)
      return lines;
    return [...lines, "--- the instance that did not come up:", ...failedLog];
  };

  return {
    starter,
    optionsFor,
    instances,
    get nextId() {
      return nextId;
    },
    start,
    end,
    logLines,
  };
}
