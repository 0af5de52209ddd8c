// Two clients at once: what belongs to one never reaches the other.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER, startHttpFixture } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type Json, type LightClient } from "./light-client.ts";

const CAPABILITIES = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
const QUESTIONS = ["sampling/createMessage", "elicitation/create", "roots/list"];

interface Two {
  readonly rig: GatewayRig;
  readonly ann: LightClient;
  readonly ben: LightClient;
  /** Methods that each was asked. */
  readonly asked: { readonly ann: string[]; readonly ben: string[] };
}

async function twoClients(t: TestContext, section: Section): Promise<Two> {
  const rig = await startGatewayRig(t, { backends: { light: section } });
  await rig.untilReady("light");
  const asked = { ann: [] as string[], ben: [] as string[] };
  const connect = async (name: "ann" | "ben"): Promise<LightClient> => {
    const client = await connectLight(rig.url, {
      capabilities: CAPABILITIES,
      onRequest(method) {
        asked[name].push(method);
        return { from: name };
      },
    });
    t.after(() => client[Symbol.asyncDispose]());
    await client.listen();
    return client;
  };
  return { rig, ann: await connect("ann"), ben: await connect("ben"), asked };
}

const perClient = nodeBackend(LIGHT_SERVER, [], { instances: "per-client" });

test("per-client: both are asked at once, and each answers its own", async (t) => {
  const { ann, ben, asked } = await twoClients(t, perClient);
  for (const method of QUESTIONS) {
    const [toAnn, toBen] = await Promise.all([ann.call("ask", { method }), ben.call("ask", { method })]);
    assert.deepEqual(JSON.parse(toAnn), { from: "ann" });
    assert.deepEqual(JSON.parse(toBen), { from: "ben" });
  }
  assert.deepEqual(asked, { ann: QUESTIONS, ben: QUESTIONS });
  const pids = await Promise.all([ann.call("pid"), ben.call("pid")]);
  assert.notEqual(pids[0], pids[1]);
});

test("per-client: its process ends with its session", async (t) => {
  const { rig, ann, ben } = await twoClients(t, perClient);
  await Promise.all([ann.call("pid"), ben.call("pid")]);
  const annsPid = Number(await ann.call("pid"));
  await ann[Symbol.asyncDispose]();
  await eventually(async () => !(await rig.processes()).includes(annsPid));
  assert.equal(await ben.call("echo", { text: "on" }), "on");
});

test("per-client: roots/list_changed reaches the client's own process alone", async (t) => {
  const { ann, ben } = await twoClients(t, perClient);
  await Promise.all([ann.call("pid"), ben.call("pid")]);
  await ann.notify("notifications/roots/list_changed");
  await eventually(async () => JSON.parse(await ann.call("seen"))["rootsChanged"] === 1);
  assert.equal(JSON.parse(await ben.call("seen"))["rootsChanged"], 0);
});

test("shared over stdio: asked while one client has a call in flight, that client answers", async (t) => {
  const { ann, ben, asked } = await twoClients(t, nodeBackend(LIGHT_SERVER));
  for (const method of QUESTIONS)
    assert.deepEqual(JSON.parse(await ben.call("ask", { method })), { from: "ben" });
  assert.deepEqual(JSON.parse(await ann.call("ask", { method: "roots/list" })), { from: "ann" });
  assert.deepEqual(asked, { ann: ["roots/list"], ben: QUESTIONS });
});

test("shared over stdio: asked while both have calls in flight, the server gets an error that names per-client", async (t) => {
  const { ann, ben, asked, rig } = await twoClients(t, nodeBackend(LIGHT_SERVER));
  const until = path.join(rig.folder, "until");
  const sleeping = ann.call("sleep", { until });
  await eventually(async () => (await rig.backend("light")).in_flight === 1);
  for (const method of QUESTIONS) {
    const answer = await ben.call("ask", { method });
    assert.match(answer, /error.*per-client/u, method);
  }
  assert.deepEqual(asked, { ann: [], ben: [] });
  await writeFile(until, "");
  assert.equal(await sleeping, "slept");
});

test("shared over stdio: a client that breaks the newest call off is asked anew in its other one", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } });
  await rig.untilReady("light");
  const broken = new AbortController();
  let asked = 0;
  const client = await connectLight(rig.url, {
    capabilities: CAPABILITIES,
    async onRequest() {
      asked++;
      if (asked > 1) return { roots: [] };
      broken.abort();
      return await new Promise<never>(() => {});
    },
  });
  t.after(() => client[Symbol.asyncDispose]());
  const until = path.join(rig.folder, "until");
  const sleeping = client.call("sleep", { until });
  await eventually(async () => (await rig.backend("light")).in_flight === 1);
  await assert.rejects(client.call("ask", { method: "roots/list" }, { signal: broken.signal }));
  await eventually(async () => asked === 2 && (await rig.backend("light")).in_flight === 1);
  await writeFile(until, "");
  assert.equal(await sleeping, "slept");
});

test("shared over HTTP: the stream tells whose question it is", async (t) => {
  const fixture = await startHttpFixture(t, LIGHT_SERVER);
  const { ann, ben, asked } = await twoClients(t, { type: "streamable-http", url: fixture.url });
  const [toAnn, toBen] = await Promise.all([
    ann.call("ask", { method: "elicitation/create" }),
    ben.call("ask", { method: "sampling/createMessage" }),
  ]);
  assert.deepEqual([toAnn, toBen], ['{"from":"ann"}', '{"from":"ben"}']);
  assert.deepEqual(asked, { ann: ["elicitation/create"], ben: ["sampling/createMessage"] });
});

for (const [how, section] of [
  ["shared", nodeBackend(LIGHT_SERVER)],
  ["per-client", perClient],
] as const) {
  test(`${how}: progress reaches the call it belongs to, under the client's own token`, async (t) => {
    const { ann, ben } = await twoClients(t, section);
    const follow = async (client: LightClient, name: string): Promise<Json[]> => {
      const notices: Json[] = [];
      await client.call(
        "progress",
        { steps: 20, text: name },
        { meta: { progressToken: "same" }, onNotice: (notice) => notices.push(notice) },
      );
      return notices;
    };
    const [anns, bens] = await Promise.all([follow(ann, "ann"), follow(ben, "ben")]);
    for (const [name, notices] of [
      ["ann", anns],
      ["ben", bens],
    ] as const) {
      assert.equal(notices.length, 20);
      for (const { params } of notices) {
        const { message, progressToken } = params as { message: unknown; progressToken: unknown };
        assert.deepEqual([message, progressToken], [name, "same"]);
      }
    }
  });

  test(`${how}: cancelling ends one's own call only, though both have the same id`, async (t) => {
    const { rig, ann, ben } = await twoClients(t, section);
    const until = path.join(rig.folder, "until");
    const sleep = { name: "sleep", arguments: { until, text: "slept on" } };
    let id = 0;
    const onId = (given: number): void => {
      id = given;
    };
    // It has no answer: its client said that it does not wait.
    const anns = assert.rejects(ann.ask("tools/call", sleep, { onId }), /no answer/u);
    const bens = ben.call("sleep", sleep.arguments);
    await eventually(async () => (await rig.backend("light")).in_flight === 2);
    await ann.notify("notifications/cancelled", { requestId: id, reason: "changed my mind" });
    await anns;
    await writeFile(until, "");
    assert.equal(await bens, "slept on");
    assert.equal(JSON.parse(await ann.call("seen"))["cancelled"], 1);
  });
}

test("log messages go to the client whose call wrote them, and by the level it set", async (t) => {
  const { ann, ben } = await twoClients(t, nodeBackend(LIGHT_SERVER));
  await ann.request("logging/setLevel", { level: "info" });
  await ben.request("logging/setLevel", { level: "error" });
  const logged: Json[] = [];
  const note = { onNotice: (notice: Json) => void logged.push(notice) };
  await ann.call("log", { level: "info", text: "for ann" }, note);
  assert.deepEqual(
    logged.map(({ method }) => method),
    ["notifications/message"],
  );
  await ben.call("log", { level: "info", text: "too low for ben" }, note);
  assert.equal(logged.length, 1);
  await ben.call("log", { level: "error", text: "for ben" }, note);
  assert.equal(logged.length, 2);
  assert.deepEqual([...ann.notices, ...ben.notices], []);
});

test("a resource's update reaches those who subscribed to it, and no one after they left", async (t) => {
  const { ann, ben } = await twoClients(t, nodeBackend(LIGHT_SERVER));
  await ann.request("resources/subscribe", { uri: "light://pid" });
  await ben.call("touch", { uri: "light://pid" });
  await eventually(() => ann.notices.length === 1);
  await ben.request("resources/subscribe", { uri: "light://pid" });
  await ann.request("resources/unsubscribe", { uri: "light://pid" });
  await ben.call("touch", { uri: "light://pid" });
  await eventually(() => ben.notices.length === 1);
  assert.equal(ann.notices.length, 1);
});

test("list_changed reaches every client that sees the list, once", async (t) => {
  const { ann, ben } = await twoClients(t, nodeBackend(LIGHT_SERVER));
  await ann.call("offer", { tools: 4 });
  await eventually(() => ann.notices.length === 1 && ben.notices.length === 1);
  assert.deepEqual(ann.notices, [{ jsonrpc: "2.0", method: "notifications/tools/list_changed" }]);
  assert.ok((await ben.tools()).includes("tool_0003"));
  // The same list again is no change.
  await ben.call("offer", { tools: 4 });
  await ben.call("offer", { tools: 5 });
  await eventually(async () => (await ann.tools()).includes("tool_0004"));
  await eventually(() => ann.notices.length >= 2);
  assert.equal(ann.notices.length, 2);
});
