// Every way in which a test file can end is counted once, and said.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type FileEnd, type FileOutcome, fileOutcome } from "../../scripts/test-outcome.ts";
import type { TestEvent } from "../../scripts/test-reporter.ts";

const FINISHED: TestEvent = { event: "finished" };

type Ended = Extract<TestEvent, { event: "ended" }>;

function ended(name: string, more: Partial<Ended> = {}): TestEvent[] {
  const told: Ended = {
    ...{ event: "ended", name, nesting: 0, suite: false, passed: true, skipped: null },
    ...{ durationMs: 1, line: 3, error: null, ...more },
  };
  return [{ event: "started", name, nesting: told.nesting }, told];
}

function outcome(events: readonly TestEvent[], end: Partial<FileEnd> = {}, strictSkips = false): FileOutcome {
  const well = { exitCode: 0, signal: null, timedOutAfterMs: null, keptAlive: [], filtered: false };
  return fileOutcome(events, { ...well, leftBehind: [], ...end }, strictSkips);
}

test("a file's outcome counts tests, and no suites; each failure is told once, with its line", () => {
  const { passed, failures } = outcome(
    [
      ...ended("inner", { nesting: 1 }),
      ...ended("child", { nesting: 1, passed: false, error: "Error: no" }),
      ...ended("parent", { suite: true, passed: false }),
      FINISHED,
    ],
    { exitCode: 1 },
  );
  assert.equal(passed, 1);
  assert.deepEqual(failures, ["child (line 3)\nError: no"]);
});

test("of several files in one process, it names the file of each failure, and the one that ran no test", () => {
  const file = (name: string, inner: TestEvent[], passed = true): TestEvent[] => {
    const [started, end] = ended(name, { suite: true, passed });
    return [started, ...inner, end].filter((event) => event !== undefined);
  };
  const events = [
    ...file("a.test.ts", [...ended("good", { nesting: 1 }), ...ended("later", { nesting: 1, skipped: "x" })]),
    ...file("b.test.ts", ended("bad", { nesting: 1, passed: false, error: "Error: no" }), false),
    ...file("c.test.ts", []),
    FINISHED,
  ];
  const { passed, failures, byFile } = outcome(events, { exitCode: 1 });
  assert.equal(passed, 1);
  const [bad, empty] = ["bad (b.test.ts:3)\nError: no", "c.test.ts\nthe file ran no test"];
  assert.deepEqual(failures, [bad, empty]);
  assert.deepEqual(Object.fromEntries(byFile), {
    "a.test.ts": { passed: 1, skipped: 1, failures: [] },
    "b.test.ts": { passed: 0, skipped: 0, failures: [bad] },
    "c.test.ts": { passed: 0, skipped: 0, failures: [empty] },
  });
});

test("a skip is listed with its reason; where nothing may be missing it is a failure unless for macOS only", () => {
  const events = [
    ...ended("a", { skipped: "needs samba" }),
    ...ended("b", { skipped: "" }),
    ...ended("c", { skipped: "macOS only: needs configd" }),
    ...ended("d", { skipped: "not on Linux; macOS only" }),
    FINISHED,
  ];
  assert.deepEqual(outcome(events).skipped[0], { title: "a", reason: "needs samba" });
  assert.deepEqual(outcome(events).failures, []);
  const { skipped, failures } = outcome(events, {}, true);
  assert.deepEqual(skipped, [{ title: "c", reason: "macOS only: needs configd" }]);
  assert.match(failures.join("|"), /^a\n.*needs samba\|b\n.*no reason given\|d\n/);
});

describe("a file fails, too, when it", () => {
  const ran = [...ended("x"), FINISHED];
  const underWay: TestEvent[] = [...ended("x"), { event: "started", name: "y", nesting: 0 }];
  const hangs = { exitCode: null, signal: "SIGKILL", timedOutAfterMs: 4000 };
  const cases: readonly [string, readonly TestEvent[], Partial<FileEnd>, RegExp][] = [
    ["runs no test", [], {}, /ran no test/],
    ["cannot be loaded", [], { exitCode: 1 }, /ended with 1, though no test failed/],
    ["fails after its tests", ran, { exitCode: 7 }, /ended with 7, though no test failed/],
    ["exits amid its tests", underWay, {}, /ended with 0 before its tests did; under way: "y"/],
    ["is killed", ended("x"), { exitCode: null, signal: "SIGSEGV" }, /ended by SIGSEGV/],
    ["hangs", underWay, hangs, /within 4 s; under way: "y"/],
    ["is kept alive", ran, { ...hangs, keptAlive: ["{tcp}"] }, /keeps the process alive\n\{tcp\}$/],
    ["leaves something", ran, { leftBehind: ["process 7"] }, /^left behind:\nprocess 7/],
  ];
  for (const [name, events, end, expected] of cases) {
    test(name, () => {
      const { failures } = outcome(events, end);
      assert.equal(failures.length, 1);
      assert.match(failures[0] ?? "", expected);
    });
  }

  test("but not when the titles that were asked for are in other files", () => {
    assert.deepEqual(outcome([FINISHED], { filtered: true }).failures, []);
  });
});
