// Instances that start in the folders of their clients.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { InstanceBase } from "../../../../src/gateway/backends/pool/pool-instance.ts";
import { OWNER } from "../../../../src/gateway/client-handle.ts";
import { settle } from "../../../support/manual-clock.ts";
import { bench } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient, errorText, type TestClient } from "./scripted-instance.ts";

const HERE = {
  type: "stdio",
  command: "server",
  args: [],
  env: {},
  cwd: "/empty",
  cwdIsClients: true,
  clientFolders: ["/work"],
} as const;

/** A pool whose shared instance is ready, and the folders in which instances were started. */
async function startPool() {
  const started: (string | null)[] = [];
  const b = bench(
    {},
    {
      openTransport(connection: InstanceBase["connection"]) {
        started.push(connection.type === "stdio" ? (connection.clientFolder ?? null) : null);
        return () => assert.fail("a scripted instance opens no link");
      },
    },
  );
  await b.applied(backendConfig("a", { instances: "per-client", connection: HERE }));
  await b.comesUp("one");
  return { b, started };
}

const inFolder = (name: string, folder: string | null): TestClient => ({
  ...createClient(name),
  principal: OWNER,
  folder,
});

function withRoots(folder: string | null, answer: () => Promise<object>): TestClient {
  return {
    ...inFolder("rooted", folder),
    capabilities: { roots: {} },
    request: async () => ({ result: { ...(await answer()) } }),
  };
}

test("D7 each client's instance starts in its folder, and the shared one in none", async () => {
  const { b, started } = await startPool();
  const call = b.pool.call("a", callOf(inFolder("ann", "/work/ann")));
  void b.pool.call("a", callOf(inFolder("bob", "/work/bob")));
  await settle();
  assert.deepEqual(started, [null, "/work/ann", "/work/bob"]);
  b.script.started[1]?.becomeReady("one");
  await settle();
  b.script.started[1]?.answer();
  assert.ok("result" in (await call));
});

test("D7 a client's own roots take precedence; without one that is a folder, it is the folder where the client was started", async () => {
  const rows: [answer: () => Promise<object>, folder: string][] = [
    [
      async () => ({ roots: [{ uri: "file:///work/two%20words" }, { uri: "file:///work/b" }] }),
      "/work/two words",
    ],
    [async () => ({ roots: [] }), "/work/told"],
    [async () => ({ roots: "x" }), "/work/told"],
    [async () => ({ roots: [{ uri: "https://example.com/x" }] }), "/work/told"],
    [async () => ({ roots: [{ uri: "file://other-machine/work" }] }), "/work/told"],
    [async () => ({ roots: [{ uri: "file:///work/a%0Ab" }] }), "/work/told"],
  ];
  for (const [answer, folder] of rows) {
    const { b, started } = await startPool();
    void b.pool.call("a", callOf(withRoots("/work/told", answer)));
    await settle();
    assert.deepEqual(started, [null, folder]);
  }
});

test("a client that does not list its roots is waited for 3 s", async () => {
  const { b, started } = await startPool();
  void b.pool.call("a", callOf(withRoots("/work/told", () => new Promise(() => {}))));
  await settle();
  assert.deepEqual(started, [null]);
  await b.clock.advance(3_000);
  await settle();
  assert.deepEqual(started, [null, "/work/told"]);
});

test("D7 the call of a client without a reported folder fails with that reason; its next one checks again", async () => {
  const { b, started } = await startPool();
  const client = createClient("ann");
  for (let round = 0; round < 2; round++) {
    const reply = await b.pool.call("a", callOf(client));
    assert.match(errorText(reply), /starts in its client's folder, and this client has not reported any/);
  }
  assert.deepEqual(started, [null]);
});

test("D7 a client that is not the owner's own cannot name a folder, whatever its roots", async () => {
  const { b, started } = await startPool();
  const roots = withRoots(null, async () => ({ roots: [{ uri: "file:///work/private" }] }));
  const user = { ...roots, principal: createClient("bob").principal };
  const reply = await b.pool.call("a", callOf(user));
  assert.match(errorText(reply), /this client has not reported any/);
  assert.deepEqual(started, [null]);
});

test("D7 a refused folder delays no other client", async () => {
  const { b, started } = await startPool();
  for (const name of ["a", "b", "c", "d"]) {
    const call = b.pool.call("a", callOf(inFolder(name, "/elsewhere")));
    await settle();
    await b.dies("not allowed");
    assert.match(errorText(await call), /not allowed/);
  }
  void b.pool.call("a", callOf(inFolder("good", "/work/good")));
  await settle();
  assert.equal(started.at(-1), "/work/good");
});

test("a change of the allowed folders ends the instances in former ones", async () => {
  const { b } = await startPool();
  void b.pool.call("a", callOf(inFolder("ann", "/work/ann")));
  await settle();
  await b.comesUp("one");
  const starts = b.starts();
  await b.applied(
    backendConfig("a", { instances: "per-client", connection: { ...HERE, clientFolders: ["/other"] } }),
  );
  assert.equal(b.starts(), starts + 1, "the shared one is started anew, and clients' follow it");
});
