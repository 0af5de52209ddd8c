// Answers go on whole, whatever the parts in which they come and however slowly the client takes them.
import { deepEqual, equal, ok } from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { createAnswerStores, WholeAnswers } from "../../../src/carrier/smb/whole-answers.ts";
import { fc, runsOf } from "../../support/properties.ts";

const STORES = 52;

/** Sockets of this process: what is written to `near` comes out of `far`. */
async function socketPair(): Promise<{ near: Socket; far: Socket } & AsyncDisposable> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const far = connect(typeof address === "object" && address !== null ? address.port : 0, "127.0.0.1");
  const near = await accepted;
  return {
    near,
    far,
    async [Symbol.asyncDispose]() {
      near.destroy();
      far.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const drained = (socket: Socket): Promise<unknown> =>
  socket.writableLength === 0 ? Promise.resolve() : new Promise((resolve) => socket.once("drain", resolve));

describe("whole answers", () => {
  it("A10 never more stores are in use than there may be, whatever was given back", () => {
    const stores = createAnswerStores();
    const taken = Array.from({ length: STORES }, () => stores.take() ?? Buffer.alloc(0));
    for (const store of taken.slice(0, 10)) stores.giveBack(store, true);
    for (let nth = 0; nth < 10; nth++) ok((stores.take()?.length ?? 0) > 1_000_000);
    ok(stores.take() === null);
  });

  it("A10 reach the client byte for byte, and none is begun before all of it is there", async () => {
    const frames = fc.array(
      fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 1_150_000 })),
      {
        minLength: 1,
        maxLength: 6,
      },
    );
    const parts = fc.array(fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 400_000 })), {
      minLength: 1,
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(frames, parts, fc.boolean(), async (sizes, reads, slow) => {
        await using pair = await socketPair();
        const received = createHash("sha256");
        let receivedBytes = 0;
        if (slow) pair.far.pause();
        pair.far.on("data", (chunk) => {
          received.update(chunk);
          receivedBytes += chunk.length;
        });
        const ends = sizes.map((_, index) => sizes.slice(0, index + 1).reduce((sum, size) => sum + size, 0));
        const total = ends.at(-1) ?? 0;
        const sent = Buffer.alloc(total);
        for (let at = 0; at < total; at += 4)
          sent.fill((at * 2_654_435_761) >>> 24, at, Math.min(total, at + 4));
        const answers = new WholeAnswers(pair.near, createAnswerStores());
        let at = 0;
        for (let turn = 0; at < total; turn++) {
          const window = answers.window();
          ok(window.length > 0);
          const length = Math.min(window.length, reads[turn % reads.length] ?? 1, total - at);
          sent.copy(window, 0, at, at + length);
          deepEqual(answers.came(length), sent.subarray(at, at + length));
          const lastEnd = ends.findLast((end) => end > at && end <= at + length);
          const taken = answers.pass(lastEnd === undefined ? 0 : lastEnd - at);
          at += length;
          equal(answers.isHalfPassed, false);
          const whole = ends.findLast((end) => end <= at) ?? 0;
          equal(pair.near.bytesWritten, whole, "no part of a frame was written");
          if (!taken) {
            pair.far.resume();
            await drained(pair.near);
          }
        }
        pair.far.resume();
        pair.near.end();
        await new Promise((resolve) => pair.far.once("end", resolve));
        equal(receivedBytes, total);
        equal(received.digest("hex"), createHash("sha256").update(sent).digest("hex"));
      }),
      { numRuns: runsOf(60) },
    );
  });

  it("A10 pass as they come once no more of them may be kept, and whole again afterwards", async () => {
    await using pair = await socketPair();
    pair.far.resume();
    const stores = createAnswerStores();
    const others = Array.from({ length: STORES }, () => stores.take());
    equal(stores.take(), null);
    const answers = new WholeAnswers(pair.near, stores);
    const read = async (bytes: number, ended: number): Promise<void> => {
      const length = Math.min(bytes, answers.window().length);
      equal(length, bytes);
      answers.came(length);
      if (!answers.pass(ended)) await drained(pair.near);
    };
    await read(6_000, 0);
    equal(answers.isHalfPassed, true);
    await read(1_000, 0);
    equal(pair.near.bytesWritten, 7_000);
    await read(1_000, 400);
    equal(answers.isHalfPassed, false);
    equal(pair.near.bytesWritten, 7_400);
    for (const store of others) if (store !== null) stores.giveBack(store, true);
    await read(5_000, 0);
    await read(20_000, 0);
    equal(answers.isHalfPassed, false);
    equal(pair.near.bytesWritten, 7_400);
    await read(10, 10);
    equal(pair.near.bytesWritten, 7_400 + 600 + 25_010);
  });

  it("A10 give their buffers back once a slow client has taken them, though nothing more comes", async () => {
    await using pair = await socketPair();
    const stores = createAnswerStores();
    const received: Buffer[] = [];
    pair.far.on("data", (chunk: Buffer) => received.push(chunk));
    const answers = new WholeAnswers(pair.near, stores);
    let isTaken = true;
    let sent = 0;
    // What one write takes differs from system to system: more and more waits until it does not take all.
    for (let round = 1; isTaken && round <= 50; round++) {
      pair.far.pause();
      for (let left = 1_100_000; left > 0; ) {
        const length = Math.min(left, answers.window().length);
        left -= length;
        answers.came(length).fill(round);
        sent += length;
        isTaken = answers.pass(left === 0 ? length : 0);
      }
    }
    equal(isTaken, false);
    // The next read is prepared before the client has taken all.
    const next = answers.window();
    pair.far.resume();
    await drained(pair.near);
    answers.taken();
    const all = Array.from({ length: STORES }, () => stores.take());
    for (const store of all) {
      ok(store !== null, "all are free");
      ok(store.buffer !== next.buffer, "and none is the one that is read into");
      store.fill(0xff);
    }
    pair.near.end();
    await new Promise((resolve) => pair.far.once("end", resolve));
    const bytes = Buffer.concat(received);
    equal(bytes.length, sent);
    equal(bytes.includes(0xff), false);
  });

  it("A10 give their buffers back when they are passed, and when their connection ends", async () => {
    await using pair = await socketPair();
    pair.far.resume();
    const stores = createAnswerStores();
    for (let round = 0; round < 3 * STORES; round++) {
      const answers = new WholeAnswers(pair.near, stores);
      answers.came(answers.window().length);
      answers.pass(0);
      answers.came(1_000);
      if (round % 2 === 0) answers.drop();
      else if (!answers.pass(1_000)) await drained(pair.near);
      answers.drop();
      equal(answers.isHalfPassed, false, `round ${round}`);
    }
  });
});
