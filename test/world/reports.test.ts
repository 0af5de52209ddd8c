// What people reported of other gateways and clients, played with a whole daemon.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { runCommand } from "../cli/command-line.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { nodeBackend, type Section, startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight, type Json, type LightClient } from "../mcp/light-client.ts";
import { ends } from "../support/ends.ts";
import { onLoopback } from "../support/on-loopback.ts";
import { createOddServers, type Odd } from "./servers/odd-server.ts";

const MOUNTAINEER = join(import.meta.dirname, "../../bin/mountaineer");

/** A server over HTTP that keeps a value for each of its sessions. */
async function startKeeper(t: TestContext): Promise<string> {
  const kept = new Map<string, unknown>();
  let sessions = 0;
  const server = createServer(async (request, response) => {
    const session = String(request.headers["mcp-session-id"] ?? `s${sessions}`);
    if (request.method !== "POST") return void response.writeHead(request.method === "GET" ? 405 : 200).end();
    const { id, method, params = {} } = JSON.parse(await textOf(request));
    if (method === "initialize") sessions += 1;
    const given = Object(params.arguments);
    if (params.name === "keep") kept.set(session, given.value);
    const results: Json = {
      initialize: {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "k", version: "1" },
      },
      "tools/list": { tools: ["keep", "show"].map((name) => ({ name, inputSchema: { type: "object" } })) },
      "tools/call": { content: [{ type: "text", text: String(kept.get(session)) }] },
      ping: {},
    };
    if (id === undefined) return void response.writeHead(202).end();
    const head = {
      "content-type": "application/json",
      ...(method === "initialize" && { "mcp-session-id": `s${sessions}` }),
    };
    const result = results[method];
    const answer =
      result === undefined ? { error: { code: -32601, message: "Method not found" } } : { result };
    response.writeHead(200, head).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
  });
  const port = await onLoopback(t, server);
  return `http://127.0.0.1:${port}/mcp`;
}

// jlowin/fastmcp 5134
test("D9 D2 what a server keeps for its session is one client's with per-client, and everybody's when shared", async (t) => {
  const url = await startKeeper(t);
  const rig = await startGatewayRig(t, {
    backends: { own: { url, instances: "per-client" }, all: { url } },
    more: { conflict_resolution: { strategy: "prefix" } },
  });
  await rig.untilReady("own", "all");
  const [ann, ben] = [await rig.connect(), await rig.connect()];
  for (const [client, value] of [
    [ann, "ann's"],
    [ben, "ben's"],
  ] as const)
    assert.equal(await client.call("own_keep", { value }), value);
  const shown = async () => Promise.all([ann, ben, ann, ben].map((client) => client.call("own_show")));
  for (let round = 0; round < 20; round++)
    assert.deepEqual(await shown(), ["ann's", "ben's", "ann's", "ben's"]);
  await ann.call("all_keep", { value: "any" });
  assert.equal(await ben.call("all_show"), "any");
  await rig.goDown("SIGKILL");
  await rig.comeBack();
  await rig.untilReady("own", "all");
  // The server's sessions are new, and empty.
  assert.deepEqual(await shown(), Array(4).fill("undefined"));
});

// zed-industries/feedback 551
const twin = (WHO: string, LIGHT_INIT_MS = "0"): Section =>
  nodeBackend(LIGHT_SERVER, [], { env: { WHO, LIGHT_INIT_MS } });
const envs = async (client: LightClient) => (await client.tools()).filter((name) => /env$/.test(name));
const who = async (client: LightClient, tool = "env"): Promise<string> =>
  client.call(tool, { name: "WHO" }).then(JSON.parse, (error: Error) => `refused: ${error.message}`);

test("D9 D4 what a client was listed is what runs: the first owner in the file comes late, and earlier after a crash", async (t) => {
  const rig = await startGatewayRig(t, { backends: { slow: twin("slow", "2000"), quick: twin("quick") } });
  await rig.untilReady("quick");
  const client = await rig.connect();
  assert.deepEqual(await envs(client), ["env"]);
  await rig.goDown("SIGKILL");
  await rig.save({ backends: { slow: twin("slow"), quick: twin("quick", "2000") } });
  await rig.comeBack();
  const other = await rig.connect();
  for (const each of [client, other]) assert.match(await who(each), /^quick$|^refused/);
  await rig.untilReady("slow", "quick");
  assert.deepEqual(await envs(other), ["slow_env", "env"]);
  for (const each of [client, other])
    assert.deepEqual([await who(each), await who(each, "slow_env")], ["quick", "slow"]);
});

// envoyproxy/ai-gateway 2412, modelcontextprotocol/ext-apps 745
test("D9 D1 of two servers with the page ui://main and equal tools, each page's call arrives at its own or is refused", async (t) => {
  const tool = (name: string, ui: Json) => ({ name, inputSchema: { type: "object" }, _meta: { ui } });
  const tools = [tool("show", { resourceUri: "ui://main" }), tool("save", { visibility: ["app"] })];
  const app = (text: string): Odd => ({
    tools,
    on: { "tools/call": { result: { content: [{ type: "text", text }] } } },
  });
  const odd = createOddServers(
    new Map([
      ["a", app("of a")],
      ["b", app("of b")],
    ]),
  );
  const port = await onLoopback(t, odd.listener);
  const backends = Object.fromEntries(
    ["a", "b"].map((name) => [name, { url: `http://127.0.0.1:${port}/${name}/mcp` }]),
  );
  const rig = await startGatewayRig(t, { backends, more: { "groups.b": { backends: ["b"] } } });
  await rig.untilReady("a", "b");
  const capabilities = {
    extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["text/html;profile=mcp-app"] } },
  };
  const [all, own] = [await rig.connect({ capabilities }), await rig.connect({ capabilities }, "/b")];
  const { tools: listed } = await all.request("tools/list");
  assert.match(JSON.stringify(listed), /"b_show".*"ui:\/\/b\/main"/);
  await assert.rejects(all.call("save"), /a page's call does not say which is its own/);
  assert.deepEqual([await all.call("show"), await all.call("b_save")], ["of a", "of b"]);
  assert.deepEqual([await own.call("show"), await own.call("save")], ["of b", "of b"]);
});

// anthropics/claude-code 79650
test("D9 A6 references stay references in the file over restarts and edits, and their values are in no file of the home", async (t) => {
  const values = {
    VARIABLE: "value-of-a-variable",
    STORED: "value-that-is-stored",
    FILED: "value-in-a-file",
  };
  const rig = await startGatewayRig(t, { backends: {} }, { env: { REPORTED: values.VARIABLE } });
  const file = join(rig.folder, "secret");
  await writeFile(file, `${values.FILED}\n`, { mode: 0o600 });
  await runCommand(["secret", "set", "reported", "--in", "file"], {
    home: rig.home.home,
    input: `${values.STORED}\n`,
  });
  const env = { VARIABLE: "${REPORTED}", STORED: "secret:reported", FILED: `\${file:${file}}` };
  await rig.edit({ backends: { one: nodeBackend(LIGHT_SERVER, [], { env }) } });
  const text = await readFile(rig.home.configFile, "utf8");
  for (let restart = 0; restart < 4; restart++) {
    await rig.untilReady("one");
    await using client = await connectLight(rig.url);
    for (const [name, value] of Object.entries(values))
      assert.equal(await client.call("env", { name }), JSON.stringify(value));
    await ends(rig.home.cli(["config", "set", "backends.one.stop_when_idle", String(600 + restart)]), 0);
    await rig.goDown(restart % 2 === 0 ? "SIGTERM" : "SIGKILL");
    await rig.comeBack();
  }
  const now = await readFile(rig.home.configFile, "utf8");
  assert.equal(now.replace(/stop_when_idle = \d+\n/, ""), text);
  for (const name of await readdir(rig.home.home, { recursive: true })) {
    if (name === "secrets.json") continue;
    const held = await readFile(join(rig.home.home, name), "latin1").catch(() => "");
    for (const value of Object.values(values)) assert.ok(!held.includes(value), `${value} is in ${name}`);
  }
});

// A pipe takes 64 KiB at once.
test("D9 F2 the JSON of 300 servers comes whole through a slow pipe, and a reader that leaves early ends the command without a word", async (t) => {
  const names = Array.from({ length: 300 }, (_, at) => `s${at}`);
  const tools = ["one", "two"].map((name) => ({ name, inputSchema: { type: "object" } }));
  const odd = createOddServers(new Map(names.map((name): [string, Odd] => [name, { tools }])));
  const port = await onLoopback(t, odd.listener);
  const backends = Object.fromEntries(
    names.map((name) => [name, { url: `http://127.0.0.1:${port}/${name}/mcp` }]),
  );
  const rig = await startGatewayRig(t, { backends });
  await rig.untilReady(...names);
  const piped = async (command: string, reader: string) => {
    const child = spawn(
      "/bin/sh",
      ["-c", `{ '${MOUNTAINEER}' ${command} --json; echo "code $?" >&2; } | ${reader}`],
      {
        env: { ...process.env, MOUNTAINEER_HOME: rig.home.home },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    const [stdout, stderr] = await Promise.all([textOf(child.stdout), textOf(child.stderr)]);
    return { stdout, stderr };
  };
  for (const command of ["status", "backends list", "tools list"]) {
    const whole = await piped(command, "(sleep 2; cat)");
    assert.equal(whole.stderr, "code 0\n", command);
    const parsed = JSON.stringify(JSON.parse(whole.stdout));
    for (const name of names) assert.ok(parsed.includes(`"${name}"`), `${name} in ${command}`);
    assert.ok(whole.stdout.length > 65_536, `${command}: ${whole.stdout.length}`);
    const cut = await piped(command, "head -1");
    assert.match(cut.stderr, /^code \d+\n$/, command);
  }
});
