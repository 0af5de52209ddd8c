// Servers that people have, from npm and PyPI, next to another one behind the gateway: what each lists and answers is equal to
// what it lists and answers directly, but for the prefixes. No tool is called that could act: calls lack required arguments.
import assert from "node:assert/strict";
import { realpath } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { ResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "../mcp/gateway-rig.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { fromNpm, fromPip } from "./installed.ts";

interface Compared {
  readonly from: "npm" | "pip";
  readonly name: string;
  readonly version: string;
  /** Default: the name without its scope. */
  readonly program?: string;
  readonly args?: readonly string[];
  /** Made up where the server wants an account's. */
  readonly env?: Readonly<Record<string, string>>;
}

const SERVERS: readonly Compared[] = [
  { from: "npm", name: "mcp-mermaid", version: "0.4.1" },
  { from: "npm", name: "@antv/mcp-server-chart", version: "0.9.10" },
  { from: "npm", name: "mcp-server-kubernetes", version: "4.1.7" },
  { from: "npm", name: "mcp-server-code-runner", version: "0.1.8" },
  { from: "npm", name: "tavily-mcp", version: "0.2.22", env: { TAVILY_API_KEY: "tvly-none" } },
  { from: "npm", name: "exa-mcp-server", version: "3.4.1", env: { EXA_API_KEY: "none" } },
  { from: "npm", name: "mongodb-mcp-server", version: "3.0.4", env: { MDB_MCP_TELEMETRY: "disabled" } },
  {
    from: "npm",
    name: "@hubspot/mcp-server",
    version: "0.4.0",
    program: "mcp-hubspot",
    env: { PRIVATE_APP_ACCESS_TOKEN: "pat-none" },
  },
  {
    from: "npm",
    name: "@modelcontextprotocol/server-map",
    version: "2.0.3",
    program: "mcp-map-server",
    args: ["--stdio"],
  },
  { from: "npm", name: "@shopify/dev-mcp", version: "1.16.0", program: "shopify-dev-mcp" },
  { from: "pip", name: "mcp-server-time", version: "2026.10.19" },
  { from: "pip", name: "mcp-server-fetch", version: "2026.10.24" },
  { from: "pip", name: "mcp-server-git", version: "2026.10.19" },
  { from: "pip", name: "mcp-server-sqlite", version: "2025.4.25", args: ["--db-path", ":memory:"] },
  { from: "pip", name: "cli-mcp-server", version: "0.2.5", env: { ALLOWED_DIR: "/tmp" } },
  { from: "pip", name: "duckduckgo-mcp-server", version: "0.7.0" },
  { from: "pip", name: "wikipedia-mcp", version: "2.0.1" },
  { from: "pip", name: "arxiv-mcp-server", version: "0.8.2" },
];

const LISTS = { tools: "tools/list", prompts: "prompts/list", resources: "resources/list" } as const;
const PREFIX = "server_";
const MOST_CALLS = 10;
/** As the gateway declares to a server that several clients share. */
const CAPABILITIES = {
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  roots: { listChanged: true },
  extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } },
};

type Entry = Readonly<Record<string, unknown>>;
interface Found {
  readonly lists: Readonly<Record<string, readonly Entry[]>>;
  readonly answers: readonly unknown[];
}

/** What a client sees of this server. `prefix`: of its names; entries of other servers have another one. */
async function found(transport: Transport, prefix = ""): Promise<Found> {
  const client = new Client({ name: "compared", version: "1.0.0" }, { capabilities: CAPABILITIES });
  await client.connect(transport);
  const replied = (method: string, params: Record<string, unknown>): Promise<Entry> =>
    client.request({ method, params }, ResultSchema).catch((error) => ({ error: String(error) }));
  try {
    const lists: Record<string, readonly Entry[]> = {};
    for (const [list, method] of Object.entries(LISTS)) {
      const { [list]: entries = [] } = await replied(method, {});
      const named = (entries as Entry[]).filter(
        (entry) => list === "resources" || String(entry["name"]).startsWith(prefix),
      );
      lists[list] = named.map((entry) =>
        list === "resources" ? entry : { ...entry, name: String(entry["name"]).slice(prefix.length) },
      );
    }
    const answers: unknown[] = [];
    const incomplete = (lists["tools"] ?? []).filter(({ inputSchema }) => {
      const { required = [] } = inputSchema as { readonly required?: readonly string[] };
      return required.length > 0;
    });
    for (const { name } of incomplete.slice(0, MOST_CALLS))
      answers.push([name, await replied("tools/call", { name: prefix + name, arguments: {} })]);
    return { lists, answers };
  } finally {
    await client.close();
  }
}

async function programOf({ from, name, version, program = name.split("/").at(-1) ?? name }: Compared) {
  if (from === "pip") return [path.join(await fromPip(`${name}==${version}`), program)];
  const folder = await fromNpm("--ignore-scripts", `${name}@${version}`);
  return [process.execPath, await realpath(path.join(folder, program))];
}

/** Messages may have a tool's name with its prefix, and times and process ids. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value).replaceAll(PREFIX, "").replace(/\d+/g, "0"));
}

for (const server of SERVERS)
  test(`D1 D5 ${server.name} lists and answers through the gateway as it does directly`, async (t) => {
    let program: readonly string[];
    try {
      program = await programOf(server);
    } catch (error) {
      return t.skip(`${server.name} cannot be fetched: ${String(error).slice(0, 200)}`);
    }
    const [command = "", ...first] = program;
    const args = [...first, ...(server.args ?? [])];
    const env = { PYTHONHASHSEED: "1", ...server.env };
    const home = { PATH: process.env["PATH"] ?? "", HOME: await temporaryFolder(t), ...env };
    const own = new StdioClientTransport({ command, args, env: home, stderr: "ignore" });
    const directly = await found(own as Transport).catch(() => null);
    // Some do not start with the newest version of a library that they do not pin.
    if (directly === null || directly.lists["tools"]?.length === 0)
      return t.skip(`${server.name} does not serve here when it is asked directly`);
    const rig = await startGatewayRig(t, {
      backends: { server: { command, args, env }, other: nodeBackend(LIGHT_SERVER) },
      more: { conflict_resolution: { strategy: "prefix" } },
    });
    await rig.untilReady("server", "other");
    const through = await found(new StreamableHTTPClientTransport(new URL(rig.url)) as Transport, PREFIX);
    const uris = new Set(directly.lists["resources"]?.map(({ uri }) => uri));
    const resources = through.lists["resources"]?.filter(({ uri }) => uris.has(uri)) ?? [];
    assert.deepEqual({ ...through.lists, resources }, directly.lists);
    assert.deepEqual(plain(through.answers), plain(directly.answers));
    t.diagnostic(`${directly.lists["tools"]?.length} tools, ${directly.answers.length} calls`);
  });
