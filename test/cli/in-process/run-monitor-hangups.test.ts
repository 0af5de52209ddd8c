import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { listenForHangups } from "../../../src/cli/in-process/run-monitor.ts";

test("each SIGHUP reaches every listener until it is unregistered", async () => {
  const source = new EventEmitter();
  const listen = listenForHangups(source);
  const heard: string[] = [];
  const stop = listen(() => heard.push("one"));
  listen(() => heard.push("two"));
  source.emit("SIGHUP");
  stop();
  stop();
  source.emit("SIGHUP");
  assert.deepEqual(heard, ["one", "two", "two"]);
});

test("one that came before anybody listened is told once, and not synchronously", async () => {
  const source = new EventEmitter();
  const listen = listenForHangups(source);
  source.emit("SIGHUP");
  source.emit("SIGHUP");
  let heard = 0;
  listen(() => {
    heard += 1;
  });
  assert.equal(heard, 0);
  await Promise.resolve();
  assert.equal(heard, 1);
  listen(() => assert.fail("it was told already"));
  await Promise.resolve();
});

test("whoever has left by then is not told", async () => {
  const source = new EventEmitter();
  const listen = listenForHangups(source);
  source.emit("SIGHUP");
  listen(() => assert.fail("it has left"))();
  await Promise.resolve();
});
