import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { openHttpLink } from "../../../../src/gateway/backends/links/http/http-link.ts";
import { openStdioLink } from "../../../../src/gateway/backends/links/stdio/stdio-link.ts";
import { Warden } from "../../../../src/gateway/backends/links/stdio/warden.ts";
import { isJsonObject } from "../../../../src/gateway/json-rpc.ts";
import { silentLogger as logger } from "../../../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../../../src/runtime/time/clock.ts";
import { eventually } from "../../../support/eventually.ts";
import { freePort } from "../../../support/free-port.ts";
import { openRecorded, type RecordedLink } from "./link-recorder.ts";

const EVERYTHING = fileURLToPath(
  new URL("../../../../node_modules/@modelcontextprotocol/server-everything/dist/index.js", import.meta.url),
);

async function proveUsable(recorded: RecordedLink): Promise<void> {
  const params = {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "test", version: "1" },
  };
  const { serverInfo } = await recorded.ask("initialize", params);
  assert.ok(isJsonObject(serverInfo));
  recorded.link.established("2025-11-25");
  recorded.link.send({ jsonrpc: "2.0", method: "notifications/initialized" });
  const { tools } = await recorded.ask("tools/list");
  assert.ok(Array.isArray(tools) && tools.length > 5);
  const { content } = await recorded.ask("tools/call", { name: "echo", arguments: { message: "ü" } });
  assert.match(JSON.stringify(content), /Echo: ü/);
  const before = recorded.received.length;
  await recorded.ask("tools/call", {
    name: "trigger-long-running-operation",
    arguments: { duration: 0.2, steps: 4 },
    _meta: { progressToken: "p" },
  });
  assert.ok(recorded.received.length >= before + 4, "progress came within the call");
}

async function startEverything(t: TestContext, port: number): Promise<() => Promise<void>> {
  const child = spawn(process.execPath, [EVERYTHING, "streamableHttp"], {
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  t.after(stop);
  await once(child.stderr, "data");
  await eventually(() => fetch(`http://127.0.0.1:${port}/mcp`).then(() => true));
  return stop;
}

test("the everything server is usable over stdio", async (t) => {
  const warden = new Warden({ clock, logger });
  t.after(() => warden[Symbol.asyncDispose]());
  const args = [EVERYTHING, "stdio"];
  const recorded = openRecorded(
    openStdioLink({ command: process.execPath, args, env: {}, cwd: "/", warden, clock }),
  );
  t.after(() => recorded.link.close());
  await proveUsable(recorded);
});

test("the everything server is usable over HTTP, and again on the same link once it was restarted", async (t) => {
  const port = await freePort();
  const stop = await startEverything(t, port);
  const recorded = openRecorded(openHttpLink({ url: `http://127.0.0.1:${port}/mcp`, headers: {}, clock }));
  t.after(() => recorded.link.close());
  await proveUsable(recorded);
  await stop();
  assert.equal((await recorded.askInVain("tools/list")).kind, "unreachable");
  await startEverything(t, port);
  assert.equal((await recorded.askInVain("tools/list")).kind, "session_lost");
  await proveUsable(recorded);
});
