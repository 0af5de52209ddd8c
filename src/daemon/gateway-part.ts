// The gateway within the service, and its part in a reload. Its code is loaded only if a gateway is
// configured.
import type { Duplex } from "node:stream";
import type { StatusReport } from "../api/contract/contract.ts";
import type { Control } from "../api/operations/operations.ts";
import type { AuditConfig, MountaineerConfig } from "../config/snapshot.ts";
import type { Gateway } from "../gateway/serving/gateway.ts";
import {
  closeInheritedListener,
  type GatewayOptions,
  type InheritedListener,
} from "../gateway/serving/gateway-contract.ts";
import { groupMemory } from "../runtime/process/group-memory.ts";
import { settlesWithin } from "../runtime/time/clock.ts";
import { gatewayConfig, wantsGateway } from "./compose/gateway-config.ts";
import { auditReport } from "./control/audit-report.ts";
import { createGatewayControl } from "./control/gateway-control.ts";
import { gatewayStatus } from "./control/gateway-status.ts";
import { createRecordPages } from "./control/record-pages.ts";
import type { HandingGateway } from "./handover/service-release.ts";
import type { ConfigApplier } from "./reload/reload-transaction.ts";

/** How long `status` waits for the memory of programs, ms. */
const MEASURE_MS = 500;
/** How long one measurement is used, ms: each reads what the system says of every process. */
const MEASURED_FOR_MS = 3_000;

export type GatewayPart = ReturnType<typeof createGatewayPart>;

const code = () => import("../gateway/serving/gateway.ts");

/** Loads the gateway's code, if a gateway is configured, while the start waits for other processes anyway. */
export function loadAhead(config: MountaineerConfig): void {
  // A failure is ignored here: loading fails again when the gateway starts, and is reported then.
  if (wantsGateway(config)) code().catch(() => {});
}

/** `measureMemory`: see `groupMemory`. */
export function createGatewayPart(options: GatewayOptions, measureMemory = groupMemory) {
  /** The gateway is kept when its configuration is removed, so that calls can end and sessions survive. */
  let gateway: Gateway | null = null;
  let wanted = false;
  /** The settings of the audit; null if none is configured. */
  let audit: AuditConfig | null = null;
  const pages = createRecordPages(options.clock);
  /** What the programs of backends took when it was measured last, in bytes; null: it could not be measured. */
  let memory: number | null = null;
  let measured: { readonly groups: string; readonly atMs: number; readonly done: Promise<void> } | null =
    null;

  const load = async (): Promise<Gateway> => {
    const { Gateway: Loaded } = await code();
    gateway ??= new Loaded(options);
    return gateway;
  };
  const current = (): Gateway | null => (wanted ? gateway : null);
  /** Ends the stream if no gateway is configured. */
  const serve = (stream: Duplex, begin: (running: Gateway) => void): void => {
    const running = current();
    if (running === null) stream.destroy();
    else begin(running);
  };
  const applier: ConfigApplier = {
    name: "gateway",
    async prepare({ after }) {
      const wants = wantsGateway(after);
      const running = wants ? await load() : gateway;
      if (running === null) return { commit() {} };
      const prepared = await running.prepare(gatewayConfig(after));
      return {
        commit() {
          wanted = wants;
          audit = after.audit;
          prepared.commit();
        },
        retire: () => prepared.retire(),
        rollback: () => prepared.rollback(),
      };
    },
  };
  const control: ReturnType<typeof createGatewayControl> & Pick<Control, "audit"> = {
    ...createGatewayControl(current),
    audit: (request, signal) => auditReport(audit, request, pages, signal),
  };

  return {
    applier,
    control,
    /** Starts with the first configuration; resolves when the gateway listens, or has failed to. */
    async start(config: MountaineerConfig, listener: InheritedListener | null = null): Promise<void> {
      audit = config.audit;
      if (!wantsGateway(config)) {
        closeInheritedListener(listener);
        return;
      }
      const isBuilt = gateway !== null;
      const first = await load();
      wanted = true;
      if (!isBuilt) await first.build(gatewayConfig(config));
      await first.open(gatewayConfig(config), listener);
    },
    /**
     * The first half of `start`. Resolves when no backend is still starting: each one serves, has failed, or may not
     * start yet.
     */
    async build(config: MountaineerConfig, signal: AbortSignal): Promise<void> {
      if (!wantsGateway(config)) return;
      const first = await load();
      await first.build(gatewayConfig(config));
      await first.pool.whenStartedIfPossible(signal);
    },
    /** The gateway for a handover; null if no gateway was ever configured. */
    get handing(): HandingGateway | null {
      return gateway;
    },
    /** Empty while no gateway is configured. */
    status(): Pick<StatusReport, "gateway" | "backends"> {
      const running = current();
      return running === null ? {} : gatewayStatus(running, memory);
    },
    /**
     * Measures the memory of the backends' programs, for the next `status`. While the same programs run, all who ask
     * within `MEASURED_FOR_MS` share one measurement.
     */
    async measure(): Promise<void> {
      const pids = current()?.pool.pids ?? [];
      const groups = pids.join(" ");
      const nowMs = options.clock.monotonicMs();
      if (measured?.groups !== groups || nowMs - measured.atMs >= MEASURED_FOR_MS) {
        const done = measureMemory(pids).then((bytes) => {
          memory = bytes;
        });
        measured = { groups, atMs: nowMs, done };
      }
      if (!(await settlesWithin(options.clock, MEASURE_MS, measured.done))) memory = null;
    },
    /** See `CallMinutes.take`. */
    takeCalls: (visit: Parameters<Gateway["serving"]["minutes"]["take"]>[0]): void =>
      current()?.serving.minutes.take(visit),
    /** Writes to the audit, if one is configured, that an entry of the configuration waits or was approved. */
    audit: (record: Parameters<Gateway["record"]>[0]): void => current()?.record(record),
    /** Serves one client over lines of JSON-RPC. */
    serveLines: (stream: Duplex, folder?: string): void =>
      serve(stream, (running) => running.serveLines(stream, folder)),
    /** The gateway for other machines of the fleet; while none is configured, streams end and lists are empty. */
    machines: {
      serveMachine: (stream: Duplex, machine: string, backend: string): void =>
        serve(stream, (running) => running.serveMachine(stream, machine, backend)),
      exported: (): ReturnType<Gateway["exported"]> => current()?.exported() ?? [],
      setImported: (...backends: Parameters<Gateway["setImported"]>): void =>
        gateway?.setImported(...backends),
    },
    /** Resolves when no backend is still in its first attempt. */
    async whenStarted(signal: AbortSignal): Promise<void> {
      await current()?.pool.whenStarted(signal);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      wanted = false;
      await gateway?.[Symbol.asyncDispose]();
    },
  };
}
