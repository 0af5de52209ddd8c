// The two programs that the story of edits is played on: the gateway and mcp-hub, each with a file, three clients and the
// names that it gives to tools.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type StoryBackend, type StoryConfig, sectionsOf } from "../test/live/gateway-model.ts";
import { LIGHT_SERVER } from "../test/mcp/fixture-programs.ts";
import { openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { connectLight } from "../test/mcp/light-client.ts";
import { eventually } from "../test/support/eventually.ts";
import { freePort } from "../test/support/free-port.ts";
import { type BenchClient, connectSse } from "./light-sse-client.ts";

const CLIENTS = 3;
const STARTS_MS = 30_000;

export interface Contender extends AsyncDisposable {
  readonly name: string;
  readonly clients: readonly BenchClient[];
  /** Replaces the file, by half of it where told so; waits for nothing. */
  save(config: StoryConfig, half?: boolean): Promise<void>;
  /** What a backend's tool is called here. */
  toolName(backend: string, own: string): string;
}

export async function openOurs(first: StoryConfig): Promise<Contender> {
  const rig = await openGatewayRig(sectionsOf(first));
  await rig.untilReady(...first.backends.map(({ name }) => name));
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connectLight(rig.url)));
  return {
    name: "Mountaineer",
    clients,
    save: (config) => rig.save(sectionsOf(config)),
    toolName: (backend, own) => `${backend}_${own}`,
    async [Symbol.asyncDispose]() {
      for (const client of clients) await client[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}

export async function openMcpHub(first: StoryConfig, sessions = CLIENTS): Promise<Contender> {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "mt-hub-"));
  const file = path.join(folder, "hub.json");
  const save = async ({ backends }: StoryConfig, half = false): Promise<void> => {
    const mcpServers = Object.fromEntries(backends.map((backend) => [backend.name, hubServer(backend)]));
    const text = JSON.stringify({ mcpServers });
    await writeFile(`${file}.new`, half ? text.slice(0, text.length / 2) : text);
    await rename(`${file}.new`, file);
  };
  await save(first);
  const program = path.join(import.meta.dirname, "peers/node_modules/mcp-hub/dist/cli.js");
  const child = spawn(process.execPath, [program, "--port", String(port), "--config", file, "--watch"], {
    stdio: "ignore",
    env: { ...process.env, XDG_STATE_HOME: folder, HOME: folder },
  });
  const ended = once(child, "exit");
  const url = `http://127.0.0.1:${port}/mcp`;
  const clients: BenchClient[] = [];
  const dispose = async (): Promise<void> => {
    for (const client of clients) await client[Symbol.asyncDispose]();
    child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 3_000);
    await ended;
    clearTimeout(late);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await eventually(async () => {
      const client = await connectSse(url);
      const { tools } = await client.request("tools/list");
      await client[Symbol.asyncDispose]();
      const seen = new Set(Array.isArray(tools) ? tools.map(({ name }) => String(name).split("__")[0]) : []);
      return seen.size === first.backends.length;
    }, STARTS_MS);
    for (let index = 0; index < sessions; index++) clients.push(await connectSse(url));
  } catch (error) {
    await dispose();
    throw error;
  }
  return {
    name: "mcp-hub 4.2.1",
    clients,
    save,
    toolName: (backend, own) => `${backend}__${own}`,
    [Symbol.asyncDispose]: dispose,
  };
}

function hubServer({ prefix, generation, enabled }: StoryBackend): object {
  return {
    command: process.execPath,
    args: [LIGHT_SERVER],
    // It takes an empty text for a variable that is to be found elsewhere.
    env: { ...(prefix !== "" && { LIGHT_PREFIX: prefix }), GENERATION: String(generation) },
    disabled: !enabled,
  };
}
