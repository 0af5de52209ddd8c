// `mountaineer mcp` as clients start it: a process between their pipes and the daemon.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, SETTLES_MS, startGatewayRig } from "./gateway-rig.ts";

const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");

interface Bridge {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  ask(id: number, method: string, params?: object): Promise<{ readonly result?: Record<string, unknown> }>;
  stderr(): string;
}

function startBridge(t: TestContext, rig: GatewayRig): Bridge {
  const child = spawn(MOUNTAINEER, ["mcp"], {
    env: { ...process.env, MOUNTAINEER_HOME: rig.home.home, HOME: rig.folder, NO_COLOR: "1" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // Not its exit, after which its last words may still be on their way.
  const ended = once(child, "close").then(([code]) => code);
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    ended,
    stderr: () => said,
    async ask(id, method, params = {}) {
      child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`);
      for (;;) {
        const { value, done } = await lines.next();
        if (done === true) throw new Error(`it ended without an answer: ${said}`);
        const message = JSON.parse(value);
        if (message.id === id && message.method === undefined) return message;
      }
    },
  };
}

const INITIALIZE = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "test", version: "1.0.0" },
};

test("the stdio bridge serves a client, and ends with it", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } });
  await rig.untilReady("light");
  const bridge = startBridge(t, rig);
  const { result } = await bridge.ask(1, "initialize", INITIALIZE);
  assert.equal(result?.["protocolVersion"], "2025-11-25");
  const called = await bridge.ask(2, "tools/call", { name: "echo", arguments: { text: "through" } });
  assert.deepEqual(called.result?.["content"], [{ type: "text", text: "through" }]);
  bridge.child.stdin?.end();
  assert.equal(await bridge.ended, 0);
  assert.equal(bridge.stderr(), "");
});

test("the stdio bridge ends with 8, and a word on stderr, when the daemon ends first", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } });
  const bridge = startBridge(t, rig);
  await bridge.ask(1, "initialize", INITIALIZE);
  await rig.stop();
  assert.equal(await bridge.ended, 8);
  assert.match(bridge.stderr(), /the daemon ended the connection/u);
});

test("B7 a call through the stdio bridge is answered though the daemon is stopped meanwhile", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } });
  await rig.untilReady("light");
  const bridge = startBridge(t, rig);
  await bridge.ask(1, "initialize", INITIALIZE);
  const until = path.join(rig.folder, "go-on");
  const called = bridge.ask(2, "tools/call", { name: "sleep", arguments: { until, text: "done" } });
  await eventually(async () => (await rig.status()).gateway?.in_flight === 1, SETTLES_MS);
  const stopped = rig.stop();
  // From there on the daemon takes no more clients.
  await eventually(() => !existsSync(path.join(rig.home.home, "mcp.sock")), SETTLES_MS);
  await writeFile(until, "");
  assert.deepEqual((await called).result?.["content"], [{ type: "text", text: "done" }]);
  assert.equal(await bridge.ended, 8);
  await stopped;
});
