import assert from "node:assert/strict";
import { access, appendFile, chmod, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { readLockHolder } from "../../src/runtime/process/home-lock.ts";
import { runCommand } from "../cli/command-line.ts";
import { eventually } from "../support/eventually.ts";
import { daemonsOf } from "../support/processes.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";

/** Clients that are idle hold the old daemon no longer than this. */
const SERVER = { drain_timeout: 4 };
const SKIP = process.platform === "linux" ? false : "reads /proc";

interface Scene {
  readonly rig: GatewayRig;
  readonly client: LightClient;
  /** In charge at the beginning. */
  readonly pid: number;
}

/** `slowMs`: how long the backend takes to start, and with it a successor. */
async function startScene(t: TestContext, slowMs = 0, more: object = {}): Promise<Scene> {
  const env = { LIGHT_INIT_MS: String(slowMs) };
  const sections = { backends: { first: nodeBackend(LIGHT_SERVER, [], { env }) }, server: SERVER, ...more };
  const rig = await startGatewayRig(t, sections, { kept: true });
  await rig.untilReady("first");
  const client = await connectLight(rig.url);
  rig.beforeStop(async () => client[Symbol.asyncDispose]());
  return { rig, client, pid: (await rig.status()).global.pid ?? 0 };
}

/** Its backends. */
async function serversOf(rig: GatewayRig, daemon: number): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await rig.processes()) {
    const [stat, command] = await Promise.all(
      ["stat", "cmdline"].map((file) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "")),
    );
    const [, parent] = (stat ?? "").slice((stat ?? "").lastIndexOf(")") + 2).split(" ");
    if (parent === String(daemon) && command?.includes(LIGHT_SERVER) === true) found.push(pid);
  }
  return found;
}

const successorOf = ({ rig, pid }: Scene): Promise<number> =>
  eventually(async () => (await daemonsOf(rig.home.home)).find((each) => each !== pid) ?? null);

/** One process has the lock, the sockets and the door, and the session of before goes on. */
async function requireOneInCharge({ rig, client }: Scene): Promise<number> {
  const pid = await eventually(async () => {
    const [only, ...more] = await daemonsOf(rig.home.home);
    if (only === undefined || more.length > 0) return null;
    return (await rig.home.glance())?.global.pid === only ? only : null;
  }, 40_000);
  assert.equal((await readLockHolder(rig.home.home))?.pid, pid);
  await rig.untilReady("first");
  assert.equal(await client.call("echo", { text: "still here" }), "still here");
  await using other = await connectLight(rig.url);
  assert.equal(await other.call("echo", { text: "new" }), "new");
  return pid;
}

async function logged({ home }: GatewayRig, message: string, times = 1): Promise<void> {
  await eventually(
    async () => (await home.log()).filter((line) => line["message"] === message).length >= times,
  );
}

test("E2 what is approved while the next daemon is made is approved there, too", async (t) => {
  const scene = await startScene(t, 3_000, { more: { trust: { approve: "all" } } });
  const { rig, pid } = scene;
  const restart = rig.home.cli(["restart"]);
  const next = await successorOf(scene);
  // It starts its servers by what it has read of approvals.
  await eventually(async () => ((await serversOf(rig, next)).length > 0 ? true : null));
  const added = await rig.home.cli(["backends", "add", "other", "--", process.execPath, LIGHT_SERVER]);
  assert.equal(added.code, 0, added.stderr);
  assert.equal((await restart).code, 0);
  assert.notEqual(await requireOneInCharge(scene), pid);
  await rig.untilReady("other");
  const { stdout } = await rig.home.cli(["approve", "--list"]);
  assert.doesNotMatch(stdout, /backends\.other/);
});

test("E2 what others may have written is not run beside the old daemon, which goes on", async (t) => {
  const scene = await startScene(t);
  const { rig, pid } = scene;
  const marker = path.join(rig.home.home, "was-run");
  await chmod(rig.home.configFile, 0o666);
  await appendFile(rig.home.configFile, `\n[backends.evil]\ncommand = "touch"\nargs = ["${marker}"]\n`);
  const { code, stderr } = await rig.home.cli(["restart"]);
  assert.equal(code, 1);
  assert.match(stderr, /can be written by others/);
  assert.equal(await requireOneInCharge(scene), pid);
  await assert.rejects(access(marker), { code: "ENOENT" });
  await chmod(rig.home.configFile, 0o600);
});

test("B11 A5 what would not come up leaves the old daemon in charge, and the command says why: a wrong file, a state of a newer version, a server that would not serve", async (t) => {
  const scene = await startScene(t);
  const { rig, pid } = scene;
  const isRefused = async (why: RegExp): Promise<void> => {
    const { code, stderr } = await rig.home.cli(["restart"]);
    assert.equal(code, 1);
    assert.match(stderr, why);
    assert.equal(await requireOneInCharge(scene), pid);
  };
  await writeFile(rig.home.configFile, "[server]\nprot = 1\n");
  await isRefused(/the new daemon does not take over: .*prot/s);
  const program = path.join(rig.folder, "server.ts");
  await writeFile(program, `import ${JSON.stringify(pathToFileURL(LIGHT_SERVER).href)};\n`);
  const second = nodeBackend(program, [], { env: { LIGHT_PREFIX: "s_" } });
  await rig.edit({ server: SERVER, backends: { first: nodeBackend(LIGHT_SERVER), second } });
  await rig.untilReady("first", "second");
  await rm(program);
  await isRefused(/second would not serve there as it does here/);
  const state = path.join(rig.home.home, "state.json");
  const text = '{"version": 999, "shares": {}}';
  await writeFile(state, text);
  await isRefused(/the new daemon does not take over: .*state\.json was written by a newer version/s);
  assert.equal(await readFile(state, "utf8"), text);
});

test("B11 a route that a person holds while the new daemon builds is held by it, too", {
  skip: SKIP,
}, async (t) => {
  const slow = nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_INIT_MS: "1500" } });
  const other = nodeBackend(LIGHT_SERVER, ["other"]);
  const first = {
    routes: [
      { name: "here", ...slow },
      { name: "other", ...other },
    ],
  };
  const rig = await startGatewayRig(t, { backends: { first }, server: SERVER }, { kept: true });
  await rig.untilReady("first");
  await using client = await connectLight(rig.url);
  const pid = (await rig.status()).global.pid ?? 0;
  const scene = { rig, client, pid };
  const restart = rig.home.cli(["restart"]);
  await successorOf(scene);
  const switched = await rig.home.cli(["switch", "--backend", "first", "--to", "other"]);
  assert.equal(switched.code, 0, switched.stderr);
  assert.equal((await restart).code, 0);
  await eventually(async () => (await rig.home.glance())?.global.pid !== pid);
  const { routes } = await rig.untilBackend("first", (backend) => backend.phase === "Ready");
  assert.equal(routes?.held, "other");
  assert.match(await readFile(path.join(rig.home.home, "held-routes.json"), "utf8"), /"first": "other"/);
});

test("B11 E1 a secret that gets another value while the new daemon builds is known to it", {
  skip: SKIP,
}, async (t) => {
  const env = { LIGHT_INIT_MS: "2500", LIGHT_PREFIX: "secret:prefix" };
  const backends = { first: nodeBackend(LIGHT_SERVER, [], { env }) };
  // The name of a tool changes with it.
  const more = { trust: { pin: "off" } };
  const rig = await startGatewayRig(t, { backends, server: SERVER, more }, { kept: true });
  const keep = async (input: string): Promise<void> => {
    const { home } = rig.home;
    const { code, stderr } = await runCommand(["secret", "set", "prefix", "--in", "file"], { home, input });
    assert.equal(code, 0, stderr);
    assert.equal((await rig.home.cli(["reload"])).code, 0);
  };
  await keep("one_");
  await rig.untilReady("first");
  await using client = await connectLight(rig.url);
  const servers = async (): Promise<number> => {
    const commands = (await rig.processes()).map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8"));
    const found = await Promise.allSettled(commands);
    return found.filter((one) => one.status === "fulfilled" && one.value.includes(LIGHT_SERVER)).length;
  };
  const before = await servers();
  const restart = rig.home.cli(["restart"]);
  // The new daemon has read the secret by then.
  await eventually(async () => (await servers()) > before);
  await keep("two_");
  assert.equal((await restart).code, 0);
  const said = (text: string) => client.call("two_echo", { text }).catch(() => null);
  await eventually(async () => (await said("by the new one")) === "by the new one");
});

test("B11 calls in flight are finished by the old daemon, and one that is killed with them costs no more than these", {
  skip: SKIP,
}, async (t) => {
  const scene = await startScene(t);
  const { rig, client, pid } = scene;
  const until = path.join(rig.folder, "go");
  const finished = client.call("sleep", { until, text: "by the old one" });
  await client.call("echo", { text: "it is there" });
  const { to } = await handOver(rig);
  assert.deepEqual((await daemonsOf(rig.home.home)).toSorted(), [pid, to].toSorted());
  await writeFile(until, "");
  assert.equal(await finished, "by the old one");
  assert.equal(await requireOneInCharge(scene), to);

  const cut = client.call("sleep", { ms: 60_000 }).catch(() => "an error");
  await client.call("echo", { text: "it is there" });
  const { to: last } = await handOver(rig);
  process.kill(to, "SIGKILL");
  assert.equal(await cut, "an error");
  assert.equal(await requireOneInCharge(scene), last);
});

test("B11 a command that is under way when the line is crossed gets its answer", async (t) => {
  const scene = await startScene(t);
  const { rig, pid } = scene;
  const until = path.join(rig.folder, "go");
  const daemon = await rig.daemon();
  const request = { tool: "sleep", arguments: { until, text: "rested" } };
  const call = daemon.ask("call", request, AbortSignal.timeout(60_000));
  await eventually(async () => (await rig.status()).gateway?.in_flight === 1);
  const handing = handOver(rig);
  await logged(rig, "handing over");
  await writeFile(until, "");
  assert.deepEqual((await call).result?.["content"], [{ type: "text", text: "rested" }]);
  await handing;
  assert.notEqual(await requireOneInCharge(scene), pid);
});

test("B11 a monitor that no service keeps says why it does not hand over, and goes on", async (t) => {
  const rig = await startGatewayRig(t, { backends: { first: nodeBackend(LIGHT_SERVER) } });
  const { code, stderr } = await rig.home.cli(["restart"]);
  assert.equal(code, 1);
  assert.match(stderr, /nothing would hold its place[\s\S]*mountaineer up/);
  assert.equal((await rig.status()).global.pid, rig.pid);
});
