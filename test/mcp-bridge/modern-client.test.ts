// The official client of 2026-07-28 at a bridge, with gateways that it outlives.
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { type TestContext, test } from "node:test";
import { Client, ReadBuffer, serializeMessage, type Transport } from "@modelcontextprotocol/client";
import { OWNER } from "../../src/gateway/client-handle.ts";
import { LinesFront } from "../../src/gateway/frontend/stdio/lines.ts";
import { bridge } from "../../src/mcp-bridge/mcp-bridge.ts";
import { noopLogger as logger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { createModern } from "../gateway/frontend/http/http-rig.ts";
import { createBlockingTool, createScriptedGateway, text } from "../gateway/frontend/scripted-gateway.ts";
import { eventually } from "../support/eventually.ts";
import { startScene } from "./bridge-scene.ts";

type Daemon = Awaited<ReturnType<typeof startDaemon>>;

async function startDaemon(t: TestContext, blocking = createBlockingTool()) {
  const gateway = createScriptedGateway({
    held: blocking.tool,
    async asks({ handle, signal }) {
      const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
      return text(
        JSON.stringify(await handle.request("elicitation/create", { message: "?", requestedSchema }, signal)),
      );
    },
  });
  const modern = createModern(gateway);
  const fronts: LinesFront[] = [];
  const scene = await startScene(t, (stream) => {
    const options = { gateway, modern, clock, logger, principal: OWNER, bodyLimitBytes: () => 1e6 };
    fronts.push(new LinesFront(stream, options));
  });
  t.after(() => modern.end(0, "the test is over"));
  return { gateway, scene, fronts };
}

/** The client's side of a bridge that finds `daemons` one after the other. */
async function connect(t: TestContext, daemons: readonly Daemon[]) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const leaves = new AbortController();
  const next = 1;
  const [first] = daemons;
  assert.ok(first);
  const over = bridge(
    first.scene.daemon,
    { input, output, signal: leaves.signal },
    { find: async () => daemons[Math.min(next, daemons.length - 1)]?.scene.daemon ?? null, notify() {} },
  ).catch(() => {});
  const buffer = new ReadBuffer();
  const transport: Transport = {
    async start() {
      output.on("data", (chunk: Buffer) => {
        buffer.append(chunk);
        for (let one = buffer.readMessage(); one !== null; one = buffer.readMessage())
          transport.onmessage?.(one);
      });
    },
    async send(message) {
      input.write(serializeMessage(message));
    },
    async close() {
      input.end();
      transport.onclose?.();
    },
  };
  const client = new Client(
    { name: "modern", version: "1" },
    { versionNegotiation: { mode: "auto" }, capabilities: { elicitation: { form: {} } } },
  );
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { name: "ann" } }));
  const told: string[] = [];
  client.fallbackNotificationHandler = async ({ method }) => void told.push(method);
  await client.connect(transport);
  t.after(async () => {
    await client.close();
    leaves.abort();
    await over;
  });
  return { client, told };
}

test("D1 D2 a client of 2026-07-28 calls, is asked and cancels through the bridge", async (t) => {
  const blocking = createBlockingTool();
  const daemon = await startDaemon(t, blocking);
  const { client } = await connect(t, [daemon]);
  assert.equal(client.getNegotiatedProtocolVersion(), "2026-07-28");
  const { content } = await client.callTool({ name: "any", arguments: { a: "é" } });
  assert.deepEqual(content, [{ type: "text", text: '{"a":"é"}' }]);
  assert.match(JSON.stringify((await client.callTool({ name: "asks" })).content), /ann/);
  const taken = new AbortController();
  const call = client.callTool({ name: "held" }, { signal: taken.signal });
  await eventually(() => blocking.started.length === 1);
  taken.abort();
  await assert.rejects(call);
  await eventually(() => blocking.started[0]?.signal.aborted === true);
});

test("D2 it continues with the next gateway, and listens there without noticing", async (t) => {
  const daemons = [await startDaemon(t), await startDaemon(t)];
  const [first, second] = daemons;
  assert.ok(first && second);
  const { client, told } = await connect(t, daemons);
  const listening = await client.listen({ toolsListChanged: true });
  assert.deepEqual(listening.honoredFilter, { toolsListChanged: true });
  for (const stream of first.scene.streams) stream.destroy();
  await eventually(() => second.gateway.sessions.size === 1);
  await eventually(() => told.filter((method) => method === "notifications/tools/list_changed").length === 1);
  for (const session of second.gateway.sessions) session.listChanged("tools");
  await eventually(() => told.filter((method) => method === "notifications/tools/list_changed").length === 2);
  await client.callTool({ name: "any" });
  assert.equal(second.gateway.requests.filter(({ method }) => method === "tools/call").length, 1);
});

test("D2 when another gateway takes over it moves in a quiet moment, and its stream stays", async (t) => {
  const blocking = createBlockingTool();
  const daemons = [await startDaemon(t, blocking), await startDaemon(t)];
  const [first, second] = daemons;
  assert.ok(first && second);
  const { client, told } = await connect(t, daemons);
  await client.listen({ toolsListChanged: true });
  const call = client.callTool({ name: "held" });
  await eventually(() => blocking.started.length === 1);
  for (const front of first.fronts) front.moveOn();
  blocking.release(text("finished by the old one"));
  assert.match(JSON.stringify((await call).content), /finished by the old one/);
  await eventually(() => second.gateway.sessions.size === 1);
  await eventually(() => first.gateway.sessions.size === 0);
  for (const session of second.gateway.sessions) session.listChanged("tools");
  await eventually(() => told.includes("notifications/tools/list_changed"));
});
