// What happens just then, while one daemon makes room for the next: what a person does, signals, kills, a server that
// cannot run twice.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test as testOf } from "node:test";
import { readDaemonInfo } from "../../src/api/socket/daemon-info.ts";
import { runCommand } from "../cli/command-line.ts";
import { eventually, SLOWNESS } from "../support/eventually.ts";
import { daemonsOf } from "../support/processes.ts";
import { stopProcess } from "../support/stop-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";

/** Each reads /proc. */
const test = (title: string, play: (t: TestContext) => Promise<void>): void =>
  void testOf(title, { skip: process.platform === "linux" ? false : "reads /proc" }, play);
const SLOW = { LIGHT_INIT_MS: "1500" };
/** Longer than what a person does meanwhile. */
const SLOWER_MS = Math.ceil(2_500 * SLOWNESS);

async function startKept(
  t: TestContext,
  backend: Section = nodeBackend(LIGHT_SERVER),
  drainSeconds = 20,
): Promise<GatewayRig> {
  const sections = { backends: { light: backend }, server: { drain_timeout: drainSeconds } };
  const rig = await startGatewayRig(t, sections, { kept: true });
  await rig.untilReady("light");
  return rig;
}

test("B11 C2 E1 E2 the new daemon knows every change that a person makes while it builds: an overridden route, a secret's new value, an added and approved backend", async (t) => {
  const slow = (env: Record<string, string>) => nodeBackend(LIGHT_SERVER, [], { env: { ...SLOW, ...env } });
  const backends = {
    routed: {
      routes: [
        { name: "here", ...slow({}) },
        { name: "other", ...nodeBackend(LIGHT_SERVER, ["other"]) },
      ],
    },
    told: slow({ LIGHT_PREFIX: "secret:prefix", LIGHT_INIT_MS: `${SLOWER_MS}` }),
  };
  // The names of tools change with the secret.
  const more = { trust: { pin: "off", approve: "all" } };
  const rig = await startGatewayRig(t, { backends, server: { drain_timeout: 4 }, more }, { kept: true });
  const done = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await rig.home.cli(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  };
  const keep = async (input: string): Promise<void> => {
    const set = ["secret", "set", "prefix", "--in", "file"];
    const { code, stderr } = await runCommand(set, { home: rig.home.home, input });
    assert.equal(code, 0, stderr);
    await done("reload");
  };
  await keep("one_");
  await rig.untilReady("routed", "told");
  const client = await rig.connect();
  const pid = (await rig.status()).global.pid ?? 0;
  const servers = async (): Promise<number> => {
    const commands = (await rig.processes()).map((each) => readFile(`/proc/${each}/cmdline`, "utf8"));
    const found = await Promise.allSettled(commands);
    return found.filter((one) => one.status === "fulfilled" && one.value.includes(LIGHT_SERVER)).length;
  };
  const before = await servers();
  const restart = rig.home.cli(["restart"]);
  // The new daemon has read secrets and approvals by then.
  await eventually(async () => (await servers()) > before);
  await done("switch", "--backend", "routed", "--to", "other");
  await keep("two_");
  await done("backends", "add", "added", "--", process.execPath, LIGHT_SERVER);
  assert.equal((await restart).code, 0);
  await eventually(async () => ((await rig.home.glance())?.global.pid ?? pid) !== pid);
  const { routes } = await rig.untilBackend("routed", ({ phase }) => phase === "Ready");
  assert.equal(routes?.override, "other");
  const said = (text: string) => client.call("two_echo", { text }).catch(() => null);
  await eventually(async () => (await said("by the new one")) === "by the new one");
  await rig.untilReady("added");
  assert.doesNotMatch((await rig.home.cli(["approve", "--list"])).stdout, /backends\.added/);
});

test("B11 a server that cannot run twice does not, even where a call outlives the old daemon's time", async (t) => {
  // The lock goes with the last process that has it. The shell stays when its server is told to end.
  const script =
    'exec 9>"$1"; flock -n 9 || echo twice >"$2"; trap "" TERM; "$3" "$4"; sleep 60 </dev/null >/dev/null 2>&1';
  const folder = await temporaryFolder(t);
  const twice = path.join(folder, "twice");
  const args = ["-c", script, "x", path.join(folder, "lock"), twice, process.execPath, LIGHT_SERVER];
  const rig = await startKept(t, { command: "/bin/sh", args, replace: "stop-first" }, 1);
  const client = await rig.connect();
  const call = client.call("sleep", { ms: 60_000 }).catch(String);
  const before = await client.call("pid");
  await handOver(rig);
  assert.notEqual(await (await rig.connect()).call("pid"), before);
  assert.equal(existsSync(twice), false, "two at a time");
  assert.match(await call, /Error/);
});

/** The new daemon is ready, and stands still until it goes on; the old one has given up what it alone had. */
async function midway(
  t: TestContext,
  slow: Section = nodeBackend(LIGHT_SERVER, [], { env: SLOW }),
  drainSeconds = 4,
) {
  const rig = await startKept(t, slow, drainSeconds);
  const old = (await rig.status()).global.pid ?? 0;
  const daemon = await rig.daemon();
  // Answered, if at all, right before the line is crossed.
  daemon.call("handOver", null, AbortSignal.timeout(60_000)).catch(() => {});
  const next = await eventually(
    async () => (await daemonsOf(rig.home.home)).find((pid) => pid !== old) ?? null,
  );
  await stopProcess(old);
  await logged(rig, "ready to take over");
  await stopProcess(next);
  process.kill(old, "SIGCONT");
  await logged(rig, "handing over");
  // Its sockets go when the line is crossed.
  await eventually(async () => (await rig.home.glance().catch(() => null)) === null);
  return { rig, old, next };
}

async function logged({ home }: GatewayRig, message: string): Promise<void> {
  await eventually(async () => (await home.log()).some((line) => line["message"] === message));
}

for (const [to, words] of [
  ["keeper", "the service's process"],
  ["old", "the old daemon"],
  ["next", "the new daemon"],
] as const) {
  test(`B11 a SIGTERM to ${words} while one daemon takes over from the other ends the service`, async (t) => {
    const { rig, old, next } = await midway(t);
    process.kill({ keeper: rig.pid, old, next }[to], "SIGTERM");
    process.kill(next, "SIGCONT");
    await eventually(async () => (await daemonsOf(rig.home.home)).length === 0);
    assert.equal(await readDaemonInfo(rig.home.home), null, "none is expected any more");
    // It has ended by itself, so that this ends nothing.
    assert.deepEqual((await rig.stop()).code, 0);
  });
}

test("B11 B6 between two daemons a record announces the next one, so that `mountaineer mcp` waits for it; neither an invalid file nor a server that hangs keeps the home from the successor of one killed at the line", async (t) => {
  const flag = path.join(await temporaryFolder(t), "hangs");
  const script = '[ -e "$1" ] && sleep 600; exec "$2" "$3"';
  const args = ["-c", script, "x", flag, process.execPath, LIGHT_SERVER];
  const { rig, old, next } = await midway(t, { command: "/bin/sh", args, env: SLOW });
  await eventually(async () => (await readDaemonInfo(rig.home.home))?.pid === old);
  await writeFile(flag, "");
  await writeFile(rig.home.configFile, "[server]\nprot = 1\n");
  process.kill(next, "SIGKILL");
  const isLater = (pid: number | null | undefined) => typeof pid === "number" && pid !== old && pid !== next;
  await eventually(async () => isLater((await rig.home.glance().catch(() => null))?.global.pid));
  await eventually(async () => isLater((await readDaemonInfo(rig.home.home))?.pid));
});

for (const hasTaken of [false, true]) {
  test(`B11 a session that begins at the old daemon while the new one is killed, ${hasTaken ? "after" : "before"} it took over, continues at the next`, async (t) => {
    const { rig, next } = await midway(t, nodeBackend(LIGHT_SERVER, [], { env: SLOW }), 20);
    const isLater = async (): Promise<boolean> => {
      const pid = (await rig.home.glance().catch(() => null))?.global.pid ?? next;
      return pid !== next;
    };
    const { hostname, port } = new URL(rig.url);
    const clientInfo = { name: "late", version: "1" };
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
    const head = [
      ...["POST /mcp HTTP/1.1", `Host: ${hostname}`, "Accept: application/json, text/event-stream"],
      ...["Content-Type: application/json", `Content-Length: ${body.length}`, "Connection: close"],
    ];
    // A request that is arriving stays with the old daemon.
    const client = connect(Number(port), hostname, () =>
      client.write(`${head.join("\r\n")}\r\n\r\n${body.slice(0, -1)}`),
    );
    t.after(() => client.destroy());
    const answering = text(client);
    await once(client, "ready");
    if (hasTaken) {
      process.kill(next, "SIGCONT");
      await logged(rig, "handed over");
      await stopProcess(next);
    }
    client.write(body.slice(-1));
    const answer = await answering;
    const [, id = null] = /^mcp-session-id: (.+)$/im.exec(answer) ?? [];
    process.kill(next, "SIGKILL");
    const ping = { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 2, method: "ping" }) };
    const accepts = { Accept: "application/json, text/event-stream", "Content-Type": "application/json" };
    await eventually(isLater);
    const { status } = await fetch(rig.url, {
      ...ping,
      headers: { ...accepts, "Mcp-Session-Id": id ?? "none" },
    });
    assert.equal(status, 200);
  });
}

test("B11 a service that is asked to stop soon after two handovers ends together with both earlier daemons", async (t) => {
  const rig = await startKept(t, nodeBackend(LIGHT_SERVER), 60);
  const client = await rig.connect();
  const call = client.call("sleep", { ms: 60_000 });
  call.catch(() => {});
  await client.call("echo", { text: "it is there" });
  await handOver(rig);
  await handOver(rig);
  process.kill(rig.pid, "SIGTERM");
  await eventually(async () => (await daemonsOf(rig.home.home)).length === 0);
  await assert.rejects(call);
});
