// Sessions over HTTP while their daemon ends, and another one comes.
import assert from "node:assert/strict";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type Json, type LightClient } from "./light-client.ts";

const TOKENS = { ann: "token-of-ann", bob: "token-of-bob" };
const USERS = {
  more: {
    incoming_auth: {
      type: "local",
      users: [
        { name: "ann", token: reference("ANN"), roles: ["dev"] },
        { name: "bob", token: reference("BOB"), roles: [] },
      ],
    },
  },
};

function reference(variable: string): string {
  return `\${${variable}}`;
}

async function start(t: TestContext, light: Section, more = {}): Promise<GatewayRig> {
  const env = { ANN: TOKENS.ann, BOB: TOKENS.bob };
  const rig = await startGatewayRig(t, { backends: { light }, ...more }, { env });
  await rig.untilReady("light");
  return rig;
}

async function connect(t: TestContext, rig: GatewayRig, options = {}): Promise<LightClient> {
  const client = await connectLight(rig.url, options);
  t.after(() => client[Symbol.asyncDispose]());
  return client;
}

const methodsOf = (client: LightClient): unknown[] => client.notices.map(({ method }) => method);
const fileOf = (rig: GatewayRig): string => path.join(rig.home.home, "sessions.jsonl");

for (const [signal, words] of [
  ["SIGKILL", "kill -9"],
  ["SIGTERM", "a stop"],
] as const) {
  test(`B11 a session goes on after ${words} with all that its client asked for, and hears nothing of lists that are as they were`, async (t) => {
    // Slow to start, as real servers are.
    const rig = await start(t, nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_INIT_MS: "500" } }));
    const client = await connect(t, rig);
    const gone = await connect(t, rig);
    const tools = await client.tools();
    await client.request("logging/setLevel", { level: "warning" });
    await client.request("resources/subscribe", { uri: "light://pid" });
    await client.listen();
    await gone[Symbol.asyncDispose]();
    const { sessionId: goneId } = gone;
    await eventually(async () => {
      const text = await readFile(fileOf(rig), "utf8");
      return text.includes("light://pid") && text.includes('"gone":true');
    });
    await rig.goDown(signal);
    await assert.rejects(client.call("echo", { text: "nobody" }));
    await rig.comeBack();

    await client.listen();
    assert.equal(await client.call("echo", { text: "afterwards" }), "afterwards");
    assert.deepEqual(await client.tools(), tools);
    await rig.untilReady("light");
    await client.call("touch", { uri: "light://pid" });
    const logged: Json[] = [];
    const onNotice = (notice: Json): void => void logged.push(notice);
    await client.call("log", { level: "info", text: "quiet" }, { onNotice });
    await client.call("log", { level: "error", text: "loud" }, { onNotice });
    assert.deepEqual(
      logged.map(({ params }) => params),
      [{ level: "error", data: "loud" }],
    );
    await eventually(() => client.notices.length > 0);
    assert.deepEqual(methodsOf(client), ["notifications/resources/updated"]);
    assert.equal((await rig.status()).gateway?.sessions, 1);
    const ended = await fetch(rig.url, {
      method: "GET",
      headers: { accept: "text/event-stream", "mcp-session-id": String(goneId) },
    });
    assert.equal(ended.status, 404, "what its client ended does not come back");
    assert.match(await ended.text(), /initialize anew/u);
  });
}

test("B11 after kill -9 a new client's call for a tool of before waits for its server, too", async (t) => {
  const rig = await start(t, nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_INIT_MS: "1500" } }));
  await eventually(() => stat(path.join(rig.home.home, "pins.sealed")).catch(() => null));
  await rig.goDown("SIGKILL");
  await rig.comeBack();
  const client = await connect(t, rig);
  assert.equal(await client.call("echo", { text: "afterwards" }), "afterwards");
  await assert.rejects(client.call("never_was"), /Unknown tool: never_was/u);
});

test("B11 what changed while the daemon was away is told when the client listens again, once", async (t) => {
  const rig = await start(t, nodeBackend(LIGHT_SERVER));
  const client = await connect(t, rig);
  await client.listen();
  await rig.goDown("SIGKILL");
  await writeFile(
    rig.home.configFile,
    rig.text({ backends: { light: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_TOOLS: "1" } }) } }),
  );
  await rig.comeBack();
  await client.listen();
  await eventually(() => client.notices.length > 0);
  assert.ok((await client.tools()).includes("tool_0000"));
  await rig.goDown("SIGTERM");
  await rig.comeBack();
  await client.listen();
  await client.tools();
  assert.deepEqual(methodsOf(client), ["notifications/tools/list_changed"]);
});

test("B11 a session of before a restart is its principal's alone; an id that never was is nobody's", async (t) => {
  const rig = await start(t, nodeBackend(LIGHT_SERVER), USERS);
  const ann = await connect(t, rig, { token: TOKENS.ann });
  await rig.goDown("SIGKILL");
  await rig.comeBack();
  const asks = (token: string, id: string) =>
    fetch(rig.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        authorization: `Bearer ${token}`,
        "mcp-session-id": id,
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }),
    });
  const foreign = await asks(TOKENS.bob, String(ann.sessionId));
  const unknown = await asks(TOKENS.bob, "never-was");
  assert.deepEqual([foreign.status, unknown.status], [404, 404]);
  assert.equal(await foreign.text(), await unknown.text());
  assert.equal((await asks(TOKENS.ann, String(ann.sessionId))).status, 200);
  assert.equal(await ann.call("echo", { text: "mine" }), "mine");
});

test("B11 on disk are hashes of ids, for the owner alone; without a session there is no file", async (t) => {
  const rig = await start(t, nodeBackend(LIGHT_SERVER));
  await assert.rejects(stat(fileOf(rig)), { code: "ENOENT" });
  const client = await connect(t, rig);
  const text = await readFile(fileOf(rig), "utf8");
  const id = String(client.sessionId);
  assert.ok(text.includes(sha256Of(id)) && !text.includes(id));
  assert.equal((await stat(fileOf(rig))).mode & 0o777, 0o600);
});

test("B11 a client's own process starts anew with its first call, with the capabilities that it declared", async (t) => {
  const rig = await start(t, nodeBackend(LIGHT_SERVER, [], { instances: "per-client" }));
  const client = await connect(t, rig, {
    capabilities: { roots: {} },
    onRequest: () => ({ roots: [{ uri: "file:///mine" }] }),
  });
  const before = await client.call("pid");
  await rig.goDown("SIGKILL");
  await rig.comeBack();
  const after = await client.call("pid");
  assert.notEqual(after, before);
  assert.equal(await client.call("pid"), after);
  const asked = await client.call("ask", { method: "roots/list" });
  assert.deepEqual(JSON.parse(asked), { roots: [{ uri: "file:///mine" }] });
});

test("B11 where sessions cannot be written the gateway serves on and says so, and they are written when they can be", async (t) => {
  const rig = await start(t, nodeBackend(LIGHT_SERVER));
  // Nothing can be put in the place of a folder that is not empty, not even by root.
  await mkdir(path.join(fileOf(rig), "inside"), { recursive: true });
  const client = await connect(t, rig);
  assert.equal(await client.call("echo", { text: "all the same" }), "all the same");
  const codes = async () => (await rig.status()).gateway?.conditions.map(({ code }) => code) ?? [];
  assert.ok((await codes()).includes("sessions_not_saved"));
  await rm(fileOf(rig), { recursive: true });
  await eventually(async () => !(await codes()).includes("sessions_not_saved"));
  await rig.goDown("SIGKILL");
  // A start with something in its place is one without sessions.
  await rm(fileOf(rig));
  await mkdir(path.join(fileOf(rig), "inside"), { recursive: true });
  await rig.comeBack();
  await assert.rejects(client.call("echo"), { code: 404 });
  const next = await connect(t, rig);
  await rig.goDown("SIGKILL");
  await rig.comeBack();
  assert.equal(await next.call("echo", { text: "kept" }), "kept");
});
