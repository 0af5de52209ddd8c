// Backends whose share is mounted anew: they make room, calls wait, and they start on the new mount.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { type DataBench, readyOn } from "./backend-pool-bench.ts";
import { backendConfig, callOf, createClient, errorText, fromInstance } from "./scripted-instance.ts";

/** The next instance is ready as soon as it was started. */
async function comesBack(b: DataBench, mounts: string): Promise<void> {
  await b.come(mounts);
  await b.comesUp("one");
}

describe("a backend whose share is mounted anew", () => {
  for (const replace of ["overlap", "stop-first"] as const) {
    it(`C1 ${replace}: it ends, its names stay, calls wait, and are sent once to the one on the new mount`, async () => {
      const b = await readyOn({ replace });
      const lists: string[][] = [];
      b.pool.onPublished(() => lists.push(b.names()));
      assert.deepEqual(b.running(), [1001]);
      await b.move();
      const calls = [b.call(), b.call()];
      await settle();
      assert.deepEqual(b.running(), [], "it has made room");
      assert.match(b.view().reason ?? "", /^share CORE is being mounted anew; calls wait$/);
      await b.clock.advance(20_000);
      assert.equal(b.starts(), 1, "nothing is started before the share is there");
      await comesBack(b, "2");
      assertEach(b.script.started, (one) => one.calls.length, [0, 2]);
      b.script.last.answer();
      assert.deepEqual((await Promise.all(calls)).map(fromInstance), [2, 2]);
      assert.deepEqual([b.view().phase, b.view().restarts, b.names()], ["Ready", 0, ["one"]]);
      assert.ok(
        lists.every((names) => names.join() === "one"),
        "no list was ever without it",
      );
    });
  }

  it("C1 what was sent goes on until drain_timeout, is never repeated, and says why it was ended", async () => {
    const b = await readyOn();
    const [sent, late] = [b.call(), b.call()];
    await b.move();
    assert.deepEqual(b.running(), [1001], "a call in flight counts as an open file");
    const [first] = b.script.last.pending;
    first?.answer({ result: { from: 1 } });
    assert.equal(fromInstance(await sent), 1);
    await b.clock.advance(29_000);
    assert.deepEqual(b.running(), [1001]);
    await b.clock.advance(1_000);
    assert.match(errorText(await late), /made room.*drain_timeout.*share CORE is being mounted anew$/);
    assert.deepEqual(b.running(), []);
    await comesBack(b, "2");
    assert.equal(b.script.last.calls.length, 0);
  });

  it("C1 room that is not needed after all: it goes on, and the calls that waited are sent to it", async () => {
    const b = await readyOn();
    const sent = b.call();
    await b.move();
    const waiting = b.call();
    await b.come("1");
    assert.equal(b.starts(), 1);
    b.script.last.answer();
    assert.deepEqual([fromInstance(await sent), fromInstance(await waiting)], [1, 1]);
    assert.deepEqual([b.view().phase, b.view().draining], ["Ready", 0]);
  });

  it("C1 the room was made and the old mount is back: it is started anew, with no word in the lists", async () => {
    const b = await readyOn();
    await b.move();
    await settle();
    const waiting = b.call();
    await comesBack(b, "1");
    assert.equal(await b.answered(waiting), 2);
  });

  it("C1 a call that waits in vain ends within its deadline, and names the share", async () => {
    const b = await readyOn({ timeouts: { initMs: 15_000, listMs: 10_000, callMs: 3_000 } });
    await b.move();
    const waiting = b.call();
    await b.clock.advance(3_000);
    assert.match(errorText(await waiting), /within the call's 3 s; share CORE is being mounted anew$/);
  });

  it("C1 a mount that fails leaves the share away: after unavailable_after_secs the names leave", async () => {
    const b = await readyOn();
    await b.move();
    await settle();
    await b.leave("it is not mounted: refused");
    const waiting = b.call();
    await b.clock.advance(5_000);
    assert.deepEqual(b.names(), []);
    assert.match(errorText(await waiting), /share CORE is away: it is not mounted: refused/);
    await comesBack(b, "2");
    assert.deepEqual([b.names(), b.view().phase], [["one"], "Ready"]);
  });

  it("C1 a mount that takes longer than unavailable_after_secs counts as an absence, and its end ends it", async () => {
    const b = await readyOn();
    await b.move();
    await b.clock.advance(20_000);
    await b.move("taken");
    const waiting = b.call();
    await b.clock.advance(4_900);
    assert.deepEqual([b.names(), b.codes()], [["one"], []]);
    await b.clock.advance(100);
    assert.match(errorText(await waiting), /^backend a cannot work: share CORE is being mounted anew$/);
    assert.deepEqual([b.names(), b.codes(), b.view().phase], [[], ["share_away"], "Degraded"]);
    await comesBack(b, "2");
    assert.deepEqual([b.names(), b.codes(), b.view().phase], [["one"], [], "Ready"]);
  });

  it("C1 one that is being started makes room as well, and is started again", async () => {
    const b = await readyOn();
    b.pool.restart("a");
    await settle();
    assert.equal(b.starts(), 2);
    await b.move();
    await settle();
    assert.deepEqual(b.running(), []);
    await comesBack(b, "2");
    assert.deepEqual([b.starts(), b.view().phase], [3, "Ready"]);
  });

  it("C1 per client: every instance makes room, and each client's calls are sent to its new one", async () => {
    const b = await readyOn({ instances: "per-client" });
    const client = createClient("s1");
    const first = b.pool.call("a", callOf(client));
    await settle();
    await b.comesUp("one");
    await b.move();
    const waiting = b.pool.call("a", callOf(client));
    assert.deepEqual(b.running(), [1002], "its call is in flight");
    b.script.started[1]?.answer();
    assert.equal(fromInstance(await first), 2);
    await settle();
    assert.deepEqual(b.running(), []);
    await comesBack(b, "2");
    await b.comesUp("one");
    assert.equal(await b.answered(waiting), 4);
  });

  it("C1 per client: one that becomes ready for its first call while the share moves is not called", async () => {
    const b = await readyOn({ instances: "per-client" });
    const waiting = b.pool.call("a", callOf(createClient("s1")));
    await settle();
    await b.move();
    await settle();
    assert.deepEqual(b.running(), []);
    await comesBack(b, "2");
    await b.comesUp("one");
    assert.equal(await b.answered(waiting), 4);
    assert.equal(b.script.started[1]?.calls.length, 0);
  });

  it("C1 a server behind an address has no process here: its calls wait, and it is not ended", async () => {
    const url = "http://127.0.0.1:9/mcp";
    const b = await readyOn({ connection: { type: "streamable-http", url, headers: {} } });
    await b.move();
    const waiting = b.call();
    await b.clock.advance(20_000);
    assert.deepEqual([b.script.last.isClosed, b.script.last.calls.length], [false, 0]);
    await b.come("1");
    assert.equal(await b.answered(waiting), 1);
  });

  it("C1 a tool's own error that met an absence says so, and its words stay; another's stays as it was", async () => {
    const b = await readyOn();
    const broken = { result: { isError: true, content: [{ type: "text", text: "EIO" }] } };
    const named = {
      result: {
        isError: true,
        content: [
          { type: "text", text: "EIO" },
          { type: "text", text: "meanwhile share CORE was away: no route leads to it" },
        ],
      },
    };
    const sent = b.call();
    await b.leave("no route leads to it");
    await b.come();
    b.script.last.answer(broken);
    assert.deepEqual(await sent, named);
    await b.leave("no route leads to it");
    const waited = b.call();
    await b.come();
    b.script.last.answer(broken);
    assert.deepEqual(await waited, named, "it began before the end of the absence");
    const after = b.call();
    b.script.last.answer(broken);
    assert.deepEqual(await after, broken);
  });

  it("C1 a backend that requires nothing is left alone", async () => {
    const b = await readyOn();
    b.apply(backendConfig("a"));
    await b.move();
    const call = b.call();
    assert.equal(await b.answered(call), 1);
    assert.deepEqual(b.running(), []);
  });
});
