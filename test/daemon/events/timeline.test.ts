import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackendStatus, ShareStatus } from "../../../src/api/contract/contract.ts";
import { timelineReportShape } from "../../../src/api/contract/timeline.ts";
import type { ServiceTransition } from "../../../src/daemon/events/service-transitions.ts";
import {
  DAY_MS,
  type KnownTimeline,
  knownShape,
  MOST_CHANGES,
  MOST_GAPS,
  startTimeline,
  UNWATCHED_MS,
} from "../../../src/daemon/events/timeline.ts";
import { createBus } from "../../../src/runtime/bus.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { sampleShare } from "../../api/sample-report.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock } from "../../support/manual-clock.ts";

function bench() {
  const clock = createManualClock();
  const startMs = clock.wallMs();
  const bus = createBus<ServiceTransition>({ onListenerError: (error) => assert.fail(String(error)) });
  const now: { shares: ShareStatus[]; backends: BackendStatus[] } = { shares: [], backends: [] };
  let looks = 0;
  const status = () => {
    looks++;
    return now;
  };
  const unseen = new Set<string>();
  const isObserved = (share: string) => !unseen.has(share);
  const options = { clock, bus, status, isObserved };
  const begin = (before: KnownTimeline | null = null, follows = false) =>
    startTimeline(options, before, follows);
  const seconds = (iso: string): number => (Date.parse(iso) - startMs) / 1_000;
  const ends = ({ from, to }: { readonly from: string; readonly to: string }) => [seconds(from), seconds(to)];
  return { clock, startMs, bus, now, unseen, begin, seconds, ends, looks: () => looks };
}

const error = (share: string): ServiceTransition => ({ name: "share.error", share, reason: "x" });
const phase = (backend: string, to: string): ServiceTransition => ({
  name: "backend.phase",
  backend,
  from: "Ready",
  to,
  reason: null,
  took_ms: 1,
});

test("F9 the timeline merges unchanged states into spans, from when it began to now", async () => {
  const b = bench();
  b.now.shares = [sampleShare({ name: "CORE", mount_state: "mounted", active_interface: "tb" })];
  b.now.backends = [sampleBackend({ name: "files", phase: "Ready" })];
  using timeline = b.begin();
  const turn = async (route: ShareStatus["active_interface"], afterMs: number) => {
    await b.clock.advance(afterMs);
    b.now.shares = [sampleShare({ name: "CORE", mount_state: "mounted", active_interface: route })];
    b.bus.publish(error("CORE"));
    await b.clock.advance(1_000);
  };
  await turn("tb", 9_000);
  await turn("fallback", 9_000);
  b.bus.publish(phase("files", "Failed"));
  b.bus.publish(phase("files", "Ready"));
  await turn("tb", 9_000);
  b.now.shares = [];
  const report = await timeline.timeline();
  assert.equal(timelineReportShape.faultIn(report), null);
  assertEach(
    report.shares,
    ({ name, spans }) => [
      name,
      spans.map(({ from, to, state, route }) => [b.seconds(from), b.seconds(to), state, route]),
    ],
    [
      [
        "CORE",
        [
          [0, 19.1, "mounted", "tb"],
          [19.1, 29.1, "mounted", "fallback"],
          [29.1, 30, "mounted", "tb"],
        ],
      ],
    ],
  );
  assertEach(
    report.backends,
    ({ name, spans }) => [name, spans.map((span) => [b.seconds(span.from), b.seconds(span.to), span.phase])],
    [
      [
        "files",
        [
          [0, 20, "Ready"],
          [20, 20, "Failed"],
          [20, 30, "Ready"],
        ],
      ],
    ],
    "a phase that was over at once is seen",
  );
  assert.equal(b.seconds(report.known_since), 0);
  assert.equal(b.seconds(report.to), 30);
  await b.clock.advance(60_000);
  assert.equal(
    b.seconds((await timeline.timeline()).shares[0]?.spans.at(-1)?.to ?? ""),
    30,
    "it was removed",
  );
});

test("a thousand transitions at once cause one check, and none happens after the end", async () => {
  const b = bench();
  const timeline = b.begin();
  const before = b.looks();
  for (let nth = 0; nth < 1_000; nth++) b.bus.publish(error("CORE"));
  assert.equal(b.looks(), before);
  await b.clock.advance(1_000);
  assert.equal(b.looks(), before + 1);
  b.bus.publish(error("CORE"));
  timeline[Symbol.dispose]();
  b.bus.publish(error("CORE"));
  await b.clock.advance(1_000);
  assert.equal(b.looks(), before + 1);
});

/** CORE is mounted over Thunderbolt, `files` is Ready: from `since` until `until`, and still then. */
function knownOf(since: number, until: number, more: Partial<KnownTimeline> = {}): KnownTimeline {
  return {
    since,
    until,
    gaps: [],
    shares: [{ at: since, name: "CORE", state: { state: "mounted", route: "tb", impact: "fine" } }],
    backends: [{ at: since, name: "files", state: { phase: "Ready", impact: "fine" } }],
    ...more,
  };
}

function sameAsBefore(b: ReturnType<typeof bench>): void {
  b.now.shares = [sampleShare({ name: "CORE", mount_state: "mounted", active_interface: "tb" })];
  b.now.backends = [sampleBackend({ name: "files", phase: "Ready" })];
}

const HOUR_MS = 3_600_000;

test("time without a daemon is a gap, though everything is afterwards as it was before", async () => {
  const b = bench();
  sameAsBefore(b);
  using timeline = b.begin(knownOf(b.startMs - 3 * HOUR_MS, b.startMs - HOUR_MS));
  await b.clock.advance(60_000);
  const report = await timeline.timeline();
  assert.equal(timelineReportShape.faultIn(report), null);
  assert.equal(b.seconds(report.known_since), -3 * 3_600);
  assertEach(report.gaps, b.ends, [[-3_600, 0]]);
  for (const { spans } of [...report.shares, ...report.backends]) {
    assertEach(spans, b.ends, [
      [-3 * 3_600, -3_600],
      [0, 60],
    ]);
  }
  await b.clock.advance(DAY_MS - 1_000);
  const later = await timeline.timeline();
  assert.deepEqual(later.gaps, []);
  assert.equal(later.shares[0]?.spans.length, 1);
});

test("B11 after a handover of seconds the last state continues; after a longer one there is a gap", async () => {
  for (const [awayMs, expected] of [
    [20_000, [[-3_600, 10]]],
    [
      120_000,
      [
        [-3_600, -120],
        [0, 10],
      ],
    ],
  ] as const) {
    const b = bench();
    sameAsBefore(b);
    using timeline = b.begin(knownOf(b.startMs - HOUR_MS, b.startMs - awayMs), true);
    await b.clock.advance(10_000);
    const report = await timeline.timeline();
    assert.equal(report.gaps.length, expected.length - 1);
    for (const { spans } of [...report.shares, ...report.backends]) {
      assertEach(spans, b.ends, expected);
    }
  }
});

test("a share is not reported as unmounted before it was checked; one removed from the file ends", async () => {
  const b = bench();
  b.now.shares = [sampleShare({ name: "CORE", mount_state: "unmounted", active_interface: "tb" })];
  b.unseen.add("CORE");
  using timeline = b.begin(knownOf(b.startMs - HOUR_MS, b.startMs - 5_000), true);
  await b.clock.advance(2_500);
  b.unseen.delete("CORE");
  b.now.shares = [sampleShare({ name: "CORE", mount_state: "mounted", active_interface: "tb" })];
  // No transition tells of it: the mount was there all the time.
  await b.clock.advance(1_000);
  const looks = b.looks();
  await b.clock.advance(50_000);
  assert.equal(b.looks(), looks, "all was seen");
  await b.clock.advance(10_000);
  assert.equal(b.looks(), looks + 1, "each minute, whether anything happens or not");
  const report = await timeline.timeline();
  assertEach(report.shares[0]?.spans, ({ from, to, state }) => [b.seconds(from), b.seconds(to), state], [
    [-3_600, 63.5, "mounted"],
  ]);
  assert.equal(b.seconds(report.backends[0]?.spans.at(-1)?.to ?? ""), 0);
});

test("a clock that was set back before the start, or while it runs, makes nothing end before it began", async () => {
  const b = bench();
  sameAsBefore(b);
  const known = knownOf(b.startMs - HOUR_MS, b.startMs + HOUR_MS, {
    gaps: [{ from: b.startMs - 1_000, to: b.startMs + 1_000 }],
  });
  for (const follows of [true, false]) {
    using timeline = b.begin(known, follows);
    const check = async (): Promise<void> => {
      const report = await timeline.timeline();
      const { from, to, known_since, gaps, shares, backends } = report;
      assert.ok(known_since <= to);
      const lists = [gaps, ...shares.map(({ spans }) => spans), ...backends.map(({ spans }) => spans)];
      for (const list of lists) {
        const times = [from, ...list.flatMap((span) => [span.from, span.to]), to];
        assert.deepEqual(times, times.toSorted(), JSON.stringify(list));
      }
      assert.equal(shares[0]?.spans.at(-1)?.to, to);
      assert.equal(knownShape.faultIn(timeline.known()), null);
    };
    await check();
    for (const jumpMs of [-5 * HOUR_MS, -60_000, 3 * HOUR_MS, HOUR_MS, -3 * HOUR_MS, HOUR_MS, -2 * DAY_MS]) {
      b.clock.jumpWall(jumpMs);
      b.bus.publish(phase("files", "Failed"));
      b.bus.publish(phase("files", "Ready"));
      await check();
      await b.clock.advance(1_000);
      await check();
    }
    b.clock.jumpWall(b.startMs - b.clock.wallMs());
  }
});

test("the time that a machine slept, or that its clock was moved forward by, is a gap", async () => {
  const b = bench();
  sameAsBefore(b);
  using timeline = b.begin();
  await b.clock.advance(60_000);
  b.clock.jumpWall(UNWATCHED_MS - 60_000);
  await b.clock.advance(60_000);
  assert.deepEqual((await timeline.timeline()).gaps, []);
  b.clock.jumpWall(HOUR_MS);
  // The first thing that is heard of afterwards.
  b.bus.publish(phase("files", "Failed"));
  const report = await timeline.timeline();
  const [gap] = report.gaps;
  assert.deepEqual([gap && b.seconds(gap.from), gap && b.seconds(gap.to)], [210, 3_810]);
  assertEach(report.shares[0]?.spans, b.ends, [
    [0, 210],
    [3_810, 3_810],
  ]);
  assertEach(report.backends[0]?.spans, ({ to, phase: was }) => [b.seconds(to), was], [
    [210, "Ready"],
    [3_810, "Failed"],
    [3_810, "Ready"],
  ]);
});

test("a clock that jumps back and forth while nothing reads leaves no gap twice", async () => {
  const b = bench();
  sameAsBefore(b);
  using timeline = b.begin();
  await b.clock.advance(30_000);
  for (const jumpMs of [HOUR_MS, -2 * HOUR_MS, 2 * HOUR_MS]) {
    b.clock.jumpWall(jumpMs);
    b.bus.publish(phase("files", "Failed"));
  }
  const known = timeline.known();
  assertEach(known.gaps, ({ from, to }) => [from - b.startMs, to - b.startMs], [
    [30_000 - HOUR_MS, 30_000 + HOUR_MS],
  ]);
});

test("after a day full of restarts the newest gaps are known, and nothing before them", async () => {
  const b = bench();
  const gaps = Array.from({ length: MOST_GAPS }, (_, nth) => ({
    from: b.startMs - HOUR_MS + nth * 1_000,
    to: b.startMs - HOUR_MS + nth * 1_000 + 500,
  }));
  using timeline = b.begin(knownOf(b.startMs - 2 * HOUR_MS, b.startMs - 60_000, { gaps }));
  const report = await timeline.timeline();
  assert.equal(report.gaps.length, MOST_GAPS);
  assert.equal(b.seconds(report.gaps.at(-1)?.to ?? ""), 0);
  assert.equal(b.seconds(report.known_since), -3_600 + 0.5);
});

test("a state that ended more than a day ago is dropped from the past", async () => {
  const b = bench();
  sameAsBefore(b);
  using timeline = b.begin(knownOf(b.startMs - 2 * DAY_MS, b.startMs - DAY_MS - 1));
  const report = await timeline.timeline();
  assert.deepEqual([b.seconds(report.known_since), report.gaps], [0, []]);
});

test("states older than a day are forgotten, except the one in effect then", async () => {
  const b = bench();
  sameAsBefore(b);
  using timeline = b.begin();
  await b.clock.advance(HOUR_MS);
  b.bus.publish(phase("files", "Failed"));
  b.now.backends = [sampleBackend({ name: "files", phase: "Failed" })];
  b.now.shares = [];
  await b.clock.advance(DAY_MS + HOUR_MS);
  const { shares, backends, from } = await timeline.timeline();
  assert.deepEqual(shares, []);
  assertEach(backends, ({ spans }) => spans.map((span) => [span.from, span.phase]), [[[from, "Failed"]]]);
});

test("F2 a restless backend loses its own oldest changes; shares and calm backends keep their day", async () => {
  const b = bench();
  sameAsBefore(b);
  b.now.backends = [sampleBackend({ name: "calm", phase: "Ready" }), sampleBackend({ name: "files" })];
  using timeline = b.begin();
  await b.clock.advance(60_000);
  b.now.shares = [sampleShare({ name: "CORE", mount_state: "mounted", active_interface: "fallback" })];
  b.bus.publish(phase("calm", "Failed"));
  b.bus.publish(phase("calm", "Ready"));
  await b.clock.advance(60_000);
  for (let nth = 0; nth < 3 * MOST_CHANGES; nth++) {
    if (nth % 100 === 0) await b.clock.advance(10_000);
    b.bus.publish(phase("files", nth % 2 === 0 ? "Failed" : "Ready"));
  }
  b.now.backends = [sampleBackend({ name: "calm", phase: "Ready" })];
  await b.clock.advance(1_000);
  b.now.backends = [sampleBackend({ name: "calm", phase: "Ready" }), sampleBackend({ name: "files" })];
  const { known_since, shares, backends } = await timeline.timeline();
  assert.equal(b.seconds(known_since), 0);
  assertEach(shares, ({ spans }) => spans.map(({ from, route }) => [b.seconds(from), route]), [
    [
      [0, "tb"],
      [60.1, "fallback"],
    ],
  ]);
  const [calm, files] = backends;
  assertEach(calm?.spans, (span) => [b.seconds(span.from), span.phase], [
    [0, "Ready"],
    [60, "Failed"],
    [60, "Ready"],
  ]);
  const { length } = files?.spans ?? [];
  assert.ok(length > MOST_CHANGES / 3 && length <= MOST_CHANGES, `${length}`);
});

test("however many backends appear and disappear, their history stays bounded, and present ones are reported", async () => {
  const b = bench();
  using timeline = b.begin();
  for (let nth = 0; nth < MOST_CHANGES; nth++) {
    b.now.backends = [sampleBackend({ name: "here" }), sampleBackend({ name: `passing ${nth}` })];
    timeline.known();
  }
  const { backends } = timeline.known();
  assert.ok(backends.length <= MOST_CHANGES, `${backends.length}`);
  assertEach(
    (await timeline.timeline()).backends.filter(({ name }) => name === "here"),
    ({ spans }) => spans.length,
    [1],
  );
});
