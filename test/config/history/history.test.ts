import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { applyPatch } from "diff";
import {
  type AcceptedContent,
  openHistory as openHistoryOf,
  RETAINED_ENTRIES,
  refuseOtherEntry,
} from "../../../src/config/history/history.ts";
import { diffText } from "../../../src/config/history/text-diff.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { fc } from "../../support/properties.ts";
import { leaveTemporary } from "../../support/replaced-whole.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

function openHistory(home: string, name = "config.toml") {
  return openHistoryOf(home, join(home, name));
}

function content(text: string, source = "file"): AcceptedContent {
  const bytes = Buffer.from(text);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const time = "2026-11-20T08:00:00.000Z";
  return { bytes, sha256, format: "toml", source, summary: `about ${text}`, time };
}

test("the newest content is entry 0, and every content is restored byte for byte", async (t) => {
  const home = await temporaryFolder(t);
  const history = openHistory(home);
  assert.deepEqual(await history.list(), []);
  await assert.rejects(history.entry(0), { code: "history_unknown", hint: "it is empty" });
  assert.deepEqual(await readdir(home), [], "looking makes nothing");
  const first = content("a\r\n\0ü");
  assert.deepEqual(await history.record(first), { added: true, setAside: [] });
  await history.record(content("b", "edit"));
  const { time, sha256, format, source, summary } = first;
  assert.deepEqual((await history.list())[1], { n: 1, time, sha256, format, source, summary });
  assert.equal((await history.list())[0]?.source, "edit");
  assert.deepEqual(Buffer.from((await history.entry(1)).bytes), first.bytes);
  await assert.rejects(history.entry(2), { code: "history_unknown", hint: "its entries are 0 to 1" });
  await assert.rejects(history.entry(-1), { code: "history_unknown" });
  assert.deepEqual(await openHistory(home).list(), await history.list());
});

test("the newest content is stored with its file, readable only by its owner", async (t) => {
  const home = await temporaryFolder(t);
  const history = openHistory(home);
  assert.deepEqual(await history.newest(), []);
  await history.record(content("a"));
  await history.record(content("b", "edit"));
  await openHistory(home, "other.toml").record(content("c"));
  const [last] = await history.newest();
  assert.deepEqual([last?.entry.source, last?.bytes.toString()], ["edit", "b"]);
  assert.equal((await stat(last?.file ?? "")).mode & 0o777, 0o600);
});

test("a remark changes only the newest entry's summary, and never adds an entry: a rollback goes where it went", async (t) => {
  const history = openHistory(await temporaryFolder(t));
  const remark = (text: string) => ({ ...content(text), summary: "echo switched off", isRemark: true });
  await history.record(content("a"));
  assert.deepEqual(await history.record(remark("b")), { added: false, setAside: [] }, "of no entry");
  await history.record({ ...content("b", "edit"), inode: "7" });
  await history.record(remark("a"));
  const before = await history.list();
  await history.record(remark("b"));
  const [newest = assert.fail(), ...older] = await history.list();
  assert.deepEqual([{ ...newest, summary: "about b" }, ...older], before);
  assert.equal(newest.summary, "about b; echo switched off");
  assert.deepEqual(
    (await history.newest()).map(({ inode, bytes }) => [inode, String(bytes)]),
    [
      ["7", "b"],
      [null, "a"],
    ],
  );
  // Two at once, and more than a summary holds: why the entry was made stays, and so do the last ones.
  await Promise.all([history.record(remark("b")), history.record(remark("b"))]);
  assert.equal((await history.list())[0]?.summary, `about b${"; echo switched off".repeat(3)}`);
  for (let count = 0; count < 40; count += 1) await history.record(remark("b"));
  await history.record({ ...remark("b"), summary: "echo switched on" });
  const summary = (await history.list())[0]?.summary ?? "";
  assert.match(summary, /^about b; echo .* … .*; echo switched off; echo switched on$/);
  assert.ok(summary.length <= 500);
});

test("a process that was killed within a remark leaves one entry: a rollback goes where it went", async (t) => {
  const home = await temporaryFolder(t);
  const history = openHistory(home);
  for (const text of ["a", "b"]) await history.record(content(text));
  const [newest = assert.fail()] = await history.newest();
  const later = basename(newest.file).replace(/^\d{10}/, "0000000003");
  await copyFile(newest.file, join(dirname(newest.file), later));
  assert.deepEqual(
    (await history.list()).map(({ summary }) => summary),
    ["about b", "about a"],
  );
  assert.equal(String((await history.entry(1)).bytes), "a");
});

test("recording the newest content again adds nothing; an older one becomes a separate entry", async (t) => {
  const history = openHistory(await temporaryFolder(t));
  await history.record(content("a"));
  assert.deepEqual(await history.record(content("a", "edit")), { added: false, setAside: [] });
  await history.record(content("b"));
  const long = { ...content("a", "rollback"), summary: "x".repeat(501) };
  await Promise.all([
    assert.rejects(history.record({ ...content("c"), sha256: "of another content" }), TypeError),
    history.record(long),
  ]);
  const entries = await history.list();
  assertEach(entries, ({ n, source }) => `${n} ${source}`, ["0 rollback", "1 file", "2 file"]);
  assert.equal(entries[0]?.summary.length, 500);
});

test("the newest 50 are kept, private, even when all arrive at once", async (t) => {
  const home = await temporaryFolder(t);
  const history = openHistory(home);
  await Promise.all(Array.from({ length: 60 }, (_, index) => history.record(content(String(index)))));
  const entries = await history.list();
  assert.equal(entries.length, RETAINED_ENTRIES);
  assert.equal(entries[0]?.summary, "about 59");
  assert.equal(entries.at(-1)?.summary, "about 10");
  const files = await readdir(join(home, "history"));
  assert.equal(files.length, RETAINED_ENTRIES);
  assert.equal((await stat(join(home, "history"))).mode & 0o777, 0o700);
  assert.equal((await stat(join(home, "history", files[0] ?? ""))).mode & 0o777, 0o600);
});

test("a home keeps 500 entries of all its files together, and the oldest are dropped first", async (t) => {
  const home = await temporaryFolder(t);
  const folder = join(home, "history");
  await openHistory(home, "/elsewhere/config.toml").record(content("a"));
  const [first = ""] = await readdir(folder);
  const entry = await readFile(join(folder, first));
  for (let order = 2; order <= 505; order += 1) {
    await writeFile(join(folder, first.replace(/^\d+/, String(order).padStart(10, "0"))), entry);
  }
  await openHistory(home).record(content("b"));
  const orders = (await readdir(folder)).map((name) => Number.parseInt(name, 10)).sort((a, b) => a - b);
  assert.deepEqual([orders.length, orders[0], orders.at(-1)], [500, 7, 506]);
});

test("an unusable entry is left out, and set aside with the next record", async (t) => {
  const home = await temporaryFolder(t);
  const folder = join(home, "history");
  const history = openHistory(home);
  for (const text of ["one", "two", "three", "four"]) await history.record(content(text));
  const files = (await readdir(folder)).sort().map((file) => join(folder, file));
  const [cut = "", changed = "", headless = ""] = files;
  await truncate(cut, (await stat(cut)).size - 1);
  await writeFile(changed, (await readFile(changed, "utf8")).replace(/two$/, "tow"));
  await writeFile(headless, "{}");
  await writeFile(join(folder, "notes.txt"), "mine");
  assertEach(await history.list(), ({ n, summary }) => `${n} ${summary}`, ["0 about four"]);
  assert.equal((await history.corrupt()).length, 3);
  assert.equal((await readdir(folder)).length, 5, "looking changes nothing");
  const { added, setAside } = await history.record(content("five"));
  assert.ok(added);
  assert.deepEqual(new Set(setAside.map(({ file }) => file)), new Set([cut, changed, headless]));
  for (const { reason } of setAside) assert.ok(reason.length > 10);
  const left = (await readdir(folder)).filter((file) => file.endsWith(".corrupt"));
  assert.equal(left.length, 3);
  assert.deepEqual(await history.corrupt(), []);
  for (let round = 0; round < 20; round += 1) {
    await history.record(content(`more ${round}`));
    const newest =
      (await readdir(folder))
        .filter((file) => file.endsWith(".entry"))
        .sort()
        .at(-1) ?? "";
    await writeFile(join(folder, newest), "");
  }
  const kept = (await readdir(folder)).filter((file) => file.endsWith(".corrupt"));
  assert.equal(kept.length, 10, "the newest ten are kept aside");
  assert.deepEqual(
    kept.filter((file) => left.includes(file)),
    [],
  );
  assertEach(await history.list(), ({ summary }) => summary, ["about five", "about four"]);
});

test("kill -9 at any instant leaves whole entries: unnamed files are swept, and no name appears twice", async (t) => {
  const home = await temporaryFolder(t);
  const folder = join(home, "history");
  await openHistory(home).record(content("a"));
  const [first = ""] = await readdir(folder);
  await leaveTemporary(join(folder, first));
  const names = new Set<string | null>();
  const watcher = watch(folder, (_kind, name) => names.add(name));
  t.after(() => watcher.close());
  await openHistory(home).record(content("b"));
  await eventually(() =>
    [...names].some((name) => name?.startsWith(".0000000002-") && name.endsWith(".tmp")),
  );
  const files = (await readdir(folder)).toSorted();
  assertEach(files, (file) => file.slice(0, 10), ["0000000001", "0000000002"], files.join());
  assert.deepEqual(await openHistory(home).corrupt(), []);
});

test("each file has its own history", async (t) => {
  const home = await temporaryFolder(t);
  const one = openHistory(home);
  const other = openHistory(home, "elsewhere/other.toml");
  await one.record(content("a"));
  assert.ok((await other.record(content("a"))).added);
  await other.record(content("b"));
  const told = async (history: typeof one) => (await history.list()).map(({ summary }) => summary);
  assert.deepEqual(await told(one), ["about a"]);
  assert.deepEqual(await told(other), ["about b", "about a"]);
  for (let round = 0; round < RETAINED_ENTRIES + 3; round += 1) await other.record(content(`more ${round}`));
  assert.deepEqual(await told(one), ["about a"], "others' entries push none of ours out");
  assert.equal((await told(other)).length, RETAINED_ENTRIES);
});

test("an entry in the other format, or not the one shown, is not restored", async (t) => {
  const history = openHistory(await temporaryFolder(t), "config.yaml");
  await history.record(content("a"));
  const entry = await history.entry(0);
  assert.throws(() => refuseOtherEntry(entry, null, "/x/config.yaml"), {
    code: "history_unknown",
    message: /entry 0 is TOML, this file is YAML/,
  });
  assert.throws(() => refuseOtherEntry(entry, "0".repeat(64), "/x/a.toml"), { code: "config_changed" });
  refuseOtherEntry(entry, entry.sha256, "/x/a.toml");
});

test("an entry that disappears while the history is read is left out, and is not reported as corrupt", async (t) => {
  const home = await temporaryFolder(t);
  const history = openHistory(home);
  await history.record(content("a"));
  await symlink("gone", join(home, "history", "0000000009-00000000.entry"));
  assert.equal((await history.list()).length, 1);
  assert.deepEqual(await history.corrupt(), []);
});

test("a folder in an entry's place is unusable, and is set aside", async (t) => {
  const home = await temporaryFolder(t);
  const history = openHistory(home);
  await history.record(content("a"));
  const folder = join(home, "history", "0000000009-00000000.entry");
  await mkdir(join(folder, "deep"), { recursive: true });
  assert.equal((await history.list()).length, 1);
  assertEach(await history.corrupt(), ({ file }) => file, [folder]);
  assertEach((await history.record(content("b"))).setAside, ({ file }) => file, [folder]);
  assert.deepEqual(await history.corrupt(), []);
});

const NAMES = { before: "history/1", after: "running" };

test("equal texts have no difference", () => {
  assert.equal(diffText("a\n", "a\n", NAMES), "");
  assert.equal(diffText("", "", NAMES), "");
});

test("changes are shown with three lines around them, near ones together", () => {
  const old = Array.from({ length: 20 }, (_, index) => `${index}\n`).join("");
  const fresh = old.replace("3\n", "three\n").replace("7\n", "").replace("18\n", "18\nnew\n");
  assert.equal(
    diffText(old, fresh, NAMES),
    `--- history/1
+++ running
@@ -1,11 +1,10 @@
 0
 1
 2
-3
+three
 4
 5
 6
-7
 8
 9
 10
@@ -17,4 +16,5 @@
 16
 17
 18
+new
 19
`,
  );
});

test("a missing line break at the end is reported", () => {
  assert.equal(
    diffText("a\nb", "a\nb\n", NAMES),
    "--- history/1\n+++ running\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n",
  );
  assert.equal(diffText("", "a\n", NAMES), "--- history/1\n+++ running\n@@ -0,0 +1 @@\n+a\n");
  assert.equal(diffText("a\n", "", NAMES), "--- history/1\n+++ running\n@@ -1 +0,0 @@\n-a\n");
});

const hasPatch = spawnSync("patch", ["--version"]).status === 0;

test("patch makes the new text from the old one with it", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "mountaineer-test-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const line = fc.constantFrom("a\n", "b\n", "c\n", "\n", "d\r\n");
  const text = fc
    .tuple(fc.array(line, { maxLength: 30 }), fc.constantFrom("", "end"))
    .map(([lines, end]) => lines.join("") + end);
  fc.assert(
    fc.property(text, text, (before, after) => {
      const path = join(folder, "file");
      writeFileSync(path, before);
      const input = diffText(before, after, { before: "file", after: "file" });
      if (!hasPatch) {
        assert.equal(applyPatch(before, input, { autoConvertLineEndings: false }), after);
        return;
      }
      const { status, stdout } = spawnSync("patch", ["--binary", "-s", "-o", "out", path], {
        cwd: folder,
        input,
      });
      assert.equal(status, 0, `${stdout}${input}`);
      assert.equal(before === after ? after : readFileSync(join(folder, "out"), "utf8"), after);
    }),
    { numRuns: 60 },
  );
});

test("two texts with nothing in common are replaced whole, in bounded time", () => {
  const lines = (word: string): string =>
    Array.from({ length: 20_000 }, (_, index) => `${word}${index}\n`).join("");
  // Were the shortest way looked for, frontiers of 6 GB would be kept for it, which no heap holds.
  const diff = diffText(lines("a"), lines("b"), NAMES);
  assert.equal(diff.split("\n").length, 40_000 + 4);
});
