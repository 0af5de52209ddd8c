// subscriptions/listen: what is honoured, what a stream is told of, and how it ends.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorReply } from "../../../../src/gateway/json-rpc.ts";
import { META } from "../../../../src/gateway/protocol.ts";
import { eventually } from "../../../support/eventually.ts";
import { settle } from "../../../support/manual-clock.ts";
import { collect, type Rig, startRig } from "../http/http-rig.ts";
import { createScriptedGateway, objectOf, onlySession, type ScriptedGateway } from "../scripted-gateway.ts";
import { openModern, postModern } from "./modern-rig.ts";

const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

/** Subscribes to whatever has `ok` in its URI. */
function createListening(): ScriptedGateway {
  const gateway = createScriptedGateway();
  gateway.handle = async ({ method, params }) =>
    method === "resources/subscribe" && String(params?.["uri"]).includes("ok")
      ? { result: {} }
      : errorReply(-32002, "Resource not found");
  return gateway;
}

async function listen(rig: Rig, notifications: object, id: string | number = "l") {
  const { response } = await openModern(rig, "subscriptions/listen", { notifications }, id);
  return { response, stream: collect(response) };
}

const subscription = (message: Record<string, unknown> | undefined): unknown =>
  objectOf(objectOf(message?.["params"] ?? {})["_meta"])[META.subscriptionId];

describe("D1 subscriptions/listen", () => {
  it("acknowledges first, with what it honours, and tells of nothing else", async () => {
    const gateway = createListening();
    await using rig = await startRig(gateway);
    const wanted = {
      toolsListChanged: true,
      promptsListChanged: false,
      resourceSubscriptions: ["ok:a", "bad:b", "ok:a"],
    };
    const { response, stream } = await listen(rig, wanted);
    await eventually(() => stream.messages.length === 1);
    assert.deepEqual(stream.messages[0], {
      jsonrpc: "2.0",
      method: ACKNOWLEDGED,
      params: {
        notifications: { toolsListChanged: true, resourceSubscriptions: ["ok:a"] },
        _meta: { [META.subscriptionId]: "l" },
      },
    });
    assert.equal(response.headers["x-accel-buffering"], "no");
    const session = onlySession(gateway);
    session.listChanged("prompts");
    session.listChanged("tools");
    session.notify("notifications/resources/updated", { uri: "bad:b" });
    session.notify("notifications/resources/updated", { uri: "ok:a", more: 1 });
    session.notify("notifications/resources/updated", { uri: "ok:a/part" });
    session.notify("notifications/message", { level: "error", data: "x" });
    gateway.mayBeNotified = () => false;
    session.notify("notifications/resources/updated", { uri: "ok:a" });
    await eventually(() => stream.messages.length === 4);
    assert.deepEqual(
      stream.messages.map(({ method }) => method),
      [
        ACKNOWLEDGED,
        "notifications/tools/list_changed",
        "notifications/resources/updated",
        "notifications/resources/updated",
      ],
    );
    assert.deepEqual(stream.messages[2]?.["params"], {
      uri: "ok:a",
      more: 1,
      _meta: { [META.subscriptionId]: "l" },
    });
    response.destroy();
    await eventually(() => gateway.sessions.size === 0);
    assert.equal(rig.modern.listening, 0);
  });

  it("what changes before the acknowledgement is told after it", async () => {
    const gateway = createListening();
    const { promise, resolve } = Promise.withResolvers<void>();
    const answer = gateway.handle;
    gateway.handle = async (request) => {
      await promise;
      return answer(request);
    };
    await using rig = await startRig(gateway);
    const opening = listen(rig, { toolsListChanged: true, resourceSubscriptions: ["ok:a"] });
    await eventually(() => gateway.sessions.size === 1);
    const session = onlySession(gateway);
    session.listChanged("tools");
    session.notify("notifications/resources/updated", { uri: "ok:a" });
    resolve();
    const { stream, response } = await opening;
    await eventually(() => stream.messages.length === 3);
    assert.equal(stream.messages[0]?.["method"], ACKNOWLEDGED);
    response.destroy();
  });

  it("one that ends while it subscribes asks for nothing more", async () => {
    const gateway = createListening();
    const held = Promise.withResolvers<void>();
    let asked = 0;
    gateway.handle = async () => {
      asked += 1;
      await held.promise;
      return { result: {} };
    };
    await using rig = await startRig(gateway);
    const opening = listen(rig, { resourceSubscriptions: Array.from({ length: 20 }, (_, n) => `ok:${n}`) });
    await eventually(() => asked === 8);
    onlySession(gateway).admit(false);
    const { stream } = await opening;
    await eventually(() => stream.ended());
    held.resolve();
    await settle();
    assert.equal(asked, 8);
  });

  it("several are open at once, each under its own id", async () => {
    const gateway = createListening();
    await using rig = await startRig(gateway);
    const first = await listen(rig, { toolsListChanged: true }, 1);
    const second = await listen(rig, { toolsListChanged: true }, "1");
    await eventually(() => gateway.sessions.size === 2);
    await eventually(() => first.stream.messages.length === 1 && second.stream.messages.length === 1);
    for (const session of gateway.sessions) session.listChanged("tools");
    await eventually(() => first.stream.messages.length === 2 && second.stream.messages.length === 2);
    assert.deepEqual(first.stream.messages.map(subscription), [1, 1]);
    assert.deepEqual(second.stream.messages.map(subscription), ["1", "1"]);
    first.response.destroy();
    second.response.destroy();
  });

  it("ends with a result when the gateway hands over, and so does one that comes then", async () => {
    const gateway = createListening();
    await using rig = await startRig(gateway);
    const result = {
      resultType: "complete",
      _meta: { [META.subscriptionId]: "l", [META.serverInfo]: gateway.serverInfo },
    };
    const { stream } = await listen(rig, { toolsListChanged: true });
    await eventually(() => stream.messages.length === 1);
    rig.modern.endListening();
    await eventually(() => stream.ended());
    assert.deepEqual(stream.messages.at(-1), { jsonrpc: "2.0", id: "l", result });
    const late = await listen(rig, { toolsListChanged: true });
    await eventually(() => late.stream.ended());
    assert.deepEqual(
      late.stream.messages.map(({ method, id }) => method ?? id),
      [ACKNOWLEDGED, "l"],
    );
    assert.equal(gateway.sessions.size, 0);
  });

  it("ends with a result when nothing is honoured, and when its principal is not let in any more", async () => {
    const gateway = createListening();
    await using rig = await startRig(gateway);
    const nothing = await listen(rig, { resourceSubscriptions: ["bad:b"] });
    await eventually(() => nothing.stream.ended());
    assert.deepEqual(objectOf(nothing.stream.messages[0]?.["params"])["notifications"], {});
    const { stream } = await listen(rig, { toolsListChanged: true });
    await eventually(() => stream.messages.length === 1);
    onlySession(gateway).admit(false);
    await eventually(() => stream.ended());
    assert.equal(stream.messages.at(-1)?.["id"], "l");
  });

  it("a wrong filter is -32602, one stream too many 429, no event stream accepted 406", async () => {
    const gateway = createListening();
    gateway.sessionsAllowed = () => 1;
    await using rig = await startRig(gateway);
    for (const notifications of [undefined, 1, { toolsListChanged: 1 }, { resourceSubscriptions: [1] }]) {
      const answer = await postModern(rig, "subscriptions/listen", { notifications });
      assert.equal(objectOf(answer.json()["error"])["code"], -32602, JSON.stringify(notifications));
    }
    const notifications = { toolsListChanged: true };
    const { response } = await listen(rig, notifications);
    const second = await postModern(rig, "subscriptions/listen", { notifications });
    assert.equal(second.status, 429);
    assert.match(String(objectOf(second.json()["error"])["message"]), /listens on 1 streams/);
    const deaf = await postModern(
      rig,
      "subscriptions/listen",
      { notifications },
      { accept: "application/json" },
    );
    assert.equal(deaf.status, 406);
    response.destroy();
  });

  it("tells what becomes of tasks, to a client that declares them, as long as it may know", async () => {
    const gateway = createListening();
    const task = { backend: "b", tool: "x", originalTool: "x", id: "t", home: "h", mark: null };
    gateway.taskOf = (_, method, params) =>
      method === "tasks/watch" && String(params?.["taskId"]).startsWith("ok") ? task : null;
    gateway.handle = async (request) =>
      request.task === task ? { result: {} } : errorReply(-32602, "Unknown task");
    await using rig = await startRig(gateway);
    const refused = await postModern(rig, "subscriptions/listen", { notifications: { taskIds: ["ok 1"] } });
    assert.deepEqual([refused.status, objectOf(refused.json()["error"])["code"]], [400, -32021]);
    const _meta = { [META.clientCapabilities]: { extensions: { "io.modelcontextprotocol/tasks": {} } } };
    const listenFor = async (taskIds: unknown) => {
      const { response } = await openModern(
        rig,
        "subscriptions/listen",
        { notifications: { taskIds }, _meta },
        "l",
      );
      return { response, stream: collect(response) };
    };
    const { stream } = await listenFor(["ok 1", "bad", "ok 1"]);
    await eventually(() => stream.messages.length === 1);
    assert.deepEqual(objectOf(stream.messages[0]?.["params"])["notifications"], { taskIds: ["ok 1"] });
    const session = onlySession(gateway);
    const tell = (taskId: string): void =>
      session.notify("notifications/tasks", { taskId, status: "working" });
    tell("bad");
    tell("ok 1");
    gateway.mayFollow = () => false;
    tell("ok 1");
    gateway.mayFollow = () => true;
    // A result over the size is asked for, where it is cut.
    gateway.isSmall = () => false;
    tell("ok 1");
    await eventually(() => stream.messages.length === 2);
    assert.deepEqual(stream.messages[1], {
      jsonrpc: "2.0",
      method: "notifications/tasks",
      params: { taskId: "ok 1", status: "working", _meta: { [META.subscriptionId]: "l" } },
    });
    session.notify("notifications/mountaineer/tasks_lost", undefined);
    await eventually(() => stream.ended());
    assert.equal(stream.messages.length, 3);
    assert.deepEqual(objectOf(stream.messages[2]?.["result"])["resultType"], "complete");
    for (const wrong of ["ok 1", [1], Array.from({ length: 101 }, (_, index) => `ok ${index}`)]) {
      const { stream: bad } = await listenFor(wrong);
      await eventually(() => bad.ended());
    }
    assert.equal(gateway.sessions.size, 0);
  });
});
