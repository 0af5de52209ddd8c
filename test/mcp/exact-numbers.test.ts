// Numbers that a double cannot hold, on every way through the gateway. Clients here write and read text.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openHttpFixture, VERBATIM_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, openGatewayRig } from "./gateway-rig.ts";
import { post } from "./modern-wire.ts";

const GIVEN = '{"id":9007199254740993,"ids":[-12345678901234567890,1e400],"exact":0.30000000000000004}';
const INITIALIZE =
  '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}';
const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
};
const TOKEN = `"progressToken":9007199254740993`;
const MODERN = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`;

const callOf = (name: string, more: string, id = "1"): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}",${more}}}`;

describe("numbers with more digits than a double has", () => {
  const ends = new AsyncDisposableStack();
  let rig: GatewayRig;
  let session = {};
  before(async () => {
    const web = ends.use(await openHttpFixture(VERBATIM_SERVER));
    const backends = {
      piped: nodeBackend(VERBATIM_SERVER),
      web: { url: web.url, tool_overrides: { verbatim: { name: "verbatim_web" } } },
    };
    rig = ends.use(await openGatewayRig({ backends }));
    await rig.untilReady("piped", "web");
    const opened = await fetch(rig.url, { method: "POST", headers: HEADERS, body: INITIALIZE });
    await opened.text();
    session = { ...HEADERS, "mcp-session-id": opened.headers.get("mcp-session-id") };
  });
  after(() => ends.disposeAsync());

  for (const [tool, over] of [
    ["verbatim", "stdio"],
    ["verbatim_web", "HTTP"],
  ] as const) {
    test(`B7 every digit passes both ways, over ${over}`, async () => {
      const call = callOf(tool, `"arguments":${GIVEN}`, "12345678901234567890");
      const { words } = await post(rig.url, session as Record<string, string>, call);
      assert.ok(words.includes(`"structuredContent":${GIVEN}`), words);
      assert.match(words, /"id":12345678901234567890\b/);
    });

    test(`B7 a large result passes as it is, over ${over}`, async () => {
      const given = `{"id":9007199254740993,"text":"${"é".repeat(1_000_000)}"}`;
      const call = callOf(tool, `"arguments":${given}`, "12345678901234567890");
      const { words } = await post(rig.url, session as Record<string, string>, call);
      const result = `{"content":[],"structuredContent":${given}}`;
      assert.ok(words === `{"jsonrpc":"2.0","id":12345678901234567890,"result":${result}}`);
    });
  }

  const modern = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "verbatim" };
  for (const [version, meta, headers] of [
    ["2025-11-25", TOKEN, () => session],
    ["2026-07-28", `${MODERN},${TOKEN}`, () => ({ ...HEADERS, ...modern })],
  ] as const)
    test(`B7 a progress token of ${version} comes back with every digit`, async () => {
      const call = callOf("verbatim", `"arguments":{},"_meta":{${meta}}`);
      const { words } = await post(rig.url, headers() as Record<string, string>, call);
      assert.match(words, /"progressToken":9007199254740993\b/);
    });

  test("B7 `mountaineer call` passes them too", async () => {
    const { stdout } = await rig.home.cli(["call", "verbatim", GIVEN, "--json"]);
    assert.ok(stdout.replace(/\s/g, "").includes(`"structuredContent":${GIVEN}`), stdout);
  });
});
