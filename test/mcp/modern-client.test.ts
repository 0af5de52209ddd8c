// The official SDK's client of 2026-07-28 against the real program, with servers of older versions behind it.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER, startHttpFixture } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, SETTLES_MS, startGatewayRig } from "./gateway-rig.ts";

interface Connected {
  readonly rig: GatewayRig;
  readonly client: Client;
  readonly told: { readonly method: string; readonly params: unknown }[];
}

/** Behind stdio as `near`, behind HTTP as `far`. */
async function connect(t: TestContext): Promise<Connected> {
  const far = await startHttpFixture(t, LIGHT_SERVER, { LIGHT_PREFIX: "far_" });
  const rig = await startGatewayRig(t, {
    backends: {
      near: nodeBackend(LIGHT_SERVER),
      far: { type: "streamable-http", url: far.url },
    },
  });
  await rig.untilReady("near", "far");
  const client = new Client({ name: "modern", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const told: { readonly method: string; readonly params: unknown }[] = [];
  client.fallbackNotificationHandler = async ({ method, params }) => void told.push({ method, params });
  await client.connect(new StreamableHTTPClientTransport(new URL(rig.url)));
  rig.beforeStop(() => client.close());
  return { rig, client, told };
}

const textOf = (result: { readonly content: readonly object[] }): unknown =>
  "text" in (result.content[0] ?? {}) ? (result.content[0] as { text: unknown }).text : null;

test("D1 a client of 2026-07-28 lists, calls and reads what servers of older versions have", async (t) => {
  const { rig, client } = await connect(t);
  assert.equal(client.getNegotiatedProtocolVersion(), "2026-07-28");
  assert.equal(client.getServerVersion()?.name, "mountaineer");
  const { tools } = await client.listTools();
  const names = tools.map(({ name }) => name);
  assert.ok(names.includes("echo") && names.includes("far_echo"), names.join(" "));
  assert.equal(textOf(await client.callTool({ name: "echo", arguments: { text: "é" } })), "é");
  assert.equal(textOf(await client.callTool({ name: "far_echo", arguments: { text: "b" } })), "b");
  const { contents } = await client.readResource({ uri: "light://pid" });
  assert.equal(contents.length, 1);
  const { messages } = await client.getPrompt({ name: "greet" });
  assert.equal(messages.length, 1);
  await assert.rejects(client.callTool({ name: "nothing" }), { code: -32602 });
  await assert.rejects(client.readResource({ uri: "nowhere:" }), { code: -32602 });
  const { gateway } = await rig.status();
  assert.equal(gateway?.sessions, 0);
});

test("D1 it is told of changed lists and resources while it listens, also after its server came back", async (t) => {
  const { rig, client, told } = await connect(t);
  const listening = await client.listen({
    toolsListChanged: true,
    resourceSubscriptions: ["light://pid", "nowhere:"],
  });
  assert.deepEqual(listening.honoredFilter, {
    toolsListChanged: true,
    resourceSubscriptions: ["light://pid"],
  });
  const updates = (): number =>
    told.filter(({ method }) => method === "notifications/resources/updated").length;
  await client.callTool({ name: "touch", arguments: { uri: "light://pid" } });
  await eventually(() => updates() === 1);
  await client.callTool({ name: "offer", arguments: { tools: 2 } });
  await eventually(() => told.some(({ method }) => method === "notifications/tools/list_changed"));
  const { tools } = await client.listTools();
  assert.ok(tools.some(({ name }) => name === "tool_0000"));
  const before = (await rig.backend("near")).pid;
  await assert.rejects(client.callTool({ name: "exit" }));
  await rig.untilBackend("near", ({ pid, phase }) => phase === "Ready" && pid !== before);
  await eventually(async () => {
    await client.callTool({ name: "touch", arguments: { uri: "light://pid" } });
    return updates() > 1;
  }, SETTLES_MS);
  await listening.close();
});
