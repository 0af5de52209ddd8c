// Frames are told apart wherever the stream is cut, and nothing but headers is looked at.
import assert, { deepEqual, equal, ok } from "node:assert/strict";
import { createHash } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { describe, it, test } from "node:test";
import { commandOfFrame, FrameReader, isOnlyBegun } from "../../../src/relay/smb/smb-frames.ts";
import { createAnswerStores, WholeFrameReader } from "../../../src/relay/smb/whole-frames.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { COMMAND, encrypted, frame, type Message, opening, request, wrap } from "../smb-messages.ts";

interface Seen {
  readonly events: string[];
  push(bytes: Buffer, oneFrame?: boolean): number;
  readonly atBoundary: () => boolean;
  readonly broken: () => boolean;
}

function reader(): Seen {
  const events: string[] = [];
  const frames = new FrameReader({
    message: (command, flags, messageId, status) =>
      void events.push(`${command} ${flags} ${messageId} ${status}`),
    opens: ({ access, disposition, options, isRoot }) =>
      void events.push(
        `opens ${access.toString(16)} ${disposition} ${options.toString(16)}${isRoot ? " root" : ""}`,
      ),
    opaque: () => void events.push("opaque"),
    frameEnd: () => void events.push("end"),
  });
  return {
    events,
    push: (bytes, oneFrame = false) => frames.push(bytes, 0, oneFrame),
    atBoundary: () => frames.atBoundary,
    broken: () => frames.broken,
  };
}

describe("the reader of frames", () => {
  test("A10 sees a CREATE's parameters, unless it is cut short", () => {
    const seen = reader();
    seen.push(opening(1, { access: 0x8012_0089, disposition: 3, options: 0x1040 }));
    seen.push(request(COMMAND.create, 2, Buffer.alloc(47)));
    // What follows one that is cut short is no part of it.
    seen.push(encrypted());
    assert.deepEqual(seen.events, [
      "5 0 1 0",
      "opens 80120089 3 1040 root",
      "end",
      "5 0 2 0",
      "end",
      "opaque",
      "end",
    ]);
  });

  test("A10 malformed frames pass, and a stream that is not SMB is given up", () => {
    const seen = reader();
    // Too short for a header; a compound that points behind its end; nothing at all; a keep-alive.
    seen.push(wrap(Buffer.from("\xfeSMB", "latin1")));
    const beyond = frame({ command: 1, messageId: 9 });
    beyond.writeUInt32LE(4_000_000, 4 + 20);
    seen.push(beyond);
    seen.push(wrap(Buffer.alloc(0)));
    seen.push(Buffer.from([0x85, 0, 0, 0]));
    assert.deepEqual(seen.events, ["opaque", "end", "1 0 9 0", "end", "end", "end"]);
    assert.equal(seen.broken(), false);
    seen.push(Buffer.from("GET / HTTP/1.1\r\n"));
    assert.equal(seen.broken(), true);
  });

  test("A10 reports a frame's command once enough of it is there", () => {
    const whole = request(COMMAND.write, 7);
    assert.equal(commandOfFrame(whole.subarray(0, 67)), undefined);
    assert.equal(commandOfFrame(whole), COMMAND.write);
    assert.equal(commandOfFrame(encrypted()), null);
  });

  test("A10 distinguishes a frame that has only begun from one whose command is there", () => {
    const whole = request(COMMAND.write, 7, Buffer.alloc(100));
    for (const length of [1, 4, 67]) assert.equal(isOnlyBegun(whole.subarray(0, length)), true, `${length}`);
    for (const length of [0, 68, 100])
      assert.equal(isOnlyBegun(whole.subarray(0, length)), false, `${length}`);
    assert.equal(isOnlyBegun(Buffer.from([0x85, 0, 0, 0])), false, "a keep-alive");
    assert.equal(isOnlyBegun(wrap(Buffer.alloc(10))), false, "a short frame that is there");
  });

  test("A10 however a stream is cut into pieces, it reads the same", () => {
    const message = fc.record({
      command: fc.nat(18),
      messageId: fc.maxSafeNat(),
      flags: fc.nat(7),
      status: fc.nat(0xffff),
      body: fc.uint8Array({ maxLength: 90 }).map((bytes) => Buffer.from(bytes)),
    });
    const frames = fc.array(
      fc.oneof(
        fc.array(message, { minLength: 1, maxLength: 4 }).map((list: Message[]) => frame(...list)),
        fc.constant(encrypted(70)),
        fc.constant(wrap(Buffer.alloc(0))),
      ),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(frames, fc.array(fc.nat(1_000), { maxLength: 30 }), fc.boolean(), (list, cuts, one) => {
        const stream = Buffer.concat(list);
        const whole = reader();
        whole.push(stream);
        const pieces = reader();
        const at = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b);
        let from = 0;
        for (const to of [...at, stream.length]) {
          // As whoever holds back does: what it did not take is given again.
          while (from < to) from += pieces.push(stream.subarray(from, to), one);
        }
        assert.deepEqual(pieces.events, whole.events);
        assert.equal(pieces.atBoundary(), true);
        assert.equal(whole.events.filter((event) => event === "end").length, list.length);
      }),
    );
  });
});

// Answers go on whole, whatever the parts in which they come and however slowly the client takes them.
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
  it("A10 the number of stores in use never exceeds the limit, whatever was returned", () => {
    const stores = createAnswerStores();
    const taken = Array.from({ length: STORES }, () => stores.take() ?? Buffer.alloc(0));
    for (const store of taken.slice(0, 10)) stores.giveBack(store, true);
    for (let nth = 0; nth < 10; nth++) ok((stores.take()?.length ?? 0) > 1_000_000);
    ok(stores.take() === null);
  });

  it("A10 reach the client byte for byte, and none is begun before it is complete", async () => {
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
        const answers = new WholeFrameReader(pair.near, createAnswerStores());
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

  it("A10 pass unbuffered once the buffers are full, and whole again afterwards", async () => {
    await using pair = await socketPair();
    pair.far.resume();
    const stores = createAnswerStores();
    const others = Array.from({ length: STORES }, () => stores.take());
    equal(stores.take(), null);
    const answers = new WholeFrameReader(pair.near, stores);
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

  it("A10 return their buffers once a slow client has read them, though nothing further arrives", async () => {
    await using pair = await socketPair();
    const stores = createAnswerStores();
    const received: Buffer[] = [];
    pair.far.on("data", (chunk: Buffer) => received.push(chunk));
    const answers = new WholeFrameReader(pair.near, stores);
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

  it("A10 return their buffers when they are passed, and when their connection ends", async () => {
    await using pair = await socketPair();
    pair.far.resume();
    const stores = createAnswerStores();
    for (let round = 0; round < 3 * STORES; round++) {
      const answers = new WholeFrameReader(pair.near, stores);
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
