// One daemon makes room for the next: what clients have begun goes on, and what would not come up takes nothing over. One
// home for all of it, edited to what each test is about.
import assert from "node:assert/strict";
import { access, appendFile, chmod, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { readLockOwner } from "../../src/runtime/process/home-lock.ts";
import { processIdentity } from "../../src/runtime/process/process-identity.ts";
import { startBridge } from "../kit/bridge.ts";
import { liveHome, SETTLES_MS } from "../live/live-home.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { eventually } from "../support/eventually.ts";
import { pluck } from "../support/pluck.ts";
import { daemonsOf } from "../support/processes.ts";
import { ASKING_SERVER, LIGHT_SERVER, startHttpFixture, TASKS_SERVER } from "./fixture-programs.ts";
import {
  type GatewayRig,
  type GatewaySections,
  handOver,
  nodeBackend,
  openGatewayRig,
} from "./gateway-rig.ts";
import type { Json, LightClient } from "./light-client.ts";
import { ask, requiredBy, textOf, type WireReply } from "./modern-wire.ts";

const ERA_SERVER = path.resolve(import.meta.dirname, "../gateway/backends/programs/era-modern-server.ts");
/** Clients that are idle hold the old daemon no longer than this. */
const SERVER = { drain_timeout: 4 };
const first = nodeBackend(LIGHT_SERVER);
const asking = nodeBackend(ASKING_SERVER);
const prefixed = (prefix: string, more = {}) =>
  nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: prefix }, ...more });

const form = (message: string): Json => ({
  method: "elicitation/create",
  params: {
    mode: "form",
    message,
    requestedSchema: { type: "object", properties: { name: { type: "string" } } },
  },
});
const accepted = (name: string): Json => ({ action: "accept", content: { name } });
const INVALID = -32602;

/** What is at its end has no arguments any more, and its descriptors for a while yet. */
const untilEnded = (pid: number): Promise<unknown> =>
  eventually(async () => (await processIdentity(pid)) === null);

describe("one daemon hands over to the next", () => {
  let rig: GatewayRig;
  before(async () => {
    rig = await openGatewayRig({ backends: { first }, server: SERVER }, { kept: true });
  });
  after(() => rig[Symbol.asyncDispose]());

  /** Runs with these; resolves with who is in charge once all are Ready. */
  async function runs(
    backends: GatewaySections["backends"],
    more: Partial<GatewaySections> = {},
  ): Promise<number> {
    await rig.edit({ backends, server: SERVER, ...more });
    for (const name of Object.keys(backends))
      await rig.untilBackend(
        name,
        ({ phase }) => phase === "Ready" || (name === "era" && phase === "Degraded"),
      );
    return (await rig.status()).global.pid ?? 0;
  }

  /** One process has the lock, the sockets and the door, and the session of before goes on. */
  async function requireOneInCharge(client: LightClient): Promise<number> {
    const pid = await eventually(async () => {
      const [only, ...more] = await daemonsOf(rig.home.home);
      if (only === undefined || more.length > 0) return null;
      return (await rig.home.glance())?.global.pid === only ? only : null;
    }, 40_000);
    assert.equal((await readLockOwner(rig.home.home))?.pid, pid);
    await rig.untilReady("first");
    assert.equal(await client.call("echo", { text: "still here" }), "still here");
    assert.equal(await (await rig.connect()).call("echo", { text: "new" }), "new");
    return pid;
  }

  test("B11 five handovers leave the last daemon with the descriptors of the first", async () => {
    await runs({ first, second: prefixed("once_", { replace: "stop-first" }) });
    const bridge = startBridge(rig);
    await bridge.begin();
    const client = await rig.connect();
    let asked = 1;
    const look = async (): Promise<Awaited<ReturnType<typeof descriptorsOf>>> => {
      // Whoever is with the daemon before is served by this one from then on, and its sessions' file is open.
      await client.call("echo", { text: "here" });
      await bridge.call(++asked, "echo", { text: "here" });
      assert.deepEqual(pluck(bridge.messages, "method").filter(Boolean), [], "no list is another");
      const visitor = await rig.connect();
      await visitor.call("echo", { text: "for the first time" });
      await visitor[Symbol.asyncDispose]();
      return descriptorsOf((await rig.status()).global.pid ?? 0);
    };
    const seen = [await look()];
    // What is opened once, with the first of its kind, is.
    await eventually(async () => {
      seen.unshift(await look());
      return isDeepStrictEqual(seen[0], seen[1]);
    });
    for (let handovers = 0; handovers < 5; handovers++) await handOver(rig);
    await rig.untilReady("first", "second");
    await eventually(async () => {
      assert.deepEqual(await look(), seen[0]);
      return true;
    });
    await bridge.end();
  });

  test("E2 a file that others can write is not run next to the old daemon, which keeps running", async () => {
    const pid = await runs({ first });
    const client = await rig.connect();
    // Not in the home: from then on every new entry would wait for approval.
    const marker = path.join(rig.folder, "was-run");
    await chmod(rig.home.configFile, 0o666);
    await appendFile(rig.home.configFile, `\n[backends.evil]\ncommand = "touch"\nargs = ["${marker}"]\n`);
    const { code, stderr } = await rig.home.cli(["restart"]);
    assert.equal(code, 1);
    assert.match(stderr, /can be written by others/);
    assert.equal(await requireOneInCharge(client), pid);
    await assert.rejects(access(marker), { code: "ENOENT" });
  });

  test("B11 A5 a daemon that would not start leaves the old one in charge, and the command gives the reason: an invalid file, a state of a newer version, a server that would not serve", async () => {
    const pid = await runs({ first });
    const client = await rig.connect();
    const isRefused = async (why: RegExp): Promise<void> => {
      const { code, stderr } = await rig.home.cli(["restart"]);
      assert.equal(code, 1);
      assert.match(stderr, why);
      assert.equal(await requireOneInCharge(client), pid);
    };
    await writeFile(rig.home.configFile, "[server]\nprot = 1\n");
    await isRefused(/the new daemon does not take over: .*prot/s);
    const program = path.join(rig.folder, "server.ts");
    await writeFile(program, `import ${JSON.stringify(pathToFileURL(LIGHT_SERVER).href)};\n`);
    await runs({ first, second: nodeBackend(program, [], { env: { LIGHT_PREFIX: "s_" } }) });
    await rm(program);
    await isRefused(/second would not serve there as it does here/);
    const state = path.join(rig.home.home, "state.json");
    const text = '{"version": 999, "shares": {}}';
    await writeFile(state, text);
    await isRefused(/the new daemon does not take over: .*state\.json was written by a newer version/s);
    assert.equal(await readFile(state, "utf8"), text);
    await rm(state);
  });

  test("B11 a command in progress when the line is crossed gets its answer", async () => {
    const pid = await runs({ first });
    const client = await rig.connect();
    const until = path.join(rig.folder, "go-on");
    const daemon = await rig.daemon();
    const request = { tool: "sleep", arguments: { until, text: "rested" } };
    const call = daemon.call("call", request, AbortSignal.timeout(60_000));
    await eventually(async () => (await rig.status()).gateway?.in_flight === 1);
    const before = (await handings()).length;
    const handing = handOver(rig);
    await eventually(async () => (await handings()).length > before);
    await writeFile(until, "");
    assert.deepEqual((await call).result?.["content"], [{ type: "text", text: "rested" }]);
    await handing;
    assert.notEqual(await requireOneInCharge(client), pid);
  });

  const handings = async () => (await rig.home.log()).filter(({ message }) => message === "handing over");

  test("B11 a call in flight of a client of 2026-07-28 completes, a listener is asked to leave, and the next list is whole", async () => {
    await runs({ first });
    const client = new Client({ name: "modern", version: "1" }, { versionNegotiation: { mode: "auto" } });
    await client.connect(new StreamableHTTPClientTransport(new URL(rig.url)));
    rig.beforeStop(() => client.close());
    const { tools } = await client.listTools();
    const listening = await client.listen({ toolsListChanged: true });
    const until = path.join(rig.folder, "rested");
    const call = client.callTool({ name: "sleep", arguments: { until, text: "rested" } });
    await eventually(async () => (await rig.status()).gateway?.in_flight === 1);
    const handingOver = handOver(rig);
    assert.equal(await listening.closed, "graceful");
    await eventually(async () => {
      // By the new daemon, as soon as it is in charge.
      const next = await client.listen({ toolsListChanged: true });
      const isOver = await Promise.race([next.closed.then(() => true), client.listTools().then(() => false)]);
      await next.close();
      return !isOver;
    });
    assert.deepEqual((await client.listTools()).tools, tools);
    await writeFile(until, "");
    assert.deepEqual((await call).content, [{ type: "text", text: "rested" }]);
    const { from, to } = await handingOver;
    assert.notEqual(from, to);
  });

  test("D4 B11 a session of a group stays one of that group after a handover and after a kill", async () => {
    const more = { "groups.first": { backends: ["one"] } };
    await runs({ one: prefixed("one_"), two: prefixed("two_") }, { more });
    const client = await rig.connect({}, "/first");
    const before = await client.tools();
    assert.ok(before.length > 0 && before.every((name) => name.startsWith("one_")));
    const missing = await fetch(`${rig.url}/none`, { method: "POST" });
    assert.equal(missing.status, 404);
    assert.match(await missing.text(), /there is no group none; everything is at \/mcp/);
    const kill = async (): Promise<void> => {
      if (await rig.killDaemon()) await rig.comeBack();
    };
    for (const replace of [() => handOver(rig), kill]) {
      await replace();
      await rig.untilReady("one", "two");
      assert.deepEqual(await eventually(() => client.tools().catch(() => false as const)), before);
      assert.equal(await client.call("one_echo", { text: "here" }), "here");
      await assert.rejects(client.call("two_echo", { text: "there" }), /two_echo/);
      const elsewhere = await fetch(rig.url, {
        method: "POST",
        headers: {
          accept: "application/json, text/event-stream",
          "content-type": "application/json",
          "mcp-session-id": String(client.sessionId),
        },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "two_pid" } }),
      });
      assert.doesNotMatch(await elsewhere.text(), /"content"/);
    }
  });

  test("D1 a task begun under one daemon continues under the next", async (t) => {
    const server = await startHttpFixture(t, TASKS_SERVER);
    await runs({ far: { type: "streamable-http", url: server.url } });
    const capabilities = { extensions: { "io.modelcontextprotocol/tasks": {} } };
    const send = async (method: string, params: Json): Promise<Json> =>
      (await ask(rig.url, method, params, { capabilities })).result ?? {};
    const { taskId } = await send("tools/call", { name: "slow_compute", arguments: { seconds: 60 } });
    await handOver(rig);
    assert.equal((await send("tasks/get", { taskId }))["status"], "working");
    await send("tasks/cancel", { taskId });
    await eventually(async () => (await send("tasks/get", { taskId }))["status"] === "cancelled");
  });

  /** A call that asks so often, and what it requires first. */
  async function interview(...questions: readonly string[]) {
    const call: Json = { name: "interview", arguments: { rounds: questions.map((each) => [form(each)]) } };
    const again = (params: Json): Promise<WireReply> => ask(rig.url, "tools/call", { ...call, ...params });
    return { required: requiredBy(await again({})), again };
  }

  /** What is sent with the answer to the one thing that is required; null: a plain yes. */
  function answer({ state, requests }: ReturnType<typeof requiredBy>, name: string | null): Json {
    const [key = ""] = Object.keys(requests);
    const given = name === null ? { action: "accept", content: {} } : accepted(name);
    return { requestState: state, inputResponses: { [key]: given } };
  }

  test("D2 B11 a call that waits for its client continues after a reload, and after three handovers in quick succession, by way of the daemon that has it", async () => {
    // Longer than all of it takes.
    const server = { drain_timeout: 60 };
    await runs({ asking }, { server });
    const { required, again } = await interview("?", "more?", "no more?");
    await runs({ asking, first: prefixed("l_") }, { server });
    const second = requiredBy(await again(answer(required, "Ann")));
    await runs({ asking }, { server });
    const { to } = await handOver(rig);
    // By then who has nothing to wait for has gone.
    for (let more = 0; more < 2; more++) await handOver(rig);
    const forged = await again({ requestState: `${second.state}A`, inputResponses: {} });
    assert.equal(forged.error?.code, INVALID);
    const third = requiredBy(await again(answer(second, "Ben")));
    assert.equal((await again({ requestState: second.state, inputResponses: {} })).error?.code, INVALID);
    assert.ok((await daemonsOf(rig.home.home)).includes(to), "the one between them passes on what is said");
    const end = await again(answer(third, "Cyd"));
    assert.deepEqual(JSON.parse(textOf(end)), [[accepted("Ann")], [accepted("Ben")], [accepted("Cyd")]]);
  });

  test("B11 D2 when the time of the old daemon is over, its waiting calls are cancelled, and their state is -32602", async () => {
    await runs({ asking }, { server: { drain_timeout: 1 } });
    const { required, again } = await interview("?");
    const { from } = await handOver(rig);
    await untilEnded(from);
    const { error } = await again({ requestState: required.state, inputResponses: {} });
    assert.equal(error?.code, INVALID, String(error?.message));
  });

  test("B11 D2 a client of HTTP+SSE calls on its stream after a handover, and on a new one once it was quiet", async (t) => {
    await runs({ first });
    const transport = new SSEClientTransport(new URL("/sse", rig.url));
    const client = new LegacyClient({ name: "older", version: "1" });
    t.after(() => client.close());
    await client.connect(transport);
    const addressOf = (): string => (transport as unknown as { _endpoint: URL })._endpoint.search;
    const call = (text: string) => client.callTool({ name: "echo", arguments: { text } });
    for (let handovers = 0; handovers < 2; handovers++) {
      const before = addressOf();
      const { from } = await handOver(rig);
      for (let calls = 0; calls < 5; calls++) await call(`old ${calls}`);
      assert.equal(addressOf(), before);
      await untilEnded(from);
      await eventually(() => addressOf() !== before);
      await call("new");
    }
  });

  test("B11 D2 a modern server's state is bound to its call, and outlives a reload, a handover and a person's consent, which is requested again", async () => {
    const asks = { authorization: { default_effect: "allow", destructive: "ask" } };
    const era = nodeBackend(ERA_SERVER, ["stdio"]);
    await runs({ era });
    const call: Json = { name: "ask_rounds", arguments: {} };
    const send = (params: Json): Promise<WireReply> => ask(rig.url, "tools/call", { ...call, ...params });
    const one = requiredBy(await send({}));
    const retry = { requestState: one.state, inputResponses: {} };
    const refused: readonly Json[] = [
      { ...retry, requestState: `${one.state}A` },
      { ...retry, requestState: "1" },
      { ...retry, name: "ask" },
      { ...retry, arguments: { a: 1 } },
    ];
    for (const params of refused)
      assert.equal((await send(params)).error?.code, INVALID, JSON.stringify(params));
    await runs({ era }, { more: asks });
    // It asks whether the call may be made, since nobody has said so yet; then it is the server's turn.
    const consent = requiredBy(await send(answer(one, "a")));
    const two = requiredBy(await send(answer(consent, null)));
    assert.deepEqual(Object.keys(two.requests), ["q1"]);
    const { from } = await handOver(rig);
    // While it is there, what waits at it is asked there, by who has the consent.
    await untilEnded(from);
    // The next daemon cannot know whether the consent was used already: the person is asked again.
    const again = requiredBy(await send(answer(two, "b")));
    assert.ok(!("q2" in again.requests));
    const three = requiredBy(await send(answer(again, null)));
    assert.deepEqual(Object.keys(three.requests), ["q2"]);
    const end = await send(answer(three, "c"));
    assert.deepEqual(JSON.parse(textOf(end)), { done: 3, inputResponses: { q2: accepted("c") } });
  });
});

test("B11 shares stay mounted, and their state is remembered", async (t) => {
  const home = await liveHome(t, { kept: true });
  await home.writeConfig(await home.text(["CORE"]));
  await home.start();
  await home.untilMounted("CORE");
  const override = await home.cli(["switch", "--share", "CORE", "--to", "fallback"]);
  assert.equal(override.code, 0, override.stderr);
  await home.untilShare("CORE", (share) => share.override === "fallback", SETTLES_MS);
  const moves = await home.logged("share.unmounted");
  const { from, to } = await handOver({ home });
  assert.notEqual(from, to);
  const [share] = await home.untilMounted("CORE");
  assert.deepEqual([share?.override, share?.active_interface], ["fallback", "fallback"]);
  assert.deepEqual(await home.logged("share.unmounted"), moves);
});
