// The gateway's part of a configuration, and whether there is a gateway at all.
import type { MountaineerConfig } from "../../config/snapshot.ts";
import type { GatewayConfig } from "../../gateway/serving/gateway-contract.ts";

/** A gateway is there when a backend or `[server]` is configured; else nothing of it is loaded or shown. */
export function wantsGateway({ backends, server }: MountaineerConfig): boolean {
  return backends.length > 0 || server !== null;
}

export function gatewayConfig(config: MountaineerConfig): GatewayConfig {
  const { server, backends, conflictResolution, incomingAuth, authorization } = config;
  const { limits, audit, trust, telemetry, optimizer, groups, profiles } = config;
  const access = { incomingAuth, authorization, limits, audit, trust, telemetry };
  const shown = { optimizer, groups, profiles };
  const { autoFailback: auto, autoFailbackStableMs: stableMs, lsofRecheck: recheck } = config.global;
  const failback = { auto, stableMs, recheck };
  return { server, backends, failback, conflictResolution, ...access, ...shown };
}
