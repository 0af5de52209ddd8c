import assert from "node:assert/strict";
import { test } from "node:test";
import type { PoolCall } from "../../../src/gateway/backends/policy/backend-pool-contract.ts";
import { errorReply, type Reply } from "../../../src/gateway/json-rpc.ts";
import { CallMinutes, MINUTE_MS, MOST_BACKENDS } from "../../../src/gateway/telemetry/call-minutes.ts";
import { bucketOf, CALLS, ERRORS } from "../../../src/gateway/telemetry/latency-buckets.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const OK: Reply = { result: {} };

function bench() {
  const clock = createManualClock();
  const minutes = new CallMinutes(clock);
  let answer: () => Promise<Reply> = async () => OK;
  const pool = minutes.counting({
    call: () => answer(),
    subscribe: async () => OK,
    unsubscribe: async () => OK,
    watchTask: async () => OK,
  });
  const call = (backend: string, signal: AbortSignal): Promise<Reply> => {
    const asked = { method: "tools/call", params: {}, signal } as unknown as PoolCall;
    return pool.call(backend, asked);
  };
  return {
    clock,
    minutes,
    /** A call that takes so long. */
    async took(
      backend: string,
      ms: number,
      reply: Reply | Error = OK,
      signal = new AbortController().signal,
    ) {
      const { promise, resolve } = Promise.withResolvers<void>();
      answer = async () => {
        await promise;
        if (reply instanceof Error) throw reply;
        return reply;
      };
      const calling = call(backend, signal);
      await clock.advance(ms);
      resolve();
      return calling;
    },
  };
}

test("F2 calls, errors and latency are counted by backend; a call that a client cancelled is not an error and has no latency", async () => {
  const { minutes, took } = bench();
  assert.deepEqual(minutes.of("files"), {
    ...{ calls: 0, errors: 0, latencyMs: null },
    recent: { calls: 0, errors: 0 },
  });
  await took("files", 10);
  await took("files", 10);
  await took("files", 10, errorReply(-32603, "no"));
  await took("files", 10, { result: { isError: true, content: [] } });
  await took("web", 1, new Error("broken")).catch(() => {});
  const cancelled = AbortSignal.abort();
  await took("files", 5_000, errorReply(-32603, "cancelled"), cancelled);
  const { calls, errors, latencyMs } = minutes.of("files");
  assert.deepEqual([calls, errors], [5, 2]);
  assert.ok(latencyMs !== null && latencyMs.p50 > 8.7 && latencyMs.p50 < 11.3, JSON.stringify(latencyMs));
  assert.equal(latencyMs.p99, latencyMs.p50);
  const web = minutes.of("web");
  assert.deepEqual([web.calls, web.errors], [1, 1]);
});

test("a percentile is never wrong by more than an eighth, from a tenth of a millisecond to two minutes", async () => {
  for (const ms of [0.2, 1, 3, 17, 250, 4_000, 90_000]) {
    const { minutes, took } = bench();
    for (let nth = 0; nth < 10; nth++) await took("files", ms);
    const p50 = minutes.of("files").latencyMs?.p50;
    assert.ok(p50 !== undefined && Math.abs(p50 / ms - 1) < 0.13, `${ms}: ${p50}`);
  }
});

test("the slowest of a hundred calls is visible in p99, and not in p50", async () => {
  const { minutes, took } = bench();
  for (let nth = 0; nth < 98; nth++) await took("files", 1);
  await took("files", 1_000);
  await took("files", 1_000);
  const { latencyMs } = minutes.of("files");
  assert.ok(latencyMs !== null && latencyMs.p50 < 1.2 && latencyMs.p99 > 850, JSON.stringify(latencyMs));
});

test("only the last five minutes are the present latency", async () => {
  const { clock, minutes, took } = bench();
  await took("files", 100);
  await clock.advance(10 * MINUTE_MS);
  assert.equal(minutes.of("files").latencyMs, null);
  await took("files", 1, errorReply(-1, "no"));
  assert.deepEqual(minutes.of("files").recent, { calls: 1, errors: 1 }, "the last five minutes alone");
  assert.ok((minutes.of("files").latencyMs?.p50 ?? 9) < 2);
  await clock.advance(25 * MINUTE_MS);
  await took("files", 1, OK, AbortSignal.abort());
  const { calls, recent, latencyMs } = minutes.of("files");
  assert.deepEqual(
    [calls, recent, latencyMs],
    [3, { calls: 1, errors: 0 }, null],
    "nothing of the earlier ones",
  );
});

test("a clock that is set back by a minute keeps counting in the earlier minute", async () => {
  const { clock, minutes, took } = bench();
  await took("files", 100);
  await clock.advance(MINUTE_MS);
  await took("files", 1);
  clock.jumpWall(-MINUTE_MS);
  await took("files", 100);
  await took("files", 100);
  clock.jumpWall(MINUTE_MS);
  assert.deepEqual(minutes.of("files").recent, { calls: 4, errors: 0 });
  assert.ok((minutes.of("files").latencyMs?.p50 ?? 0) > 87);
});

test("for any number of backends, a bounded number is counted", async () => {
  const { minutes, took } = bench();
  for (let nth = 0; nth < MOST_BACKENDS + 3; nth++) await took(`b${nth}`, 0);
  assertEach([0, 2, 3], (nth) => minutes.of(`b${nth}`).calls, [0, 0, 1]);
  assert.equal(minutes.of(`b${MOST_BACKENDS + 2}`).calls, 1);
});

test("F9 tallies have each call once, by duration; a cancelled one has none", async () => {
  const { minutes, took } = bench();
  for (const ms of [10, 10, 300]) await took("files", ms);
  await took("files", 10, errorReply(-32603, "no"));
  await took("files", 5, OK, AbortSignal.abort());
  const taken = (): Record<string, [number, number][]> => {
    const all: Record<string, [number, number][]> = {};
    minutes.take((name, tally) => {
      all[name] = [...tally.entries()].filter(([, count]) => count > 0);
    });
    return all;
  };
  const buckets: [number, number][] = [
    [bucketOf(10), 3],
    [bucketOf(300), 1],
  ];
  assert.deepEqual(taken(), { files: [...buckets, [CALLS, 5], [ERRORS, 1]] });
  assert.deepEqual(taken(), {});
});
