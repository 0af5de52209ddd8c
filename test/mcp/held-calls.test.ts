// Modern clients of a legacy server that asks them: over HTTP, through the real program.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { ASKING_SERVER, LIGHT_SERVER } from "./fixture-programs.ts";
import type { Json } from "./fixtures/matrix-tools.ts";
import {
  type GatewayRig,
  type GatewaySections,
  handOver,
  nodeBackend,
  startGatewayRig,
} from "./gateway-rig.ts";
import { ask, requiredBy, textOf, type WireReply } from "./modern-wire.ts";

const asking = nodeBackend(ASKING_SERVER);
const form = (message: string): Json => ({
  method: "elicitation/create",
  params: {
    mode: "form",
    message,
    requestedSchema: { type: "object", properties: { name: { type: "string" } } },
  },
});
const accepted = (name: string): Json => ({ action: "accept", content: { name } });

async function start(t: TestContext, more: Partial<GatewaySections> = {}, kept = false): Promise<GatewayRig> {
  const rig = await startGatewayRig(t, { backends: { asking }, ...more }, { kept });
  await rig.untilReady("asking");
  return rig;
}

function interview(rounds: readonly (readonly Json[])[], mark = ""): Json {
  return { name: "interview", arguments: { rounds, mark } };
}

/** The call, and what it requires first. */
async function asked(
  rig: GatewayRig,
  call: Json,
): Promise<{ state: string; key: string; again: (params: Json) => Promise<WireReply> }> {
  const { state, requests } = requiredBy(await ask(rig.url, "tools/call", call));
  const [key = ""] = Object.keys(requests);
  const again = (params: Json): Promise<WireReply> => ask(rig.url, "tools/call", { ...call, ...params });
  return { state, key, again };
}

test("D2 a call that waits for its client goes on after a reload", async (t) => {
  const rig = await start(t);
  const { state, key, again } = await asked(rig, interview([[form("?")], [form("more?")]]));
  await rig.edit({ backends: { asking, light: nodeBackend(LIGHT_SERVER) } });
  const next = requiredBy(await again({ requestState: state, inputResponses: { [key]: accepted("Ann") } }));
  await rig.edit({ backends: { asking } });
  const [second = ""] = Object.keys(next.requests);
  const end = await again({ requestState: next.state, inputResponses: { [second]: accepted("Ben") } });
  assert.deepEqual(JSON.parse(textOf(end)), [[accepted("Ann")], [accepted("Ben")]]);
});

test("B11 D2 a call that waits for its client goes on after a handover, by way of the daemon that has it", async (t) => {
  const rig = await start(t, {}, true);
  const { state, key, again } = await asked(rig, interview([[form("?")], [form("more?")]]));
  await handOver(rig);
  const forged = await again({ requestState: `${state}A`, inputResponses: {} });
  assert.equal(forged.error?.code, -32602);
  const next = requiredBy(await again({ requestState: state, inputResponses: { [key]: accepted("Ann") } }));
  assert.equal((await again({ requestState: state, inputResponses: {} })).error?.code, -32602);
  const [second = ""] = Object.keys(next.requests);
  const end = await again({ requestState: next.state, inputResponses: { [second]: accepted("Ben") } });
  assert.deepEqual(JSON.parse(textOf(end)), [[accepted("Ann")], [accepted("Ben")]]);
});

test("B11 D2 a call that waits for its client goes on after three handovers in quick succession", async (t) => {
  const rig = await start(t, {}, true);
  const { state, key, again } = await asked(rig, interview([[form("?")], [form("more?")]]));
  const { to } = await handOver(rig);
  // By then who has nothing to wait for has gone.
  for (let more = 0; more < 2; more++) await handOver(rig);
  const next = requiredBy(await again({ requestState: state, inputResponses: { [key]: accepted("Ann") } }));
  assert.ok(isAlive(to), "the one between them passes on what is said");
  const [second = ""] = Object.keys(next.requests);
  const end = await again({ requestState: next.state, inputResponses: { [second]: accepted("Ben") } });
  assert.deepEqual(JSON.parse(textOf(end)), [[accepted("Ann")], [accepted("Ben")]]);
});

test("B11 D2 when the time of the old daemon is up, what waits there is cancelled, and its state is -32602", async (t) => {
  const rig = await start(t, { server: { drain_timeout: 1 } }, true);
  const { state, again } = await asked(rig, interview([[form("?")]]));
  const { from } = await handOver(rig);
  await eventually(() => !isAlive(from));
  assert.equal((await again({ requestState: state, inputResponses: {} })).error?.code, -32602);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
