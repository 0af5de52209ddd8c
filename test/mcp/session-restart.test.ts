// Sessions over HTTP while their daemon ends, and another one comes.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type Json, type LightClient } from "./light-client.ts";

const TOKENS = { ann: "token-of-ann", bob: "token-of-bob" };

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

test("B11 a session goes on after kill -9 with all that its client asked for, and hears nothing of lists that are as they were", async (t) => {
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
    return text.includes("light://pid") && !text.includes(String(goneId));
  });
  await rig.goDown("SIGKILL");
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
