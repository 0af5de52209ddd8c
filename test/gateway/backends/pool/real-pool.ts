// A pool of real processes: programs over stdio, and servers over HTTP.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { startBackendInstance } from "../../../../src/gateway/backends/instance/start-backend-instance.ts";
import type { RouteOverrides } from "../../../../src/gateway/backends/pool/backend-contract.ts";
import { BackendPool } from "../../../../src/gateway/backends/pool/backend-pool.ts";
import { openHttpTransport } from "../../../../src/gateway/backends/transports/http/http-transport.ts";
import { openStdioTransport } from "../../../../src/gateway/backends/transports/stdio/stdio-transport.ts";
import { Warden } from "../../../../src/gateway/backends/transports/stdio/warden.ts";
import type { GatewayTransition } from "../../../../src/gateway/gateway-transitions.ts";
import { noopLogger as logger } from "../../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../../src/runtime/time/clock.ts";

export const POOL_SERVER = fileURLToPath(new URL("../programs/pool-server.ts", import.meta.url));
export const PATIENT = { initMs: 60_000, listMs: 60_000, callMs: 60_000 };

export function startRealPool(
  t: TestContext,
  {
    clock = systemClock,
    pinnedRoutes: routeOverrides,
  }: { readonly clock?: Clock; readonly pinnedRoutes?: RouteOverrides } = {},
): { readonly pool: BackendPool; readonly told: readonly GatewayTransition[] } {
  const warden = new Warden({ clock: systemClock, logger });
  const told: GatewayTransition[] = [];
  const pool = new BackendPool({
    clock,
    logger,
    environment: {},
    redact() {},
    announce: (transition) => told.push(transition),
    clientInfo: { name: "test", version: "1" },
    startInstance: startBackendInstance,
    openTransport(connection, _, secrets) {
      assert.ok(connection.type !== "fleet");
      if (connection.type === "streamable-http")
        return openHttpTransport({ ...connection, authorize: () => null, clock, secrets });
      const { sandbox: __, ...program } = connection;
      return openStdioTransport({ ...program, warden, clock });
    },
    random: Math.random,
    onLog() {},
    publishedUri: (_, uri) => uri,
    ...(routeOverrides !== undefined && { routeOverrides }),
  });
  t.after(async () => {
    await pool[Symbol.asyncDispose]();
    await warden[Symbol.asyncDispose]();
  });
  return { pool, told };
}
