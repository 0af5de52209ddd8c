import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { type InboxTaker, openInbox } from "../../src/mcp-bridge/gateway-link.ts";
import { eventually } from "../support/eventually.ts";
import { settle } from "../support/manual-clock.ts";

function startScene() {
  const input = new PassThrough();
  let left = 0;
  const inbox = openInbox(input, () => {
    left += 1;
  });
  let text = "";
  let ends = 0;
  const taker: InboxTaker = {
    push(chunk) {
      text += chunk.toString();
      return true;
    },
    end() {
      ends += 1;
    },
  };
  return { input, inbox, taker, text: () => text, ends: () => ends, left: () => left };
}

test("nothing is read before somebody takes it; the end is told after all that was said", async () => {
  const { input, inbox, taker, text, ends, left } = startScene();
  input.end("early");
  await settle();
  assert.equal(inbox.ended, false);
  inbox.handTo(taker);
  await eventually(() => ends() === 1);
  assert.deepEqual([text(), left(), inbox.ended], ["early", 0, true]);
});

test("what is said while nobody takes it is kept, goes first, and is bounded", async () => {
  const { input, inbox, taker, text } = startScene();
  inbox.handTo(taker);
  input.write("a");
  await settle();
  inbox.keep();
  input.write("b");
  await settle();
  assert.equal(text(), "a");
  const much = "x".repeat(16 * 1024);
  let written = 0;
  while (written < 1_000 && input.write(much)) {
    written += 1;
    await settle();
  }
  assert.ok(written < 20, `${written} of 16 KiB were taken`);
  inbox.handTo(taker);
  await eventually(() => text().length === 2 + (written + 1) * much.length);
  assert.ok(text().startsWith("abx"));
});

test("a client that ends while nobody takes anything is noticed", async () => {
  const { input, inbox, taker, ends, left } = startScene();
  inbox.handTo(taker);
  await settle();
  inbox.keep();
  input.end("last words");
  await eventually(() => left() === 1);
  assert.deepEqual([inbox.ended, ends()], [true, 0]);
});

test("whoever has no room is told no more until it has", async () => {
  const { input, inbox, text, taker } = startScene();
  let hasRoom = false;
  inbox.handTo({ ...taker, push: (chunk) => taker.push(chunk) && hasRoom });
  input.write("a");
  await settle();
  input.write("b");
  await settle();
  assert.equal(text(), "a");
  hasRoom = true;
  inbox.more();
  await eventually(() => text() === "ab");
  inbox[Symbol.dispose]();
  input.write("c");
  await settle();
  assert.equal(text(), "ab");
});
