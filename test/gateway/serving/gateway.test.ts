import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { type TestContext, test } from "node:test";
import type { AuditConfig, BackendConfig } from "../../../src/config/snapshot.ts";
import { isError } from "../../../src/gateway/json-rpc.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { settle } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { scriptedGateway, serverOn } from "./gateway-rig.ts";

type Bench = ReturnType<typeof scriptedGateway>;
const bench = (t: TestContext): Bench => scriptedGateway(t, { environment: { TOKEN: "t" } });

/** Of these, each started and ready with the tools of its name. */
async function ready(
  b: Bench,
  configs: Readonly<Record<string, readonly string[]>>,
): Promise<BackendConfig[]> {
  const backends = Object.keys(configs).map((name) => backendConfig(name));
  await b.change({ backends });
  for (const instance of b.script.alive) instance.becomeReady(...(configs[instance.options.backend] ?? []));
  await settle();
  return backends;
}

/** A client over lines that initializes as request 1. */
function serveClient(b: Bench, capabilities = {}) {
  const [ours, theirs] = duplexPair();
  b.gateway.serveLines(theirs);
  let said = "";
  ours.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  const send = (id: number, method: string, params: object): void => {
    ours.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
  };
  const clientInfo = { name: "c", version: "1" };
  send(1, "initialize", { protocolVersion: "2025-11-25", capabilities, clientInfo });
  return {
    send,
    said: () => said,
    heard: (part: string) => eventually(() => said.includes(part)),
    end: () => void ours.end(),
  };
}

test("B7 the gateway as a whole: an added backend is published when it is ready, a removed one leaves in the same commit", async (t) => {
  const b = bench(t);
  const [a] = await ready(b, { a: ["one"], b: ["two"] });
  assert.ok(a !== undefined);
  assert.deepEqual(b.names(), ["one", "two"]);
  assert.equal(b.gateway.view().counts.tools, 2);
  const prepared = await b.prepare({ backends: [a, backendConfig("c")] });
  assert.deepEqual(b.names(), ["one", "two"], "preparing changes nothing");
  prepared.commit();
  assert.deepEqual(b.names(), ["one"]);
  await settle();
  await b.ready("three");
  assert.deepEqual(b.names(), ["one", "three"]);
});

test("B6 the gateway as a whole: a change that is rolled back has changed nothing", async (t) => {
  const b = bench(t);
  await ready(b, { a: ["one"] });
  const instances = b.script.started.length;
  const prepared = await b.prepare({ incomingAuth: { type: "local", users: [] } });
  await prepared.rollback();
  await settle();
  assert.deepEqual([b.names(), b.script.started.length], [["one"], instances]);
});

test("B7 the gateway as a whole: backends and rules that change together are one change of the catalog", async (t) => {
  const b = bench(t);
  const [, second] = await ready(b, { a: ["one"], b: ["two"] });
  assert.ok(second !== undefined);
  b.told.length = 0;
  await b.change({
    backends: [second],
    conflictResolution: { strategy: "prefix" },
  });
  assert.deepEqual(b.names(), ["b_two"]);
  const changes = b.told.filter(({ name }) => name === "catalog.changed");
  assert.equal(changes.length, 1);
  assert.deepEqual(changes[0], {
    name: "catalog.changed",
    tools: 1,
    resources: 0,
    prompts: 0,
    added: ["tool:b_two"],
    removed: ["tool:one", "tool:two"],
    changed: [],
  });
});

test("B7 the gateway as a whole: a call that waits for the new instance uses that one's names", async (t) => {
  const b = bench(t);
  const named = (command: string, tool: string): BackendConfig =>
    backendConfig("a", {
      command,
      replace: "stop-first",
      toolOverrides: { [tool]: { name: "say", description: null, arguments: null } },
    });
  await b.change({ backends: [named("old", "old_say")] });
  await b.ready("old_say");
  await b.change({ backends: [named("new", "new_say")] });
  const reply = b.ask("tools/call", { name: "say", arguments: { x: 1 } });
  await settle();
  assert.equal(b.script.alive.length, 1);
  await b.ready("new_say");
  assert.deepEqual(pluck(b.script.last.calls, "params"), [{ name: "new_say", arguments: { x: 1 } }]);
  b.script.last.answer();
  assert.ok(!isError(await reply));
});

test("B7 the gateway as a whole: a client's own instance is called by its own names, though a call waited when the backend was then shared", async (t) => {
  const b = bench(t);
  const named = (command: string, instances: BackendConfig["instances"]): BackendConfig[] => [
    backendConfig("a", {
      command,
      instances,
      toolOverrides: { old_say: { name: "say", description: null, arguments: null } },
    }),
  ];
  const answering = (tool: string): void => {
    for (const instance of b.script.alive) {
      if (instance.observed.state.kind === "starting") instance.becomeReady(tool);
    }
    for (const one of b.script.alive) one.answer();
  };
  await b.change({ backends: named("old", "per-client") });
  answering("old_say");
  await settle();
  const { send, heard, said } = serveClient(b);
  await heard('"id":1');
  send(2, "tools/call", { name: "say" });
  await eventually(() => b.script.alive.length === 2);
  await b.change({ backends: named("old", "shared") });
  answering("old_say");
  await heard('"id":2');
  await b.change({ backends: named("new", "shared") });
  answering("say");
  await settle();
  await b.change({ backends: named("new", "per-client") });
  const before = new Set(b.script.started.flatMap(({ calls }) => calls));
  send(3, "tools/call", { name: "say" });
  await eventually(() => {
    answering("say");
    return said().includes('"id":3');
  });
  const asked = b.script.started.flatMap(({ options, listings, calls }) =>
    calls
      .filter((call) => !before.has(call))
      .map(({ params }) => [options.key, listings?.tools[0]?.["name"], params?.["name"]]),
  );
  const serving = b.script.alive.find(({ options }) => options.owner === null);
  assert.deepEqual(asked, [[serving?.options.key, "say", "say"]]);
});

test("B7 the gateway as a whole: a call that waited for a name that moves to another backend goes there, and fails when the name is gone", async (t) => {
  const b = bench(t);
  const config = (command: string): BackendConfig[] => [
    backendConfig("a", { command, replace: "stop-first" }),
    backendConfig("b"),
  ];
  const conflictResolution = { ...NO_GATEWAY.conflictResolution, strategy: "error" } as const;
  await b.change({ backends: config("old"), conflictResolution });
  for (const instance of b.script.alive)
    instance.becomeReady(...(instance.options.backend === "a" ? ["both", "own"] : ["both"]));
  await settle();
  const other = b.script.alive.find(({ options }) => options.backend === "b");
  await b.change({ backends: config("new"), conflictResolution });
  const both = b.ask("tools/call", { name: "both" });
  const own = b.ask("tools/call", { name: "own" });
  const task = b.ask("tools/call", { name: "both", task: {} });
  await settle();
  await b.ready("another");
  assert.deepEqual(pluck(other?.calls ?? [], "params"), [{ name: "both" }]);
  assert.equal(b.script.last.calls.length, 0);
  other?.answer();
  assert.ok(!isError(await both));
  for (const [reply, name] of [
    [await own, "own"],
    [await task, "both"],
  ] as const) {
    assert.ok(isError(reply));
    assert.deepEqual([reply.error.code, reply.error.message], [-32602, `Unknown tool: ${name}`]);
  }
});

test("the gateway as a whole: the owner's own requests pass no policy, and are recorded", async (t) => {
  const b = bench(t);
  const folder = await temporaryFolder(t);
  const audit = (name: string): AuditConfig => ({
    path: join(folder, name),
    maxSizeBytes: 1_000_000,
    keep: 1,
    includeArguments: false,
    redact: [],
  });
  const backends = await ready(b, { a: ["one"] });
  const closed = { defaultEffect: "deny", policies: [] } as const;
  await b.change({ backends, authorization: closed, audit: audit("first") });
  const reply = b.ask("tools/call", { name: "one" });
  await settle();
  // The file is another one before the call ends: it is written there.
  await b.change({ backends, authorization: closed, audit: audit("second") });
  b.script.last.answer();
  assert.ok(!isError(await reply));
  const line = await passTimeUntil(b.clock, () => readFile(join(folder, "second"), "utf8"), 100);
  const { principal, target, backend, outcome } = JSON.parse(line);
  assert.deepEqual([principal, target, backend, outcome], ["owner", "tool:one", "a", "ok"]);
  const refused = { status: 401, reason: "a token is needed", remote: "10.0.0.1", principal: null } as const;
  for (let count = 0; count < 3; count++) b.gateway.serving.refusals.record(refused);
  await b.end();
  b.gateway.serving.refusals.record({ ...refused, remote: "10.0.0.2" });
  await b.gateway.serving.rules.auditFile?.[Symbol.asyncDispose]();
  const lines = (await readFile(join(folder, "second"), "utf8")).trim().split("\n");
  const counts = lines.slice(1).map((one) => JSON.parse(one).count);
  assert.deepEqual(counts, [1, 2], "what was only counted is written at the end, and nothing after it");
});

test("D5 a shared server gets the extensions that all clients have with the same settings", async (t) => {
  const b = bench(t);
  const [mine, other] = ["com.example/mine", "com.example/other"];
  const clients = [
    serveClient(b, { extensions: { [mine]: { a: 1 }, [other]: {}, "io.modelcontextprotocol/tasks": {} } }),
    serveClient(b, {
      extensions: { [other]: { b: 1 }, [mine]: { a: 1 }, "io.modelcontextprotocol/tasks": {} },
    }),
  ];
  for (const { heard } of clients) await heard('"id":1');
  await b.change({ backends: [backendConfig("a")] });
  const { last } = b.script;
  assert.deepEqual(last.options.extensions?.(), { [mine]: { a: 1 } });
  serveClient(b).end();
  await passTimeUntil(b.clock, () => b.gateway.view().sessions === 2, 100);
});

test("the gateway as a whole: a client over lines is a session of the owner's, which is notified of changes and ends with its stream", async (t) => {
  const b = bench(t);
  const backends = await ready(b, { a: ["one"] });
  const { said, heard, end } = serveClient(b);
  await heard('"id":1');
  assert.equal(b.gateway.view().sessions, 1);
  await b.change({ backends: [...backends, backendConfig("b")] });
  assert.ok(!said().includes("list_changed"));
  b.script.last.becomeReady("two");
  await heard("notifications/tools/list_changed");
  assert.equal(said().split("list_changed").length, 2);
  end();
  await passTimeUntil(b.clock, () => b.gateway.view().sessions === 0, 100);
});

test("B7 the gateway as a whole: an edited description is published and announced to clients, and restarts nothing", async (t) => {
  const b = bench(t);
  const described = (description: string): BackendConfig[] => [
    backendConfig("a", { toolOverrides: { one: { name: null, description, arguments: null } } }),
  ];
  await b.change({ backends: described("good") });
  await b.ready("one");
  const { said, heard } = serveClient(b);
  await heard('"id":1');
  for (const description of ["better", "best"]) {
    const before = said().length;
    await b.change({ backends: described(description) });
    const [tool] = b.gateway.entries().tools;
    assert.equal(tool?.definition["description"], description);
    await eventually(() => said().slice(before).includes("notifications/tools/list_changed"));
  }
  assert.equal(b.script.started.length, 1);
});

test("the gateway as a whole: nothing is stored for a client that has gone", async (t) => {
  const b = bench(t);
  const forget = t.mock.method(b.gateway.pool, "forget");
  const client = serveClient(b);
  await client.heard('"id":1');
  client.end();
  await eventually(() => forget.mock.callCount() === 1);
});

test("B7 the gateway as a whole: rules that cannot be made leave no new address open", async (t) => {
  const b = scriptedGateway(t, {
    listens: true,
    environment: { TOKEN: "secret" },
    redact: () => assert.fail("made to fail"),
  });
  const port = await freePort();
  const token = { kind: "environment", variable: "TOKEN" } as const;
  const incomingAuth = { type: "local", users: [{ name: "ann", token, roles: [] }] } as const;
  await assert.rejects(b.prepare({ server: serverOn(port), incomingAuth }), /made to fail/);
  await assert.rejects(once(connect(port, "127.0.0.1"), "connect"), { code: "ECONNREFUSED" });
});

test("the gateway as a whole: it does not listen where it should not, and all of it ends, twice as well as once", async (t) => {
  const b = bench(t);
  await ready(b, { a: ["one"] });
  assert.equal(b.gateway.view().url, null);
  const hanging = b.ask("tools/call", { name: "one" });
  await settle();
  await b.end();
  await b.gateway[Symbol.asyncDispose]();
  const reply = await hanging;
  assert.ok(isError(reply));
  assert.equal(reply.error.message, "the gateway is stopping");
  b.gateway.setImported([{ machine: "desktop", backend: "files", instance: "1" }]);
  assert.deepEqual([b.script.alive, b.gateway.view().backends], [[], []]);
});

test("the gateway as a whole: its end takes 5 s at most, with a call that is never answered and an instance that never ends", async (t) => {
  const b = bench(t);
  await ready(b, { a: ["one"], b: ["two"] });
  b.script.closeGate = new Promise(() => {});
  const hanging = b.ask("tools/call", { name: "one" });
  await settle();
  let ended = false;
  const ending = b.gateway[Symbol.asyncDispose]().then(() => {
    ended = true;
  });
  await b.clock.advance(4_000);
  assert.equal(ended, false);
  await b.clock.advance(1_000);
  assert.equal(ended, true);
  await ending;
  assert.ok(isError(await hanging));
});

test("D3 a failure while changes of lists are announced is logged, and ends nothing", async (t) => {
  const logger = createRecordingLogger();
  const b = scriptedGateway(t, { logger });
  await b.start(backendConfig("a"));
  const { serving } = b.gateway;
  const { served } = serving;
  const fail = (): never => {
    throw new Error("boom");
  };
  serving.swap(serving.rules);
  Object.defineProperty(serving, "served", { configurable: true, get: fail });
  await settle();
  Object.defineProperty(serving, "served", { configurable: true, writable: true, value: served });
  assert.ok(logger.lines.some(({ level, fields }) => level === "error" && fields["error"] === "boom"));
  await b.ready("x");
  assert.deepEqual(b.names(), ["x"]);
});
