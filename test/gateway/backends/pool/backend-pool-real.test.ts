import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import type { BackendView } from "../../../../src/gateway/backends/policy/backend-pool-contract.ts";
import { isError } from "../../../../src/gateway/json-rpc.ts";
import { type Clock, systemClock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { isGone } from "../../../support/processes.ts";
import { PATIENT, POOL_SERVER, startRealPool } from "./real-pool.ts";
import { backendConfig, callOf } from "./scripted-instance.ts";

type RealPool = ReturnType<typeof realPool>;

function realPool(t: TestContext, clock: Clock = systemClock) {
  const { pool } = startRealPool(t, { clock });
  return {
    pool,
    apply: (...configs: BackendConfig[]) => pool.apply(configs, { drainTimeoutMs: 60_000 }),
    tools: () => pool.published.flatMap(({ listings }) => listings.tools.map(({ name }) => String(name))),
    view(): BackendView {
      const view = pool.view().find(({ name }) => name === "a");
      assert.ok(view !== undefined);
      return view;
    },
    call: (ms = 0) => pool.call("a", { ...callOf(), params: { name: "who", arguments: { ms } } }),
  };
}

const serverConfig = (tool: string, change: Partial<BackendConfig> = {}): BackendConfig =>
  backendConfig("a", {
    connection: {
      type: "stdio",
      command: process.execPath,
      args: [POOL_SERVER],
      env: { TOOL: [tool] },
      cwd: "/",
    },
    timeouts: PATIENT,
    ...change,
  });

async function ready(real: RealPool, tool: string): Promise<void> {
  await eventually(() => real.tools().join() === tool);
}

test("B6 real processes: a program that echoes its input is reported as not an MCP server", async (t) => {
  const real = realPool(t);
  const connection = { type: "stdio", command: "cat", args: [], env: {}, cwd: "/" } as const;
  real.apply(serverConfig("t", { connection }));
  await eventually(() => /not an MCP server: correct `command`/.test(JSON.stringify(real.view())));
});

test("ending leaves no process, whatever was in progress", async (t) => {
  const clock = createManualClock();
  const real = realPool(t, clock);
  real.apply(serverConfig("t"));
  await ready(real, "t");
  const { pid } = real.view();
  const call = real.call(600_000);
  real.apply(serverConfig("t1"));
  const ending = real.pool[Symbol.asyncDispose]();
  // The call has three seconds, its server one to end by itself; the limit of all is beyond both.
  await clock.advance(3_000);
  assert.ok(isError(await call));
  await clock.advance(1_000);
  await ending;
  assert.ok(pid !== null && isGone(pid));
});

test("F4 servers that fail for one reason give one cause, whatever their addresses and names", async (t) => {
  const { pool, apply } = realPool(t);
  const server = (name: string, connection: BackendConfig["connection"]): BackendConfig =>
    backendConfig(name, { connection, timeouts: PATIENT });
  const program = { type: "stdio", command: "no-such-program", args: [], env: {}, cwd: "/" } as const;
  const remote = { type: "streamable-http", headers: {} } as const;
  apply(
    server("one", program),
    server("two", program),
    server("three", { ...remote, url: "http://127.0.0.1:1/mcp" }),
    server("four", { ...remote, url: "http://127.0.0.2:2/mcp" }),
  );
  await eventually(() => pool.view().every(({ conditions }) => conditions.length > 0));
  const causes = pool.view().map(({ name, conditions }) => [name, conditions[0]?.cause?.text]);
  const missing = "cannot start no-such-program: it is not installed, or not on PATH";
  const closed = "cannot be reached: nothing listens there";
  assert.deepEqual(causes, [
    ["one", missing],
    ["two", missing],
    ["three", closed],
    ["four", closed],
  ]);
});
