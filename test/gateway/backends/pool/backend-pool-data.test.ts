// Backends that require a share: what is published, what calls get and what runs while the share is away.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import type { DataSource } from "../../../../src/gateway/backends/policy/required-data.ts";
import { bench, CORE, readyOn } from "./backend-pool-bench.ts";
import { backendConfig, callOf, errorText, fromInstance } from "./scripted-instance.ts";

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
