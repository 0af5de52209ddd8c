// The level that a server is asked for, and calls that want its messages.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settle } from "../../../support/manual-clock.ts";
import { INITIALIZED, type ScriptedLink } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady } from "../programs/instance-under-test.ts";

function slowLevel(link: ScriptedLink): void {
  link.hangs("logging/setLevel");
}

const overHttp = (link: ScriptedLink): void => {
  link.pid = null;
  slowLevel(link);
};

const levels = (link: ScriptedLink): unknown[] =>
  link.requests("logging/setLevel").map(({ params }) => params?.["level"]);

function answerNewest(link: ScriptedLink): void {
  link.answerTo("logging/setLevel", { result: {} });
}

describe("D2 over HTTP a call does not overtake the log level that it wants", () => {
  test("it waits for the answer; calls of clients that want no messages do not", async () => {
    const { instance, link, call } = await startReady({}, overHttp);
    const [wants, plain] = [createTestClient("wants"), createTestClient("plain")];
    wants.logLevel = "debug";
    instance.setLogLevel("debug");
    assert.equal(call(wants.call(1)).id, -1);
    assert.notEqual(call(plain.call(1)).id, -1);
    answerNewest(link);
    await settle();
    assert.equal(link.requests("tools/call").length, 2);
    // The level is set from now on.
    assert.notEqual(call(wants.call(2)).id, -1);
  });
  test("a level that is not below the one that is set is not waited for", async () => {
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
    const { instance, link, clock, call } = await startReady({}, overHttp);
    const client = createTestClient("wants");
    client.logLevel = "debug";
    instance.setLogLevel("debug");
    call(client.call(1));
    await clock.advance(999);
    await settle();
    assert.equal(link.requests("tools/call").length, 0);
    await clock.advance(1);
    await settle();
    assert.equal(link.requests("tools/call").length, 1);
    assert.notEqual(call(client.call(2)).id, -1);
  });
  test("a cancelled call that waits is never sent", async () => {
    const { instance, link, call } = await startReady({}, overHttp);
    const client = createTestClient("wants");
    client.logLevel = "debug";
    instance.setLogLevel("debug");
    const abort = new AbortController();
    const { reply } = call(client.call(1), { name: "one" }, { signal: abort.signal });
    abort.abort("no more");
    assert.equal("error" in (await reply), true);
    answerNewest(link);
    await settle();
    assert.equal(link.requests("tools/call").length, 0);
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
  test("a renewed session is told the level again before the calls that waited", async () => {
    const { instance, link, call } = await startReady({}, (link) => {
      link.pid = null;
    });
    const client = createTestClient("wants");
    client.logLevel = "debug";
    instance.setLogLevel("debug");
    await settle();
    slowLevel(link);
    link.hangs("initialize");
    const { id } = call(client.call(1));
    link.failRequest(id, { kind: "session_lost", message: "gone", hint: null });
    call(client.call(2));
    assert.equal(link.requests("tools/call").length, 1);
    link.answerTo("initialize", INITIALIZED);
    await settle();
    assert.deepEqual(levels(link), ["debug", "debug"]);
    assert.equal(link.requests("tools/call").length, 1);
    answerNewest(link);
    await settle();
    assert.equal(link.requests("tools/call").length, 2);
  });
});

for (const [version, heard] of [
  ["2025-11-25", []],
  ["2026-07-28", ["debug"]],
] as const)
  test(`D2 who set no level hears of a server of ${version} what others asked for: ${heard.join() || "nothing"}`, async () => {
    const { instance, link, call } = await startReady({}, ({ answers }) => {
      answers.set("initialize", () => ({
        result: { ...("result" in INITIALIZED && INITIALIZED.result), protocolVersion: version },
      }));
    });
    instance.setLogLevel("debug");
    const plain = createTestClient("plain").call(1);
    const { id } = call(plain);
    link.notify("notifications/message", { level: "debug", data: "x" }, id);
    assert.deepEqual(
      plain.told.map(({ params }) => params?.["level"]),
      heard,
    );
  });

test("D2 a program gets messages in order: nothing waits for its answer", async () => {
  const { instance, call } = await startReady({}, slowLevel);
  const client = createTestClient("wants");
  client.logLevel = "debug";
  instance.setLogLevel("debug");
  assert.notEqual(call(client.call(1)).id, -1);
});
