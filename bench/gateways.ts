// Starts what is measured side by side: the gateway, the simplest forwarder, and gateways made by others.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { stringify } from "smol-toml";
import { LIGHT_SERVER, openHttpFixture } from "../test/mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "../test/mcp/gateway-rig.ts";
import { connectLight } from "../test/mcp/light-client.ts";
import { fromPip } from "../test/nightly/installed.ts";
import { eventually } from "../test/support/eventually.ts";
import { freePort } from "../test/support/free-port.ts";
import { connectModern } from "./light-modern-client.ts";
import { type BenchClient, connectSse } from "./light-sse-client.ts";

const PEERS = path.join(import.meta.dirname, "peers");
const PEERS_BIN = path.join(PEERS, "bin");
const STARTS_MS = 20_000;
const ENDS_MS = 3_000;
const FETCH_MS = 300_000;

/** One light server behind something, and a client in front. */
export interface Measured extends AsyncDisposable {
  readonly name: string;
  /** Of the process that stands between. */
  readonly pid: number;
  readonly client: BenchClient;
  /** What its tools are called here. */
  tool(name: string): string;
  /** One more client, with a session of its own; null: each session would start a backend of its own. */
  readonly open: (() => Promise<BenchClient>) | null;
  /** Adds a backend to its configuration, whose tools begin with that; null: it does not follow a file. */
  readonly add: ((prefix: string) => Promise<void>) | null;
}

/** A light server as an entry under `mcpServers`. */
const lightProgram = (env: Readonly<Record<string, string>> = {}) => ({
  command: process.execPath,
  args: [LIGHT_SERVER],
  env,
});

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
    open: () => connect(rig.url, speaks),
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
  const open = (): Promise<BenchClient> => connectLight(rig.url);
  const client = stack.use(await open());
  const started = stack.move();
  return {
    name: "server over HTTP",
    pid: rig.pid,
    client,
    open,
    tool: (name) => name,
    add: null,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** As a person starts it, with nothing else that asks it, and with what `init` writes into `[sync]`. */
export async function startOursAlone(): Promise<Measured> {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "mt-alone-"));
  const file = path.join(folder, "config.toml");
  const backends: Record<string, unknown> = { light: lightProgram() };
  const save = async (): Promise<void> => {
    const text = stringify({
      server: { port },
      sync: { detection: "inotify", debounce: 0.1 },
      // Its own limit is far above a client's calls, and below what the bench sends.
      limits: { calls_per_second: 1_000_000 },
      backends,
    });
    await writeFile(`${file}.new`, text, { mode: 0o600 });
    await rename(`${file}.new`, file);
  };
  await save();
  const env = { ...process.env, MOUNTAINEER_HOME: folder };
  const child = spawn(path.join(import.meta.dirname, "../bin/mountaineer"), ["monitor"], {
    stdio: "ignore",
    env,
  });
  const self = await peer(
    "Mountaineer",
    child,
    () => connectLight(`http://127.0.0.1:${port}/mcp`),
    whenListed,
  );
  return {
    ...withFolder(self, folder),
    async add(prefix) {
      backends[`more_${Object.keys(backends).length}`] = lightProgram({ LIGHT_PREFIX: prefix });
      await save();
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
  const open = (): Promise<BenchClient> => connectLight(rig.url, { token: TOKEN });
  const client = await open();
  return {
    name: "with everything on",
    pid: rig.pid,
    client,
    open,
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
  return peer(name, child, () => connect(String(first).trim(), client));
}

/** One program for all clients, as its README says; without the event store, which costs it 1 ms a call. */
export async function startMcpProxy(): Promise<Measured> {
  const port = await freePort();
  const program = path.join(PEERS, "node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs");
  const args = ["--host", "127.0.0.1", "--port", String(port), "--server", "stream", "--no-eventStore"];
  const child = start([program, ...args, "--", process.execPath, LIGHT_SERVER]);
  return peer("mcp-proxy 6.7.19", child, () => connectLight(`http://127.0.0.1:${port}/mcp`));
}

export async function startSupergateway(): Promise<Measured> {
  const port = await freePort();
  const program = path.join(PEERS, "node_modules/supergateway/dist/index.js");
  const args = ["--outputTransport", "streamableHttp", "--stateful", "--logLevel", "none"];
  const backend = `${process.execPath} ${LIGHT_SERVER}`;
  const child = start([program, "--stdio", backend, ...args, "--port", String(port)]);
  const self = await peer("supergateway 4.0.0", child, () => connectLight(`http://127.0.0.1:${port}/mcp`));
  return { ...self, open: null };
}

/** A native one, in Go. */
async function startTbxark(program: string): Promise<Measured> {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "mt-tbxark-"));
  const file = path.join(folder, "config.json");
  const url = `http://127.0.0.1:${port}`;
  const mcpProxy = {
    baseURL: url,
    addr: `127.0.0.1:${port}`,
    name: "bench",
    version: "1",
    type: "streamable-http",
  };
  await writeFile(file, JSON.stringify({ mcpProxy, mcpServers: { light: lightProgram() } }));
  const child = spawn(program, ["--config", file], { stdio: "ignore" });
  const self = await peer("tbxark", child, () => connectLight(`${url}/light/mcp`), whenListed);
  return withFolder(self, folder);
}

/** A Python one. Each session would start a program of its own in its mode `--stateless`. */
async function startPythonProxy(bin: string): Promise<Measured> {
  const port = await freePort();
  const args = ["--port", String(port), "--log-level", "ERROR", "--", process.execPath, LIGHT_SERVER];
  const child = spawn(path.join(bin, "mcp-proxy"), args, { stdio: "ignore" });
  return peer("mcp-proxy (PyPI)", child, () => connectLight(`http://127.0.0.1:${port}/mcp`), whenListed);
}

async function startFastMcp(bin: string): Promise<Measured> {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "mt-fastmcp-"));
  const file = path.join(folder, "mcp.json");
  await writeFile(file, JSON.stringify({ mcpServers: { light: lightProgram() } }));
  const args = ["run", file, "--transport", "http", "--port", String(port), "--no-banner"];
  const child = spawn(path.join(bin, "fastmcp"), [...args, "--log-level", "ERROR"], { stdio: "ignore" });
  const self = await peer("fastmcp", child, () => connectLight(`http://127.0.0.1:${port}/mcp`), whenListed);
  return withFolder(self, folder);
}

type Start = () => Promise<Measured>;

/**
 * Gateways made by others, by name and version. Each resolves with how it is started. It rejects with the reason where it
 * cannot be had: it is installed only if `install` is true, and not every registry has it.
 */
export const PEERS_BY_NAME: Readonly<Record<string, (install: boolean) => Promise<Start>>> = {
  "tbxark 0.43.2": async (install) => {
    const program = await goProgram("github.com/tbxark/mcp-proxy@v0.43.2", "mcp-proxy", install);
    return () => startTbxark(program);
  },
  "mcp-hub 4.2.1": fromPeers(startMcpHub),
  "mcp-proxy 6.7.19 (npm)": fromPeers(startMcpProxy),
  "supergateway 4.0.0": fromPeers(startSupergateway),
  "mcp-proxy 0.13.0 (PyPI)": fromPython("mcp-proxy==0.13.0", startPythonProxy),
  "fastmcp 4.1.6": fromPython("fastmcp==4.1.6", startFastMcp),
};

function fromPeers(start: Start): (install: boolean) => Promise<Start> {
  return async (install) => {
    if (await peersInstalled(install)) return start;
    throw new Error("bench/peers is not installed (npm ci --ignore-scripts --prefix bench/peers)");
  };
}

function fromPython(
  requirement: string,
  start: (bin: string) => Promise<Measured>,
): (install: boolean) => Promise<Start> {
  return async (install) => {
    if (!install) throw new Error("`--short` installs nothing from PyPI");
    const bin = await fromPip(requirement);
    return () => start(bin);
  };
}

async function goProgram(module: string, name: string, install: boolean): Promise<string> {
  const program = path.join(PEERS_BIN, name);
  if (existsSync(program)) return program;
  if (!install) throw new Error(`it is not in bench/peers/bin (go install ${module})`);
  const env = { ...process.env, GOBIN: PEERS_BIN };
  await promisify(execFile)("go", ["install", module], { env, timeout: FETCH_MS });
  return program;
}

/** As it is, and its folder is removed at its end. */
function withFolder(self: Measured, folder: string): Measured {
  return {
    ...self,
    async [Symbol.asyncDispose]() {
      await self[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function startMcpHub(): Promise<Measured> {
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "mt-hub-"));
  const file = path.join(folder, "hub.json");
  const servers: Record<string, unknown> = { light: lightProgram() };
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
  const self = await peer(
    "mcp-hub 4.2.1",
    child,
    () => connectSse(`http://127.0.0.1:${port}/mcp`),
    whenListed,
  );
  return {
    ...withFolder(self, folder),
    tool: (name) => `light__${name}`,
    async add(prefix) {
      servers[`more${Object.keys(servers).length}`] = lightProgram({ LIGHT_PREFIX: prefix });
      await save();
    },
  };
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, args, { stdio: "ignore", env: { ...process.env, ...env } });
}

/** Connects a client as soon as `until` finds it up. */
async function peer(
  name: string,
  child: ChildProcess,
  open: () => Promise<BenchClient>,
  until: (child: ChildProcess, open: () => Promise<BenchClient>) => Promise<BenchClient> = untilUp,
): Promise<Measured> {
  const ended = once(child, "close").catch(() => {});
  const client = await until(child, open);
  return {
    name,
    pid: child.pid ?? 0,
    client,
    tool: (tool) => tool,
    open,
    add: null,
    async [Symbol.asyncDispose]() {
      await within(ENDS_MS, client[Symbol.asyncDispose]()).catch(() => {});
      child.kill("SIGTERM");
      const late = setTimeout(() => child.kill("SIGKILL"), ENDS_MS);
      await ended;
      clearTimeout(late);
    },
  };
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
    const client = await eventually(() => within(STARTS_MS, open()), STARTS_MS);
    if (client === null) throw new Error("no client");
    return client;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

/** Rejects if `work` takes longer: a peer may lose a request and say nothing. */
export async function within<T>(ms: number, work: PromiseLike<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`nothing within ${ms / 1_000} s`)), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
