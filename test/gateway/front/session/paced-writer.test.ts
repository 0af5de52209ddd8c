import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PacedWriter } from "../../../../src/gateway/front/session/paced-writer.ts";
import { createManualClock } from "../../../support/manual-clock.ts";

/** A reader that takes what it is told to. */
function createReader() {
  const waiting: { readonly chunk: string | Uint8Array; readonly taken: (error?: Error | null) => void }[] =
    [];
  const taken: Buffer[] = [];
  const target = {
    destroyed: false,
    ended: 0,
    write(chunk: string | Uint8Array, callback: (error?: Error | null) => void) {
      waiting.push({ chunk, taken: callback });
      return true;
    },
    end() {
      target.ended += 1;
    },
    destroy() {
      target.destroyed = true;
    },
  };
  const take = (): boolean => {
    const next = waiting.shift();
    if (next === undefined) return false;
    taken.push(Buffer.from(next.chunk));
    next.taken();
    return true;
  };
  return { target, take, waiting, text: () => Buffer.concat(taken).toString() };
}

describe("a paced writer", () => {
  it("keeps the order of short and long texts, whatever the reader's pace, and ends once, last", () => {
    const reader = createReader();
    const writer = new PacedWriter(reader.target, createManualClock());
    const texts = ["a", "b".repeat(700_000), "c", "ü".repeat(300_000), "d"];
    for (const text of texts) {
      writer.write(text);
      reader.take();
    }
    writer.end();
    assert.equal(reader.target.ended, 0);
    while (reader.take());
    assert.equal(reader.text(), texts.join(""));
    assert.deepEqual([reader.target.ended, writer.backlog], [1, 0]);
  });

  it("has at most half a mebibyte with its target, and the rest waits", () => {
    const reader = createReader();
    const writer = new PacedWriter(reader.target, createManualClock());
    writer.write("x".repeat(8 * 1024 * 1024));
    const passed = reader.waiting.reduce((sum, { chunk }) => sum + chunk.length, 0);
    assert.ok(passed <= 512 * 1024, `${passed}`);
    assert.equal(writer.backlog, 8 * 1024 * 1024);
  });

  it("is congested beyond a mebibyte, until half of that is left or it is destroyed", async () => {
    const reader = createReader();
    const writer = new PacedWriter(reader.target, createManualClock());
    const now = (): Promise<void> | null => writer.congested;
    assert.equal(now(), null);
    writer.write("x".repeat(2 * 1024 * 1024));
    const congested = now();
    assert.notEqual(congested, null);
    let settled = false;
    void congested?.then(() => {
      settled = true;
    });
    while (writer.backlog > 800 * 1024) reader.take();
    await Promise.resolve();
    assert.equal(settled, false);
    reader.take();
    await congested;
    assert.equal(now(), null);
    writer.write("x".repeat(2 * 1024 * 1024));
    const again = now();
    writer.destroy();
    await again;
    assert.deepEqual([now(), reader.target.destroyed], [null, true]);
  });

  it("is stalled when something waits and nothing was taken for so long", async () => {
    const clock = createManualClock();
    const reader = createReader();
    const writer = new PacedWriter(reader.target, clock);
    await clock.advance(100_000);
    assert.equal(writer.stalled(60_000), false);
    writer.write("x");
    writer.write("y");
    await clock.advance(59_000);
    assert.equal(writer.stalled(60_000), false);
    reader.take();
    await clock.advance(59_000);
    assert.equal(writer.stalled(60_000), false);
    // More to read is no progress.
    writer.write("z");
    await clock.advance(1_000);
    assert.equal(writer.stalled(60_000), true);
  });
});
