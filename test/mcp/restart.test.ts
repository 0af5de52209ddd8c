// What clients have begun while their daemon ends, by itself or by kill -9, and another one comes. One home for all of it,
// edited to what each test is about.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { startBridge } from "../kit/bridge.ts";
import { assertEach } from "../support/assert-each.ts";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, openGatewayRig, type Section } from "./gateway-rig.ts";

/** Slow to start, as real servers are. */
const SLOW = nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_INIT_MS: "700" } });
const CHANGED = ["tools", "resources", "prompts"].map((kind) => `notifications/${kind}/list_changed`);

describe("a daemon that ends, and the next one", () => {
  let rig: GatewayRig;
  before(async () => {
    rig = await openGatewayRig({ backends: { light: SLOW } });
  });
  after(() => rig[Symbol.asyncDispose]());

  async function runs(light: Section): Promise<void> {
    await rig.edit({ backends: { light } });
    await rig.untilReady("light");
  }

  test("B11 a session continues after kill -9, and its client is notified of its lists once", async () => {
    await runs(SLOW);
    await using client = await rig.connect();
    const tools = await client.tools();
    await rig.goDown("SIGKILL");
    await assert.rejects(client.call("echo", { text: "nobody" }));
    await rig.comeBack();
    await client.listen();
    assert.equal(await client.call("echo", { text: "afterwards" }), "afterwards");
    assert.deepEqual(await client.tools(), tools);
    await rig.untilReady("light");
    await eventually(() => client.notices.length >= CHANGED.length, 15_000);
    assertEach(client.notices, ({ method }) => method, CHANGED);
    assert.equal((await rig.status()).gateway?.sessions, 1);
  });

  test("B7 a session through the stdio bridge outlives a restart of the daemon, with all its client's requests, and ends with its client", async () => {
    await runs(SLOW);
    const bridge = startBridge(rig);
    const { result: begun } = await bridge.begin();
    assert.equal(begun?.["protocolVersion"], "2025-11-25");
    const { result } = await bridge.ask(2, "tools/list");
    await bridge.ask(3, "logging/setLevel", { level: "warning" });
    await bridge.ask(4, "resources/subscribe", { uri: "light://pid" });
    assert.equal(bridge.stderr(), "");
    await rig.goDown("SIGTERM");
    const waits = /^mountaineer: the daemon ended the connection; waiting 30 s/u;
    await eventually(() => waits.test(bridge.stderr()));
    const before = bridge.messages.length;
    // It waits in the pipe.
    const called = bridge.call(5, "echo", { text: "afterwards" });
    await rig.comeBack();
    assert.equal(await called, "afterwards");
    assertEach(bridge.messages.slice(before, before + 3), ({ method }) => method, CHANGED);
    const updates = () =>
      bridge.messages.filter(({ method }) => method === "notifications/resources/updated");
    // It may have changed while nobody was subscribed.
    await eventually(() => updates().length === 1);
    assert.deepEqual((await bridge.ask(6, "tools/list")).result, result, "as long as it was");
    await bridge.call(7, "touch", { uri: "light://pid" });
    await eventually(() => updates().length === 2);
    await bridge.call(8, "log", { level: "info", text: "quiet" });
    await bridge.call(9, "log", { level: "error", text: "loud" });
    await bridge.until(({ method }) => method === "notifications/message");
    const told = bridge.messages.filter(({ method }) => method === "notifications/message");
    assertEach(told, ({ params }) => params?.["data"], ["loud"]);
    bridge.child.stdin?.end();
    assert.equal(await bridge.ended, 0);
    assert.match(bridge.stderr(), /^[^\n]+waiting 30 s[^\n]+\nmountaineer: the daemon is back\n$/u);
  });

  test("B7 kill -9 of the daemon: through the bridge the call in flight fails and is not repeated, its question is withdrawn, the next ones are answered", async () => {
    await runs(SLOW);
    const bridge = startBridge(rig);
    await bridge.begin({ sampling: {} });
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
    await bridge.end();
  });

  test("B11 a monitor without a service manager explains why it does not hand over, and keeps running", async () => {
    const { code, stderr } = await rig.home.cli(["restart"]);
    assert.equal(code, 1);
    assert.match(stderr, /no service keeps it[\s\S]*mountaineer up/);
    assert.equal((await rig.status()).global.pid, rig.pid);
  });

  test("B7 a call through the stdio bridge is answered although the daemon is stopped during it", async () => {
    const bridge = startBridge(rig);
    await bridge.begin();
    const until = path.join(rig.folder, "go-on");
    const called = bridge.call(2, "sleep", { until, text: "done" });
    await eventually(async () => (await rig.status()).gateway?.in_flight === 1);
    const stopped = rig.goDown("SIGTERM");
    // From there on the daemon takes no more clients.
    await eventually(() => !existsSync(path.join(rig.home.home, "mcp.sock")));
    await writeFile(until, "");
    assert.equal(await called, "done");
    await stopped;
  });
});
