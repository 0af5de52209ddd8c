// Instances that crash, do not come up or do not answer: retries, pauses, conditions.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BackendConfig } from "../../../../src/config/snapshot.ts";
import { errorReply, REQUEST_TIMEOUT, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { settle } from "../../../support/manual-clock.ts";
import { bench, CHANGED, ready, starting } from "./backend-pool-bench.ts";
import { backendConfig, errorText } from "./scripted-instance.ts";

/** `a`, whose program needs this variable. */
function needing(variable: string): BackendConfig {
  const env = { T: [{ kind: "environment", variable }] } as const;
  return backendConfig("a", { connection: { type: "stdio", command: "x", args: [], env, cwd: "/" } });
}

describe("crashes and failures", () => {
  it("B7 after its first crash it is tried at once, its names stay, and calls wait", async () => {
    const b = await ready();
    await b.dies("it exited with code 3");
    b.is({ names: ["one"], phase: "Degraded" });
    const call = b.call();
    await b.clock.advance(250);
    assert.equal(b.starts(), 2);
    await b.comesUp("one");
    assert.equal(await b.answered(call), 2);
    b.is({ phase: "Ready", restarts: 1 });
  });

  it("what the server said of itself stands as long as its names do", async () => {
    const b = await ready();
    const [result] = b.pool.initializeResults();
    assert.equal(result?.backend, "a");
    await b.dies("it exited with code 3");
    assert.deepEqual(b.pool.initializeResults(), [result]);
    await b.clock.advance(250);
    await b.dies("address in use");
    assert.deepEqual(b.pool.initializeResults(), []);
  });

  it("a call in the very turn of the crash waits, too", async () => {
    const b = await ready();
    b.script.last.endWith("it exited with code 3");
    const call = b.call();
    await b.clock.advance(250);
    await b.comesUp("one");
    assert.equal(await b.answered(call), 2);
  });

  it("when that try fails, the names leave, and calls say why and when it is tried next", async () => {
    const b = await ready();
    b.script.last.endWith("it exited with code 3");
    await b.clock.advance(250);
    const waiting = b.call();
    await b.dies("address in use");
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
    await b.dies("2nd");
    assert.deepEqual(b.names(), []);
    await b.clock.advance(1_000);
    b.script.last.becomeReady("one");
    await b.clock.advance(30_000);
    await b.dies("3rd");
    assert.deepEqual(b.names(), ["one"]);
  });

  it("five failures in a row open the circuit: one try a minute, until a restart or a change", async () => {
    const b = await starting();
    for (const waitMs of [1_000, 2_000, 4_000, 8_000]) {
      b.script.last.endWith("no such program");
      await b.clock.advance(waitMs - 1);
      const before = b.starts();
      await b.clock.advance(1);
      b.is({ starts: before + 1, codes: ["not_running"] });
    }
    await b.dies("no such program", "install it");
    assert.deepEqual(b.codes(), ["circuit_open"]);
    assert.match(b.view().conditions[0]?.hint ?? "", /^install it\. A change of its configuration/);
    await b.clock.advance(59_999);
    assert.equal(b.starts(), 5);
    await b.clock.advance(1);
    assert.equal(b.starts(), 6);
    await b.dies("no such program");
    assert.equal(b.pool.restart("a"), true);
    await settle();
    assert.equal(b.starts(), 7);
    await b.comesUp("one");
    assert.deepEqual(b.codes(), []);
    assert.equal(b.pool.restart("nobody"), false);
  });

  it("a program's log is pointed at, and of a server elsewhere its address and its own log", async () => {
    const far = { type: "streamable-http", url: "https://far.example:1/mcp?key=k3y", headers: {} } as const;
    const remote = backendConfig("a", { connection: far });
    const hintsOf = async (first: BackendConfig, second: BackendConfig | null): Promise<string> => {
      const b = bench();
      await b.applied(first);
      if (second !== null) {
        await b.comesUp("one");
        await b.applied(second);
      }
      await b.dies("no answer");
      return b
        .view()
        .conditions.map(({ hint }) => hint)
        .join();
    };
    const elsewhere =
      "Check that `url` is its MCP endpoint, and see what the server at https://far.example:1 logs.";
    const here = "`mountaineer backends logs a` shows what it wrote.";
    const change = "Mend its configuration or take the change back. ";
    assert.equal(await hintsOf(remote, null), elsewhere);
    assert.equal(await hintsOf(CHANGED, null), here);
    assert.equal(await hintsOf(CHANGED, remote), change + elsewhere);
    assert.equal(await hintsOf(remote, CHANGED), change + here);
  });

  it("B6 what keeps it from starting is announced once, and again when it is something else", async () => {
    const b = bench();
    for (const variable of ["ONE", "ONE", "TWO"]) {
      b.apply(needing(variable));
      await b.clock.advance(10_000);
    }
    const told = b.told.flatMap((one) => (one.name === "backend.phase" ? [`${one.to}: ${one.reason}`] : []));
    assert.deepEqual(told, [
      "Failed: not set in the environment: ONE",
      "Failed: not set in the environment: TWO",
    ]);
  });

  it("B6 an unset variable is a condition that names it; there is no try until the config changes", async () => {
    const needy = needing("TOKEN");
    const b = bench();
    b.apply(needy);
    await b.clock.advance(120_000);
    b.is({ starts: 0, phase: "Failed", codes: ["secret_missing"] });
    assert.match(b.view().conditions[0]?.title ?? "", /TOKEN/);
    assert.match(errorText(await b.call()), /TOKEN/);
    await b.pool.settled(new AbortController().signal);

    const serving = await ready();
    await serving.applied(needy);
    serving.is({ names: ["one"], phase: "Degraded", codes: ["change_failed"] });
    assert.ok(serving.events().includes("backend.change_failed"));
    await serving.applied(backendConfig("a"));
    assert.deepEqual(serving.codes(), []);

    const set = bench({ TOKEN: "s3cret" });
    await set.applied(needy);
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
    assert.deepEqual([hung.checks, b.view().phase], [2, "Ready"]);
    hung.see({ missedChecks: 2, checkedAtMs: b.clock.monotonicMs() });
    await settle();
    b.is({ phase: "Degraded", codes: ["not_answering"] });
    await b.clock.advance(10_000);
    hung.see({ missedChecks: 3, checkedAtMs: b.clock.monotonicMs() });
    await settle();
    b.is({ starts: 2, names: ["one"] });
    await b.comesUp("one");
    assert.deepEqual([hung.isClosed, b.view().phase], [true, "Ready"]);
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
    await b.comesUp("one");
    b.is({ names: ["one"], phase: "Ready" });
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
    assert.deepEqual([other.isClosed, hung?.isClosed, b.view().phase], [true, false, "Ready"]);
  });

  it("five calls in a row that timed out are a reason to check at once", async () => {
    const b = await ready();
    const calls = async (count: number, reply: Reply = errorReply(REQUEST_TIMEOUT, "too slow")) => {
      for (let call = 0; call < count; call++) {
        const answer = b.call();
        b.script.last.answer(reply);
        await answer;
      }
      await settle();
    };
    await calls(4);
    await calls(1, { result: {} });
    await calls(4);
    assert.equal(b.script.last.checks, 0, "an answer came between");
    await calls(1);
    assert.equal(b.script.last.checks, 1);
    b.script.last.see({ checkedAtMs: b.clock.monotonicMs() });
    await calls(1);
    await b.clock.advance(29_999);
    assert.equal(b.script.last.checks, 1, "it answered: no reason to ask more often than others");
    await b.clock.advance(1);
    assert.equal(b.script.last.checks, 2);
  });

  it("lists that could not be read again are a condition, and read again with backoff", async () => {
    const b = await ready();
    b.script.last.see({ listsStaleBecause: "tools/list was answered with an error" });
    await settle();
    b.is({ codes: ["lists_stale"], phase: "Degraded" });
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
