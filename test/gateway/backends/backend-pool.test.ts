import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { BackendConfig } from "../../../src/config/snapshot.ts";
import { createBackendPool } from "../../../src/gateway/backends/backend-pool.ts";
import type { BackendPool, BackendView } from "../../../src/gateway/backends/backend-pool-contract.ts";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import { errorReply, isError, REQUEST_TIMEOUT, type Reply } from "../../../src/gateway/json-rpc.ts";
import { silentLogger } from "../../../src/runtime/log.ts";
import { createManualClock, type ManualClock, settle } from "../../support/manual-clock.ts";
import {
  backendConfig,
  callOf,
  createClient,
  createScript,
  errorText,
  fromInstance,
  type Script,
} from "./scripted-instance.ts";

interface Bench {
  readonly pool: BackendPool;
  readonly clock: ManualClock;
  readonly script: Script;
  readonly told: GatewayTransition[];
  readonly redacted: string[];
  apply(...configs: BackendConfig[]): void;
  names(): string[];
  view(name?: string): BackendView;
  call(name?: string): Promise<Reply>;
  codes(name?: string): string[];
  events(): string[];
}

function bench(environment: Record<string, string> = {}): Bench {
  const clock = createManualClock();
  const script = createScript();
  const told: GatewayTransition[] = [];
  const redacted: string[] = [];
  const pool = createBackendPool({
    clock,
    logger: silentLogger,
    environment,
    redact: (secret) => redacted.push(secret),
    announce: (transition) => told.push(transition),
    clientInfo: { name: "test", version: "1" },
    startInstance: script.start,
    openLink: () => () => assert.fail("a scripted instance opens no link"),
    random: () => 0.5,
    onLog() {},
  });
  const view = (name = "a"): BackendView => {
    const found = pool.view().find((one) => one.name === name);
    assert.ok(found !== undefined, `${name} is not in the view`);
    return found;
  };
  return {
    pool,
    clock,
    script,
    told,
    redacted,
    apply: (...configs) => pool.apply(configs, { drainTimeoutMs: 30_000 }),
    names: () => pool.published.flatMap(({ listings }) => listings.tools.map(({ name }) => String(name))),
    view,
    call: (name = "a") => pool.call(name, callOf()),
    codes: (name) => view(name).conditions.map(({ code }) => code),
    events: () => told.filter(({ name }) => name !== "backend.phase").map(({ name }) => name),
  };
}

/** One ready backend `a` with tool `one`. */
async function ready(config = backendConfig("a"), environment: Record<string, string> = {}): Promise<Bench> {
  const b = bench(environment);
  b.apply(config);
  await settle();
  b.script.last.becomeReady("one");
  await settle();
  return b;
}

/** What is used after this is held by somebody. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  assert.ok(typeof collect === "function");
  collect();
}

const CHANGED = backendConfig("a", { command: "other" });

describe("added", () => {
  it("B7 a backend is published when it is ready, and one that hangs delays nobody", async () => {
    const b = bench();
    b.apply(backendConfig("slow"), backendConfig("a"));
    await settle();
    assert.deepEqual(
      b.pool.view().map(({ phase }) => phase),
      ["Initializing", "Initializing"],
    );
    let published = 0;
    b.pool.onPublished(() => published++);
    b.script.last.becomeReady("one", "two");
    await settle();
    assert.deepEqual(b.names(), ["one", "two"]);
    assert.equal(published, 1);
    assert.equal(b.view("a").phase, "Ready");
    assert.equal(b.view("slow").phase, "Initializing");
    assert.deepEqual(b.events(), ["backend.ready"]);
  });

  it("B6 settled waits for first attempts alone: ready and failed ones are settled", async () => {
    const b = bench();
    let isSettled = false;
    b.apply(backendConfig("a"), backendConfig("b"));
    void b.pool.settled(new AbortController().signal).then(() => {
      isSettled = true;
    });
    await settle();
    b.script.started[0]?.becomeReady();
    await settle();
    assert.equal(isSettled, false);
    b.script.started[1]?.endWith("no such program");
    await settle();
    assert.equal(isSettled, true);
  });

  it("a listener that throws holds back no step", async () => {
    const b = await ready();
    b.pool.onPublished(() => assert.fail("a mistake"));
    b.apply(CHANGED);
    await settle();
    b.script.last.becomeReady("two");
    await settle();
    assert.equal(b.script.started[0]?.isClosed, true);
    assert.deepEqual(b.names(), ["two"]);
  });

  it("settled ends when its signal aborts", async () => {
    const b = bench();
    b.apply(backendConfig("a"));
    const impatient = new AbortController();
    const settled = b.pool.settled(impatient.signal);
    impatient.abort();
    await settled;
  });

  it("a call to what is not ready yet fails at once, and one to an unknown name says so", async () => {
    const b = bench();
    b.apply(backendConfig("a"));
    await settle();
    assert.match(errorText(await b.call()), /^backend a is unavailable: .*; it is being started$/);
    assert.match(errorText(await b.call("nobody")), /no backend of the name nobody/);
  });

  it("B7 published keeps the file's order and its identity until it changes", async () => {
    const b = bench();
    b.apply(backendConfig("x"), backendConfig("y"));
    await settle();
    b.script.started[1]?.becomeReady("of y");
    await settle();
    b.script.started[0]?.becomeReady("of x");
    await settle();
    assert.deepEqual(b.names(), ["of x", "of y"]);
    const before = b.pool.published;
    b.apply(backendConfig("x"), backendConfig("y"));
    await settle();
    assert.equal(b.pool.published, before);
    b.apply(backendConfig("y"), backendConfig("x"));
    assert.deepEqual(b.names(), ["of y", "of x"]);
    assert.equal(b.script.started.length, 2);
  });
});

describe("removed", () => {
  it("B7 it leaves what is published within apply, its calls finish, then it is closed and gone", async () => {
    const b = await ready();
    const call = b.call();
    b.apply();
    assert.deepEqual(b.names(), []);
    assert.match(errorText(await b.call()), /there is no|was removed/);
    await settle();
    assert.equal(b.view().phase, "ShuttingDown");
    assert.equal(b.view().draining, 1);
    await b.clock.advance(10_000);
    assert.equal(b.script.last.isClosed, false);
    b.script.last.answer();
    assert.equal(fromInstance(await call), 1);
    await settle();
    assert.equal(b.script.last.isClosed, true);
    assert.deepEqual(b.pool.view(), []);
    assert.ok(
      b.told.some((one) => one.name === "backend.drained" && one.cut === 0 && one.took_ms === 10_000),
    );
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("a shorter drain_timeout holds for what drains already", async () => {
    const b = await ready();
    const call = b.call();
    b.apply();
    await b.clock.advance(5_000);
    b.pool.apply([], { drainTimeoutMs: 4_000 });
    assert.match(errorText(await call), /drain_timeout \(4 s\)/);
  });

  it("B7 past drain_timeout what is left gets the documented error", async () => {
    const b = await ready();
    const call = b.call();
    b.apply();
    await b.clock.advance(30_000);
    assert.equal(
      errorText(await call),
      "backend a was removed from the configuration; the call was ended after drain_timeout (30 s)",
    );
    assert.ok(b.told.some((one) => one.name === "backend.drained" && one.cut === 1));
    assert.deepEqual(b.pool.view(), []);
  });

  it("B7 added again while it drains, a fresh one is started beside it", async () => {
    const b = await ready();
    const call = b.call();
    b.apply();
    await settle();
    b.apply(backendConfig("a"));
    await settle();
    assert.equal(b.script.started.length, 2);
    b.script.last.becomeReady("one");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    const [first, second] = b.script.started;
    const later = b.call();
    second?.answer();
    assert.equal(fromInstance(await later), 2);
    first?.answer();
    assert.equal(fromInstance(await call), 1);
    await settle();
    assert.equal(first?.isClosed, true);
    assert.equal(second?.isClosed, false);
  });

  it("removed and added again in one turn, nothing happens to it", async () => {
    const b = await ready();
    b.apply();
    b.apply(backendConfig("a"));
    assert.deepEqual(b.names(), ["one"]);
    await settle();
    assert.equal(b.script.started.length, 1);
    assert.equal(b.script.last.isClosed, false);
  });

  it("disabled, it stays in the view, and ends as a removed one does", async () => {
    const b = await ready();
    b.apply(backendConfig("a", { enabled: false }));
    assert.deepEqual(b.names(), []);
    assert.match(errorText(await b.call()), /is disabled/);
    await settle();
    assert.equal(b.view().phase, "Pending");
    assert.equal(b.view().enabled, false);
    assert.equal(b.script.last.isClosed, true);
    b.apply(backendConfig("a"));
    await settle();
    assert.equal(b.script.started.length, 2);
  });

  it("one that hangs while starting is closed at once", async () => {
    const b = bench();
    b.apply(backendConfig("a"));
    await settle();
    b.apply();
    await settle();
    assert.equal(b.script.last.isClosed, true);
    assert.deepEqual(b.pool.view(), []);
  });
});

describe("a changed connection", () => {
  it("B7 the new instance is ready before one swap; calls in flight finish on the old one", async () => {
    const b = await ready();
    const old = b.script.last;
    const call = b.call();
    b.apply(CHANGED);
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    assert.equal(b.view().phase, "Ready");
    const seenLists: string[][] = [];
    b.pool.onPublished(() => seenLists.push(b.names()));
    b.script.last.becomeReady("two");
    await settle();
    assert.deepEqual(seenLists, [["two"]]);
    const later = b.call();
    b.script.last.answer();
    assert.equal(fromInstance(await later), 2);
    assert.equal(old.isClosed, false);
    old.answer();
    assert.equal(fromInstance(await call), 1);
    await settle();
    assert.equal(old.isClosed, true);
    assert.deepEqual(b.events(), ["backend.ready", "backend.ready", "backend.replaced", "backend.drained"]);
  });

  it("B7 a call that outlives drain_timeout on the old one gets the documented error", async () => {
    const b = await ready();
    const call = b.call();
    b.apply(CHANGED);
    await settle();
    b.script.last.becomeReady("two");
    await b.clock.advance(30_000);
    assert.equal(
      errorText(await call),
      "backend a was replaced by a change of the configuration; the call was ended after drain_timeout (30 s)",
    );
  });

  it("B7 filters edited with it change with the swap, edited alone at once", async () => {
    const b = await ready();
    const filters = { ...CHANGED.filters, tools: { allow: ["x"], deny: [] } };
    b.apply({ ...CHANGED, filters });
    await settle();
    assert.equal(b.pool.published[0]?.filters.tools.allow, null);
    b.script.last.becomeReady("one");
    await settle();
    assert.deepEqual(b.pool.published[0]?.filters.tools.allow, ["x"]);
    b.apply(CHANGED);
    assert.equal(b.pool.published[0]?.filters.tools.allow, null);
    b.apply({ ...CHANGED, toolOverrides: { one: { name: "uno", description: null } } });
    assert.equal(b.pool.published[0]?.toolOverrides["one"]?.name, "uno");
    await settle();
    assert.equal(b.script.started.length, 2);
  });

  it("B7 group and timeouts alone change nothing that is published and connect nothing", async () => {
    const b = await ready();
    const before = b.pool.published;
    b.apply(backendConfig("a", { group: "g", timeouts: { initMs: 1, listMs: 1, callMs: 7_000 } }));
    await settle();
    assert.equal(b.pool.published, before);
    assert.equal(b.view().group, "g");
    void b.call();
    assert.equal(b.script.last.calls[0]?.timeoutMs, 7_000);
    assert.equal(b.script.started.length, 1);
  });

  it("B7 one that does not come up leaves the old one serving, with a condition, and is tried again", async () => {
    const b = await ready();
    b.apply(CHANGED);
    await settle();
    b.script.last.endWith("it exited with code 1");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    assert.equal(b.view().phase, "Degraded");
    assert.deepEqual(b.codes(), ["change_failed"]);
    assert.match(
      b.view().conditions[0]?.title ?? "",
      /goes on as it was: its change does not come up: it exited/,
    );
    const again = b.call();
    b.script.started[0]?.answer();
    assert.equal(fromInstance(await again), 1);
    assert.deepEqual(b.pool.logLines("a"), [
      "line of 1",
      "--- the instance that did not come up:",
      "line of 2",
    ]);
    await b.clock.advance(1_000);
    assert.equal(b.script.started.length, 3);
    b.script.last.endWith("it exited with code 1");
    await b.clock.advance(2_000);
    assert.equal(b.script.started.length, 4);
    assert.equal(b.events().filter((name) => name === "backend.change_failed").length, 1);
    b.script.last.becomeReady("two");
    await settle();
    assert.deepEqual(b.names(), ["two"]);
    assert.equal(b.view().phase, "Ready");
    assert.deepEqual(b.codes(), []);
  });

  it("B6 changed back while the new one starts, that one is abandoned and nothing is left of it", async () => {
    const b = await ready();
    b.apply(CHANGED);
    await settle();
    const half = b.script.last;
    b.apply(backendConfig("a"));
    await settle();
    assert.equal(half.isClosed, true);
    assert.equal(b.script.started.length, 2);
    assert.equal(b.view().instances, 1);
    assert.equal(b.view().phase, "Ready");
  });

  it("B6 changed again, only the newest is wanted", async () => {
    const b = await ready();
    b.apply(CHANGED);
    await settle();
    const half = b.script.last;
    b.apply(backendConfig("a", { command: "third" }));
    await settle();
    assert.equal(half.isClosed, true);
    assert.equal(b.script.started.length, 3);
    b.script.last.becomeReady("three");
    await settle();
    assert.deepEqual(b.names(), ["three"]);
  });

  it("the old one ends while the new one starts: calls wait for the new one", async () => {
    const b = await ready();
    b.apply(CHANGED);
    await settle();
    b.script.started[0]?.endWith("it was killed");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    const call = b.call();
    b.script.last.becomeReady("two");
    await settle();
    b.script.last.answer();
    assert.equal(fromInstance(await call), 2);
    assert.deepEqual(b.names(), ["two"]);
    assert.equal(b.script.started.length, 2);
  });

  it("subscriptions move to the new instance, and the old one tells nobody", async () => {
    const b = await ready();
    const client = createClient("s");
    await b.pool.subscribe("a", "file:///x", client);
    b.apply(CHANGED);
    await settle();
    b.script.last.becomeReady();
    await settle();
    assert.deepEqual([...(b.script.last.subscribed.get("file:///x") ?? [])], [client]);
    assert.equal(b.script.started[0]?.subscribed.get("file:///x")?.size, 0);
    await b.pool.unsubscribe("a", "file:///x", client);
    assert.equal(b.script.last.subscribed.get("file:///x")?.size, 0);
  });
});

describe("stop-first", () => {
  const first = backendConfig("a", { replace: "stop-first" });
  const changed = backendConfig("a", { replace: "stop-first", command: "other" });

  it("B7 the old one drains and is gone before the new one starts; calls wait meanwhile", async () => {
    const b = await ready(first);
    const old = b.script.last;
    const running = b.call();
    b.apply(changed);
    await settle();
    const queued = b.call();
    assert.deepEqual(b.names(), ["one"]);
    assert.equal(b.script.started.length, 1);
    const gate = Promise.withResolvers<void>();
    b.script.closeGate = gate.promise;
    old.answer();
    assert.equal(fromInstance(await running), 1);
    await settle();
    assert.equal(old.isClosed, true);
    assert.equal(b.script.started.length, 1);
    gate.resolve();
    await settle();
    assert.equal(b.script.started.length, 2);
    b.script.last.becomeReady("two");
    await settle();
    assert.deepEqual(b.names(), ["two"]);
    b.script.last.answer();
    assert.equal(fromInstance(await queued), 2);
  });

  it("B7 when the new one fails, its names leave and the queued calls fail", async () => {
    const b = await ready(first);
    b.apply(changed);
    await settle();
    const queued = b.call();
    b.script.last.endWith("no such program");
    await settle();
    assert.deepEqual(b.names(), []);
    assert.match(
      errorText(await queued),
      /backend a is unavailable: no such program; it is tried again in 1 s/,
    );
  });

  it("B7 a queued call keeps its own deadline", async () => {
    const b = await ready({ ...first, timeouts: { initMs: 1, listMs: 1, callMs: 5_000 } });
    b.apply({ ...changed, timeouts: { initMs: 1, listMs: 1, callMs: 5_000 } });
    await settle();
    const late = b.call();
    await b.clock.advance(2_000);
    const inTime = b.call();
    await b.clock.advance(3_000);
    assert.match(errorText(await late), /not ready within the call's 5 s/);
    b.script.last.becomeReady();
    await settle();
    assert.equal(b.script.last.calls[0]?.timeoutMs, 2_000);
    b.script.last.answer();
    await inTime;
  });

  it("changed back while the old one drains, it goes on", async () => {
    const b = await ready(first);
    const running = b.call();
    b.apply(changed);
    await settle();
    const queued = b.call();
    b.apply(first);
    await settle();
    assert.equal(b.script.started.length, 1);
    b.script.last.answer();
    assert.equal(fromInstance(await running), 1);
    assert.equal(fromInstance(await queued), 1);
    assert.equal(b.view().phase, "Ready");
  });

  it("a cancelled call leaves the queue, and the queue is bounded", async () => {
    const b = await ready(first);
    void b.call();
    b.apply(changed);
    await settle();
    const cancel = new AbortController();
    const cancelled = b.pool.call("a", callOf(null, cancel.signal));
    cancel.abort();
    assert.match(errorText(await cancelled), /cancelled/);
    const queued = Array.from({ length: 1_001 }, () => b.call());
    const last = await queued.at(-1);
    assert.match(last === undefined ? "" : errorText(last), /1000 calls wait for it already/);
    b.apply();
    assert.match(errorText((await queued[0]) ?? errorReply(0, "")), /was removed/);
  });
});

describe("crashes and failures", () => {
  it("B7 after its first crash it is tried at once, its names stay, and calls wait", async () => {
    const b = await ready();
    b.script.last.endWith("it exited with code 3");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    assert.equal(b.view().phase, "Degraded");
    const call = b.call();
    await b.clock.advance(250);
    assert.equal(b.script.started.length, 2);
    b.script.last.becomeReady("one");
    await settle();
    b.script.last.answer();
    assert.equal(fromInstance(await call), 2);
    assert.equal(b.view().phase, "Ready");
    assert.equal(b.view().restarts, 1);
  });

  it("what the server said of itself stands as long as its names do", async () => {
    const b = await ready();
    const [greeting] = b.pool.greetings();
    assert.equal(greeting?.backend, "a");
    b.script.last.endWith("it exited with code 3");
    await settle();
    assert.deepEqual(b.pool.greetings(), [greeting]);
    await b.clock.advance(250);
    b.script.last.endWith("address in use");
    await settle();
    assert.deepEqual(b.pool.greetings(), []);
  });

  it("a call in the very turn of the crash waits, too", async () => {
    const b = await ready();
    b.script.last.endWith("it exited with code 3");
    const call = b.call();
    await b.clock.advance(250);
    b.script.last.becomeReady("one");
    await settle();
    b.script.last.answer();
    assert.equal(fromInstance(await call), 2);
  });

  it("when that try fails, the names leave, and calls say why and when it is tried next", async () => {
    const b = await ready();
    b.script.last.endWith("it exited with code 3");
    await b.clock.advance(250);
    const waiting = b.call();
    b.script.last.endWith("address in use");
    await settle();
    assert.deepEqual(b.names(), []);
    assert.match(
      errorText(await waiting),
      /^backend a is unavailable: address in use; it is tried again in 1 s$/,
    );
    assert.equal(b.view().phase, "Failed");
    assert.equal(b.view().retryAtMs, b.clock.wallMs() + 1_000);
    assert.deepEqual(b.codes(), ["not_running"]);
  });

  it("a second crash within 30 s is no reason to hurry; one after 30 s is", async () => {
    const b = await ready();
    b.script.last.endWith("1st");
    await b.clock.advance(250);
    b.script.last.becomeReady("one");
    await b.clock.advance(29_000);
    b.script.last.endWith("2nd");
    await settle();
    assert.deepEqual(b.names(), []);
    await b.clock.advance(1_000);
    b.script.last.becomeReady("one");
    await b.clock.advance(30_000);
    b.script.last.endWith("3rd");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
  });

  it("five failures in a row open the circuit: one try a minute, until a restart or a change", async () => {
    const b = bench();
    b.apply(backendConfig("a"));
    await settle();
    for (const waitMs of [1_000, 2_000, 4_000, 8_000]) {
      b.script.last.endWith("no such program");
      await b.clock.advance(waitMs - 1);
      const before = b.script.started.length;
      await b.clock.advance(1);
      assert.equal(b.script.started.length, before + 1);
      assert.deepEqual(b.codes(), ["not_running"]);
    }
    b.script.last.endWith("no such program");
    await settle();
    assert.deepEqual(b.codes(), ["circuit_open"]);
    await b.clock.advance(59_999);
    assert.equal(b.script.started.length, 5);
    await b.clock.advance(1);
    assert.equal(b.script.started.length, 6);
    b.script.last.endWith("no such program");
    await settle();
    assert.equal(b.pool.restart("a"), true);
    await settle();
    assert.equal(b.script.started.length, 7);
    b.script.last.becomeReady("one");
    await settle();
    assert.deepEqual(b.codes(), []);
    assert.equal(b.pool.restart("nobody"), false);
  });

  it("B6 an unset variable is a condition that names it; there is no try until the config changes", async () => {
    const env = { TOKEN: [{ kind: "environment", variable: "TOKEN" }] } as const;
    const needy = backendConfig("a", {
      connection: { type: "stdio", command: "x", args: [], env, cwd: "/" },
    });
    const b = bench();
    b.apply(needy);
    await b.clock.advance(120_000);
    assert.equal(b.script.started.length, 0);
    assert.equal(b.view().phase, "Failed");
    assert.deepEqual(b.codes(), ["secret_missing"]);
    assert.match(b.view().conditions[0]?.title ?? "", /TOKEN/);
    assert.match(errorText(await b.call()), /TOKEN/);
    await b.pool.settled(new AbortController().signal);

    const serving = await ready();
    serving.apply(needy);
    await settle();
    assert.deepEqual(serving.names(), ["one"]);
    assert.equal(serving.view().phase, "Degraded");
    assert.deepEqual(serving.codes(), ["change_failed"]);
    assert.ok(serving.events().includes("backend.change_failed"));
    serving.apply(backendConfig("a"));
    await settle();
    assert.deepEqual(serving.codes(), []);

    const set = bench({ TOKEN: "s3cret" });
    set.apply(needy);
    await settle();
    assert.deepEqual(set.redacted, ["s3cret"]);
    assert.doesNotMatch(set.script.last.options.key, /s3cret/);
  });
});

describe("health", () => {
  it("an instance is checked every 30 s; after two misses it is Degraded, after three replaced", async () => {
    const b = await ready();
    const hung = b.script.last;
    await b.clock.advance(30_000);
    assert.equal(hung.checks, 1);
    hung.see({ missedChecks: 1, checkedAtMs: b.clock.monotonicMs() });
    await b.clock.advance(10_000);
    assert.equal(hung.checks, 2);
    assert.equal(b.view().phase, "Ready");
    hung.see({ missedChecks: 2, checkedAtMs: b.clock.monotonicMs() });
    await settle();
    assert.equal(b.view().phase, "Degraded");
    assert.deepEqual(b.codes(), ["not_answering"]);
    await b.clock.advance(10_000);
    hung.see({ missedChecks: 3, checkedAtMs: b.clock.monotonicMs() });
    await settle();
    assert.equal(b.script.started.length, 2);
    assert.deepEqual(b.names(), ["one"]);
    b.script.last.becomeReady("one");
    await settle();
    assert.equal(hung.isClosed, true);
    assert.equal(b.view().phase, "Ready");
  });

  it("one that does not answer and that three tries could not replace is given up: its names leave", async () => {
    const b = await ready();
    b.script.last.see({ missedChecks: 3 });
    for (const waitMs of [1_000, 2_000, 4_000]) {
      await settle();
      assert.deepEqual(b.names(), ["one"]);
      b.script.last.endWith("connection refused");
      await b.clock.advance(waitMs);
    }
    assert.deepEqual(b.names(), []);
    assert.equal(b.script.started[0]?.isClosed, true);
    b.script.last.becomeReady("one");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    assert.equal(b.view().phase, "Ready");
  });

  it("one that answers again is kept, and the other is abandoned", async () => {
    const b = await ready();
    const [hung] = b.script.started;
    hung?.see({ missedChecks: 3 });
    await settle();
    const other = b.script.last;
    assert.notEqual(other, hung);
    hung?.see({ missedChecks: 0 });
    await settle();
    assert.equal(other.isClosed, true);
    assert.equal(hung?.isClosed, false);
    assert.equal(b.view().phase, "Ready");
  });

  it("five calls in a row that timed out are a reason to check at once", async () => {
    const b = await ready();
    for (let call = 0; call < 5; call++) {
      const reply = b.call();
      b.script.last.answer(errorReply(REQUEST_TIMEOUT, "too slow"));
      await reply;
    }
    await settle();
    assert.equal(b.script.last.checks, 1);
  });

  it("lists that could not be read again are a condition, and read again with backoff", async () => {
    const b = await ready();
    b.script.last.see({ listsStaleBecause: "tools/list was answered with an error" });
    await settle();
    assert.deepEqual(b.codes(), ["lists_stale"]);
    assert.equal(b.view().phase, "Degraded");
    await b.clock.advance(1_000);
    assert.equal(b.script.last.refreshes, 1);
    await b.clock.advance(2_000);
    assert.equal(b.script.last.refreshes, 2);
    b.script.last.see({ listsStaleBecause: null });
    await settle();
    assert.equal(b.view().phase, "Ready");
  });

  it("B7 new lists of the serving instance are published in that very call", async () => {
    const b = await ready();
    b.script.last.list("one", "two");
    assert.deepEqual(b.names(), ["one", "two"]);
  });
});

describe("restart", () => {
  it("B7 the old instance serves until the new one is ready", async () => {
    const b = await ready();
    b.pool.restart("a");
    await settle();
    assert.deepEqual(b.names(), ["one"]);
    const [old] = b.script.started;
    b.script.last.becomeReady("one");
    await settle();
    assert.equal(old?.isClosed, true);
    assert.equal(b.view().restarts, 0);
  });
});

describe("one instance for each client", () => {
  const own = backendConfig("a", { instances: "per-client" });
  const owner = (b: Bench, client: unknown) =>
    b.script.started.filter(({ options }) => options.owner === client);

  it("B7 a client's calls go to its own, started at its first call; nothing of it reaches another's", async () => {
    const b = await ready(own);
    const [ann, bob] = [createClient("ann"), createClient("bob")];
    const first = b.pool.call("a", callOf(ann));
    const second = b.pool.call("a", callOf(ann));
    const other = b.pool.call("a", callOf(bob));
    await settle();
    assert.equal(owner(b, ann).length, 1);
    for (const instance of b.script.started.slice(1)) instance.becomeReady("one");
    await settle();
    for (const instance of b.script.started) instance.answer();
    assert.equal(fromInstance(await first), fromInstance(await second));
    assert.notEqual(fromInstance(await first), fromInstance(await other));
    assert.equal(b.script.started[0]?.calls.length, 0);
    b.pool.notifyOwn(ann, "notifications/roots/list_changed", undefined);
    assert.deepEqual(
      b.script.started.map(({ notified }) => notified.length),
      [0, 1, 0],
    );
  });

  it("one that cannot be started is that call's error alone", async () => {
    const b = await ready(own);
    const ann = createClient("ann");
    const call = b.pool.call("a", callOf(ann));
    b.script.last.endWith("no such program");
    assert.match(errorText(await call), /the instance of this client could not be started: no such program/);
    assert.equal(b.view().phase, "Ready");
    void b.pool.call("a", callOf(ann));
    assert.equal(owner(b, ann).length, 2);
  });

  it("while the shared one is tried again after a crash, a client's own goes on", async () => {
    const b = await ready(own);
    const ann = createClient("ann");
    const first = b.pool.call("a", callOf(ann));
    const mine = b.script.last;
    mine.becomeReady();
    await settle();
    b.script.started[0]?.endWith("it crashed");
    await settle();
    const second = b.pool.call("a", callOf(ann));
    mine.answer();
    assert.equal(fromInstance(await first), mine.id);
    assert.equal(fromInstance(await second), mine.id);
    const other = b.pool.call("a", callOf(createClient("bob")));
    await b.clock.advance(250);
    b.script.last.becomeReady("one");
    await settle();
    b.script.last.becomeReady("one");
    await settle();
    b.script.last.answer();
    assert.equal(fromInstance(await other), b.script.last.id);
    assert.equal(mine.isClosed, false);
  });

  it("B7 disabled, it lets clients' own instances finish their calls, also those that wait for a start", async () => {
    const b = await ready(own);
    const [ann, bob] = [createClient("ann"), createClient("bob")];
    const running = b.pool.call("a", callOf(ann));
    const mine = b.script.last;
    mine.becomeReady();
    await settle();
    const waiting = b.pool.call("a", callOf(bob));
    const theirs = b.script.last;
    b.apply({ ...own, enabled: false });
    await settle();
    assert.equal(b.view().draining, 2);
    assert.equal(b.view().phase, "ShuttingDown");
    mine.answer();
    assert.equal(fromInstance(await running), mine.id);
    theirs.becomeReady();
    theirs.answer();
    assert.equal(fromInstance(await waiting), theirs.id);
    await settle();
    assert.equal(b.view().instances, 0);
    assert.equal(b.view().phase, "Pending");
  });

  it("it ends with its session, and its calls with it", async () => {
    const b = await ready(own);
    const ann = createClient("ann");
    const call = b.pool.call("a", callOf(ann));
    b.script.last.becomeReady();
    await settle();
    b.pool.forget(ann);
    assert.ok(isError(await call));
    await settle();
    assert.equal(owner(b, ann)[0]?.isClosed, true);
    assert.equal(b.view().instances, 1);
  });

  it("B7 a changed connection drains it; the next call starts anew, of the new configuration", async () => {
    const b = await ready(own);
    const ann = createClient("ann");
    const running = b.pool.call("a", callOf(ann));
    const mine = b.script.last;
    mine.becomeReady();
    await settle();
    b.apply({ ...own, connection: { type: "stdio", command: "other", args: [], env: {}, cwd: "/" } });
    await settle();
    b.script.last.becomeReady("two");
    await settle();
    assert.equal(mine.isClosed, false);
    const next = b.pool.call("a", callOf(ann));
    assert.notEqual(b.script.last.options.key, mine.options.key);
    b.script.last.becomeReady("two");
    await settle();
    b.script.last.answer();
    mine.answer();
    assert.equal(fromInstance(await running), mine.id);
    assert.equal(fromInstance(await next), b.script.last.id);
    await settle();
    assert.equal(mine.isClosed, true);
  });

  it("a call that waits for its own instance while the connection changes waits for the new one", async () => {
    const b = await ready(own);
    const ann = createClient("ann");
    const waiting = b.pool.call("a", callOf(ann));
    const half = b.script.last;
    b.apply({ ...own, connection: { type: "stdio", command: "other", args: [], env: {}, cwd: "/" } });
    await settle();
    b.script.last.becomeReady("two");
    await settle();
    assert.equal(half.isClosed, true);
    b.script.last.becomeReady("two");
    await settle();
    b.script.last.answer();
    assert.equal(fromInstance(await waiting), b.script.last.id);
  });

  it("at most 64 exist", async () => {
    const b = await ready(own);
    for (let at = 0; at < 64; at++) void b.pool.call("a", callOf(createClient(String(at))));
    assert.match(errorText(await b.pool.call("a", callOf(createClient("65th")))), /64 instances/);
  });

  it("a subscription goes to the client's own, and follows it through a change", async () => {
    const b = await ready(own);
    const ann = createClient("ann");
    const subscribed = b.pool.subscribe("a", "file:///x", ann);
    b.script.last.becomeReady();
    assert.ok(!isError(await subscribed));
    b.apply({ ...own, connection: { type: "stdio", command: "other", args: [], env: {}, cwd: "/" } });
    await settle();
    b.script.last.becomeReady("two");
    await settle();
    assert.equal(b.script.last.options.owner, ann);
    b.script.last.becomeReady("two");
    assert.ok(b.script.last.subscribed.get("file:///x")?.has(ann));
  });

  it("a client's own that cannot be reached once or twice is kept; what it does for others goes on", async () => {
    const b = await ready(own);
    const ann = createClient("ann");
    const call = b.pool.call("a", callOf(ann));
    const mine = b.script.last;
    mine.becomeReady();
    await settle();
    mine.see({ missedChecks: 2 });
    await settle();
    assert.equal(owner(b, ann).length, 1);
    mine.see({ missedChecks: 3 });
    await settle();
    assert.equal(mine.isClosed, false);
    void b.pool.call("a", callOf(ann));
    assert.equal(owner(b, ann).length, 2);
    mine.answer();
    assert.equal(fromInstance(await call), mine.id);
    await settle();
    assert.equal(mine.isClosed, true);
  });

  it("calls in a row without an answer, and then a check without one, end it", async () => {
    const b = await ready(own);
    const ann = createClient("ann");
    const first = b.pool.call("a", callOf(ann));
    const mine = b.script.last;
    mine.becomeReady();
    await settle();
    mine.answer(errorReply(REQUEST_TIMEOUT, "too slow"));
    await first;
    for (let call = 0; call < 4; call++) {
      const reply = b.pool.call("a", callOf(ann));
      mine.answer(errorReply(REQUEST_TIMEOUT, "too slow"));
      await reply;
    }
    assert.equal(mine.checks, 1);
    mine.see({ missedChecks: 1 });
    await settle();
    assert.equal(mine.isClosed, true);
    assert.equal(b.view().phase, "Ready");
  });
});

describe("all together", () => {
  it("the log level reaches every instance, and every new one", async () => {
    const b = await ready();
    b.pool.setLogLevel("debug");
    assert.equal(b.script.last.level, "debug");
    b.apply(backendConfig("a"), backendConfig("b"));
    await settle();
    assert.equal(b.script.last.level, "debug");
  });

  it("log lines are kept after the end", async () => {
    const b = bench();
    b.apply(backendConfig("a"));
    await settle();
    b.script.last.endWith("no such program");
    await settle();
    assert.deepEqual(b.pool.logLines("a"), ["line of 1"]);
    assert.equal(b.pool.logLines("nobody"), null);
  });

  it("ending gives calls in flight 3 s, then the error, and leaves nothing", async () => {
    const b = await ready();
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    assert.match(errorText(await b.call()), /the gateway is stopping/);
    await b.clock.advance(2_999);
    assert.equal(b.script.last.isClosed, false);
    await b.clock.advance(1);
    assert.equal(errorText(await call), "the gateway is stopping");
    await disposed;
    assert.equal(b.script.alive.length, 0);
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("ending waits with a backend for its own calls alone", async () => {
    const b = bench();
    b.apply(backendConfig("a"), backendConfig("b"));
    await settle();
    const [one, other] = b.script.started;
    one?.becomeReady("one");
    other?.becomeReady("other");
    await settle();
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([one?.isClosed, other?.isClosed], [false, true]);
    await b.clock.advance(3_000);
    assert.equal(errorText(await call), "the gateway is stopping");
    await disposed;
    assert.equal(b.clock.pendingTimers, 0);
  });

  it("ending waits no longer than the last call takes, and is bounded when a close hangs", async () => {
    const b = await ready();
    const call = b.call();
    const disposed = b.pool[Symbol.asyncDispose]();
    b.script.last.answer();
    await call;
    await settle();
    assert.equal(b.script.last.isClosed, true);
    await disposed;

    const hanging = await ready();
    hanging.script.closeGate = new Promise(() => {});
    const ended = hanging.pool[Symbol.asyncDispose]();
    await hanging.clock.advance(5_000);
    await ended;
  });

  it("an instance that never ends is given up after a while, told, and holds back nothing", async () => {
    const b = await ready(backendConfig("a", { replace: "stop-first" }));
    b.script.closeGate = new Promise(() => {});
    b.apply(backendConfig("a", { replace: "stop-first", command: "other" }));
    await b.clock.advance(10_000);
    assert.equal(b.script.started.length, 2);
  });

  it("B7 1,000 restarts leave nothing: no instance, no timer, flat memory", async () => {
    const b = await ready();
    const measure = async (): Promise<number> => {
      for (let restart = 0; restart < 500; restart++) {
        b.pool.restart("a");
        await settle();
        b.script.last.becomeReady("one");
        await settle();
        assert.equal(b.script.alive.length, 1);
        b.told.length = 0;
      }
      b.script.clear();
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = await measure();
    const after = await measure();
    assert.equal(b.view().instances, 1);
    assert.equal(b.clock.pendingTimers, 1);
    assert.ok(after - before < 512 * 1024, `${after - before} bytes more`);
  });
});
