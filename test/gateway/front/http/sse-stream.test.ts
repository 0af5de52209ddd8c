import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { SseStream } from "../../../../src/gateway/front/http/sse-stream.ts";
import type { KeepAlive } from "../../../../src/gateway/front/session/paced-writer.ts";
import { createManualClock } from "../../../support/manual-clock.ts";

/** A client that takes what is written when the test says so. */
class Reader extends EventEmitter {
  destroyed = false;
  text = "";
  #waiting: (() => void)[] = [];
  writeHead(): void {}
  flushHeaders(): void {}
  write(chunk: string, taken: () => void): boolean {
    this.text += chunk;
    this.#waiting.push(taken);
    return true;
  }
  take(): void {
    for (const taken of this.#waiting.splice(0)) taken();
  }
  end(): void {}
  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

function opened() {
  const reader = new Reader();
  const kept = new Set<unknown>();
  let closed = 0;
  const keepAlive = {
    add: (stream: unknown) => void kept.add(stream),
    delete: (stream: unknown) => kept.delete(stream),
  } as unknown as KeepAlive;
  const stream = new SseStream(
    { clock: createManualClock(), keepAlive },
    reader as unknown as ServerResponse,
    () => void closed++,
  );
  return { reader, kept, stream, closed: () => closed };
}

test("D2 a stream is kept alive while nothing is unread, and until it ends", () => {
  const { reader, stream } = opened();
  stream.keepAlive();
  assert.equal(reader.text, ": \n\n");
  stream.keepAlive();
  assert.equal(reader.text, ": \n\n", "the first is not read yet");
  reader.take();
  stream.keepAlive();
  assert.equal(reader.text, ": \n\n: \n\n");
  reader.take();
  stream.end();
  stream.keepAlive();
  assert.equal(reader.text, ": \n\n: \n\n");
});

test("D2 nothing is written to a stream that has ended or whose client has gone, and that is told once", () => {
  for (const over of ["end", "destroy"] as const) {
    const { reader, stream, kept, closed } = opened();
    assert.ok(stream.send('{"a":1}'));
    assert.equal(kept.size, 1);
    stream[over]();
    const { text } = reader;
    stream.sendAnyway("{}");
    assert.equal(reader.text, text);
    stream.end();
    stream.destroy();
    reader.emit("close");
    assert.deepEqual([closed(), kept.size], [1, 0], over);
  }
});
