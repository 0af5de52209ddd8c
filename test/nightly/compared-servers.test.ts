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
import { ask } from "../mcp/modern-wire.ts";
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
  {
    from: "npm",
    name: "@modelcontextprotocol/server-memory",
    version: "2026.8.31",
    program: "mcp-server-memory",
  },
  {
    from: "npm",
    name: "@modelcontextprotocol/server-filesystem",
    version: "2026.8.31",
    program: "mcp-server-filesystem",
    args: ["/tmp"],
  },
  {
    from: "npm",
    name: "@modelcontextprotocol/server-everything",
    version: "2026.8.31",
    program: "mcp-server-everything",
  },
  {
    from: "npm",
    name: "@modelcontextprotocol/server-sequential-thinking",
    version: "2026.8.31",
    program: "mcp-server-sequential-thinking",
  },
  {
    from: "npm",
    name: "@modelcontextprotocol/server-github",
    version: "2025.4.8",
    program: "mcp-server-github",
    env: { GITHUB_PERSONAL_ACCESS_TOKEN: "none" },
  },
  {
    from: "npm",
    name: "@modelcontextprotocol/server-puppeteer",
    version: "2025.5.12",
    program: "mcp-server-puppeteer",
  },
  { from: "npm", name: "@playwright/mcp", version: "0.0.83", program: "playwright-mcp" },
  { from: "npm", name: "chrome-devtools-mcp", version: "1.11.0", program: "chrome-devtools-mcp" },
  { from: "npm", name: "@upstash/context7-mcp", version: "4.1.1", program: "context7-mcp" },
  {
    from: "npm",
    name: "@sentry/mcp-server",
    version: "0.39.0",
    program: "sentry-mcp",
    args: ["--access-token=none", "--disable-skills=seer"],
  },
  {
    from: "npm",
    name: "@notionhq/notion-mcp-server",
    version: "2.5.2",
    program: "notion-mcp-server",
    env: { NOTION_TOKEN: "ntn_none" },
  },
  {
    from: "npm",
    name: "firecrawl-mcp",
    version: "3.26.0",
    program: "firecrawl-mcp",
    env: { FIRECRAWL_API_KEY: "fc-none" },
  },
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

const LISTS = {
  tools: "tools/list",
  resources: "resources/list",
  resourceTemplates: "resources/templates/list",
  prompts: "prompts/list",
} as const;
const PREFIX = "server_";
const MOST_CALLS = 10;
/** What the gateway declares to a shared server: some servers offer more to who can do more. */
const CAPABILITIES = {
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  roots: { listChanged: true },
  extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } },
};

type Entry = Readonly<Record<string, unknown>>;
type Request = (method: string, params: Record<string, unknown>) => Promise<Entry>;
type Lists = Readonly<Record<keyof typeof LISTS, readonly Entry[]>>;
/** All pages of each list; what a server does not serve is empty. `prefix`: of its names; those of others go. */
async function listed(request: Request, prefix: string): Promise<Lists> {
  const lists: Record<string, readonly Entry[]> = {};
  for (const [list, method] of Object.entries(LISTS)) {
    const all: Entry[] = [];
    let cursor: unknown;
    do {
      const page = await request(method, cursor === undefined ? {} : { cursor }).catch((): Entry => ({}));
      all.push(...((page[list] as readonly Entry[] | undefined) ?? []));
      cursor = page["nextCursor"];
    } while (cursor !== undefined);
    const isNamed = list === "tools" || list === "prompts";
    const own = all.filter((entry) => !isNamed || String(entry["name"]).startsWith(prefix));
    lists[list] = isNamed
      ? own.map((entry) => ({ ...entry, name: String(entry["name"]).slice(prefix.length) }))
      : own;
  }
  return lists as Lists;
}

/** What a client sees of this server. */
async function found(transport: Transport, prefix = "") {
  const client = new Client({ name: "compared", version: "1.0.0" }, { capabilities: CAPABILITIES });
  await client.connect(transport);
  // A loose schema: nothing is taken away.
  const request: Request = (method, params) => client.request({ method, params }, ResultSchema);
  try {
    const lists = await listed(request, prefix);
    const answers: unknown[] = [];
    const incomplete = lists.tools.filter(({ inputSchema }) => {
      const { required = [] } = inputSchema as { readonly required?: readonly string[] };
      return required.length > 0;
    });
    for (const { name } of incomplete.slice(0, MOST_CALLS)) {
      const call = request("tools/call", { name: `${prefix}${name}`, arguments: {} });
      answers.push([name, await call.catch((error) => ({ error: String(error) }))]);
    }
    return { lists, answers };
  } finally {
    await client.close();
  }
}

/** As clients of 2026-07-28 are shown tools: that version has no word about tasks, and no tool that is one alone. */
function modernTools(tools: readonly Entry[]): readonly Entry[] {
  return tools.flatMap(({ execution, ...rest }) =>
    (execution as Entry | undefined)?.["taskSupport"] === "required" ? [] : [rest],
  );
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
  test(`D1 D5 B2 ${server.name} lists and answers through the gateway as it does directly, and lists asleep as awake`, async (t) => {
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
    const transport = new StdioClientTransport({ command, args, env: home, stderr: "ignore" });
    const directly = await found(transport as Transport).catch(() => null);
    // Some do not start with the newest version of a library that they do not pin.
    if (directly === null || directly.lists.tools.length === 0)
      return t.skip(`${server.name} does not serve here when it is asked directly`);
    const rig = await startGatewayRig(
      t,
      {
        backends: {
          server: { command, args, env, start: "on-demand", stop_when_idle: 5 },
          other: nodeBackend(LIGHT_SERVER),
        },
        more: { conflict_resolution: { strategy: "prefix" } },
      },
      { kept: true },
    );
    await rig.untilReady("server", "other");
    const modern: Request = async (method, params) => {
      const { result, error } = await ask(rig.url, method, params);
      return result ?? Promise.reject(new Error(error?.message ?? "no answer"));
    };
    const uris = new Set([...directly.lists.resources, ...directly.lists.resourceTemplates].map(uriOf));
    /** Without those of the other server. */
    const own = (lists: Lists): Lists => ({
      ...lists,
      resources: lists.resources.filter((entry) => uris.has(uriOf(entry))),
      resourceTemplates: lists.resourceTemplates.filter((entry) => uris.has(uriOf(entry))),
    });
    const through = await found(new StreamableHTTPClientTransport(new URL(rig.url)) as Transport, PREFIX);
    assert.deepEqual(own(through.lists), directly.lists, "to a client of 2025-11-25");
    assert.deepEqual(plain(through.answers), plain(directly.answers));
    const shown = { ...directly.lists, tools: modernTools(directly.lists.tools) };
    assert.deepEqual(own(await listed(modern, PREFIX)), shown, "to a client of 2026-07-28");
    await rig.untilBackend("server", ({ phase, pid }) => phase === "Asleep" && pid === null);
    if (await rig.killDaemon()) await rig.comeBack();
    assert.deepEqual(own(await listed(modern, PREFIX)), shown, "asleep, after a kill -9");
    assert.equal((await rig.backend("server")).pid, null, "it was not needed");
    t.diagnostic(`${directly.lists.tools.length} tools, ${directly.answers.length} calls`);
  });

const uriOf = ({ uri, uriTemplate }: Entry): unknown => uri ?? uriTemplate;
