// Clients of 2026-07-28 while one daemon makes room for the next.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { handOver, nodeBackend, startGatewayRig } from "./gateway-rig.ts";

test("B11 a call in flight comes to its end, who listens is told to go, and the next list is whole", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } }, { kept: true });
  await rig.untilReady("light");
  const client = new Client({ name: "modern", version: "1" }, { versionNegotiation: { mode: "auto" } });
  await client.connect(new StreamableHTTPClientTransport(new URL(rig.url)));
  rig.beforeStop(() => client.close());
  const { tools } = await client.listTools();
  const listening = await client.listen({ toolsListChanged: true });
  const until = path.join(rig.folder, "go-on");
  const call = client.callTool({ name: "sleep", arguments: { until, text: "rested" } });
  await eventually(async () => (await rig.status()).gateway?.in_flight === 1);
  const handingOver = handOver(rig);
  assert.equal(await listening.closed, "graceful");
  await eventually(async () => {
    // By the new daemon, as soon as it is in charge.
    const next = await client.listen({ toolsListChanged: true });
    const isOver = await Promise.race([next.closed.then(() => true), client.listTools().then(() => false)]);
    await next.close();
    return !isOver;
  });
  assert.deepEqual((await client.listTools()).tools, tools);
  await writeFile(until, "");
  assert.deepEqual((await call).content, [{ type: "text", text: "rested" }]);
  const { from, to } = await handingOver;
  assert.notEqual(from, to);
});
