// Clients that misbehave, and a daemon that is killed: others are served, and nothing stays.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER, MISBEHAVING_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";

async function lightRig(t: TestContext, server: Section = {}): Promise<GatewayRig> {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) }, server });
  await rig.untilReady("light");
  return rig;
}

/** A connection that is written to by hand, ended with the test. */
async function rawConnection(t: TestContext, rig: GatewayRig): Promise<Socket> {
  const socket = connect(Number(new URL(rig.url).port), "127.0.0.1");
  socket.on("error", () => {});
  t.after(() => void socket.destroy());
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

function post(rig: GatewayRig, client: LightClient, body: string): string {
  return [
    "POST /mcp HTTP/1.1",
    `Host: ${new URL(rig.url).host}`,
    "Content-Type: application/json",
    "Accept: application/json, text/event-stream",
    `Mcp-Session-Id: ${client.sessionId}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ].join("\r\n");
}

function callOf(tool: string, given: object, id = 1): string {
  return JSON.stringify({
    jsonrpc: "2.0",
    id,
    method: "tools/call",
    params: { name: tool, arguments: given },
  });
}

test("clients that ask for much and read nothing hold up no other, and cost bounded memory", async (t) => {
  const rig = await lightRig(t);
  await using greedy = await connectLight(rig.url);
  await using other = await connectLight(rig.url);
  for (let index = 0; index < 6; index++) {
    const socket = await rawConnection(t, rig);
    socket.pause();
    socket.write(post(rig, greedy, callOf("big", { bytes: 8_000_000 }, 100 + index)));
  }
  for (let index = 0; index < 50; index++) assert.equal(await other.call("echo", { text: "on" }), "on");
  assert.equal((await other.call("big", { bytes: 1_000_000 })).length, 1_000_000);
});

test("a client that reads no notices holds up neither its backend nor other clients", async (t) => {
  const rig = await lightRig(t);
  await using deaf = await connectLight(rig.url);
  await using other = await connectLight(rig.url);
  const stream = await rawConnection(t, rig);
  stream.pause();
  stream.write(
    `GET /mcp HTTP/1.1\r\nHost: ${new URL(rig.url).host}\r\nAccept: text/event-stream\r\nMcp-Session-Id: ${deaf.sessionId}\r\n\r\n`,
  );
  await other.listen();
  for (const client of [deaf, other]) await client.request("resources/subscribe", { uri: "light://pid" });
  for (let index = 0; index < 200; index++) await other.call("touch", { uri: "light://pid" });
  await eventually(() => other.notices.length === 200);
  assert.equal(await other.call("echo", { text: "on" }), "on");
});

test("connections that begin a request and say no more are no obstacle", async (t) => {
  const rig = await lightRig(t);
  await using client = await connectLight(rig.url);
  for (let index = 0; index < 100; index++) {
    const socket = await rawConnection(t, rig);
    socket.write("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n{");
  }
  assert.equal(await client.call("echo", { text: "on" }), "on");
  const { ms } = await rig.stop();
  // Such a request has two and a half minutes to come.
  assert.ok(ms < 60_000, `the end took ${ms} ms`);
});

test("a daemon killed by SIGKILL leaves no backend, nor a grandchild that ignores signals", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: {
      light: nodeBackend(LIGHT_SERVER),
      own: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: "own_" }, instances: "per-client" }),
      odd: nodeBackend(MISBEHAVING_SERVER, ["ignores-term"]),
    },
  });
  await rig.untilReady("light", "own", "odd");
  const client = await connectLight(rig.url);
  await client.call("own_echo", { text: "its own process" });
  assert.ok((await rig.processes()).length >= 5);
  process.kill(rig.pid, "SIGKILL");
  await eventually(async () => (await rig.processes()).length === 0);
  await client[Symbol.asyncDispose]();
});
