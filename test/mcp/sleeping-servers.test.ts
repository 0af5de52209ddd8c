// Servers that are there at once and run when they are needed: real programs behind the real daemon, which is killed,
// hands over and comes back while they sleep, wake and end.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { playSleepingStory } from "./sleeping-story.ts";

const MODULES = path.resolve(import.meta.dirname, "../../node_modules/@modelcontextprotocol");
const EVERYTHING = path.join(MODULES, "server-everything/dist/index.js");
const FILESYSTEM = path.join(MODULES, "server-filesystem/dist/index.js");
const NEEDED = { start: "on-demand" } as const;
const STOPPED = { start: "on-demand", stop_when_idle: 1 } as const;

const untilAsleep = (rig: GatewayRig, ...names: readonly string[]): Promise<unknown> =>
  Promise.all(
    names.map((name) => rig.untilBackend(name, ({ phase, pid }) => phase === "Asleep" && pid === null)),
  );

/** The servers that run, without what starts and watches them. */
async function servers(rig: GatewayRig): Promise<readonly string[]> {
  const read = (pid: number, file: string): Promise<string> =>
    readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
  const lines = await Promise.all(
    (await rig.processes()).map(async (pid) => {
      const line = await read(pid, "cmdline");
      // Meanwhile a process of another test may have got the number.
      return (await read(pid, "environ")).includes(`HOME=${rig.folder}\0`) ? line : "";
    }),
  );
  return lines.filter((line) => [EVERYTHING, FILESYSTEM, LIGHT_SERVER].some((one) => line.includes(one)));
}

async function toolsOf(rig: GatewayRig): Promise<readonly string[]> {
  const client = await rig.connect();
  const names = await client.tools();
  await client[Symbol.asyncDispose]();
  return names.toSorted();
}

test("B2 sleeping servers are listed at once after a restart, kill -9 and a handover, and a single call starts one", async (t) => {
  const everything = nodeBackend(EVERYTHING, ["stdio"], NEEDED);
  const files = nodeBackend(FILESYSTEM, ["/"], NEEDED);
  const rig = await startGatewayRig(t, { backends: { everything, files } }, { kept: true });
  await untilAsleep(rig, "everything", "files");
  const all = await toolsOf(rig);
  assert.ok(all.includes("echo") && all.includes("list_directory"));
  await eventually(async () => (await servers(rig)).length === 0);

  await handOver(rig);
  assert.deepEqual(await toolsOf(rig), all);
  await untilAsleep(rig, "everything", "files");

  const [client, folder] = [await rig.connect(), rig.folder];
  assert.match(await client.call("list_directory", { path: folder }), /home/);
  await rig.untilBackend("files", ({ phase, pid }) => phase === "Ready" && pid !== null);
  await untilAsleep(rig, "everything");

  if (await rig.killDaemon()) await rig.comeBack();
  assert.deepEqual(await toolsOf(rig), all);
  await untilAsleep(rig, "everything", "files");
  await eventually(async () => (await servers(rig)).length === 0);
  assert.match(await (await rig.connect()).call("echo", { message: "awake" }), /awake/);
});

test("B2 200 calls at once start one process, and each is answered", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER, [], STOPPED) } });
  await untilAsleep(rig, "light");
  const client = await rig.connect();
  const calls = Array.from({ length: 200 }, (_, at) => client.call("echo", { text: `${at}` }));
  await rig.untilBackend("light", ({ phase, instances }) => phase === "Ready" && instances === 1);
  assert.equal((await servers(rig)).length, 1);
  assert.deepEqual(
    await Promise.all(calls),
    Array.from({ length: 200 }, (_, at) => `${at}`),
  );
  await untilAsleep(rig, "light");
  await eventually(async () => (await servers(rig)).length === 0);
});

test("B2 a call during a handover starts a sleeping server that must not run twice, and is answered", async (t) => {
  const light = nodeBackend(LIGHT_SERVER, [], { ...STOPPED, replace: "stop-first" });
  const rig = await startGatewayRig(t, { backends: { light } }, { kept: true });
  await untilAsleep(rig, "light");
  const client = await rig.connect();
  const over = handOver(rig);
  const calls = Array.from({ length: 8 }, async (_, at) => {
    await pause(at * 150);
    return client.call("echo", { text: `${at}` });
  });
  assert.deepEqual(await Promise.all(calls), ["0", "1", "2", "3", "4", "5", "6", "7"]);
  await over;
});

test("B2 a subscription keeps a server running, and ends with the client's request, even one from before a handover", async (t) => {
  const everything = nodeBackend(EVERYTHING, ["stdio"], STOPPED);
  const rig = await startGatewayRig(t, { backends: { everything } }, { kept: true });
  await untilAsleep(rig, "everything");
  const client = await rig.connect();
  const { resources } = await client.request("resources/list");
  const [{ uri }] = resources as readonly [{ readonly uri: string }];
  await client.request("resources/subscribe", { uri });
  await rig.untilBackend("everything", ({ conditions }) =>
    conditions.some(({ code }) => code === "kept_awake"),
  );
  await handOver(rig);
  // The next daemon's server is still starting, to be subscribed to again.
  await client.request("resources/unsubscribe", { uri });
  // A start that subscribes again would keep it awake for good.
  await client.call("echo", { message: "awake" });
  await untilAsleep(rig, "everything");
});

/** A server of the tools in a file, which may also end by itself, hang or be gone. */
const SCRIPT = `
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
const said = JSON.parse(readFileSync(process.argv[2], "utf8"));
if (said.startMs) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, said.startMs);
if (said.fails) process.exit(3);
const send = (message) => process.stdout.write(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\\n");
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (said.hangs || id === undefined) return;
  if (method === "initialize") {
    const { protocolVersion } = params;
    send({ id, result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "said", version: "1" } } });
  } else if (method === "tools/list") {
    send({ id, result: { tools: said.tools.map(([name, description]) => ({ name, description, inputSchema: { type: "object" } })), ttlMs: 0 } });
  } else if (method === "tools/call") {
    send({ id, result: { content: [{ type: "text", text: "called " + params.name }] } });
    if (said.endsAfterCall) setTimeout(() => process.exit(0), 300);
  } else send({ id, error: { code: -32601, message: "unknown" } });
});
`;

async function startSaid(t: Parameters<typeof startGatewayRig>[0], more: Section, said: object) {
  const rig = await startGatewayRig(t, { backends: {} }, { kept: true });
  const [program, file] = [path.join(rig.folder, "said.mjs"), path.join(rig.folder, "said.json")];
  const say = (next: object): Promise<void> => writeFile(file, JSON.stringify(next));
  await writeFile(program, SCRIPT);
  await say(said);
  await rig.edit({ backends: { said: nodeBackend(program, [file], more) } });
  await untilAsleep(rig, "said");
  return { rig, say, client: await rig.connect() };
}

test("B2 a tool that vanished while its server slept is not called, and one with other words is", async (t) => {
  const tools = [
    ["one", "First"],
    ["two", "Second"],
    ["three", "Third"],
  ];
  const { rig, say, client } = await startSaid(t, NEEDED, { tools });
  assert.deepEqual((await client.tools()).toSorted(), ["one", "three", "two"]);
  await say({
    tools: [
      ["one", "First"],
      ["three", "Another"],
    ],
  });
  const [one, two, three] = await Promise.allSettled(
    ["one", "two", "three"].map((name) => client.call(name, {})),
  );
  assert.equal(one?.status === "fulfilled" ? one.value : "", "called one");
  assert.notEqual(two?.status === "fulfilled" ? two.value : "", "called two");
  assert.equal(three?.status === "fulfilled" ? three.value : "", "called three");
  assert.deepEqual((await client.tools()).toSorted(), ["one", "three"]);
  await rig.untilBackend("said", ({ phase }) => phase === "Ready");
});

test("B2 with pin = block, a tool that is new or changed after the sleep waits for approval", async (t) => {
  const { say, client } = await startSaid(
    t,
    { ...NEEDED, pin: "block" },
    {
      tools: [
        ["one", "First"],
        ["two", "Second"],
      ],
    },
  );
  await say({
    tools: [
      ["one", "Another"],
      ["two", "Second"],
      ["new", "New"],
    ],
  });
  const answers = await Promise.allSettled(["one", "new"].map((name) => client.call(name, {})));
  for (const answer of answers) {
    assert.doesNotMatch(answer.status === "fulfilled" ? answer.value : "", /^called/);
  }
  assert.equal(await client.call("two", {}), "called two");
  assert.deepEqual(await client.tools(), ["two"]);
});

test("B2 a server that no longer starts gives the reason, and one that hangs at its start fails the call in time", async (t) => {
  const tools = [["one", "First"]];
  const timeouts = { init: 2, call: 3 };
  const { rig, say, client } = await startSaid(t, { ...STOPPED, timeouts }, { tools });
  await say({ tools, fails: true });
  await assert.rejects(client.call("one", {}), /exit code 3/);
  await say({ tools });
  await rig.untilBackend("said", ({ phase }) => phase === "Ready");
  assert.equal(await client.call("one", {}), "called one");
  await untilAsleep(rig, "said");
  await say({ tools, hangs: true });
  const began = performance.now();
  await assert.rejects(client.call("one", {}));
  assert.ok(performance.now() - began < 10_000);
});

test("B2 a call that ends before the server has started leaves the start to the next one, cancelled or timed out", async (t) => {
  const tools = [["one", "First"]];
  const { rig, say, client } = await startSaid(t, { ...STOPPED, timeouts: { init: 20, call: 1 } }, { tools });
  await say({ tools, startMs: 2_500 });
  const cancelled = client.ask("tools/call", { name: "one" }, { signal: AbortSignal.timeout(300) });
  await assert.rejects(cancelled);
  await assert.rejects(client.call("one", {}), /was not ready within the call's 1 s/);
  const { pid } = await rig.untilBackend("said", ({ phase }) => phase === "Ready");
  assert.equal(await client.call("one", {}), "called one");
  assert.equal((await rig.backend("said")).pid, pid);
  assert.equal((await rig.backend("said")).restarts, 0);
});

test("B2 a server that exits while idle sleeps, which is not a failure", async (t) => {
  const { rig, client } = await startSaid(t, NEEDED, { tools: [["one", "First"]], endsAfterCall: true });
  for (let turn = 0; turn < 3; turn++) {
    assert.equal(await client.call("one", {}), "called one");
    await untilAsleep(rig, "said");
  }
  const { restarts, conditions } = await rig.backend("said");
  assert.deepEqual([restarts, conditions], [0, []]);
});

test("B2 a handover or kill -9 while a server starts: the call is answered, or fails and is made by the next daemon's server", async (t) => {
  const tools = [["one", "First"]];
  const { rig, say, client } = await startSaid(t, STOPPED, { tools });
  await say({ tools, startMs: 1_500 });
  const waking = client.call("one", {});
  await rig.untilBackend("said", ({ phase }) => phase === "Initializing");
  await handOver(rig);
  assert.equal(await waking, "called one");
  assert.deepEqual(await toolsOf(rig), ["one"]);
  // Until its connections to the old daemon are used up.
  await eventually(async () => {
    await client.call("one", {});
    return (await rig.backend("said")).calls > 0;
  });
  await untilAsleep(rig, "said");

  const lost = client.call("one", {}).then(
    () => "answered",
    () => "lost",
  );
  await rig.untilBackend("said", ({ phase }) => phase === "Initializing");
  if (await rig.killDaemon()) await rig.comeBack();
  assert.equal(await lost, "lost");
  assert.deepEqual(await toolsOf(rig), ["one"]);
  assert.equal(await (await rig.connect()).call("one", {}), "called one");
});

test("B2 a minute of calls, idleness, edits and kills: no call is lost or made twice, no tool leaves a list", (t) =>
  playSleepingStory(t, { forMs: 45_000, seed: Number(process.env["MOUNTAINEER_TEST_SEED"] ?? 1) }));
