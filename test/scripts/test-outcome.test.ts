// Every way in which a test file can end is counted once, and said.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type FileEnd, fileOutcome } from "../../scripts/test-outcome.ts";
import type { TestEvent } from "../../scripts/test-reporter.ts";

const ENDED_WELL: FileEnd = {
  exitCode: 0,
  signal: null,
  timedOutAfterMs: null,
  keptAlive: [],
  filtered: false,
  leftBehind: [],
};
const FINISHED: TestEvent = { event: "finished" };

function ended(name: string, more: Partial<Extract<TestEvent, { event: "ended" }>> = {}): TestEvent[] {
  const nesting = more.nesting ?? 0;
  return [
    { event: "started", name, nesting },
    {
      event: "ended",
      name,
      nesting,
      suite: false,
      passed: true,
      skipped: null,
      durationMs: 1,
      line: 3,
      error: null,
      ...more,
    },
  ];
}

describe("a file's outcome", () => {
  test("counts tests, and no suites", () => {
    const events = [...ended("inner", { nesting: 1 }), ...ended("outer", { suite: true }), FINISHED];
    assert.deepEqual(fileOutcome(events, ENDED_WELL, false), {
      passed: 1,
      skipped: [],
      failures: [],
      notes: [],
      byFile: new Map(),
    });
  });

  test("tells each failure with its line, and its parents' once", () => {
    const events = [
      ...ended("child", { nesting: 1, passed: false, error: "Error: no" }),
      ...ended("parent", { passed: false }),
      FINISHED,
    ];
    const { failures } = fileOutcome(events, { ...ENDED_WELL, exitCode: 1 }, false);
    assert.deepEqual(failures, ["child (line 3)\nError: no"]);
  });

  test("of several files in one process, names the file of each failure, and the one that ran no test", () => {
    const file = (name: string, inner: TestEvent[], passed = true): TestEvent[] => {
      const [started, end] = ended(name, { suite: true, passed });
      return [started, ...inner, end].filter((event) => event !== undefined);
    };
    const events = [
      ...file("a.test.ts", ended("good", { nesting: 1 })),
      ...file("b.test.ts", ended("bad", { nesting: 1, passed: false, error: "Error: no" }), false),
      ...file("c.test.ts", []),
      FINISHED,
    ];
    const { passed, failures } = fileOutcome(events, { ...ENDED_WELL, exitCode: 1 }, false);
    assert.equal(passed, 1);
    assert.deepEqual(failures, ["bad (b.test.ts:3)\nError: no", "c.test.ts\nthe file ran no test"]);
  });

  test("lists what was skipped, and why", () => {
    const { skipped, failures } = fileOutcome(
      [...ended("later", { skipped: "needs samba" }), FINISHED],
      ENDED_WELL,
      false,
    );
    assert.deepEqual(skipped, [{ title: "later", reason: "needs samba" }]);
    assert.deepEqual(failures, []);
  });

  test("where nothing may be missing, a skip is a failure unless it is for macOS only", () => {
    const events = [
      ...ended("a", { skipped: "needs samba" }),
      ...ended("b", { skipped: "" }),
      ...ended("c", { skipped: "macOS only: needs configd" }),
      ...ended("d", { skipped: "not on Linux; macOS only" }),
      FINISHED,
    ];
    const { skipped, failures } = fileOutcome(events, ENDED_WELL, true);
    assert.deepEqual(
      skipped.map(({ title }) => title),
      ["c"],
    );
    assert.match(failures.join("|"), /^a\n.*needs samba\|b\n.*no reason given\|d\n/);
  });
});

describe("a file fails, too, when", () => {
  const cases: { name: string; events: TestEvent[]; end: Partial<FileEnd>; expected: RegExp }[] = [
    { name: "it runs no test", events: [], end: {}, expected: /ran no test/ },
    {
      name: "it cannot be loaded",
      events: [],
      end: { exitCode: 1 },
      expected: /ended with 1, though no test failed/,
    },
    {
      name: "something fails after its tests",
      events: [...ended("x"), FINISHED],
      end: { exitCode: 7 },
      expected: /ended with 7, though no test failed/,
    },
    {
      name: "it exits in the middle of its tests, even well",
      events: [...ended("x"), { event: "started", name: "y", nesting: 0 }],
      end: {},
      expected: /ended with 0 before its tests did; under way: "y"/,
    },
    {
      name: "it is killed",
      events: ended("x"),
      end: { exitCode: null, signal: "SIGSEGV" },
      expected: /ended by SIGSEGV/,
    },
    {
      name: "it hangs, naming the test",
      events: [...ended("x"), { event: "started", name: "hangs", nesting: 0 }],
      end: { exitCode: null, signal: "SIGKILL", timedOutAfterMs: 4000 },
      expected: /within 4 s; under way: "hangs"/,
    },
    {
      name: "something keeps it alive after its tests",
      events: [...ended("x"), FINISHED],
      end: { exitCode: null, signal: "SIGKILL", timedOutAfterMs: 4000, keptAlive: ['{"type":"tcp"}'] },
      expected: /its tests are over, and something keeps the process alive\n\{"type":"tcp"\}$/,
    },
    {
      name: "it leaves something behind",
      events: [...ended("x"), FINISHED],
      end: { leftBehind: ["process 7 is still running: smbd"] },
      expected: /^left behind:\nprocess 7/,
    },
  ];
  for (const { name, events, end, expected } of cases) {
    test(name, () => {
      const { failures } = fileOutcome(events, { ...ENDED_WELL, ...end }, false);
      assert.equal(failures.length, 1);
      assert.match(failures[0] ?? "", expected);
    });
  }

  test("but not when the titles that were asked for are in other files", () => {
    assert.deepEqual(fileOutcome([FINISHED], { ...ENDED_WELL, filtered: true }, false).failures, []);
  });
});
