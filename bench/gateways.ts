// Starts what is measured side by side: the gateway, the simplest forwarder, and gateways made by others.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { LIGHT_SERVER, openHttpFixture } from "../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { connectLight } from "../test/mcp/light-client.ts";
import { eventually } from "../test/support/eventually.ts";
import { freePort } from "../test/support/free-port.ts";
import { connectModern } from "./light-modern-client.ts";
import { type BenchClient, connectSse } from "./light-sse-client.ts";

const PEERS = path.join(import.meta.dirname, "peers");
const STARTS_MS = 20_000;

/** One light server behind something, and a client in front. */
export interface Measured extends AsyncDisposable {
  readonly name: string;
  /** Of the process that stands between. */
  readonly pid: number;
  readonly client: BenchClient;
  /** What its tools are called here. */
  tool(name: string): string;
  /** Adds a backend to its configuration, whose tools begin with that; null: it has no configuration. */
  readonly add: ((prefix: string) => Promise<void>) | null;
}

/** Installs what it is measured beside, when it is not there and the network is; false: it is not there. */
export async function peersInstalled(install: boolean): Promise<boolean> {
  const there = (): boolean => existsSync(path.join(PEERS, "node_modules/supergateway/package.json"));
  if (!there() && install)
    await promisify(execFile)("npm", ["ci", "--ignore-scripts", "--prefix", PEERS], { timeout: 180_000 });
  return there();
}

/** Which versions of MCP: "older" is 2025-11-25, "modern" is 2026-07-28. */
type Era = "older" | "modern";

interface Eras {
  readonly name?: string;
  readonly client?: Era;
  readonly server?: Era;
}

const SERVERS: Readonly<Record<Era, string>> = {
  older: LIGHT_SERVER,
  modern: path.join(import.meta.dirname, "light-modern-server.ts"),
};

function connect(url: string, client: Era): Promise<BenchClient> {
  return client === "modern" ? connectModern(url) : connectLight(url);
}

export async function startOurs(eras: Eras = {}): Promise<Measured> {
  const { name = "Mountaineer", client: speaks = "older", server = "older" } = eras;
  const light = nodeBackend(SERVERS[server]);
  const rig = await openGatewayRig({ backends: { light } });
  await rig.untilReady("light");
  const client = await connect(rig.url, speaks);
  const added: Record<string, ReturnType<typeof nodeBackend>> = {};
  return {
    name,
    pid: rig.pid,
    client,
    tool: (tool) => tool,
    async add(prefix) {
      added[`more_${Object.keys(added).length}`] = nodeBackend(LIGHT_SERVER, [], {
        env: { LIGHT_PREFIX: prefix },
      });
      await rig.save({ backends: { light, ...added } });
    },
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
    },
  };
}

/** The light server stands behind it over HTTP. */
export async function startOursOverHttp(): Promise<Measured> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await openHttpFixture(LIGHT_SERVER));
  const rig = stack.use(
    await openGatewayRig({ backends: { light: { type: "streamable-http", url: server.url } } }),
  );
  await rig.untilReady("light");
  const client = stack.use(await connectLight(rig.url));
  const started = stack.move();
  return {
    name: "server over HTTP",
    pid: rig.pid,
    client,
    tool: (name) => name,
    add: null,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** As a person starts it, with nothing else that asks it. */
export async function startOursAlone(): Promise<Measured> {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "mt-alone-"));
  const backend = `command = ${JSON.stringify(process.execPath)}\nargs = [${JSON.stringify(LIGHT_SERVER)}]`;
  await writeFile(
    path.join(folder, "config.toml"),
    // Its own limit is far above a client's calls, and below what the bench sends.
    `[server]\nport = ${port}\n\n[limits]\ncalls_per_second = 1_000_000\n\n[backends.light]\n${backend}\n`,
    { mode: 0o600 },
  );
  const env = { ...process.env, MOUNTAINEER_HOME: folder };
  const child = spawn(path.join(import.meta.dirname, "../bin/mountaineer"), ["monitor"], {
    stdio: "ignore",
    env,
  });
  const self = peer(
    "Mountaineer",
    child,
    await whenListed(child, () => connectLight(`http://127.0.0.1:${port}/mcp`)),
  );
  return {
    ...self,
    async [Symbol.asyncDispose]() {
      await self[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const TOKEN = "a-token-of-the-bench-that-is-long";

/** The same with tokens, policies, limits, the audit and metrics. */
export async function startOursWithAll(): Promise<Measured> {
  const folder = await mkdtemp(path.join(tmpdir(), "mt-bench-"));
  const more = {
    limits: { calls_per_second: 1_000_000 },
    incoming_auth: {
      type: "local",
      users: [{ name: "bench", token: "$" + "{BENCH_TOKEN}", roles: ["reader"] }],
    },
    authorization: {
      default_effect: "deny",
      policies: [
        { effect: "deny", resources: ["tool:secret_*"] },
        { effect: "allow", roles: ["reader"], resources: ["tool:e*"] },
      ],
    },
    audit: { path: path.join(folder, "audit.jsonl") },
    telemetry: { prometheus: true },
  };
  const backends = { light: nodeBackend(LIGHT_SERVER) };
  const rig = await openGatewayRig({ backends, more }, { env: { BENCH_TOKEN: TOKEN } });
  await rig.untilReady("light");
  const client = await connectLight(rig.url, { token: TOKEN });
  return {
    name: "with everything on",
    pid: rig.pid,
    client,
    tool: (name) => name,
    add: null,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await rig[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function startBare(eras: Eras = {}): Promise<Measured> {
  const { name = "bare node:http", client = "older", server = "older" } = eras;
  const program = path.join(import.meta.dirname, "bare-forwarder.ts");
  const child = spawn(process.execPath, [program, SERVERS[server]], { stdio: ["ignore", "pipe", "inherit"] });
  const [first] = await once(child.stdout.setEncoding("utf8"), "data");
  return peer(name, child, await connect(String(first).trim(), client));
}

/** One program for all clients, as its README says; without the event store, which costs it 1 ms a call. */
export async function startMcpProxy(): Promise<Measured> {
  const port = await freePort();
  const program = path.join(PEERS, "node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs");
  const args = ["--host", "127.0.0.1", "--port", String(port), "--server", "stream", "--no-eventStore"];
  const child = start([program, ...args, "--", process.execPath, LIGHT_SERVER]);
  return peer("mcp-proxy 6.7.19", child, await whenUp(child, `http://127.0.0.1:${port}/mcp`));
}

export async function startSupergateway(): Promise<Measured> {
  const port = await freePort();
  const program = path.join(PEERS, "node_modules/supergateway/dist/index.js");
  const args = ["--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none"];
  const backend = `${process.execPath} ${LIGHT_SERVER}`;
  const child = start([program, "--stdio", backend, ...args, "--port", String(port)]);
  return peer("supergateway 4.0.0", child, await whenUp(child, `http://127.0.0.1:${port}/mcp`));
}

export async function startMcpHub(): Promise<Measured> {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "mt-hub-"));
  const file = path.join(folder, "hub.json");
  const servers: Record<string, unknown> = {
    light: { command: process.execPath, args: [LIGHT_SERVER], env: {} },
  };
  const save = async (): Promise<void> => {
    await writeFile(`${file}.new`, JSON.stringify({ mcpServers: servers }));
    await rename(`${file}.new`, file);
  };
  await save();
  const program = path.join(PEERS, "node_modules/mcp-hub/dist/cli.js");
  const child = start([program, "--port", String(port), "--config", file, "--watch"], {
    XDG_STATE_HOME: folder,
    HOME: folder,
  });
  const client = await whenListed(child, () => connectSse(`http://127.0.0.1:${port}/mcp`));
  const self = peer("mcp-hub 4.2.1", child, client);
  return {
    ...self,
    tool: (name) => `light__${name}`,
    async add(prefix) {
      servers[`more${Object.keys(servers).length}`] = {
        command: process.execPath,
        args: [LIGHT_SERVER],
        env: { LIGHT_PREFIX: prefix },
      };
      await save();
    },
    async [Symbol.asyncDispose]() {
      await self[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, args, { stdio: "ignore", env: { ...process.env, ...env } });
}

function peer(name: string, child: ChildProcess, client: BenchClient): Measured {
  const ended = once(child, "exit");
  return {
    name,
    pid: child.pid ?? 0,
    client,
    tool: (tool) => tool,
    add: null,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), 3_000);
      await ended;
      clearTimeout(late);
    },
  };
}

function whenUp(child: ChildProcess, url: string): Promise<BenchClient> {
  return untilUp(child, () => connectLight(url));
}

/** For those that serve before their servers do. */
function whenListed(child: ChildProcess, connected: () => Promise<BenchClient>): Promise<BenchClient> {
  return untilUp(child, async () => {
    const opened = await connected();
    const { tools } = await opened.request("tools/list");
    if (Array.isArray(tools) && tools.length > 0) return opened;
    await opened[Symbol.asyncDispose]();
    return null;
  });
}

async function untilUp(child: ChildProcess, open: () => Promise<BenchClient | null>): Promise<BenchClient> {
  try {
    const client = await eventually(open, STARTS_MS);
    if (client === null) throw new Error("no client");
    return client;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}
