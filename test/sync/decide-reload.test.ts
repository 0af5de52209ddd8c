import assert from "node:assert/strict";
import test from "node:test";
import {
  decideReload,
  type LoadedContent,
  type ReloadLook,
  type ReloadMemory,
  retryDelayMs,
  type SeenFile,
} from "../../src/sync/decide-reload.ts";

type Loaded = LoadedContent<null> | null;
const content = (sha256: string, text = sha256, loaded: Loaded = null): SeenFile<null> => ({
  kind: "content",
  sha256,
  bytes: new TextEncoder().encode(text),
  loaded,
});
const RIGHT: Loaded = { ok: true, snapshot: null };
const WRONG: Loaded = { ok: false, reason: "line 3", mistakes: [] };
const MEMORY: ReloadMemory = { runningSha256: "run", expectedSha256: null, problem: null };
const REJECTED = { ...MEMORY, problem: { kind: "rejected", sha256: "bad" } } as const;
const FAILED = { ...MEMORY, problem: { kind: "failed", sha256: "new" } } as const;
const UNREADABLE = { ...MEMORY, problem: { kind: "unreadable", sha256: null } } as const;
const EXPECTING = { ...MEMORY, expectedSha256: "run" };
const UNASKED: ReloadLook = { asked: false, noticed: false, second: false };
const NOTICED: ReloadLook = { asked: false, noticed: true, second: false };
const ASKED: ReloadLook = { asked: true, noticed: true, second: false };
const SECOND: ReloadLook = { asked: false, noticed: true, second: true };

const TABLE: readonly [string, SeenFile<null>, ReloadMemory, ReloadLook, string][] = [
  ["B3 a missing file is no change", { kind: "missing" }, MEMORY, NOTICED, "rest"],
  ["B3 a missing file is no change, asked or not", { kind: "missing" }, MEMORY, ASKED, "rest"],
  ["B3 a missing file does not mend a rejected one", { kind: "missing" }, REJECTED, NOTICED, "rest"],
  ["B3 a missing file does not undo a passing failure", { kind: "missing" }, FAILED, NOTICED, "rest"],
  [
    "B4 a missing file can be read as well as it ever will",
    { kind: "missing" },
    UNREADABLE,
    NOTICED,
    "forget_problem",
  ],
  ["B4 an unreadable file is a failure", { kind: "unreadable", reason: "EIO" }, MEMORY, UNASKED, "fail"],
  ["B2 the running bytes, nobody wondering", content("run"), MEMORY, UNASKED, "rest"],
  ["B2 the running bytes after a noticed change", content("run"), MEMORY, NOTICED, "report_same"],
  ["B10 the running bytes, asked for", content("run"), MEMORY, ASKED, "report_same"],
  ["B10 the bytes that the service wrote itself", content("run"), EXPECTING, NOTICED, "rest"],
  ["B10 the bytes that the service wrote itself, asked for", content("run"), EXPECTING, ASKED, "report_same"],
  ["B4 the running bytes again after a rejected edit", content("run"), REJECTED, UNASKED, "report_same"],
  ["B4 the running bytes again after a passing failure", content("run"), FAILED, UNASKED, "report_same"],
  ["B4 the same rejected bytes", content("bad"), REJECTED, NOTICED, "rest"],
  ["B4 the same rejected bytes, asked for", content("bad"), REJECTED, ASKED, "load"],
  ["B4 other bytes after rejected ones", content("new"), REJECTED, NOTICED, "load"],
  ["B4 bytes that failed for a passing reason", content("new"), FAILED, UNASKED, "load"],
  ["B1 new bytes", content("new"), MEMORY, NOTICED, "load"],
  ["B1 new bytes, asked for", content("new"), MEMORY, ASKED, "load"],
  ["B1 new bytes that no detector has noticed", content("new"), MEMORY, UNASKED, "wait_until_quiet"],
  ["B1 new bytes that are right", content("new", "new", RIGHT), MEMORY, NOTICED, "apply"],
  ["B1 new bytes that are right, at the second look", content("new", "new", RIGHT), MEMORY, SECOND, "apply"],
  ["B4 new bytes that are wrong, at first", content("new", "new", WRONG), MEMORY, NOTICED, "look_again"],
  ["B4 new bytes that are wrong, asked for", content("new", "new", WRONG), MEMORY, ASKED, "look_again"],
  ["B4 new bytes that stay wrong", content("new", "new", WRONG), MEMORY, SECOND, "reject"],
  [
    "B4 other bytes that nobody noticed after failed ones",
    content("other"),
    FAILED,
    UNASKED,
    "wait_until_quiet",
  ],
  ["an empty file, at first", content("none", ""), MEMORY, NOTICED, "look_again"],
  ["an empty file, asked for", content("none", ""), MEMORY, ASKED, "look_again"],
  ["an empty file that stays empty", content("none", ""), MEMORY, SECOND, "load"],
  ["an empty file that runs", content("run", ""), MEMORY, UNASKED, "rest"],
];

for (const [title, seen, memory, look, expected] of TABLE) {
  test(`${title}: ${expected}`, () => {
    assert.equal(decideReload(seen, memory, look).do, expected);
  });
}

test("B4 backoff doubles the poll interval each time, 60 s at most; fixed stays at it", () => {
  const delays = (onFailure: "backoff" | "fixed", pollIntervalMs: number): number[] =>
    [1, 2, 3, 6, 10, 5_000].map((failures) => retryDelayMs({ onFailure, pollIntervalMs }, failures));
  assert.deepEqual(delays("backoff", 2_000), [2_000, 4_000, 8_000, 60_000, 60_000, 60_000]);
  assert.deepEqual(delays("backoff", 50), [50, 100, 200, 1_600, 25_600, 60_000]);
  assert.deepEqual(delays("backoff", 90_000), [60_000, 60_000, 60_000, 60_000, 60_000, 60_000]);
  assert.deepEqual(delays("fixed", 50), [50, 50, 50, 50, 50, 50]);
});
