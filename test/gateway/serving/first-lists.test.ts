// Calls for tools that a backend is remembered to have, while it has listed none since the gateway began.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { BackendConfig } from "../../../src/config/snapshot.ts";
import type { RequiredData } from "../../../src/gateway/backends/policy/required-data.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { type createManualClock, settle } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { backendConfig, type createScript } from "../backends/pool/scripted-instance.ts";
import { type MemoryStore, memoryStore } from "../pins/tools.ts";
import { scriptedGateway } from "./gateway-rig.ts";

const NEVER = new AbortController().signal;
const AWAY: RequiredData = { kind: "away", requirement: "CORE", reason: "it is not mounted", sinceMs: 1_000 };

interface Begun {
  readonly clock: ReturnType<typeof createManualClock>;
  readonly script: ReturnType<typeof createScript>;
  /** Asks for the tool; what came of it so far, null: nothing. */
  call(tool?: string): Promise<() => string | null>;
  configure(...backends: BackendConfig[]): Promise<void>;
  comes(): Promise<void>;
}

async function begin(
  t: TestContext,
  store: MemoryStore,
  config = backendConfig("a"),
  data: RequiredData = AWAY,
): Promise<Begun> {
  let seen = data;
  const listeners: (() => void)[] = [];
  const { gateway, clock, script } = scriptedGateway({
    pinStore: store,
    data: { look: () => seen, onChange: (listener) => void listeners.push(listener) },
  });
  t.after(() => passTimeUntilSettled(clock, gateway[Symbol.asyncDispose](), 1_000));
  await gateway.start({ ...NO_GATEWAY, backends: [config] });
  await settle();
  return {
    clock,
    script,
    async call(tool = "one") {
      let came: string | null = null;
      void gateway.ask("tools/call", { name: tool }, NEVER).then((reply) => {
        came = "error" in reply ? reply.error.message : "answered";
      });
      await settle();
      return () => came;
    },
    async configure(...backends) {
      const prepared = await gateway.prepare({ ...NO_GATEWAY, backends });
      prepared.commit();
      void prepared.retire();
      await settle();
    },
    async comes() {
      seen = { kind: "there", mounts: "1" };
      for (const listener of listeners) listener();
      await settle();
    },
  };
}

/** What was kept when its backend `a` had listed `one`. */
async function remembered(t: TestContext): Promise<MemoryStore> {
  const store = memoryStore();
  const { script } = await begin(t, store);
  script.last.becomeReady("one");
  await settle();
  assert.equal(store.kept.kind, "kept");
  return store;
}

async function answer({ script }: Begun): Promise<void> {
  script.last.answer();
  await settle();
}

test("B11 a call for a tool that a starting backend had before waits for its first list, and goes there", async (t) => {
  const b = await begin(t, await remembered(t));
  const [known, unknown] = [await b.call(), await b.call("none")];
  assert.deepEqual([known(), unknown()], [null, "Unknown tool: none"]);
  b.script.last.becomeReady("one", "none");
  await settle();
  await answer(b);
  assert.equal(known(), "answered");
});

test("B11 such a call is told as ever when the tool has gone, and by its backend when that fails or is slow", async (t) => {
  const gone = await begin(t, await remembered(t));
  const one = await gone.call();
  gone.script.last.becomeReady("other");
  await settle();
  assert.equal(one(), "Unknown tool: one");

  const failing = await begin(t, await remembered(t));
  const two = await failing.call();
  failing.script.last.endWith("it crashed");
  await settle();
  assert.match(two() ?? "", /^backend a is unavailable: it crashed; it is tried again in \d+ s$/u);

  const slow = await begin(t, await remembered(t));
  const three = await slow.call();
  await slow.clock.advance(4_999);
  assert.equal(three(), null);
  await slow.clock.advance(1);
  assert.equal(three(), "backend a is unavailable: it is being started");
});

test("B7 a call for a tool of a backend that crashed is told that and when it is tried again; removed, it has no tools", async (t) => {
  const b = await begin(t, memoryStore());
  b.script.last.becomeReady("one");
  await settle();
  b.script.last.endWith("it crashed");
  await settle();
  const waiting = await b.call();
  assert.equal(waiting(), null);
  await b.clock.advance(1_000);
  b.script.last.endWith("it crashed");
  await settle();
  assert.match(waiting() ?? "", /^backend a is unavailable: it crashed;/u);
  assert.match(
    (await b.call())() ?? "",
    /^backend a is unavailable: it crashed; it is tried again in \d+ s$/u,
  );
  assert.equal((await b.call("none"))(), "Unknown tool: none");
  await b.configure(backendConfig("b"));
  assert.equal((await b.call())(), "Unknown tool: one");
});

test("B11 a call waits no longer than calls of its backend may take", async (t) => {
  const { timeouts } = backendConfig("a");
  const hurried = backendConfig("a", { timeouts: { ...timeouts, callMs: 1_000 } });
  const b = await begin(t, await remembered(t), hurried);
  const call = await b.call();
  await b.clock.advance(1_000);
  assert.equal(call(), "backend a is unavailable: it is being started");
});

test("C1 one whose backend waits for its share waits as well, and then the error names the share", async (t) => {
  const onShare = backendConfig("a", { requires: [{ share: "CORE", folder: null }] });
  const b = await begin(t, await remembered(t), onShare);
  const [first, second] = [await b.call(), await b.call()];
  assert.equal(first(), null);
  await b.comes();
  b.script.last.becomeReady("one");
  await settle();
  await answer(b);
  assert.deepEqual([first(), second()], ["answered", "answered"]);

  const away = await begin(t, await remembered(t), onShare);
  const late = await away.call();
  await away.clock.advance(5_000);
  assert.match(late() ?? "", /^backend a .*: share CORE is away: it is not mounted$/u);
  const later = await away.call();
  assert.match(later() ?? "", /^backend a cannot work: share CORE is away: it is not mounted$/u);
});

test("B11 a backend that is removed, or of which nothing is remembered, has no tools", async (t) => {
  const removed = await begin(t, await remembered(t));
  const call = await removed.call();
  await removed.configure(backendConfig("b"));
  assert.equal(call(), "Unknown tool: one");
  const fresh = await begin(t, memoryStore());
  assert.equal((await fresh.call())(), "Unknown tool: one");
});
