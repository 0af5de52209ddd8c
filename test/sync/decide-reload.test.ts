import assert from "node:assert/strict";
import test from "node:test";
import {
  decideReload,
  type ReloadLook,
  type ReloadMemory,
  type SeenFile,
} from "../../src/sync/decide-reload.ts";

const content = (sha256: string, text = sha256): SeenFile => ({
  kind: "content",
  sha256,
  bytes: new TextEncoder().encode(text),
});
const MEMORY: ReloadMemory = { runningSha256: "run", expectedSha256: null, problem: null };
const REJECTED = { ...MEMORY, problem: { kind: "rejected", sha256: "bad" } } as const;
const FAILED = { ...MEMORY, problem: { kind: "failed", sha256: "new" } } as const;
const UNREADABLE = { ...MEMORY, problem: { kind: "unreadable", sha256: null } } as const;
const EXPECTING = { ...MEMORY, expectedSha256: "run" };
const UNASKED: ReloadLook = { asked: false, noticed: false, second: false };
const NOTICED: ReloadLook = { asked: false, noticed: true, second: false };
const ASKED: ReloadLook = { asked: true, noticed: true, second: false };
const SECOND: ReloadLook = { asked: false, noticed: true, second: true };

const TABLE: readonly [string, SeenFile, ReloadMemory, ReloadLook, string][] = [
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
  ["B4 the same rejected bytes, asked for", content("bad"), REJECTED, ASKED, "offer"],
  ["B4 other bytes after rejected ones", content("new"), REJECTED, NOTICED, "offer"],
  ["B4 bytes that failed for a passing reason", content("new"), FAILED, UNASKED, "offer"],
  ["B1 new bytes", content("new"), MEMORY, NOTICED, "offer"],
  [
    "B1 any bytes when what runs is no file's",
    content("new"),
    { ...MEMORY, runningSha256: null },
    UNASKED,
    "offer",
  ],
  ["an empty file, at first", content("none", ""), MEMORY, NOTICED, "look_again"],
  ["an empty file, asked for", content("none", ""), MEMORY, ASKED, "look_again"],
  ["an empty file that stays empty", content("none", ""), MEMORY, SECOND, "offer"],
  ["an empty file that runs", content("run", ""), MEMORY, UNASKED, "rest"],
];

for (const [title, seen, memory, look, expected] of TABLE) {
  test(`${title}: ${expected}`, () => {
    assert.equal(decideReload(seen, memory, look).do, expected);
  });
}
