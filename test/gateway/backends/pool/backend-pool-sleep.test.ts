// Servers whose lists are remembered: published before they run, started on demand, stopped when idle; and backends that
// require a share: what is published, what calls get and what runs while the share is away.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import type { DataSource } from "../../../../src/gateway/backends/policy/required-data.ts";
import { settle } from "../../../support/manual-clock.ts";
import { bench, CORE, readyOn } from "./backend-pool-bench.ts";
import { begun, NEEDED, newListCache, stories } from "./pool-words.ts";
import { backendConfig, callOf, createClient, errorText, fromInstance } from "./scripted-instance.ts";

describe("remembered lists", () => {
  stories(`
B2 a start publishes a server's last lists before anything runs, and calls wait for it
  one that was listed: names one, 0 starts; 0 ms: names one, 1 start, Initializing
  call x: it begins with what is published; up one, answers: x is from 1, no list changed
B2 different lists of the server are one change
  one that was listed, 0 ms, up one two: names one two, published one two
B2 another connection does not share them
  another program than was listed, 0 ms: no names, Initializing
`);

  it("D5 a list request wakes no server, and waits for a slow one for a second", async () => {
    const b = await begun(NEEDED, "one");
    await settle();
    assert.equal(b.pool.readDueLists(["tools"]), null);
    b.is({ phase: "Asleep", starts: 0, names: ["one"] });
    void b.call();
    await settle();
    await b.comesUp("one");
    b.script.last.reading = new Promise(() => {});
    let isOver = false;
    void b.pool.readDueLists(["tools"])?.then(() => {
      isOver = true;
    });
    await b.clock.advance(999);
    assert.equal(isOver, false);
    await b.clock.advance(1);
    assert.equal(isOver, true);
  });
});

describe("on demand", () => {
  stories(`
B2 a server that never listed is started once to be listed, and stops when it is unused
  one on demand, applied needed: 1 start, Initializing; up one: Ready; 5 s: Asleep, names one, 0 instances
  86394999 ms: 1 start; 1 s: 2 starts; up one, 5 s: Asleep
B2 one that was listed and has since been used keeps running
  a pool, applied needed, up one, call x, answers, 50 s: Ready, 1 start
B2 a person's restart starts it, and it keeps running
  one on demand that was listed, 0 ms, restarted: 1 start; up two, 50 s: Ready, names two
B2 a client's own instance is started by its call, next to the shared one, and both stop
  one for each client that was listed and may stop, 0 ms: Asleep; call x by ann, up one, up one: 2 starts, 2 instances
  answers: x is from 2; 240 s: Asleep, 0 instances, names one; call y by ann, up one, up one, answers: y is from 4
B2 an edit of the published entries leaves it asleep, a different program is listed again
  one on demand that was listed with two, 0 ms, applied needed-without-two: 0 starts, Asleep
  applied needed-other: 1 start, names one two; call x, up three, answers: Ready, names three, x is from 1
B2 a server that cannot sleep reports the reason: its address
  a pool, applied needed-remote, up one: Ready, condition never_sleeps; 50 s: Ready, 1 start
`);

  it("B2 a caller that waits for a start is notified of it, and looks up the tool again before the call continues", async () => {
    const b = await begun(NEEDED, "one");
    await settle();
    const heard: unknown[] = [];
    const renewed: boolean[] = [];
    const { handle, ...call } = callOf(createClient("0"));
    assert.ok(handle !== null);
    const meant = {
      ...{ ...call, params: { name: "one", _meta: { progressToken: "p" } } },
      handle: { ...handle, notify: (method: string, params: unknown) => void heard.push([method, params]) },
      renew: (hasStarted: boolean) => {
        renewed.push(hasStarted);
        return { params: { name: "two" }, answer: null };
      },
    };
    const reply = b.pool.call("a", meant);
    await b.clock.advance(6_000);
    assert.deepEqual([heard.length, renewed], [2, []]);
    assert.deepEqual(heard[0], [
      "notifications/progress",
      { progressToken: "p", progress: 0, message: "a is being started" },
    ]);
    await b.comesUp("one");
    await b.clock.advance(60_000 - 6_000 - 1);
    assert.deepEqual([heard.length, renewed], [2, [true]]);
    assert.deepEqual(b.script.last.calls[0]?.params, { name: "two" });
    assert.equal(await b.answered(reply), 1);
    // While it runs, nothing is looked up for a call.
    assert.equal(await b.answered(b.pool.call("a", meant)), 1);
    assert.deepEqual([heard.length, renewed.length], [2, 1]);
  });

  it("B2 a server that cannot sleep reports the reason: its lists", async () => {
    const b = bench({}, { remembered: newListCache() });
    await b.applied(backendConfig("a", NEEDED));
    await b.comesUp("x".repeat(3_000_000));
    await b.clock.advance(1);
    b.pool.recheck("a");
    await settle();
    b.is({ codes: ["not_remembered"] });
  });
});

describe("stopped when idle", () => {
  stories(`
B2 it stops after its time without a call, its lists stay, and the next call starts it
  one that may stop, 59999 ms, call x, 120 s: Ready; answers, 59999 ms: Ready; 1 ms: Asleep, names one, 0 instances, 0 counted restarts
  call y, up one, answers: y is from 2
B2 an orderly exit while idle is not a failure; during a call, or with an error, it is one
  one that may stop, exits in order: Asleep, 0 counted restarts, names one
  one that may stop, dies "it crashed": Degraded, 1 counted restart; 1 s: 2 starts
B2 a server that starts with the gateway also sleeps
  a pool, applied stops, up one, 60 s: Asleep, names one; call x, up one, answers: x is from 2
B2 one that cannot run twice ends before it starts again
  a pool, applied stops-first, up one, a close hangs, 5 s: Asleep, 1 instance; call x: 1 start, names one
  it is closed: 2 starts; up one, answers: x is from 2
`);
});

describe("a backend that requires a share", () => {
  it("C1 other mounts after an edit restart nothing, and an answer that suggests an outage makes the share be checked", async () => {
    let looks = 0;
    const data: DataSource = {
      status: ({ length }) => ({ kind: "there", mounts: String(length) }),
      onChange() {},
      refresh: async () => void looks++,
    };
    const b = bench({}, { data });
    await b.replaced(backendConfig("a", { requires: [CORE] }), "one");
    await b.applied(backendConfig("a", { requires: [CORE, { share: "CORE", folder: "dev" }] }));
    assert.equal(b.starts(), 1);
    for (const [text, expected] of [
      ["no such file", 0],
      ["EIO: i/o error", 1],
    ] as const) {
      const call = b.call();
      b.script.last.answer({ result: { isError: true, content: [{ type: "text", text }] } });
      await call;
      assert.equal(looks, expected, text);
    }
  });

  it("C1 a share that comes and goes each second causes no noise: nothing leaves the lists, nothing is restarted", async () => {
    const b = await readyOn();
    let published = 0;
    b.pool.onPublished(() => published++);
    for (let turn = 1; turn <= 120; turn++) {
      await b.leave();
      const call = b.call();
      await b.clock.advance(1_000);
      await b.come();
      assert.equal(await b.answered(call), 1);
      await b.clock.advance(1_000);
    }
    assert.deepEqual([published, b.starts(), b.view().restarts], [0, 1, 0]);
  });

  it("C1 beyond a thousand calls that wait for a share the next is refused at once, and the others are served in order", async () => {
    const b = await readyOn();
    await b.leave();
    const timers = b.clock.pendingTimers;
    const { signal } = new AbortController();
    const waiting = Array.from({ length: 1_000 }, () => b.pool.call("a", callOf(null, signal)));
    assert.match(errorText(await b.call()), /1000 calls wait for it already/);
    const cancelled = await b.pool.call("a", callOf(null, AbortSignal.abort()));
    assert.match(errorText(cancelled), /cancelled before it was begun/);
    await b.come();
    assert.deepEqual([b.clock.pendingTimers, getEventListeners(signal, "abort").length], [timers, 0]);
    assert.equal(b.script.last.calls.length, 1_000);
    for (let count = 0; count < 1_000; count++) b.script.last.answer();
    for (const reply of await Promise.all(waiting)) assert.equal(fromInstance(reply), 1);
  });

  it("C1 a tool's own error during an absence mentions it, and keeps its text; another one stays unchanged", async () => {
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
});
