// The queue alone, before a target that fails, stalls and takes little pieces when the test says so.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLineQueue, type LineTarget } from "../../../src/runtime/log/line-queue.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

interface Paper extends LineTarget {
  readonly text: () => string;
  readonly writes: () => number;
  fails: boolean;
  /** While set, writes wait for it. */
  stall: Promise<void> | null;
  bytesAtOnce: number;
}

function createPaper(): Paper {
  let text = "";
  let writes = 0;
  let busy = false;
  return {
    fails: false,
    stall: null,
    bytesAtOnce: Number.POSITIVE_INFINITY,
    text: () => text,
    writes: () => writes,
    async write(bytes, offset) {
      assert.equal(busy, false, "two writes at once");
      busy = true;
      writes++;
      try {
        await this.stall;
        if (this.fails) throw new Error("ENOSPC");
        const end = Math.min(bytes.length, offset + this.bytesAtOnce);
        text += bytes.subarray(offset, end).toString();
        return end;
      } finally {
        busy = false;
      }
    },
  };
}

function start(maxBytes = 1_000) {
  const clock = createManualClock();
  const paper = createPaper();
  const failures: unknown[] = [];
  const queue = createLineQueue({
    clock,
    target: paper,
    maxBytes,
    flushMs: 1_000,
    onFailure: (error) => failures.push(error),
    droppedLine: (count) => `dropped ${count}\n`,
  });
  return { clock, paper, queue, failures };
}

describe("line queue", () => {
  it("keeps unwritten lines, reports the failure once, and writes them when possible", async () => {
    const { clock, paper, queue, failures } = start();
    paper.fails = true;
    queue.append("info", "a\n");
    await clock.advance(10_000);
    queue.append("info", "b\n");
    assert.equal(failures.length, 1);
    const tries = paper.writes();
    assert.ok(tries >= 4 && tries <= 6, `${tries}`);
    paper.fails = false;
    await clock.advance(30_000);
    assert.equal(paper.text(), "a\nb\n");
    paper.fails = true;
    queue.append("info", "c\n");
    await settle();
    assert.equal(failures.length, 2);
    await queue[Symbol.asyncDispose]();
  });

  it("drops debug first, then info, then the oldest, and reports how many", async () => {
    const { paper, queue } = start(1_000);
    const stalled = Promise.withResolvers<void>();
    paper.stall = stalled.promise;
    queue.append("info", "first\n");
    await settle();
    const line = (name: string): string => `${name.padEnd(99, ".")}\n`;
    queue.append("error", line("error"));
    for (let index = 0; index < 4; index++) queue.append("info", line(`info${index}`));
    for (let index = 0; index < 5; index++) queue.append("debug", line(`debug${index}`));
    queue.append("warn", line("warn"));
    queue.append("info", line("info4"));
    paper.stall = null;
    stalled.resolve();
    await settle();
    const names = paper
      .text()
      .split("\n")
      .map((text) => text.replace(/\.+$/u, ""));
    assert.deepEqual(names, [
      "first",
      "dropped 4",
      "error",
      "info0",
      "info1",
      "info2",
      "info3",
      "debug4",
      "warn",
      "info4",
      "",
    ]);
  });

  it("does work on the target between writes", async () => {
    const { paper, queue, failures } = start();
    queue.append("info", "a\n");
    const seen: string[] = [];
    await queue.between(async () => {
      seen.push(paper.text());
      throw new Error("cannot reopen");
    });
    await settle();
    assert.deepEqual(seen, [""]);
    assert.equal(paper.text(), "a\n");
    assert.equal(failures.length, 1);
    await queue.between(async () => {
      seen.push(paper.text());
    });
    assert.deepEqual(seen, ["", "a\n"]);
  });

  it("reports a failure if the first one is the last try", async () => {
    const { paper, queue, failures } = start();
    paper.fails = true;
    queue.append("info", "a\n");
    await queue[Symbol.asyncDispose]();
    assert.deepEqual([paper.writes(), failures.length], [1, 1]);
  });

  it("does not wait for ever for a stalled target, and writes nothing if that recovers", async () => {
    const { clock, paper, queue } = start();
    const stall = Promise.withResolvers<void>();
    paper.stall = stall.promise;
    paper.bytesAtOnce = 1;
    queue.append("info", "a\n");
    await settle();
    const ended = queue[Symbol.asyncDispose]();
    await clock.advance(1_000);
    await ended;
    stall.resolve();
    await settle();
    assert.equal(paper.text(), "a");
  });
});
