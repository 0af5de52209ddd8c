// What clients have begun with one daemon, and go on with while the next one is in charge.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { readDaemonNote } from "../../src/api/socket/daemon-note.ts";
import { eventually } from "../support/eventually.ts";
import { daemonsOf } from "../support/processes.ts";
import { stopProcess } from "../support/stop-process.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient, type LightClientOptions } from "./light-client.ts";

const SKIP = process.platform === "linux" ? false : "reads /proc";

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

async function connect(rig: GatewayRig, options: LightClientOptions = {}): Promise<LightClient> {
  const client = await connectLight(rig.url, options);
  rig.beforeStop(async () => client[Symbol.asyncDispose]());
  return client;
}

test("B11 a server that cannot run twice does not, also where a call outlives the time that the old daemon has", {
  skip: SKIP,
}, async (t) => {
  // The lock goes with the last process that has it. The shell stays when its server is told to end.
  const script =
    'exec 9>"$1"; flock -n 9 || echo twice >"$2"; trap "" TERM; "$3" "$4"; sleep 60 </dev/null >/dev/null 2>&1';
  const folder = await mkFolder(t);
  const twice = path.join(folder, "twice");
  const args = ["-c", script, "x", path.join(folder, "lock"), twice, process.execPath, LIGHT_SERVER];
  const rig = await startKept(t, { command: "/bin/sh", args, replace: "stop-first" }, 1);
  const client = await connect(rig);
  const call = client.call("sleep", { ms: 60_000 }).catch(String);
  const before = await client.call("pid");
  await handOver(rig);
  const other = await connect(rig);
  assert.notEqual(await other.call("pid"), before);
  assert.equal(existsSync(twice), false, "two at a time");
  assert.match(await call, /Error/);
});

async function mkFolder(t: TestContext): Promise<string> {
  const { temporaryFolder } = await import("../support/temporary-folder.ts");
  return temporaryFolder(t);
}

const SLOW = { LIGHT_INIT_MS: "1500" };

/** The new daemon is ready, and stands still until it goes on; the old one has given up what it alone had. */
async function midway(t: TestContext, slow: Section = nodeBackend(LIGHT_SERVER, [], { env: SLOW })) {
  const rig = await startKept(t, slow, 4);
  const old = (await rig.status()).global.pid ?? 0;
  const daemon = await rig.daemon();
  // Answered, if at all, right before the line is crossed.
  daemon.ask("handOver", null, AbortSignal.timeout(60_000)).catch(() => {});
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
  test(`B11 a SIGTERM to ${words} while one daemon takes over from the other ends the service`, {
    skip: SKIP,
  }, async (t) => {
    const { rig, old, next } = await midway(t);
    process.kill({ keeper: rig.pid, old, next }[to], "SIGTERM");
    process.kill(next, "SIGCONT");
    await eventually(async () => (await daemonsOf(rig.home.home)).length === 0, 30_000);
    assert.equal(await readDaemonNote(rig.home.home), null, "none is expected any more");
    // It has ended by itself, so that this ends nothing.
    assert.deepEqual((await rig.stop()).code, 0);
  });
}

test("B11 between two daemons a note says that one is expected, so that `mountaineer mcp` waits for it", {
  skip: SKIP,
}, async (t) => {
  const { rig, old, next } = await midway(t);
  const noted = async () => (await readDaemonNote(rig.home.home))?.pid;
  await eventually(async () => (await noted()) === old);
  process.kill(next, "SIGCONT");
  await eventually(async () => (await noted()) === next);
});

test("B11 B6 neither a file with mistakes nor a server that hangs keeps the home from who follows one killed at the line", {
  skip: SKIP,
}, async (t) => {
  const flag = path.join(await mkFolder(t), "hangs");
  const script = '[ -e "$1" ] && sleep 600; exec "$2" "$3"';
  const args = ["-c", script, "x", flag, process.execPath, LIGHT_SERVER];
  const { rig, old, next } = await midway(t, { command: "/bin/sh", args, env: SLOW });
  await writeFile(flag, "");
  await writeFile(rig.home.configFile, "[server]\nprot = 1\n");
  process.kill(next, "SIGKILL");
  const isLater = (pid: number | null | undefined) => typeof pid === "number" && pid !== old && pid !== next;
  await eventually(async () => isLater((await rig.home.glance().catch(() => null))?.global.pid), 30_000);
});

test("B11 a service that is told to stop soon after two handovers ends with both daemons of before", {
  skip: SKIP,
}, async (t) => {
  const rig = await startKept(t, nodeBackend(LIGHT_SERVER), 60);
  const client = await connect(rig);
  const call = client.call("sleep", { ms: 60_000 });
  call.catch(() => {});
  await client.call("echo", { text: "it is there" });
  await handOver(rig);
  await handOver(rig);
  process.kill(rig.pid, "SIGTERM");
  await eventually(async () => (await daemonsOf(rig.home.home)).length === 0, 30_000);
  await assert.rejects(call);
});

test("B11 C2 1mcp#414: a restart ends no session: not `mountaineer restart`, and not a stop and a start", async (t) => {
  const rig = await startKept(t);
  const client = new Client({ name: "sdk-client", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(new URL(rig.url));
  await client.connect(transport as Transport);
  rig.beforeStop(() => client.close());
  const { sessionId } = transport;
  assert.equal(typeof sessionId, "string");
  const works = async (text: string): Promise<void> => {
    const { content } = await client.callTool({ name: "echo", arguments: { text } });
    assert.deepEqual(content, [{ type: "text", text }]);
    assert.equal(transport.sessionId, sessionId);
    assert.equal((await rig.status()).gateway?.sessions, 1);
  };
  await works("before");
  await handOver(rig);
  await works("after a handover");
  await rig.goDown("SIGTERM");
  await rig.comeBack();
  await works("after a stop and a start");
  await handOver(rig);
  await rig.goDown("SIGTERM");
  await rig.comeBack();
  await works("after both");
});
