// Sessions that are lost, servers that are asked whether they live, and the first question of one.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LIST_CHANGED } from "../../../../src/gateway/protocol.ts";
import { settle } from "../../../support/manual-clock.ts";
import { FAILURE, INITIALIZED, toolOf } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady, startUnderTest } from "../programs/instance-under-test.ts";

const OK = { result: { content: [] } };

describe("a session that is lost", () => {
  test("one renewal for all; calls are not repeated, later ones wait for it", async () => {
    const { link, call, instance, clock } = await startReady({ logLevel: "info" });
    await clock.advance(1_000);
    const client = createTestClient("a");
    await instance.subscribe("a://1", client);
    const calls = [call(client.call(1)), call(client.call(2))];
    link.hangs("initialize");
    for (const { id } of calls) link.failRequest(id, FAILURE("session_lost"));
    const text =
      "server files lost its session; the call was not repeated, as it may have taken effect. The session is new, without the settings of the old one";
    for (const { reply } of calls) assert.deepEqual(await reply, { error: { code: -32000, message: text } });
    assert.equal(link.requests("initialize").length, 2);
    const waiting = call(client.call(3));
    const late = call(client.call(4), {}, { timeoutMs: 100 });
    const abort = new AbortController();
    const cancelled = call(client.call(5), {}, { signal: abort.signal });
    assert.deepEqual([link.requests("tools/call").length, instance.observed.inFlight], [2, 3]);
    assert.equal(instance.observed.state.kind, "ready");
    await clock.advance(100);
    abort.abort();
    assert.ok("error" in (await late.reply) && "error" in (await cancelled.reply));
    assert.deepEqual(link.told("notifications/cancelled"), []);
    link.answers.set("tools/call", () => OK);
    link.answer(link.requests("initialize")[1]?.id ?? -1, INITIALIZED);
    assert.deepEqual(await waiting.reply, OK);
    await clock.advance(1_000);
    assert.deepEqual(link.established, ["2025-11-25", "2025-11-25"]);
    assert.equal(link.told("notifications/initialized").length, 2);
    assert.equal(link.requests("logging/setLevel").length, 2);
    assert.equal(link.requests("resources/subscribe").length, 2);
    assert.deepEqual([link.requests("tools/list").length, link.requests("tools/call").length], [2, 3]);
  });
  test("a list that was being read is read again in the new session", async () => {
    const { link, instance, clock } = await startReady();
    await clock.advance(1_000);
    let first = true;
    link.answers.set("tools/list", () => {
      if (!first) return { result: { tools: [toolOf("again")] } };
      first = false;
      return FAILURE("session_lost");
    });
    link.notify(LIST_CHANGED.tools);
    await clock.advance(1_000);
    assert.deepEqual(instance.listings?.tools, [toolOf("again")]);
    assert.deepEqual([instance.observed.listsStaleBecause, link.requests("initialize").length], [null, 2]);
  });
  test("D5 a read is sent again in the new session, which a list request's reading may have begun", async () => {
    const { link, call, instance, clock } = await startReady();
    const method = "resources/read";
    link.hangs(method);
    const [read, twice] = [
      call(null, { uri: "a://1" }, { method }),
      call(null, { uri: "a://2" }, { method }),
    ];
    await clock.advance(5_000);
    link.answers.set("tools/list", ({ id }) => {
      link.gives("tools/list", { tools: [toolOf("again")] });
      for (const { id: lost } of [read, twice]) link.failRequest(lost, FAILURE("session_lost"));
      return id === -1 ? null : FAILURE("session_lost");
    });
    await instance.readDueLists("list", ["tools"]);
    assert.deepEqual(
      instance.listings?.tools,
      [toolOf("again")],
      "who waits gets the list of the new session",
    );
    assert.deepEqual([link.requests("initialize").length, link.requests(method).length], [2, 4]);
    link.answer(read.id, OK);
    assert.deepEqual(await read.reply, OK);
    link.failRequest(twice.id, FAILURE("session_lost"));
    assert.ok("error" in (await twice.reply));
    assert.equal(link.requests(method).length, 4);
  });
  test("a failure of the old session after the renewal does not renew again", async () => {
    const { link, call } = await startReady();
    const old = call(null);
    const other = call(null);
    link.failRequest(old.id, FAILURE("session_lost"));
    await settle();
    link.failRequest(other.id, FAILURE("session_lost"));
    await settle();
    assert.ok("error" in (await other.reply));
    assert.equal(link.requests("initialize").length, 2);
  });
  test("a failed renewal ends the instance, and the calls that waited for it", async () => {
    const { link, call, instance } = await startReady();
    link.answers.set("initialize", () => FAILURE("unreachable", "nobody listens"));
    link.failRequest(call(null).id, FAILURE("session_lost"));
    const waiting = call(null);
    assert.deepEqual(await waiting.reply, {
      error: { code: -32000, message: "server files: nobody listens" },
    });
    const { state } = instance.observed;
    assert.ok(state.kind === "ended" && state.wasReady && state.failure.kind === "unreachable");
    assert.equal(link.closed, true);
  });
  test("sessions that do not last end the instance", async () => {
    const { link, call, instance, clock } = await startReady();
    for (let loss = 0; loss < 11; loss++) {
      assert.equal(instance.observed.state.kind, "ready");
      // Five within a minute are not too many.
      if (loss === 5) await clock.advance(60_000);
      link.failRequest(call(null).id, FAILURE("session_lost"));
      await settle();
    }
    const { state } = instance.observed;
    assert.ok(state.kind === "ended" && state.failure.kind === "session_lost");
  });
  test("lost while it starts, it is not renewed: the start has failed", async () => {
    const { link, instance } = startUnderTest({}, ({ answers }) =>
      answers.set("tools/list", () => FAILURE("session_lost")),
    );
    await settle();
    assert.deepEqual([instance.observed.state.kind, link.requests("initialize").length], ["ended", 1]);
  });
  test("a list that the new session no longer declares is no longer listed", async () => {
    const { link, call, instance, counts, clock } = await startReady();
    await clock.advance(1_000);
    link.answers.set("initialize", () => ({
      result: {
        protocolVersion: "2025-06-18",
        capabilities: { prompts: {} },
        serverInfo: { name: "other", version: "2" },
      },
    }));
    link.failRequest(call(null).id, FAILURE("session_lost"));
    await settle();
    assert.deepEqual(instance.listings, { tools: [], resources: [], resourceTemplates: [], prompts: [] });
    assert.deepEqual(
      [instance.initializeResult?.protocolVersion, instance.initializeResult?.serverInfo.name],
      ["2025-06-18", "other"],
    );
    assert.ok(counts.listings > 0);
  });
  test("closed while it renews, it stays closed", async () => {
    const { link, call, instance } = await startReady();
    link.hangs("initialize");
    link.failRequest(call(null).id, FAILURE("session_lost"));
    const waiting = call(null);
    const error = { code: -32000, message: "removed" };
    await instance.close(error);
    assert.deepEqual(await waiting.reply, { error });
    await settle();
    assert.equal(instance.observed.state.kind, "closing");
  });
  test("questions outside of any call go with the session, those of live calls stay", async () => {
    const owner = createTestClient("a");
    const { link, call } = await startReady({ owner });
    link.ask("outside", "roots/list");
    const port = owner.call(1);
    const lost = call(owner.call(2));
    call(port);
    link.ask("inside", "roots/list");
    link.failRequest(lost.id, FAILURE("session_lost"));
    assert.deepEqual([owner.asked[0]?.signal.aborted, port.asked[0]?.signal.aborted], [true, false]);
    assert.equal(link.replyTo("outside"), null);
  });
  test("a suspect transport is checked: before a call meets the lost session, there is a new one", async () => {
    const { link, call, instance } = await startReady();
    link.answers.set("ping", () => FAILURE("session_lost"));
    link.gives("tools/call", { content: [] });
    link.suspect();
    await settle();
    assert.equal(link.requests("initialize").length, 2);
    link.answers.delete("ping");
    link.suspect();
    await settle();
    assert.equal(link.requests("initialize").length, 2, "an error of the server's is an answer");
    assert.equal(instance.observed.state.kind, "ready");
    call(null);
    assert.equal(link.requests("tools/call").length, 1);
  });
  test("an error that names a session is decided by a ping: a tool's own session is not renewed", async () => {
    const { link, call } = await startReady({}, (one) => {
      one.pid = null;
    });
    link.hangs("ping");
    const refused = { error: { code: -32_000, message: "session not found" } };
    for (const [answered, sessions] of [
      [{ result: {} }, 1],
      [refused, 2],
    ] as const) {
      link.answer(call(null).id, refused);
      await settle();
      const ping = link.requests("ping").at(-1) ?? assert.fail("nobody asks");
      link.answer(ping.id, answered);
      await settle();
      assert.equal(link.requests("initialize").length, sessions);
    }
    assert.equal(link.requests("ping").length, 2);
  });
  test("a check that finds the session lost renews it", async () => {
    const { link, instance } = await startReady();
    link.answers.set("ping", () => FAILURE("session_lost"));
    link.hangs("initialize");
    instance.check();
    await settle();
    assert.deepEqual([instance.observed.missedChecks, link.requests("initialize").length], [0, 2]);
  });
});

describe("health", () => {
  test("a ping without an answer is a missed check, any message a sign of life", async () => {
    const { link, instance, clock, counts } = await startReady();
    instance.check();
    await settle();
    assert.equal(instance.observed.missedChecks, 0);
    assert.equal(instance.observed.checkedAtMs, clock.monotonicMs());
    link.hangs("ping");
    for (const missed of [1, 2]) {
      instance.check();
      instance.check();
      await clock.advance(5_000);
      assert.equal(instance.observed.missedChecks, missed);
    }
    assert.equal(link.requests("ping").length, 3);
    const before = counts.seen;
    link.notify("notifications/anything");
    assert.equal(instance.observed.missedChecks, 0);
    assert.equal(counts.seen, before + 1);
    instance.check();
    await clock.advance(4_000);
    link.notify("notifications/anything");
    await clock.advance(1_000);
    assert.equal(instance.observed.missedChecks, 0);
    assert.deepEqual(link.told("notifications/cancelled"), []);
  });
  test("a ping that does not reach the server is one missed check", async () => {
    const { link, instance } = await startReady();
    link.answers.set("ping", () => FAILURE("unreachable"));
    instance.check();
    await settle();
    assert.deepEqual([instance.observed.missedChecks, instance.observed.isUnreachable], [1, true]);
  });
  test("a server that does not know ping is alive", async () => {
    const { link, instance } = await startReady();
    link.answers.delete("ping");
    instance.check();
    await settle();
    assert.equal(instance.observed.missedChecks, 0);
  });
  test("`seen` is the same object until something is different", async () => {
    const { instance, call, link } = await startReady();
    const { observed } = instance;
    assert.equal(instance.observed, observed);
    const { id } = call(null);
    assert.deepEqual([instance.observed.inFlight, observed.inFlight], [1, 0]);
    link.answer(id, OK);
  });
});

function startAsking(owner = createTestClient("a")) {
  const started = startUnderTest({ owner }, (link) => {
    link.answers.set("initialize", () => INITIALIZED);
    link.hangs("ping");
  });
  // As server-filesystem does: in one go with what it answers to `initialized`.
  started.link.ask("roots", "roots/list");
  return { ...started, owner };
}

describe("B7 a client's own instance", () => {
  test("takes the first call once the server's own first question is answered, and has taken effect", async () => {
    const { instance, link, clock, owner, call } = startAsking();
    await settle();
    assert.equal(instance.observed.state.kind, "starting");
    const { reply } = call(owner.call(1));
    assert.equal(link.requests("tools/call").length, 0);
    owner.asked[0]?.answer({ result: { roots: [] } });
    await settle();
    assert.deepEqual(link.replyTo("roots"), { result: { roots: [] } });
    const [ping] = link.requests("ping");
    assert.ok(ping !== undefined);
    await clock.advance(1_000);
    assert.equal(link.requests("tools/call").length, 0, "it may not have read the answer yet");
    link.answer(ping.id, { result: {} });
    await settle();
    await clock.advance(199);
    assert.equal(link.requests("tools/call").length, 0);
    await clock.advance(1);
    assert.equal(instance.observed.state.kind, "ready");
    const [sent] = link.requests("tools/call");
    assert.ok(sent !== undefined);
    link.answer(sent.id, { result: { content: [] } });
    assert.deepEqual(await reply, { result: { content: [] } });
  });

  test("waits for ten seconds and a check at most, and not at all for a server that asks nothing", async () => {
    const { instance, clock } = startAsking();
    await settle();
    await clock.advance(9_999);
    assert.equal(instance.observed.state.kind, "starting");
    await clock.advance(2_201);
    assert.equal(instance.observed.state.kind, "ready");
    const quiet = startUnderTest({ owner: createTestClient("b") });
    await settle();
    assert.equal(quiet.instance.observed.state.kind, "ready");
    assert.deepEqual([quiet.instance.observed.requestsRoots, instance.observed.requestsRoots], [false, true]);
  });

  test("that ends while it waits ends, and leaves no timer", async () => {
    const { instance, clock, link } = startAsking();
    await settle();
    link.die({ kind: "closed", message: "it crashed", hint: null });
    await settle();
    assert.equal(instance.observed.state.kind, "ended");
    await clock.advance(10_000);
    assert.deepEqual([instance.observed.state.kind, clock.pendingTimers], ["ended", 0]);
  });
});
