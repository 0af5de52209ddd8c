// Servers that people have, from npm, behind the gateway: each lists through it, to clients of both revisions, what it
// lists when it is asked directly, field by field. None of them needs an account to list.
import assert from "node:assert/strict";
import { realpath } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { ResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { startGatewayRig } from "../mcp/gateway-rig.ts";
import { ask } from "../mcp/modern-wire.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { fromNpm } from "./installed.ts";

interface NpmServer {
  readonly name: string;
  readonly version: string;
  /** Of the package's programs. */
  readonly program: string;
  readonly args?: readonly string[];
  /** Made up where the server wants an account's. */
  readonly env?: Readonly<Record<string, string>>;
}

const SERVERS: readonly NpmServer[] = [
  { name: "@modelcontextprotocol/server-memory", version: "2026.8.31", program: "mcp-server-memory" },
  {
    name: "@modelcontextprotocol/server-filesystem",
    version: "2026.8.31",
    program: "mcp-server-filesystem",
    args: ["/tmp"],
  },
  { name: "@modelcontextprotocol/server-everything", version: "2026.8.31", program: "mcp-server-everything" },
  {
    name: "@modelcontextprotocol/server-sequential-thinking",
    version: "2026.8.31",
    program: "mcp-server-sequential-thinking",
  },
  {
    name: "@modelcontextprotocol/server-github",
    version: "2025.4.8",
    program: "mcp-server-github",
    env: { GITHUB_PERSONAL_ACCESS_TOKEN: "none" },
  },
  { name: "@modelcontextprotocol/server-puppeteer", version: "2025.5.12", program: "mcp-server-puppeteer" },
  { name: "@playwright/mcp", version: "0.0.83", program: "playwright-mcp" },
  { name: "chrome-devtools-mcp", version: "1.11.0", program: "chrome-devtools-mcp" },
  { name: "@upstash/context7-mcp", version: "4.1.1", program: "context7-mcp" },
  {
    name: "@sentry/mcp-server",
    version: "0.39.0",
    program: "sentry-mcp",
    args: ["--access-token=none", "--disable-skills=seer"],
  },
  {
    name: "@notionhq/notion-mcp-server",
    version: "2.5.2",
    program: "notion-mcp-server",
    env: { NOTION_TOKEN: "ntn_none" },
  },
  {
    name: "firecrawl-mcp",
    version: "3.26.0",
    program: "firecrawl-mcp",
    env: { FIRECRAWL_API_KEY: "fc-none" },
  },
];

const LISTS = ["tools", "resources", "resourceTemplates", "prompts"] as const;
const METHOD = {
  tools: "tools/list",
  resources: "resources/list",
  resourceTemplates: "resources/templates/list",
  prompts: "prompts/list",
} as const;

type Lists = Readonly<Record<(typeof LISTS)[number], readonly unknown[]>>;

/** All pages of each list; what a server does not serve is empty. */
async function listsOf(
  page: (method: string, params: Record<string, unknown>) => Promise<Readonly<Record<string, unknown>>>,
): Promise<Lists> {
  const found: Record<string, unknown[]> = {};
  for (const list of LISTS) {
    const entries: unknown[] = [];
    let cursor: unknown;
    do {
      const result = await page(METHOD[list], cursor === undefined ? {} : { cursor }).catch(() => ({}));
      const { [list]: some, nextCursor } = result as Record<string, unknown>;
      if (Array.isArray(some)) entries.push(...some);
      cursor = nextCursor;
    } while (cursor !== undefined);
    found[list] = entries;
  }
  return found as unknown as Lists;
}

/** What the gateway declares to a shared server: some servers offer more to who can do more. */
const CAPABILITIES = {
  sampling: { tools: {}, context: {} },
  elicitation: { form: {}, url: {} },
  roots: { listChanged: true },
  extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } },
};

/** As clients of 2026-07-28 are shown tools: that version has no word about tasks, and no tool that is one alone. */
function modernTools(tools: readonly unknown[]): readonly unknown[] {
  return tools.flatMap((tool) => {
    const { execution, ...rest } = tool as { readonly execution?: { readonly taskSupport?: string } };
    return execution?.taskSupport === "required" ? [] : [rest];
  });
}

async function listedOver(transport: Transport): Promise<Lists> {
  const client = new Client({ name: "lists", version: "1.0.0" }, { capabilities: CAPABILITIES });
  await client.connect(transport);
  try {
    // A loose schema: nothing is taken away.
    return await listsOf((method, params) => client.request({ method, params }, ResultSchema));
  } finally {
    await client.close();
  }
}

test("D1 B2 a dozen servers from npm list through the gateway as they do directly, asleep as awake", async (t) => {
  let folder: string;
  try {
    folder = await fromNpm("--ignore-scripts", ...SERVERS.map(({ name, version }) => `${name}@${version}`));
  } catch (error) {
    return t.skip(`npm cannot fetch the servers: ${String(error).slice(0, 300)}`);
  }
  for (const { name, program, args = [], env = {} } of SERVERS)
    await t.test(`D1 ${name}`, async (t) => {
      const file = await realpath(path.join(folder, program));
      const started = { command: process.execPath, args: [file, ...args] };
      const home = { PATH: process.env["PATH"] ?? "", HOME: await temporaryFolder(t), ...env };
      const directly = await listedOver(
        new StdioClientTransport({ ...started, env: home, stderr: "ignore" }) as Transport,
      );
      assert.ok(directly.tools.length > 0, "asked directly, it lists no tool");

      const section = { backends: { server: { ...started, env, start: "on-demand" } } };
      const rig = await startGatewayRig(t, section, { kept: true });
      await rig.untilReady("server");
      const throughIt = () => listedOver(new StreamableHTTPClientTransport(new URL(rig.url)) as Transport);
      const legacy = await throughIt();
      const modern = await listsOf(async (method, params) => {
        const { result, error } = await ask(rig.url, method, params);
        if (result === undefined) throw new Error(error?.message ?? "no answer");
        return result;
      });
      for (const list of LISTS) {
        assert.deepEqual(legacy[list], directly[list], `${list}, to a client of 2025-11-25`);
        const shown = list === "tools" ? modernTools(directly.tools) : directly[list];
        assert.deepEqual(modern[list], shown, `${list}, to a client of 2026-07-28`);
      }
      await rig.untilBackend("server", ({ phase, pid }) => phase === "Asleep" && pid === null);
      if (await rig.killDaemon()) await rig.comeBack();
      assert.deepEqual(await throughIt(), legacy, "asleep, after a kill -9");
      assert.equal((await rig.backend("server")).pid, null, "nobody needed it");
      t.diagnostic(LISTS.map((list) => `${directly[list].length} ${list}`).join(", "));
    });
});
