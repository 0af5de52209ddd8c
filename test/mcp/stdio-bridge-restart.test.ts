// `mountaineer mcp` while its daemon ends, and another one comes.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { startBridge } from "../kit/bridge.ts";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "./gateway-rig.ts";

const CHANGED = ["tools", "resources", "prompts"].map((kind) => `notifications/${kind}/list_changed`);

async function startScene(t: TestContext, capabilities = {}) {
  // Slow to start, as real servers are.
  const light = nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_INIT_MS: "700" } });
  const rig = await startGatewayRig(t, { backends: { light } });
  await rig.untilReady("light");
  const bridge = startBridge(rig);
  await bridge.begin(capabilities);
  const untilSaid = (words: RegExp) => eventually(() => words.test(bridge.stderr()));
  return { rig, bridge, untilSaid };
}

test("B7 a session through the stdio bridge outlives a restart of the daemon, with all that the client asked for", async (t) => {
  const { rig, bridge, untilSaid } = await startScene(t);
  const { result } = await bridge.ask(2, "tools/list");
  await bridge.ask(3, "logging/setLevel", { level: "warning" });
  await bridge.ask(4, "resources/subscribe", { uri: "light://pid" });
  await rig.goDown("SIGTERM");
  await untilSaid(/^mountaineer: the daemon ended the connection; waiting 30 s/u);
  const before = bridge.messages.length;
  // It waits in the pipe.
  const called = bridge.call(5, "echo", { text: "afterwards" });
  await rig.comeBack();
  assert.equal(await called, "afterwards");
  assert.deepEqual(
    bridge.messages.slice(before, before + 4).map(({ id, method }) => method ?? id),
    [...CHANGED, 5],
  );
  assert.deepEqual((await bridge.ask(6, "tools/list")).result, result, "as long as it was");
  await bridge.call(7, "touch", { uri: "light://pid" });
  await bridge.until(({ method }) => method === "notifications/resources/updated");
  await bridge.call(8, "log", { level: "info", text: "quiet" });
  await bridge.call(9, "log", { level: "error", text: "loud" });
  await bridge.until(({ method }) => method === "notifications/message");
  const told = bridge.messages.filter(({ method }) => method === "notifications/message");
  assert.deepEqual(
    told.map(({ params }) => params?.["data"]),
    ["loud"],
  );
  bridge.child.stdin?.end();
  assert.equal(await bridge.ended, 0);
  assert.match(bridge.stderr(), /^[^\n]+waiting 30 s[^\n]+\nmountaineer: the daemon is back\n$/u);
});

test("B7 kill -9 of the daemon: the call in flight fails and is not repeated, its question is withdrawn, the next ones are answered", async (t) => {
  const { rig, bridge } = await startScene(t, { sampling: {} });
  const asking = bridge.ask(2, "tools/call", {
    name: "ask",
    arguments: { method: "sampling/createMessage", params: { messages: [], maxTokens: 1 } },
  });
  const question = await bridge.until(({ method }) => method === "sampling/createMessage");
  await rig.goDown("SIGKILL");
  const { error } = await asking;
  assert.equal(error?.code, -32000);
  assert.match(error?.message ?? "", /the daemon ended before it answered; it is not known whether/u);
  const withdrawn = await bridge.until(({ method }) => method === "notifications/cancelled");
  assert.equal(withdrawn.params?.["requestId"], question.id);
  await rig.comeBack();
  // An answer that comes too late means nothing to anybody.
  bridge.send({ id: question.id, result: {} });
  assert.equal(JSON.parse(String(await bridge.call(3, "seen"))).calls, 1, "of this backend's process");
  await rig.goDown("SIGKILL");
  await rig.comeBack();
  assert.equal(await bridge.call(4, "echo", { text: "once more" }), "once more");
});
