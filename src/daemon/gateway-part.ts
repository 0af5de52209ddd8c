// The gateway inside the service: loaded when one is configured, and its part in a reload.
import type { Duplex } from "node:stream";
import type { StatusReport } from "../api/contract.ts";
import type { GatewayControl } from "../api/control.ts";
import type { MountaineerConfig } from "../config/snapshot.ts";
import type { Gateway, GatewayOptions, GivenDoor } from "../gateway/serving/gateway-contract.ts";
import { closeDoor } from "../gateway/serving/given-door.ts";
import { gatewayConfig, wantsGateway } from "./compose/gateway-config.ts";
import { createGatewayControl } from "./control/gateway-control.ts";
import { gatewayStatus } from "./control/gateway-status.ts";
import type { HandingGateway } from "./handover/handing.ts";
import type { ConfigApplier } from "./reload/reload-transaction.ts";

export interface GatewayPart extends AsyncDisposable {
  readonly applier: ConfigApplier;
  readonly control: GatewayControl;
  /** Begins with the first configuration; resolves when the gateway listens, or has failed to. */
  start(config: MountaineerConfig, door?: GivenDoor | null): Promise<void>;
  /** The first half of `start`; resolves when its backends serve or have failed, those that may start now. */
  build(config: MountaineerConfig, signal: AbortSignal): Promise<void>;
  /** The part of the gateway that a handover is about; null: there is none. */
  readonly handing: HandingGateway | null;
  /** Empty while no gateway is configured. */
  status(): Pick<StatusReport, "gateway" | "backends">;
  /** Into the audit, where there is one: an entry of the configuration waits, or was approved. */
  note(record: Parameters<Gateway["note"]>[0]): void;
  /** Serves one client over lines of JSON-RPC; ends the stream at once while no gateway is configured. */
  serveLines(stream: Duplex): void;
  /** No backend is in its first attempt any more. */
  settled(signal: AbortSignal): Promise<void>;
}

export function createGatewayPart(options: GatewayOptions): GatewayPart {
  /** Once there is one it stays, so that calls drain and sessions survive while nothing is configured. */
  let gateway: Gateway | null = null;
  let wanted = false;

  const load = async (): Promise<Gateway> => {
    const { createGateway } = await import("../gateway/serving/gateway.ts");
    gateway ??= createGateway(options);
    return gateway;
  };
  const current = (): Gateway | null => (wanted ? gateway : null);

  return {
    control: createGatewayControl(current),
    applier: {
      name: "gateway",
      async prepare({ after }, signal) {
        const wants = wantsGateway(after);
        const running = wants ? await load() : gateway;
        if (running === null) return { commit() {} };
        const prepared = await running.prepare(gatewayConfig(after), signal);
        return {
          commit() {
            wanted = wants;
            prepared.commit();
          },
          retire: () => prepared.retire(),
          rollback: () => prepared.rollback(),
        };
      },
    },
    async start(config, door = null) {
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
    async build(config, signal) {
      if (!wantsGateway(config)) return;
      const first = await load();
      await first.build(gatewayConfig(config));
      await first.built(signal);
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
    async settled(signal) {
      await current()?.settled(signal);
    },
    async [Symbol.asyncDispose]() {
      wanted = false;
      await gateway?.[Symbol.asyncDispose]();
    },
  };
}
