// Real files: a file that changes underneath, links, modes, full disks.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rmSync, statSync, writeFileSync } from "node:fs";
import {
  chmod,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ConfigEdit } from "../../../src/config/edit/edit-meaning.ts";
import { saveContent, saveEdit } from "../../../src/config/edit/save.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { assertReplacedWhole } from "../../support/replaced-whole.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";
import { bytes, PLACE } from "../support.ts";

const TEXT = `# mine\r\n[global]\r\ncheck_interval_secs = 2 # often\r\n`;

function interval(value: number | string): ConfigEdit[] {
  return [{ kind: "set", keyPath: ["global", "check_interval_secs"], value }];
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hasCode(code: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof MountaineerError, String(error));
    assert.equal(error.code, code);
    assert.ok(error.hint !== null);
    return true;
  };
}

test("B9 a save changes its bytes only, through links, and keeps the mode", async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, "dotfiles"));
  const real = join(folder, "dotfiles", "mountaineer.toml");
  const path = join(folder, "config.toml");
  await writeFile(real, TEXT);
  await chmod(real, 0o640);
  await symlink("dotfiles/mountaineer.toml", path);
  const saved = await saveEdit({ path, homeContext: PLACE, baseSha256: sha256(TEXT), edits: interval(0.5) });
  const expected = TEXT.replace("= 2", "= 0.5");
  assert.ok(saved.ok && saved.changed);
  assert.equal(saved.snapshot.config.global.checkIntervalMs, 500);
  assert.equal(saved.snapshot.sha256, sha256(expected));
  assert.deepEqual(Buffer.from(saved.bytes), Buffer.from(expected));
  assert.equal(await readFile(real, "utf8"), expected);
  assert.equal(await readlink(path), "dotfiles/mountaineer.toml");
  assert.equal((await stat(real)).mode & 0o777, 0o640);
  assert.deepEqual(await readdir(join(folder, "dotfiles")), ["mountaineer.toml"]);
});

test("B9 a save is refused when the file is not the one that was read", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  await writeFile(path, TEXT);
  const target = { path, homeContext: PLACE, baseSha256: sha256("other") };
  await assert.rejects(saveEdit({ ...target, edits: interval(1) }), hasCode("config_changed"));
  await assert.rejects(saveContent({ ...target, bytes: bytes("") }), hasCode("config_changed"));
  assert.equal(await readFile(path, "utf8"), TEXT);
  const gone = { ...target, path: `${path}.toml`, baseSha256: sha256(TEXT), edits: interval(1) };
  await assert.rejects(saveEdit(gone), hasCode("config_changed"));
});

test("B9 a save is refused when the file changes, appears or disappears during its edit", async (t) => {
  const folder = await temporaryFolder(t);
  const changes: readonly (readonly [string | null, string | null])[] = [
    [TEXT, TEXT.replace("mine", "theirs")],
    [null, TEXT],
    [TEXT, null],
  ];
  for (const [index, [before, after]] of changes.entries()) {
    const path = join(folder, `${index}.toml`);
    if (before !== null) await writeFile(path, before);
    const saving = saveEdit({
      ...{ path, homeContext: PLACE, baseSha256: before === null ? null : sha256(before) },
      /** Asked for once the file was read. */
      get edits() {
        if (after === null) rmSync(path);
        else writeFileSync(path, after);
        return interval(5);
      },
    });
    await assert.rejects(saving, hasCode("config_changed"));
    assert.equal(await readFile(path, "utf8").catch(() => null), after);
  }
});

test("E2 a person who may change no entry cannot move backends either, and changes nothing of an invalid file", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  const [one, two] = ['[backends.one]\ncommand = "a"\n', '[backends.two]\ncommand = "b"\n'];
  const target = { path, homeContext: PLACE, baseSha256: null, keepsEntries: true };
  for (const [before, after, isSaved] of [
    [one + two, two + one, false],
    [one + two, two, true],
    ["[backends", one, false],
    ["[backends", "[global]\ncheck_interval_secs = 3\n", true],
  ] as const) {
    await writeFile(path, before);
    const saving = saveContent({ ...target, bytes: bytes(after) });
    if (isSaved) await saving;
    else await assert.rejects(saving, hasCode("commands_refused"));
    assert.equal(await readFile(path, "utf8"), isSaved ? after : before);
  }
});

test("B9 a failed save does not fail the next one, and a hash is accepted in either letter case", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  await writeFile(path, TEXT);
  const target = { path, homeContext: PLACE, edits: interval(5) };
  const [first, second] = await Promise.allSettled([
    saveEdit({ ...target, baseSha256: sha256("other") }),
    saveEdit({ ...target, baseSha256: sha256(TEXT).toUpperCase() }),
  ]);
  assert.deepEqual([first.status, second.status], ["rejected", "fulfilled"]);
});

test("B9 of two saves based on the same file, one is refused", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  await writeFile(path, TEXT);
  const seen = { path, homeContext: PLACE, baseSha256: sha256(TEXT) };
  const results = await Promise.allSettled(
    [1, 3, 5].map((value) => saveEdit({ ...seen, edits: interval(value) })),
  );
  assertEach(results, ({ status }) => status, ["fulfilled", "rejected", "rejected"]);
  assert.equal(await readFile(path, "utf8"), TEXT.replace("= 2", "= 1"));
  // Those that look at what is there now all land, one after the other.
  const now = { path, homeContext: PLACE, baseSha256: null };
  const keys = ["mount_hang_secs", "auto_failback_stable_secs", "network_debounce_ms"];
  const edits = keys.map((key) => [{ kind: "set", keyPath: ["global", key], value: 7 }] as const);
  await Promise.all(edits.map((edit) => saveEdit({ ...now, edits: edit })));
  const text = await readFile(path, "utf8");
  for (const key of keys) assert.ok(text.includes(`${key} = 7\r\n`), text);
});

test("B6 an edit that would make an invalid configuration is not written, and every error is reported", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  await writeFile(path, TEXT);
  const target = { path, homeContext: PLACE, baseSha256: null };
  const saved = await saveEdit({ ...target, edits: interval("often") });
  assert.ok(!saved.ok);
  assertEach(
    saved.mistakes,
    (mistake) => [mistake.file, mistake.line, mistake.column, mistake.path, mistake.found],
    [[path, 3, 23, "global.check_interval_secs", 'string "often"']],
  );
  assert.ok(!(await saveContent({ ...target, bytes: bytes("x = 1\ny = 2\n") })).ok);
  assert.equal(await readFile(path, "utf8"), TEXT);
  // A file with mistakes of syntax is not edited; all that is wrong is told.
  await writeFile(path, "[global]\nx =\ny =\n");
  const broken = await saveEdit({ ...target, edits: interval(1) });
  assert.ok(!broken.ok && broken.mistakes.length === 2);
  // One with other mistakes can be mended by an edit.
  await writeFile(path, TEXT.replace("= 2", '= "2"'));
  assert.ok((await saveEdit({ ...target, edits: interval(1) })).ok);
});

test("nothing is written when the file has the value already", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  await writeFile(path, TEXT);
  const before = await stat(path);
  const saved = await saveEdit({ path, homeContext: PLACE, baseSha256: null, edits: interval(2) });
  assert.ok(saved.ok && !saved.changed);
  assert.ok((await saveContent({ path, homeContext: PLACE, baseSha256: null, bytes: bytes(TEXT) })).ok);
  assert.equal((await stat(path)).ino, before.ino);
});

test("a missing file is created, private", async (t) => {
  const path = join(await temporaryFolder(t), "home", "config.yaml");
  const share = { name: "A", thunderbolt_host: "10.0.0.1", fallback_host: "nas" };
  const edits: ConfigEdit[] = [{ kind: "add", list: "shares", entry: share }];
  assert.ok((await saveEdit({ path, homeContext: PLACE, baseSha256: null, edits })).ok);
  assert.equal(
    await readFile(path, "utf8"),
    "shares:\n  - name: A\n    thunderbolt_host: 10.0.0.1\n    fallback_host: nas\n",
  );
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test("a file that cannot be written stays, and the reason is reported", async (t) => {
  const disk = await mountTmpfs(t, "size=64k");
  if (disk === null) return;
  const path = join(disk, "config.toml");
  await writeFile(path, TEXT);
  await writeFile(join(disk, "ballast"), "x".repeat(64 * 1024)).catch(() => {});
  const big = `${TEXT}#${"y".repeat(60 * 1024)}\n`;
  const target = { path, homeContext: PLACE, baseSha256: null };
  await assert.rejects(saveContent({ ...target, bytes: bytes(big) }), hasCode("config_unwritable"));
  assert.equal(await readFile(path, "utf8"), TEXT);
  await assert.rejects(saveEdit({ ...target, path: disk, edits: [] }), { code: "config_unreadable" });
});

test("kill -9 at any instant leaves the old file or the new one: a save replaces the file", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  await writeFile(path, TEXT);
  await assertReplacedWhole(path, async () => {
    assert.ok((await saveEdit({ path, homeContext: PLACE, baseSha256: null, edits: interval(0.25) })).ok);
  });
  assert.ok((await lstat(path)).isFile());
});

test("a file that another program is writing in place is waited for, and its keys are kept", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  await writeFile(path, TEXT);
  for (const known of [null, { sha256: sha256(TEXT), runs: true }]) {
    for (const torn of ["", TEXT.slice(0, 20)]) {
      await writeFile(path, torn);
      const time = createManualClock();
      // Whatever this machine is held up by: the file was written just now.
      const clock = { ...time, wallMs: () => statSync(path).ctimeMs };
      const saving = saveEdit({
        path,
        homeContext: PLACE,
        baseSha256: null,
        known,
        edits: interval(5),
        clock,
      });
      await eventually(() => time.pendingTimers === 1);
      // Empty it is waited for, however still it is.
      for (let look = 0; torn === "" && look < 2; look++) {
        await time.advance(250);
        await eventually(() => time.pendingTimers === 1);
      }
      // The other one's second half, as of a slow disk.
      const whole = TEXT.replace("# mine", "# theirs");
      await writeFile(path, whole);
      assert.ok((await passTimeUntilSettled(time, saving, 250)).ok);
      assert.equal(await readFile(path, "utf8"), whole.replace("= 2", "= 5"));
    }
  }
});

test("a file that another program keeps writing is given up after 3 s, and one dated in the future is not waited for", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  const target = { path, homeContext: PLACE, baseSha256: null, edits: interval(5) };
  const laterSecs = Date.now() / 1_000 + 3_600;
  const changedMs = (): number => Math.max(statSync(path).ctimeMs, statSync(path).mtimeMs);
  const writeDated = async (count: number, atSecs: number): Promise<void> => {
    await writeFile(path, `${TEXT}# ${count}`);
    await utimes(path, atSecs, atSecs);
  };
  for (const [what, write] of [
    ["other bytes", (count: number) => writeFile(path, `${TEXT}# ${count}`)],
    ["the same bytes again", (count: number) => utimes(path, laterSecs, laterSecs + count)],
    ["other bytes, dated back", (count: number) => writeDated(count, 0)],
    [
      "other bytes at the same time, on a file system with coarse times",
      (count: number) => writeDated(count, laterSecs),
    ],
  ] as const) {
    await writeFile(path, TEXT);
    await write(0);
    const time = createManualClock();
    let writes = 0;
    const sleep: typeof time.sleep = async (delayMs) => {
      writes += 1;
      await write(writes);
      await time.advance(delayMs);
    };
    const clock = { ...time, sleep, wallMs: changedMs, monotonicMs: () => time.monotonicMs() };
    await assert.rejects(saveEdit({ ...target, clock }), hasCode("config_changed"), what);
    assert.equal(writes, 12, what);
    assert.ok((await readFile(path, "utf8")).startsWith(TEXT));
    const past = { ...time, sleep: () => assert.fail("waited"), wallMs: () => changedMs() - 60_000 };
    assert.ok((await saveEdit({ ...target, clock: past })).ok, what);
  }
});

test("B3 a running configuration is not replaced by one key where the file is empty or gone", async (t) => {
  const path = join(await temporaryFolder(t), "config.toml");
  const target = { path, homeContext: PLACE, baseSha256: null, known: { sha256: sha256(TEXT), runs: true } };
  await assert.rejects(saveEdit({ ...target, edits: interval(5) }), hasCode("config_unreadable"));
  await writeFile(path, "");
  await assert.rejects(saveEdit({ ...target, edits: interval(5) }), hasCode("config_unreadable"));
  assert.equal(await readFile(path, "utf8"), "");
  // An empty configuration that runs may be edited.
  const empty = { ...target, known: { sha256: sha256(""), runs: true } };
  assert.ok((await saveEdit({ ...empty, edits: interval(5) })).ok);
  // And content may be put back.
  await writeFile(path, "");
  assert.ok((await saveContent({ ...target, bytes: bytes(TEXT) })).ok);
});
