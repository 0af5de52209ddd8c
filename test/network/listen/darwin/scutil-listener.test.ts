// The scutil child's life, with a program in its place that speaks its format.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { networkEventsDarwin } from "../../../../src/network/listen/darwin/network-events-darwin.ts";
import { scutilSource } from "../../../../src/network/listen/darwin/scutil-listener.ts";
import { describeDelta } from "../../../../src/network/listen/events/network-delta.ts";
import type { NetworkEventSource } from "../../../../src/network/listen/events/network-event-source.ts";
import { processIdentity } from "../../../../src/runtime/process/process-identity.ts";
import { eventually } from "../../../support/eventually.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const program = new URL("../../programs/scutil.mjs", import.meta.url).pathname;
const inItsPlace = (mode: string): NetworkEventSource => scutilSource([process.execPath, program, mode]);

function start(source: NetworkEventSource) {
  const heard: string[] = [];
  const ends: { kind: string; error: unknown }[] = [];
  let ready = 0;
  const running = source.start({
    onReady: () => void ready++,
    onChange: (deltas) => heard.push(...deltas.map(describeDelta)),
    onEnd: (end) => ends.push(end),
  });
  return { heard, ends, running, ready: () => ready };
}

test("A3 what scutil prints is heard, lines in pieces too", async () => {
  const { heard, ends, running, ready } = start(inItsPlace("obey"));
  await eventually(() => heard.length >= 4);
  assert.equal(ready(), 1);
  assert.deepEqual(heard, [
    "something changed (scutil notified)",
    "something changed (the link of bridge0)",
    "something changed (the default route, IPv4)",
    "something changed (the addresses of en0)",
  ]);
  await running[Symbol.asyncDispose]();
  assert.deepEqual(ends, []);
});

test("A3 a scutil that ends is a crash, which the listener mends by starting it again", async () => {
  const { ends, running } = start(inItsPlace("crash"));
  await eventually(() => ends.length === 1);
  assert.equal(ends[0]?.kind, "crashed");
  assert.match(String(ends[0]?.error), /scutil ended with 3/);
  await running[Symbol.asyncDispose]();
});

test("A3 a machine without scutil is told as that, once", async () => {
  const { ends, running } = start(scutilSource(["/nowhere/scutil"]));
  await eventually(() => ends.length === 1);
  assert.equal(ends[0]?.kind, "unavailable");
  await running[Symbol.asyncDispose]();
});

test("one that does not want to end is ended", async (t) => {
  const pidFile = join(await temporaryFolder(t), "pid");
  const { heard, running } = start(scutilSource([process.execPath, program, "stubborn", pidFile]));
  await eventually(() => heard.length > 0);
  const pid = Number(await readFile(pidFile, "utf8"));
  assert.ok((await processIdentity(pid)) !== null);
  await running[Symbol.asyncDispose]();
  await eventually(async () => (await processIdentity(pid)) === null);
});

test("A3 scutil takes the place of SCDynamicStore where that cannot be had, and keeps it", async () => {
  const lacking: NetworkEventSource = {
    name: "scdynamicstore",
    start(listener) {
      queueMicrotask(() => listener.onEnd({ kind: "unavailable", error: new Error("no koffi") }));
      return { async [Symbol.asyncDispose]() {} };
    },
  };
  const source = networkEventsDarwin([lacking, inItsPlace("obey")]);
  assert.equal(source.name, "scdynamicstore");
  for (let count = 0; count < 2; count++) {
    const { heard, ends, running } = start(source);
    await eventually(() => heard.length >= 4);
    assert.equal(source.name, "scutil");
    await running[Symbol.asyncDispose]();
    assert.deepEqual(ends, []);
  }
});

test("A3 a crash of SCDynamicStore is told, not replaced: it may mend", async () => {
  const crashing: NetworkEventSource = {
    name: "scdynamicstore",
    start(listener) {
      queueMicrotask(() => listener.onEnd({ kind: "crashed", error: new Error("on purpose") }));
      return { async [Symbol.asyncDispose]() {} };
    },
  };
  const source = networkEventsDarwin([crashing, inItsPlace("obey")]);
  const { ends, running } = start(source);
  await eventually(() => ends.length === 1);
  assert.deepEqual([ends[0]?.kind, source.name], ["crashed", "scdynamicstore"]);
  await running[Symbol.asyncDispose]();
});
