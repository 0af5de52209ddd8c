// A home's daemons, one after the other, as far as their numbers are concerned: real files, a clock that is played.
import assert from "node:assert/strict";
import { join } from "node:path";
import type { BackendStatus, ShareStatus } from "../../../src/api/contract/contract.ts";
import { type NumbersReport, numbersReportShape, seriesShape } from "../../../src/api/contract/numbers.ts";
import type { InputOf } from "../../../src/api/operations/operations.ts";
import type { ServiceTransition } from "../../../src/daemon/events/service-transitions.ts";
import { FILE_NAME, keepNumbers } from "../../../src/daemon/numbers/numbers-file.ts";
import type { Traffic } from "../../../src/daemon/numbers/subject.ts";
import { bucketOf, CALLS, ERRORS, TALLY_LENGTH } from "../../../src/gateway/telemetry/latency-buckets.ts";
import { createBus } from "../../../src/runtime/bus.ts";
import type { Clock } from "../../../src/runtime/time/clock.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { sampleShare } from "../../api/sample-report.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
/** A Monday. */
export const START_MS = Date.UTC(2026, 0, 5);

/** Runs its timers at once: a week takes less than a second. Files are written when the test waits. */
function playedClock() {
  const timers = new Map<object, { readonly dueMs: number; readonly callback: () => void }>();
  let [wall, monotonic] = [START_MS, 1_000];
  const clock: Clock = {
    wallMs: () => wall,
    monotonicMs: () => monotonic,
    setTimer(delayMs, callback) {
      const timer = { [Symbol.dispose]: () => void timers.delete(timer) };
      timers.set(timer, { dueMs: monotonic + delayMs, callback });
      return timer;
    },
    sleep: () => new Promise(() => {}),
  };
  const moveTo = (ms: number): void => {
    wall += ms - monotonic;
    monotonic = ms;
  };
  return {
    clock,
    jump(ms: number): void {
      wall += ms;
    },
    play(ms: number): void {
      const end = monotonic + ms;
      for (;;) {
        const [next] = [...timers].sort(([, a], [, b]) => a.dueMs - b.dueMs);
        if (next === undefined || next[1].dueMs > end) break;
        timers.delete(next[0]);
        moveTo(Math.max(monotonic, next[1].dueMs));
        next[1].callback();
      }
      moveTo(end);
    },
    pending: () => timers.size,
  };
}

export function numbersBench(home: string, played = playedClock()) {
  const bus = createBus<ServiceTransition>({ onListenerError: (error) => assert.fail(String(error)) });
  const logger = createRecordingLogger();
  const tallies = new Map<string, Uint32Array>();
  const now: { shares: ShareStatus[]; backends: BackendStatus[]; mount: Traffic | null } = {
    shares: [sampleShare({ name: "CORE", mount_state: "mounted", active_interface: "tb" })],
    backends: [sampleBackend({ name: "files", phase: "Ready" })],
    mount: { bytesUp: 0, bytesDown: 0, pauses: 0 },
  };
  const { clock } = played;
  return {
    ...played,
    path: join(home, FILE_NAME),
    bus,
    now,
    lines: logger.lines,
    told: () => logger.lines.map(({ level, message }) => `${level}: ${message}`),
    async start(over: Partial<Parameters<typeof keepNumbers>[0]> = {}) {
      const numbers = await keepNumbers({
        ...{ home, follows: false, clock, logger, bus, status: () => now, isObserved: () => true },
        moving(share) {
          assert.equal(share, now.shares[0]?.name, "the engine throws for a share that was removed");
          return now.mount;
        },
        takeCalls(visit) {
          for (const [name, tally] of tallies) visit(name, tally);
          tallies.clear();
        },
        ...over,
      });
      return {
        end: () => numbers[Symbol.asyncDispose](),
        report(): NumbersReport {
          const report = numbers.control.numbers();
          assert.equal(numbersReportShape.faultIn(report), null);
          return report;
        },
        series(of: InputOf<"series">["of"], name: string, span: InputOf<"series">["span"]) {
          const series = numbers.control.series({ of, name, span });
          assert.equal(seriesShape.faultIn(series), null);
          return series;
        },
      };
    },
    /** Calls of so many ms each, as the gateway counts them. */
    called(server: string, took: readonly number[], errors = 0): void {
      const tally = tallies.get(server) ?? new Uint32Array(TALLY_LENGTH);
      tallies.set(server, tally);
      const add = (index: number, count: number): void => {
        tally[index] = (tally[index] ?? 0) + count;
      };
      for (const ms of took) add(bucketOf(ms), 1);
      add(CALLS, took.length);
      add(ERRORS, errors);
    },
    /** The share is on another route, and the engine says so. */
    turn(to: "tb" | "fallback", share = "CORE"): void {
      now.shares = [sampleShare({ name: share, mount_state: "mounted", active_interface: to })];
      const from = to === "tb" ? "fallback" : "tb";
      const name = to === "tb" ? "share.recovered" : "share.failover";
      bus.publish({ name, share, from, to, host: "h", reason: "r", duration_ms: 1, moved: true });
    },
  };
}

/** Equal neighbours as one: `tb*2 null*3`. */
export function folded(items: readonly unknown[]): string {
  const runs: [unknown, number][] = [];
  for (const item of items) {
    const last = runs.at(-1);
    if (last !== undefined && Object.is(last[0], item)) last[1] += 1;
    else runs.push([item, 1]);
  }
  return runs.map(([item, count]) => `${item}*${count}`).join(" ");
}
