// Groups and profiles of the real daemon: what their clients hear, who gets which, and a session that outlives a daemon.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";
import { ask } from "./modern-wire.ts";

const prefixed = (prefix: string) => nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: prefix } });
const BACKENDS = { one: prefixed("one_"), two: prefixed("two_") };
const GROUP = { "groups.first": { backends: ["one"] } };

async function connect(rig: GatewayRig, path = "", options = {}): Promise<LightClient> {
  const client = await connectLight(`${rig.url}${path}`, options);
  rig.beforeStop(async () => client[Symbol.asyncDispose]());
  return client;
}

const changes = ({ notices }: LightClient): number =>
  notices.filter(({ method }) => method === "notifications/tools/list_changed").length;

test("D4 a client of a group hears of changed lists when the group's own have changed", async (t) => {
  const rig = await startGatewayRig(t, { backends: BACKENDS, more: GROUP });
  await rig.untilReady("one", "two");
  const [whole, first] = [await connect(rig), await connect(rig, "/first")];
  await whole.tools();
  const before = await first.tools();
  await whole.listen();
  await first.listen();
  await whole.call("two_offer", { tools: 2 });
  await eventually(() => changes(whole) === 1);
  assert.deepEqual(await first.tools(), before);
  await whole.call("one_offer", { tools: 1 });
  await eventually(() => changes(whole) === 2 && changes(first) > 0);
  assert.equal(changes(first), 1);
  assert.deepEqual(await first.tools(), [...before, "one_tool_0000"]);
});

for (const [words, replace] of [
  [
    "a kill",
    async (rig: GatewayRig) => {
      await rig.goDown("SIGKILL");
      await rig.comeBack();
    },
  ],
  ["a handover", handOver],
] as const) {
  test(`D4 B11 a session of a group is one of that group after ${words}, too`, async (t) => {
    const kept = words === "a handover";
    const rig = await startGatewayRig(t, { backends: BACKENDS, more: GROUP }, { kept });
    await rig.untilReady("one", "two");
    const first = await connect(rig, "/first");
    const before = await first.tools();
    assert.ok(before.length > 0 && before.every((name) => name.startsWith("one_")));
    await replace(rig);
    await rig.untilReady("one", "two");
    assert.deepEqual(await eventually(() => first.tools().catch(() => false as const)), before);
    assert.equal(await first.call("one_echo", { text: "here" }), "here");
    await assert.rejects(first.call("two_echo", { text: "there" }), /two_echo/);
    const elsewhere = await fetch(rig.url, {
      method: "POST",
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-session-id": String(first.sessionId),
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "two_pid" } }),
    });
    assert.doesNotMatch(await elsewhere.text(), /"content"/);
  });
}

test("D4 a profile fits by a token's name or by a client's own", async (t) => {
  const reference = (variable: string): string => `\${${variable}}`;
  const more = {
    ...GROUP,
    incoming_auth: {
      type: "local",
      users: [
        { name: "ci-7", token: reference("CI"), roles: [] },
        { name: "ann", token: reference("ANN"), roles: [] },
      ],
    },
    // Two tables of one list.
    "[profiles]": { users: ["ci-*"], groups: ["first"] },
    "[ profiles]": { clients: ["wire"], optimizer: true },
  };
  const tokens = { CI: "token-of-ci", ANN: "token-of-ann" };
  const rig = await startGatewayRig(t, { backends: BACKENDS, more }, { env: tokens });
  await rig.untilReady("one", "two");
  const tools = async (token: string): Promise<readonly string[]> =>
    (await connect(rig, "", { token })).tools();
  const isOfOne = (name: string): boolean => name.startsWith("one_");
  const all = await tools(tokens.ANN);
  const some = all.filter(isOfOne);
  assert.ok(some.length > 0 && some.length < all.length);
  assert.deepEqual(await tools(tokens.CI), some);
  const wire = async (token: string): Promise<readonly string[]> => {
    const headers = { authorization: `Bearer ${token}` };
    const { result } = await ask(rig.url, "tools/list", {}, { headers });
    assert.ok(result);
    return (result["tools"] as readonly { readonly name: string }[]).map(({ name }) => name);
  };
  assert.deepEqual(await wire(tokens.ANN), ["find_tool", "call_tool"]);
  assert.deepEqual(await wire(tokens.CI), some);
});
