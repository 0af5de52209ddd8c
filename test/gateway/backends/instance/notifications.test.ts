// What a server says by itself, at which level it is asked to, and who hears it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { META } from "../../../../src/gateway/protocol.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { leastGrowth } from "../../../support/heap-growth.ts";
import { settle } from "../../../support/manual-clock.ts";
import { INITIALIZED, type ScriptedLink } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady, startUnderTest } from "../programs/instance-under-test.ts";

const MESSAGE = "notifications/message";
const OK = { result: { content: [] } };

describe("log messages", () => {
  test("without a call they go to the listeners for logs; during one client's calls, only to that client", async () => {
    const { call, link, logs } = await startReady();
    const params = { level: "info", data: "x" };
    link.notify(MESSAGE, params);
    assert.deepEqual(logs, [params]);
    const port = createTestClient("a").call(1);
    call(port);
    link.notify(MESSAGE, params);
    assert.deepEqual(port.told, [{ method: MESSAGE, params }]);
    assert.equal(logs.length, 1);
  });
  test("with several clients in flight only the backend's own log gets them", async () => {
    const { call, link, logs, instance } = await startReady();
    const [a, b] = [createTestClient("a").call(1), createTestClient("b").call(1)];
    const [ofA] = [call(a), call(b)];
    link.notify(MESSAGE, { level: "error", logger: "db", data: { secret: "of\u001b a" } });
    assert.deepEqual([a.told, b.told, logs], [[], [], []]);
    assert.deepEqual(instance.logLines, ['[error db] {"secret":"of\\u001b a"}']);
    link.notify(MESSAGE, { level: "error", data: 1 }, ofA.id);
    assert.equal(a.told.length, 1);
    link.answer(ofA.id, OK);
    link.notify(MESSAGE, { level: "error", data: 2 }, ofA.id);
    assert.equal(b.told.length, 0);
  });
  test("a time-out of the gateway's own list makes nothing ambiguous", async () => {
    const { call, link, instance, clock } = await startReady();
    link.hangs("tools/list");
    await clock.advance(1_000);
    instance.refresh();
    await clock.advance(10_000);
    const port = createTestClient("a").call(1);
    call(port);
    link.notify(MESSAGE, { level: "info", data: "x" });
    assert.equal(port.told.length, 1);
  });
  test("stored messages, and errors that become conditions, show no secret", async () => {
    const secret = "s3cret-value";
    const { call, link, instance } = await startReady({ secrets: [secret] });
    for (const name of ["a", "b"]) call(createTestClient(name).call(1));
    link.notify(MESSAGE, { level: "error", data: `${"x".repeat(280)} ${secret}` });
    assert.equal(instance.logLines[0]?.includes(secret.slice(0, 4)), false);
    const failed = startUnderTest({ secrets: [secret] }, (link) =>
      link.answers.set("initialize", () => ({ error: { code: -1, message: `no such key: ${secret}` } })),
    );
    await settle();
    const { state } = failed.instance.observed;
    assert.ok(state.kind === "ended");
    assert.equal(state.failure.message, "initialize was answered with error -1: no such key: [redacted]");
  });
  test("each client gets its own level; one without a level gets all that the server sends, or info", async () => {
    const { call, link, instance } = await startReady();
    const client = createTestClient("a");
    const port = client.call(1);
    call(port);
    const passes = (level: string): boolean => {
      const before = port.told.length;
      link.notify(MESSAGE, { level, data: "" });
      return port.told.length > before;
    };
    assert.equal(passes("debug"), true);
    client.logLevel = "warning";
    assert.deepEqual([passes("notice"), passes("warning"), passes("emergency")], [false, true, true]);
    assert.equal(passes("of its own"), true);
    client.logLevel = null;
    instance.setLogLevel("debug");
    assert.deepEqual([passes("debug"), passes("info")], [false, true]);
  });
  test("the level is sent when it differs, and only to servers that log", async () => {
    const { link, instance } = await startReady();
    for (const level of ["info", "info", "debug", null, "debug"] as const) instance.setLogLevel(level);
    assertEach(link.requests("logging/setLevel"), ({ params }) => params?.["level"], ["info", "debug"]);
    const mute = await startReady(
      { logLevel: "info" },
      { initialize: { protocolVersion: "2025-11-25", capabilities: {} } },
    );
    mute.instance.setLogLevel("debug");
    assert.equal(mute.link.requests("logging/setLevel").length, 0);
  });
});

describe("unknown notifications", () => {
  test("it passes to the one client, to its HTTP stream or to the owner, or is dropped", async () => {
    const { call, link } = await startReady();
    const [a, b] = [createTestClient("a"), createTestClient("b")];
    const [portA, portB] = [a.call(1), b.call(1)];
    link.notify("notifications/new", { x: 0 });
    const ofA = call(portA);
    link.notify("notifications/new", { x: 1 });
    call(portB);
    link.notify("notifications/new", { x: 2 });
    link.notify("notifications/new", { x: 3 }, ofA.id);
    assertEach(portA.told, ({ params }) => params?.["x"], [1, 3]);
    assert.deepEqual([portB.told, a.told, b.told], [[], [], []]);
    const owner = createTestClient("o");
    const owned = await startReady({ owner });
    owned.link.notify("notifications/new");
    assert.deepEqual(owner.told, [{ method: "notifications/new", params: undefined }]);
  });
  test("E2 no server can send the messages that only Mountaineer sends to its bridge", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    const { id } = call(port);
    link.notify("notifications/mountaineer/handover", {}, id);
    const owner = createTestClient("o");
    const owned = await startReady({ owner });
    owned.link.notify("notifications/mountaineer/handover");
    assert.deepEqual([port.told, owner.told], [[], []]);
  });
});

test("D5 each message of a shared server names its stream by the client's own id, and no stream ends while it sends", async () => {
  const { call, link, clock } = await startReady();
  link.hangs("events/stream");
  const open = (name: string, id: string | number) => {
    const port = createTestClient(name).call(id);
    return { port, ...call(port, {}, { method: "events/stream" }) };
  };
  const [a, b] = [open("a", "abc"), open("b", 7)];
  const event = (id: unknown) => ({ _meta: { [META.subscriptionId]: id } });
  const tell = (id: unknown) => link.notify("notifications/events/event", event(id));
  for (let turn = 0; turn < 3; turn += 1) {
    for (const id of [a.id, String(b.id)]) tell(id);
    await clock.advance(50_000);
  }
  for (const [{ port }, id] of [
    [a, "abc"],
    [b, 7],
  ] as const)
    assertEach(port.told, ({ params }) => params, Array(3).fill(event(id)));
  link.answer(a.id, { result: event(a.id) });
  assert.deepEqual(await a.reply, { result: event("abc") });
  tell(a.id);
  assert.equal(b.port.told.length, 3, "a late event of a stream that has ended");
  const c = open("c", 8);
  tell(undefined);
  assert.match(JSON.stringify(await c.reply), /does not say to which stream.*per-client/);
  assert.deepEqual([b.port.told.length, c.port.told.length], [3, 0]);
  await clock.advance(6_000);
  tell(undefined);
  assert.equal(b.port.told.length, 4);
});

test("D5 progress with its token as a text reaches the client, with the client's own token", async () => {
  const { call, link } = await startReady();
  const port = createTestClient("a").call(1);
  const { id } = call(port, { _meta: { progressToken: 7 } });
  for (const progressToken of [String(id), `0${id}`, `${id}.0`, String(id + 1)])
    link.notify("notifications/progress", { progressToken, progress: 1 });
  assert.equal(port.told.length, 1);
  assert.match(JSON.stringify(port.told), /"progressToken":7/);
});

describe("a client that does not read", () => {
  test("as the only client it slows its source down, until it reads or another client appears", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    const { id } = call(port, { _meta: { progressToken: 1 } });
    const progress = (): Promise<void> | null => link.notify("notifications/progress", { progressToken: id });
    assert.equal(progress(), null);
    const reading = Promise.withResolvers<void>();
    port.congested = reading.promise;
    const first = progress();
    assert.ok(first !== null);
    reading.resolve();
    await first;
    port.congested = new Promise(() => {});
    const second = progress();
    const other = createTestClient("b").call(1);
    call(other);
    await second;
    const told = port.told.length;
    assert.equal(progress(), null, "others wait for the same process");
    assert.equal(port.told.length, told, "and nothing piles up meanwhile");
    assert.ok(
      link.notify("notifications/progress", { progressToken: id }, id) !== null,
      "its own stream waits",
    );
  });
  test("however often it slows its source in one call, no trace of that is left", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    const { id } = call(port, { _meta: { progressToken: 1 } });
    const grown = await leastGrowth(async () => {
      for (let turn = 0; turn < 5_000; turn++) {
        const reading = Promise.withResolvers<void>();
        port.congested = reading.promise;
        const paused = link.notify("notifications/progress", { progressToken: id });
        reading.resolve();
        await paused;
      }
      port.told.length = 0;
    });
    assert.ok(grown < 300_000, `${grown} bytes`);
  });
  test("its cancelled call keeps reading", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    const abort = new AbortController();
    const { id } = call(port, { _meta: { progressToken: 1 } }, { signal: abort.signal });
    port.congested = new Promise(() => {});
    const paused = link.notify("notifications/progress", { progressToken: id });
    assert.ok(paused !== null);
    abort.abort();
    await paused;
  });
  test("a health check keeps reading", async () => {
    const { call, link, instance } = await startReady();
    const port = createTestClient("a").call(1);
    const { id } = call(port, { _meta: { progressToken: 1 } });
    port.congested = new Promise(() => {});
    const paused = link.notify("notifications/progress", { progressToken: id });
    instance.check();
    await paused;
    await settle();
    assert.equal(instance.observed.missedChecks, 0);
  });
});

describe("notifications of a task after the call that began it", () => {
  const TASK = { result: { task: { taskId: "t", status: "working" } } };
  const PROGRESS = "notifications/progress";
  const STATUS = "notifications/tasks/status";
  test("goes only to its client: progress under the client's token, and its status", async () => {
    const { call, link, instance } = await startReady();
    const [ann, ben] = [createTestClient("ann"), createTestClient("ben")];
    const begun = call(ann.call(1), { name: "one", _meta: { progressToken: "hers" } });
    const bens = call(ben.call(1));
    link.answer(begun.id, TASK);
    await begun.reply;
    link.notify(PROGRESS, { progressToken: begun.id, progress: 2 });
    link.notify(STATUS, { taskId: "t", status: "completed" });
    link.notify(STATUS, { taskId: "nobody's", status: "completed" });
    assert.deepEqual(ann.told, [
      { method: PROGRESS, params: { progressToken: "hers", progress: 2 } },
      { method: STATUS, params: { taskId: "t", status: "completed" } },
    ]);
    assert.deepEqual(ben.told, []);
    link.answer(bens.id, OK);
    await bens.reply;
    call(ann.call(2));
    link.ask("page", "elicitation/create", { mode: "url", elicitationId: "e" });
    instance.forget(ann);
    link.notify(PROGRESS, { progressToken: begun.id, progress: 3 });
    link.notify("notifications/elicitation/complete", { elicitationId: "e" });
    assert.equal(ann.told.length, 2);
  });
  test("are dropped where the call asked for no progress, or began no task", async () => {
    const { call, link } = await startReady();
    const ann = createTestClient("ann");
    const silent = call(ann.call(1));
    const plain = call(ann.call(2), { name: "one", _meta: { progressToken: 1 } });
    link.answer(silent.id, TASK);
    link.answer(plain.id, OK);
    for (const { id } of [silent, plain]) link.notify(PROGRESS, { progressToken: id, progress: 1 });
    assert.deepEqual(ann.told, []);
  });
});

function slowLevel(link: ScriptedLink): void {
  link.hangs("logging/setLevel");
}

const overHttp = (link: ScriptedLink): void => {
  link.pid = null;
  slowLevel(link);
};

/** A client that wants debug messages; the server is told so, and asked by its calls. */
async function wanting(prepare = overHttp) {
  const started = await startReady({}, prepare);
  const client = createTestClient("wants");
  client.logLevel = "debug";
  started.instance.setLogLevel("debug");
  return { ...started, client, sent: () => started.link.requests("tools/call").length };
}

const levels = (link: ScriptedLink): unknown[] =>
  link.requests("logging/setLevel").map(({ params }) => params?.["level"]);

function answerNewest(link: ScriptedLink): void {
  link.answerTo("logging/setLevel", { result: {} });
}

describe("D2 over HTTP a call does not overtake the log level that it needs", () => {
  test("it waits for the answer; calls of clients without a log level do not", async () => {
    const { client, link, call, sent } = await wanting();
    assert.equal(call(client.call(1)).id, -1);
    assert.notEqual(call(createTestClient("plain").call(1)).id, -1);
    answerNewest(link);
    await settle();
    assert.equal(sent(), 2);
    // The level is set from now on.
    assert.notEqual(call(client.call(2)).id, -1);
  });
  test("a level that is not below the present one is not waited for", async () => {
    const { instance, link, call } = await startReady({}, overHttp);
    const client = createTestClient("wants");
    client.logLevel = "warning";
    instance.setLogLevel("info");
    answerNewest(link);
    await settle();
    instance.setLogLevel("debug");
    assert.notEqual(call(client.call(1)).id, -1);
  });
  test("a server that does not answer delays it for a second, once", async () => {
    const { client, clock, call, sent } = await wanting();
    call(client.call(1));
    await clock.advance(999);
    await settle();
    assert.equal(sent(), 0);
    await clock.advance(1);
    await settle();
    assert.equal(sent(), 1);
    assert.notEqual(call(client.call(2)).id, -1);
  });
  test("a cancelled call that waits is never sent", async () => {
    const { client, link, call, sent } = await wanting();
    const abort = new AbortController();
    const { reply } = call(client.call(1), { name: "one" }, { signal: abort.signal });
    abort.abort("no more");
    assert.equal("error" in (await reply), true);
    answerNewest(link);
    await settle();
    assert.equal(sent(), 0);
    assert.deepEqual(link.told("notifications/cancelled"), []);
  });
  test("one level is sent after another, and the call waits for its own", async () => {
    const { instance, link, call } = await startReady({}, overHttp);
    const client = createTestClient("wants");
    client.logLevel = "debug";
    instance.setLogLevel("info");
    instance.setLogLevel("debug");
    call(client.call(1));
    assert.deepEqual(levels(link), ["info"]);
    answerNewest(link);
    await settle();
    assert.deepEqual(levels(link), ["info", "debug"]);
    assert.equal(link.requests("tools/call").length, 0);
    answerNewest(link);
    await settle();
    assert.equal(link.requests("tools/call").length, 1);
  });
  test("a renewed session gets the level again before the calls that waited", async () => {
    const { client, link, call, sent } = await wanting((scripted) => {
      scripted.pid = null;
    });
    await settle();
    slowLevel(link);
    link.hangs("initialize");
    const { id } = call(client.call(1));
    link.failRequest(id, { kind: "session_lost", message: "gone", hint: null });
    call(client.call(2));
    assert.equal(sent(), 1);
    link.answerTo("initialize", INITIALIZED);
    await settle();
    assert.deepEqual(levels(link), ["debug", "debug"]);
    assert.equal(sent(), 1);
    answerNewest(link);
    await settle();
    assert.equal(sent(), 2);
  });
});

for (const [version, heard] of [
  ["2025-11-25", []],
  ["2026-07-28", ["debug"]],
] as const)
  test(`D2 a client without a level gets from a server of ${version} what others requested: ${heard.join() || "nothing"}`, async () => {
    const { instance, link, call } = await startReady({}, ({ answers }) => {
      answers.set("initialize", () => ({
        result: { ...("result" in INITIALIZED && INITIALIZED.result), protocolVersion: version },
      }));
    });
    instance.setLogLevel("debug");
    const plain = createTestClient("plain").call(1);
    const { id } = call(plain);
    link.notify("notifications/message", { level: "debug", data: "x" }, id);
    assertEach(plain.told, ({ params }) => params?.["level"], heard);
  });

test("D2 a program gets messages in order: nothing waits for its answer", async () => {
  const { client, call } = await wanting(slowLevel);
  assert.notEqual(call(client.call(1)).id, -1);
});
