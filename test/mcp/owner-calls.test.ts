// `mountaineer call` on a backend with a process for each client: the home's owner is one client.
import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { nodeBackend, SETTLES_MS, startGatewayRig } from "./gateway-rig.ts";

const perClient = nodeBackend(LIGHT_SERVER, [], { instances: "per-client" });

test("B7 the owner's process serves no other client, and ends when its backend is restarted or removed, and when the daemon stops; reading starts none, and a call without a daemon leaves none", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: perClient } });
  await rig.untilReady("light");
  const daemon = await rig.daemon();
  const pid = async (): Promise<number> => {
    const asked = { tool: "pid", arguments: {} };
    const { result, error } = await daemon.call("call", asked, AbortSignal.timeout(SETTLES_MS));
    const content = result?.["content"];
    assert.ok(Array.isArray(content), JSON.stringify(error));
    return Number(content[0].text);
  };
  const none = await rig.processes();
  for (const [command, said] of [
    ["tools list", /light|echo/],
    ["backends list", /light/],
    ["status", /light/],
    ["doctor", /it runs \(pid/],
  ] as const) {
    const { stdout, stderr } = await rig.home.cli(command.split(" "));
    assert.match(stdout, said, `${command}: ${stderr}`);
  }
  assert.deepEqual(await rig.processes(), none);

  const client = await rig.connect();
  const owners = await pid();
  assert.notEqual(Number(await client.call("pid")), owners);
  await client[Symbol.asyncDispose]();
  await rig.untilBackend("light", ({ instances }) => instances === 2);
  assert.equal(await pid(), owners);
  const ask = ["call", "pid", "--json"];
  const { code, stdout } = await rig.home.cli(ask);
  assert.equal(code, 0);
  assert.equal((await rig.home.cli(ask)).stdout, stdout);

  await daemon.call("restart", { backends: ["light"] }, AbortSignal.timeout(SETTLES_MS));
  await eventually(async () => !(await rig.processes()).includes(owners));
  const removed = await pid();
  await rig.edit({ backends: {} });
  await eventually(async () => !(await rig.processes()).includes(removed));
  await rig.edit({ backends: { light: perClient } });
  await rig.untilReady("light");
  const stopped = await pid();
  assert.ok((await rig.processes()).includes(stopped));
  await rig.goDown("SIGTERM");
  await eventually(async () => (await rig.processes()).length === 0);
  assert.equal((await rig.home.cli(ask)).code, 0);
  await eventually(async () => (await rig.processes()).length === 0);
});

test("B7 without a daemon, the last listed tools of servers are shown and none starts; a call starts the one that it needs", async (t) => {
  const rig = await startGatewayRig(t, { backends: {} });
  const started = join(rig.folder, "started");
  const noting = (name: string) => ({
    command: "/bin/sh",
    args: ["-c", `mkdir -p ${started}/${name}; exec ${process.execPath} ${LIGHT_SERVER}`],
  });
  await rig.edit({ backends: { a: noting("a"), b: noting("b") } });
  await rig.untilReady("a", "b");
  await rig.goDown("SIGTERM");
  await rm(started, { recursive: true });
  const { stdout, stderr } = await rig.home.cli(["tools", "list"]);
  assert.match(stdout, /^echo +a[\s\S]*^b_echo +b/m, stderr);
  assert.deepEqual(await readdir(started).catch(() => []), []);
  const called = await rig.home.cli(["call", "echo", '{"text":"here"}']);
  assert.equal(called.stdout, "here\n", called.stderr);
  assert.deepEqual(await readdir(started), ["a"]);
});
