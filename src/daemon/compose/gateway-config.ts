// The gateway's part of a configuration, and whether the configuration needs a gateway.
import type { BackendConfig, MountaineerConfig } from "../../config/snapshot.ts";
import type { GatewayConfig } from "../../gateway/serving/gateway-contract.ts";

/** True if a backend, `[server]` or `[fleet].import` is configured; else the gateway is neither loaded nor shown. */
export function wantsGateway({ backends, server, fleet }: MountaineerConfig): boolean {
  return backends.length > 0 || server !== null || importsBackends(fleet);
}

function importsBackends(fleet: MountaineerConfig["fleet"]): boolean {
  return (fleet?.import ?? []).length > 0;
}

function exportsOf({ backends, fleet }: MountaineerConfig): readonly string[] {
  const wanted = fleet?.export ?? [];
  return backends
    .filter(({ name, enabled }) => enabled && (wanted.includes("*") || wanted.includes(name)))
    .map(({ name }) => name);
}

/** Other folders are another connection, so that no instance stays in a folder that is no longer allowed. */
function withClientFolders(backend: BackendConfig, clientFolders: readonly string[]): BackendConfig {
  const allowed = <C extends BackendConfig["connection"]>(connection: C): C =>
    connection.type === "stdio" && connection.cwdIsClients ? { ...connection, clientFolders } : connection;
  const routes = backend.routes?.map((route) => ({ ...route, connection: allowed(route.connection) }));
  const connection = allowed(backend.connection);
  return { ...backend, connection, ...(routes === undefined ? {} : { routes }) };
}

export function gatewayConfig(config: MountaineerConfig): GatewayConfig {
  const { server, conflictResolution, incomingAuth, authorization } = config;
  // For the gateway it makes no difference whether a setting comes from the file's entry or from the defaults.
  const isInitDefault = config.backendDefaults.timeouts.initMs !== null;
  const backends = config.backends.map(({ given, defaultEnv: _names, ...backend }) => ({
    ...withClientFolders(backend, config.trust.clientFolders ?? []),
    ...((isInitDefault || given?.includes("initMs") === true) && { isInitGiven: true }),
  }));
  const { limits, audit, trust, telemetry, optimizer, scripts, groups, profiles } = config;
  const access = { incomingAuth, authorization, limits, audit, trust, telemetry };
  const exported = exportsOf(config);
  const acrossMachines = {
    ...(exported.length === 0 ? {} : { exports: exported }),
    ...(importsBackends(config.fleet) ? { importsBackends: true } : {}),
  };
  const shown = { optimizer, scripts, groups, profiles };
  const { autoFailback, autoFailbackStableMs: stableMs, lsofRecheck } = config.global;
  // If both settings are off, a backend returns to a better route only at a person's command.
  const failback = { isAutomatic: autoFailback || lsofRecheck, stableMs };
  return { server, backends, failback, conflictResolution, ...access, ...shown, ...acrossMachines };
}
