// `mountaineer call` on a backend with a process for each client: the home's owner is one client.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, SETTLES_MS, startGatewayRig } from "./gateway-rig.ts";
import { connectLight } from "./light-client.ts";

const perClient = nodeBackend(LIGHT_SERVER, [], { instances: "per-client" });

interface Owner {
  readonly rig: GatewayRig;
  /** The text of the answer; rejects when it is an error. */
  call(tool: string, given?: Record<string, unknown>, signal?: AbortSignal): Promise<string>;
  pid(): Promise<number>;
}

async function startOwner(t: TestContext): Promise<Owner> {
  const rig = await startGatewayRig(t, { backends: { light: perClient } });
  await rig.untilReady("light");
  const daemon = await rig.daemon();
  const call: Owner["call"] = async (tool, given = {}, signal = AbortSignal.timeout(SETTLES_MS)) => {
    const { result, error } = await daemon.ask("call", { tool, arguments: given }, signal);
    const content = result?.["content"];
    assert.ok(Array.isArray(content), JSON.stringify(error));
    return content[0].text;
  };
  return { rig, call, pid: async () => Number(await call("pid")) };
}

test("B7 the owner's process is no other client's", async (t) => {
  const { rig, pid } = await startOwner(t);
  await using client = await connectLight(rig.url);
  const owners = await pid();
  assert.notEqual(Number(await client.call("pid")), owners);
  await client[Symbol.asyncDispose]();
  await rig.untilBackend("light", ({ instances }) => instances === 2);
  assert.equal(await pid(), owners);
});

test("B7 looking on starts no process, and a call without a daemon leaves none", async (t) => {
  const { rig } = await startOwner(t);
  const before = await rig.processes();
  for (const command of ["tools list", "backends list", "status", "doctor"]) {
    const { stdout, stderr } = await rig.home.cli(command.split(" "));
    assert.match(stdout, /light|echo/u, `${command}: ${stderr}`);
  }
  assert.deepEqual(await rig.processes(), before);
  const ask = ["call", "pid", "--json"];
  const { code, stdout } = await rig.home.cli(ask);
  assert.equal(code, 0);
  assert.equal((await rig.home.cli(ask)).stdout, stdout);
  await rig.goDown("SIGTERM");
  assert.equal((await rig.home.cli(ask)).code, 0);
  await eventually(async () => (await rig.processes()).length === 0);
});

test("B7 the owner's process ends when its backend is restarted or removed, and when the daemon stops", async (t) => {
  const { rig, pid } = await startOwner(t);
  const restarted = await pid();
  const daemon = await rig.daemon();
  await daemon.ask("restart", { backends: ["light"] }, AbortSignal.timeout(SETTLES_MS));
  await eventually(async () => !(await rig.processes()).includes(restarted));
  const removed = await pid();
  await rig.edit({ backends: {} });
  await eventually(async () => !(await rig.processes()).includes(removed));
  await rig.edit({ backends: { light: perClient } });
  await rig.untilReady("light");
  const stopped = await pid();
  assert.ok((await rig.processes()).includes(stopped));
  await rig.goDown("SIGTERM");
  await eventually(async () => (await rig.processes()).length === 0);
});
