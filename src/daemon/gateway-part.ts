// The gateway inside the service: loaded when one is configured, and its part in a reload.
import type { Duplex } from "node:stream";
import type { StatusReport } from "../api/contract.ts";
import type { Control } from "../api/operations.ts";
import type { AuditConfig, MountaineerConfig } from "../config/snapshot.ts";
import type { Gateway } from "../gateway/serving/gateway.ts";
import { closeDoor, type GatewayOptions, type GivenDoor } from "../gateway/serving/gateway-contract.ts";
import type { CallMinute } from "../gateway/telemetry/call-minutes.ts";
import { gatewayConfig, wantsGateway } from "./compose/gateway-config.ts";
import { auditReport } from "./control/audit-report.ts";
import { createGatewayControl } from "./control/gateway-control.ts";
import { gatewayStatus } from "./control/gateway-status.ts";
import { createRecordPages } from "./control/record-pages.ts";
import type { HandingGateway } from "./handover/handing.ts";
import type { ConfigApplier } from "./reload/reload-transaction.ts";

export interface GatewayPart extends AsyncDisposable {
  readonly applier: ConfigApplier;
  readonly control: ReturnType<typeof createGatewayControl> & Pick<Control, "audit">;
  /** By backend, what it was asked in each minute of the last day; empty while no gateway is configured. */
  callMinutes(): ReadonlyMap<string, readonly CallMinute[]>;
  /** Begins with the first configuration; resolves when the gateway listens, or has failed to. */
  start(config: MountaineerConfig, door?: GivenDoor | null): Promise<void>;
  /**
   * The first half of `start`; resolves when its backends serve or have failed, those that may start now. `rehearses`:
   * and when the code that will serve is compiled.
   */
  build(config: MountaineerConfig, signal: AbortSignal, rehearses: boolean): Promise<void>;
  /** The part of the gateway that a handover is about; null: there is none. */
  readonly handing: HandingGateway | null;
  /** Empty while no gateway is configured. */
  status(): Pick<StatusReport, "gateway" | "backends">;
  /** Into the audit, where there is one: an entry of the configuration waits, or was approved. */
  note(record: Parameters<Gateway["note"]>[0]): void;
  /** Serves one client over lines of JSON-RPC; ends the stream at once while no gateway is configured. */
  serveLines(stream: Duplex): void;
  /** As the gateway has them; nothing while none is configured. */
  readonly machines: Pick<Gateway, "serveMachine" | "lent" | "borrow"> &
    Pick<Gateway["http"], "serveForwarded"> &
    Pick<Gateway["together"], "lentPlaces" | "notePlaces">;
  /** No backend is in its first attempt any more. */
  settled(signal: AbortSignal): Promise<void>;
}

const code = () => import("../gateway/serving/gateway.ts");

/** Where one is configured: its code is loaded while a start waits for other processes. */
export function loadAhead(config: MountaineerConfig): void {
  // What fails here fails again where the gateway starts.
  if (wantsGateway(config)) code().catch(() => {});
}

export function createGatewayPart(options: GatewayOptions): GatewayPart {
  /** Once there is one it stays, so that calls drain and sessions survive while nothing is configured. */
  let gateway: Gateway | null = null;
  let wanted = false;
  /** Where it is written, or would be; null: nowhere. */
  let audit: AuditConfig | null = null;
  const pages = createRecordPages(options.clock);

  const load = async (): Promise<Gateway> => {
    const { createGateway } = await code();
    gateway ??= createGateway(options);
    return gateway;
  };
  const current = (): Gateway | null => (wanted ? gateway : null);

  return {
    control: {
      ...createGatewayControl(current),
      audit: (request, signal) => auditReport(audit, request, pages, signal),
    },
    callMinutes: () => current()?.calls.minutes ?? new Map(),
    applier: {
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
    },
    async start(config, door = null) {
      audit = config.audit;
      if (!wantsGateway(config)) {
        closeDoor(door);
        return;
      }
      const isBuilt = gateway !== null;
      const first = await load();
      wanted = true;
      if (!isBuilt) await first.build(gatewayConfig(config));
      await first.open(gatewayConfig(config), door);
    },
    async build(config, signal, rehearses) {
      if (!wantsGateway(config)) return;
      const first = await load();
      await first.build(gatewayConfig(config));
      await Promise.all([
        first.pool.startedWhereItCan(signal),
        rehearses ? rehearseOnce(options, signal) : null,
      ]);
    },
    get handing() {
      return gateway;
    },
    status() {
      const running = current();
      return running === null ? {} : gatewayStatus(running);
    },
    note: (record) => current()?.note(record),
    serveLines(stream) {
      const running = current();
      if (running === null) stream.destroy();
      else running.serveLines(stream);
    },
    machines: {
      serveMachine(stream, ...asked) {
        const running = current();
        if (running === null) stream.destroy();
        else running.serveMachine(stream, ...asked);
      },
      serveForwarded(stream) {
        const running = current();
        if (running === null) stream.destroy();
        else running.http.serveForwarded(stream);
      },
      lent: () => current()?.lent() ?? [],
      borrow: (backends) => gateway?.borrow(backends),
      lentPlaces: (...asked) => current()?.together.lentPlaces(...asked) ?? new Map(),
      notePlaces: (places) => gateway?.together.notePlaces(places),
    },
    async settled(signal) {
      await current()?.pool.settled(signal);
    },
    async [Symbol.asyncDispose]() {
      wanted = false;
      await gateway?.[Symbol.asyncDispose]();
    },
  };
}

/** Beside a daemon that serves, which needs the processor, too: once, and while backends start. */
async function rehearseOnce({ clock, logger }: GatewayOptions, signal: AbortSignal): Promise<void> {
  const { rehearse } = await import("../gateway/serving/rehearsal.ts");
  const { asked, answered } = await rehearse({ clock, signal });
  logger.debug("rehearsed", { asked, answered });
}
