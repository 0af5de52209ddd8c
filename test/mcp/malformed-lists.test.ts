// A server whose lists are malformed, beside one that is sound: the official SDKs' clients, which refuse a whole list for
// one bad entry, list all that is sound of both. Other clients: test/nightly/other-clients.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client as Client2, StreamableHTTPClientTransport as Http2 } from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { pluck } from "../support/pluck.ts";
import { LIGHT_SERVER, MALFORMED_SERVER, MISBEHAVING_SERVER } from "./fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "./gateway-rig.ts";

interface Lister extends AsyncDisposable {
  listTools(): Promise<{ readonly tools: readonly { readonly name: string }[] }>;
  listResources(): Promise<{ readonly resources: readonly { readonly uri: string }[] }>;
  listResourceTemplates(): Promise<{ readonly resourceTemplates: readonly unknown[] }>;
  listPrompts(): Promise<{ readonly prompts: readonly { readonly name: string }[] }>;
  callTool(call: {
    name: string;
    arguments: Record<string, unknown>;
  }): Promise<{ readonly [member: string]: unknown }>;
}

async function sdkClient(url: string): Promise<Lister> {
  const client = new Client({ name: "strict", version: "1.0.0" });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)) as Transport);
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

async function sdk2Client(url: string): Promise<Lister> {
  const client = new Client2({ name: "strict", version: "2.0.0" });
  await client.connect(new Http2(new URL(url)));
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

/** Of the fixture's entries, two for each shape: those that are withheld are not among them. */
function namesOf(list: string, shapes: number, withheld: readonly number[]): string[] {
  const all = Array.from({ length: 2 * shapes }, (_, index) => index);
  return all.filter((index) => !withheld.includes(index)).map((index) => `${list}_${index}`);
}

test("D3 one server's malformed entries cost no client anything else: each is mended, or withheld by name", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: {
      well: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: "well_" } }),
      bad: nodeBackend(MALFORMED_SERVER),
      broken: nodeBackend(MISBEHAVING_SERVER, ["list-fails"]),
    },
  });
  await rig.untilReady("well");
  const bad = await rig.untilBackend("bad", ({ phase }) => phase === "Degraded");
  for (const connect of [sdkClient, sdk2Client]) {
    await using client = await connect(rig.url);
    const { tools } = await client.listTools();
    const bads = tools.filter(({ name }) => name.startsWith("tools_"));
    assert.deepEqual(pluck(bads, "name"), namesOf("tools", 20, [22]));
    assert.ok(tools.some(({ name }) => name === "well_echo"));
    const { resources } = await client.listResources();
    assert.equal(resources.filter(({ uri }) => uri.startsWith("test:///resources_")).length, 2 * 15);
    const { resourceTemplates } = await client.listResourceTemplates();
    assert.equal(resourceTemplates.length, 2 * 11);
    const { prompts } = await client.listPrompts();
    assert.deepEqual(
      prompts.map(({ name }) => name).filter((name) => name.startsWith("prompts_")),
      namesOf("prompts", 12, [20, 22]),
    );
    const mended = await client.callTool({ name: "tools_16", arguments: {} });
    assert.deepEqual(mended["content"], [{ type: "text", text: "tools_16" }]);
  }
  const [condition, ...others] = bad.conditions;
  assert.deepEqual(others, []);
  assert.equal(condition?.code, "entries_withheld");
  assert.equal(
    condition?.title,
    'backend bad: tool "tools_22" is withheld: inputSchema.type is "string", not "object" (and 2 more, which the log names)',
  );
  const { stdout, code } = await rig.home.cli(["status"]);
  assert.equal(code, 0);
  assert.match(stdout, /tools_22/u);
});
