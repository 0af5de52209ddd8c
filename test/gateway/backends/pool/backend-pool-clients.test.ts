// Backends with one instance for each client: whose calls go where, in which folder it starts, and when it ends.
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import type { InstanceBase } from "../../../../src/gateway/backends/pool/pool-instance.ts";
import { OWNER } from "../../../../src/gateway/client-handle.ts";
import { settle } from "../../../support/manual-clock.ts";
import { type Bench, bench, ready } from "./backend-pool-bench.ts";
import { stories } from "./pool-words.ts";
import {
  backendConfig,
  callOf,
  createClient,
  errorText,
  fromInstance,
  type Script,
  type TestClient,
} from "./scripted-instance.ts";

describe("one instance for each client", () => {
  stories(`
B7 a client's calls go to its own, started at its first call, and never reach another's
  a server for each client, call x by ann, call y by ann, call z by bob: 3 starts, 2 is of ann, 3 is of bob
  2 up one, 3 up one, 1 answers, 2 answers, 3 answers: x is from 2, y is from 2, z is from 3, 1 has 0 calls
  ann notifies, ann notifies of what it may not see: 1 heard 0, 2 heard 1, 3 heard 0
while the shared one is retried after a crash, a client's own keeps running
  a server for each client, call x by ann, up, 1 dies "it crashed", call y by ann, 2 answers: x is from 2, y is from 2
  call z by bob, 250 ms, up one, up one, answers: z is from 4, 2 is open
B7 disabled, it lets clients' own instances finish their calls, including those that wait for a start
  a server for each client, call x by ann, up, call y by bob, applied own-off: 2 drains, ShuttingDown
  2 answers: x is from 2; 3 up, 3 answers: y is from 3, 0 instances, Pending
it ends with its session, and its calls with it
  a server for each client, call x by ann, up, ann leaves: x fails "…the session has ended…", 2 is closed, 1 instance
  ann ends, call y by ann: y fails "…the session has ended…", 2 starts
its calls also end with its session at an instance that drains
  a server for each client, call x by ann, up, applied own-changed, up two, ann leaves: x fails "…the session has ended…", 2 is closed
B7 a changed connection drains it; the next call starts one with the new configuration
  a server for each client, call x by ann, up, applied own-changed, up two: 2 is open; call y by ann: 2 runs server, 4 runs other
  up two, answers, 2 answers: x is from 2, y is from 4, 2 is closed, 2 timers
a call that waits for its own instance while the connection changes waits for the new one
  a server for each client, call x by ann, applied own-changed, up two: 2 is closed; up two, answers: x is from 4
B7 shared again, a call that waits for its own instance goes to the shared one, and nothing further is started
  a server for each client, call x by ann, applied a: 2 starts, 2 is closed, 1 instance; 1 answers: x is from 1
B7 no call reaches an instance of an older connection, though one waited when the backend was shared again
  a server for each client, call x by ann, applied a, 1 answers, applied changed, up two, applied own-changed, call y by ann: 4 runs other
  up two: 1 has 1 call, 3 has 0 calls, 4 has 1 call; answers: y is from 4
B7 disabled and shared in one edit, it lets a call that waits for its own instance finish there
  a server for each client, call x by ann, applied off, 2 up one, 2 answers: x is from 2, 0 instances
a subscription follows its client from the shared one to its own, and back
  a server, ann subscribes, applied own, 2 up: 2 is of ann, ann is subscribed at 2, ann is not subscribed at 1
  applied a: ann is subscribed at 1, 2 starts
a subscription goes to the client's own, and follows it through a change
  a server for each client, ann subscribes, up: ann is subscribed at 2
  applied own-changed, up two: 4 is of ann; up two: ann is subscribed at 4; ann unsubscribes, applied own, up one: 5 starts, 5 is of nobody
a client's own that misses one or two checks is kept, and still serves other calls
  a server for each client, call x by ann, up, call y by ann, 2 missed 2: 2 starts; 2 missed 3: 2 is open; call z by ann: 3 starts
  2 answers its first call: x is from 2, 2 is open; 2 answers: y is from 2, 2 is closed
consecutive calls without an answer, and then three checks without one, replace it
  a server for each client, call x by ann, up, fails with "too slow", 4 calls by ann time out: 2 1 check
  2 missed 1: 2 is open; 2 missed 2: 2 is open; 2 missed 3: 2 is closed, 3 is of ann, 3 starts, Ready
`);

  const own = backendConfig("a", { instances: "per-client" });
  /** A client's first call, and its own instance, which is ready for it. */
  const begin = async (b: Bench, client: ReturnType<typeof createClient>) => {
    const call = b.pool.call("a", callOf(client));
    await settle();
    const mine = b.script.last;
    mine.becomeReady();
    await settle();
    return { call, mine };
  };

  it("C3 long-waiting calls are reported for all its instances together", async () => {
    const b = await ready(own);
    assert.equal(b.view().longWaits, null);
    const ann = createClient("ann");
    void b.pool.call("a", callOf(ann));
    await settle();
    await b.comesUp("one");
    const [shared, anns] = b.script.started;
    assert.ok(shared !== undefined && anns !== undefined);
    anns.longWaits = { calls: 1, longestMs: 45_000 };
    assert.deepEqual(b.view().longWaits, { calls: 1, longestMs: 45_000 });
    shared.longWaits = { calls: 2, longestMs: 12_000 };
    assert.deepEqual(b.view().longWaits, { calls: 3, longestMs: 45_000 });
    assert.equal(b.view().phase, "Ready");
  });

  /** Of 64 clients, each later than the one before; their first calls are answered. */
  const begin64 = async (b: Bench) => {
    const all: { client: ReturnType<typeof createClient>; mine: Script["last"] }[] = [];
    for (let at = 0; at < 64; at++) {
      const client = createClient(String(at));
      const { call, mine } = await begin(b, client);
      mine.answer();
      await call;
      await b.clock.advance(1);
      all.push({ client, mine });
    }
    return all;
  };

  it("B7 beyond 64 the least recently used one of an idle client is stopped; its next call starts another", async () => {
    const b = await ready(own);
    const [first, second, third, ...others] = await begin64(b);
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    const again = b.pool.call("a", callOf(first.client));
    first.mine.answer();
    await again;
    // Listening, it is there, however long it says nothing.
    second.client.busy = true;
    const { call: newcomers, mine: newest } = await begin(b, createClient("65th"));
    newest.answer();
    assert.equal(fromInstance(await newcomers), newest.id);
    const gone = ({ mine }: { mine: Script["last"] }): boolean => mine.isClosed;
    assert.deepEqual([first, second, third].map(gone), [false, false, true]);
    assert.ok(!others.some(gone));
    const { call: back, mine: anew } = await begin(b, third.client);
    anew.answer();
    assert.equal(fromInstance(await back), anew.id);
    assert.deepEqual(others.map(gone).indexOf(true), 0);
    assert.equal(b.view().instances, 65);
  });

  it("B7 none is stopped whose client listens or has a call in flight", async () => {
    const b = await ready(own);
    const all = await begin64(b);
    const [waits, ...listen] = all;
    assert.ok(waits !== undefined);
    for (const { client } of listen) client.busy = true;
    const hanging = b.pool.call("a", callOf(waits.client));
    const refused = b.pool.call("a", callOf(createClient("65th")));
    await settle();
    assert.equal(b.starts(), 65);
    assert.match(errorText(await refused), /64 instances/);
    waits.mine.answer();
    assert.equal(fromInstance(await hanging), waits.mine.id);
    assert.ok(!all.some(({ mine }) => mine.isClosed));
    void b.pool.call("a", callOf(createClient("66th")));
    await settle();
    assert.equal(waits.mine.isClosed, true);
  });
});

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
