// Numbers that a double cannot hold, on every way through the gateway. Clients here write and read text.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { startHttpFixture, VERBATIM_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, startGatewayRig } from "./gateway-rig.ts";

const run = promisify(execFile);
const MOUNTAINEER = path.resolve(import.meta.dirname, "../../bin/mountaineer");
const GIVEN = '{"id":9007199254740993,"ids":[-12345678901234567890,1e400],"exact":0.30000000000000004}';
const INITIALIZE =
  '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}';
const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
};

async function startVerbatim(t: TestContext): Promise<GatewayRig> {
  const fixture = await startHttpFixture(t, VERBATIM_SERVER);
  const rig = await startGatewayRig(t, {
    backends: {
      piped: nodeBackend(VERBATIM_SERVER),
      web: { url: fixture.url, tool_overrides: { verbatim: { name: "verbatim_web" } } },
    },
  });
  await rig.untilReady("piped", "web");
  return rig;
}

async function post(rig: GatewayRig, body: string, session: string | null): Promise<Response> {
  const headers = session === null ? HEADERS : { ...HEADERS, "mcp-session-id": session };
  return fetch(rig.url, { method: "POST", headers, body });
}

test("B7 every digit of a number passes both ways, over stdio and over HTTP", async (t) => {
  const rig = await startVerbatim(t);
  const opened = await post(rig, INITIALIZE, null);
  const session = opened.headers.get("mcp-session-id");
  await opened.text();
  for (const tool of ["verbatim", "verbatim_web"]) {
    const call = `{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","params":{"name":"${tool}","arguments":${GIVEN}}}`;
    const text = await (await post(rig, call, session)).text();
    assert.ok(text.includes(`"structuredContent":${GIVEN}`), text);
    assert.match(text, /"id":12345678901234567890\b/);
  }
});

test("B7 a progress token comes back with every digit", async (t) => {
  const rig = await startVerbatim(t);
  const opened = await post(rig, INITIALIZE, null);
  await opened.text();
  const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"verbatim","arguments":{},"_meta":{"progressToken":9007199254740993}}}`;
  const text = await (await post(rig, call, opened.headers.get("mcp-session-id"))).text();
  assert.match(text, /"progressToken":9007199254740993\b/);
});

test("B7 a progress token of 2026-07-28 comes back with every digit, too", async (t) => {
  const rig = await startVerbatim(t);
  const meta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":9007199254740993`;
  const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"verbatim","arguments":{},"_meta":{${meta}}}}`;
  const headers = {
    ...HEADERS,
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "verbatim",
  };
  const text = await (await fetch(rig.url, { method: "POST", headers, body })).text();
  assert.match(text, /"progressToken":9007199254740993\b/);
});

test("B7 `mountaineer call` passes them too", async (t) => {
  const rig = await startVerbatim(t);
  const { stdout } = await run(MOUNTAINEER, ["call", "verbatim", GIVEN, "--json"], {
    env: { ...process.env, MOUNTAINEER_HOME: rig.home.home, HOME: rig.folder, NO_COLOR: "1" },
    timeout: 240_000,
  });
  assert.ok(stdout.replace(/\s/g, "").includes(`"structuredContent":${GIVEN}`), stdout);
});
