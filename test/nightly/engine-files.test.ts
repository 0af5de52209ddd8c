// The engine beside other clients of a real SMB server, which change its disk. Skipped where `npm run engine` has not
// built it.
import assert from "node:assert/strict";
import {
  access,
  appendFile,
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { systemErrorCode } from "../../src/runtime/errors.ts";
import { mounted, PLAIN_NAME } from "../shares/drivers/driver-contract.ts";
import { noSkip, startBench } from "../shares/drivers/rclone/bench.ts";
import { eventually } from "../support/eventually.ts";

const PROGRAM = join(import.meta.dirname, "../../rclone/rclone");
const skip =
  noSkip.skip ||
  (await access(PROGRAM).then(
    () => false,
    () => "npm run engine has not built it",
  ));

/** Whether a program gets a lock file of this name. */
async function locks(path: string): Promise<boolean> {
  try {
    await (await open(path, "wx")).close();
    return true;
  } catch (error) {
    if (systemErrorCode(error) !== "EEXIST") throw error;
    return false;
  }
}

test("A11 of two clients that make the same lock file, one gets it", { skip }, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  await mounted(bench.driver, share, "tb");
  // At once, while the file waits to be sent, and after.
  for (const pauseMs of [0, 300, 900, 2_000]) {
    const [ours, theirs] = [`ours-${pauseMs}`, `theirs-${pauseMs}`];
    assert.equal(await locks(join(share.mountPath, ours)), true);
    await pause(pauseMs);
    assert.equal(await locks(join(disk, ours)), false, `${pauseMs} ms after ours`);
    assert.equal(await locks(join(disk, theirs)), true);
    await writeFile(join(disk, theirs), "theirs");
    assert.equal(await locks(join(share.mountPath, theirs)), false, `after theirs, ${pauseMs} ms later`);
    assert.equal(await readFile(join(share.mountPath, theirs), "utf8"), "theirs");
  }
  await eventually(async () => (await bench.driver.unsent(share)).length === 0);
  for (const pauseMs of [0, 300, 900, 2_000])
    assert.equal(await readFile(join(disk, `theirs-${pauseMs}`), "utf8"), "theirs");
});

test("A11 a file that is changed keeps its mode, inode number and other bytes on the server", {
  skip,
}, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  const script = join(disk, "backup.sh");
  await writeFile(script, "#!/bin/sh\necho hi\n");
  await chmod(script, 0o750);
  const before = await stat(script);
  await mounted(bench.driver, share, "tb");
  const sent = () => eventually(async () => (await bench.driver.unsent(share)).length === 0);
  await appendFile(join(share.mountPath, "backup.sh"), "echo more\n");
  await sent();
  assert.equal(await readFile(script, "utf8"), "#!/bin/sh\necho hi\necho more\n");
  await writeFile(join(share.mountPath, "backup.sh"), "#!/bin/sh\n");
  await sent();
  assert.equal(await readFile(script, "utf8"), "#!/bin/sh\n");
  const after = await stat(script);
  assert.deepEqual([after.mode, after.ino], [before.mode, before.ino]);
});

test("A11 what another client changed in the meantime stays, and what was written here is set aside and named", {
  skip,
}, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  for (const name of ["open", "waiting"]) await writeFile(join(disk, name), "one\n");
  await mounted(bench.driver, share, "tb");
  const file = await open(join(share.mountPath, "open"), "a");
  await file.write("ours\n");
  await appendFile(join(disk, "open"), "theirs\n");
  await file.write("ours again\n");
  await file.close();

  await writeFile(join(share.mountPath, "waiting"), "ours, and the server is away\n");
  await bench.cut(share, "tb");
  await writeFile(join(disk, "waiting"), "theirs, meanwhile\n");
  await bench.rig.relays.tb.setMode("pass");

  await eventually(async () => (await bench.driver.unsent(share)).length === 0, 60_000);
  assert.equal(await readFile(join(disk, "open"), "utf8"), "one\ntheirs\n");
  assert.equal(await readFile(join(disk, "waiting"), "utf8"), "theirs, meanwhile\n");
  assert.equal(await readFile(join(share.mountPath, "waiting"), "utf8"), "theirs, meanwhile\n");
  const [aside] = (await bench.freshDriver().setAside?.(share)) ?? [];
  assert.deepEqual(aside?.files, ["open", "waiting"]);
  const kept = (name: string) => readFile(join(aside?.folder ?? "", "share", share.shareName, name), "utf8");
  assert.match(await kept("open"), /ours\nours again\n$/);
  assert.equal(await kept("waiting"), "ours, and the server is away\n");
});

test("A13 a program that opened a file writes into that file after a rename, though it writes for the first time", {
  skip,
}, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  const at = (...names: string[]): string => join(share.mountPath, ...names);
  await mkdir(join(disk, "folder"));
  for (const name of ["log", "folder/log", "replaced", "other"]) await writeFile(join(disk, name), "old, ");
  await mounted(bench.driver, share, "tb");
  const rotated = await open(at("log"), "a");
  await rename(at("log"), at("log.1"));
  await writeFile(at("log"), "a new log");
  await rotated.write("last words");
  await rotated.close();
  const moved = await open(at("folder", "log"), "a");
  await rename(at("folder"), at("moved"));
  await moved.write("last words");
  await moved.close();
  await writeFile(at("replaced"), "x".repeat(5_000));
  const reader = await open(at("replaced"), "r");
  await eventually(async () => (await bench.driver.unsent(share)).length === 0);
  await rename(at("other"), at("replaced"));
  const { buffer } = await reader.read(Buffer.alloc(10), 0, 10, 4_000);
  assert.equal(buffer.toString(), "x".repeat(10));
  await reader.close();
  assert.deepEqual((await readdir(disk)).sort(), ["log", "log.1", "moved", "replaced"]);
  assert.equal(await readFile(join(disk, "log"), "utf8"), "a new log");
  for (const name of ["log.1", "moved/log"])
    assert.equal(await readFile(join(disk, name), "utf8"), "old, last words");
});

test("A11 a file that is created exclusively, listed and renamed over another one is sent in its place", {
  skip,
}, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  const at = (name: string): string => join(share.mountPath, name);
  await writeFile(join(disk, "letter"), "old");
  await mounted(bench.driver, share, "tb");
  const saved = await open(at("letter.tmp"), "wx");
  await saved.write("a new letter");
  await writeFile(join(disk, "other"), "of another client");
  await eventually(async () => (await readdir(share.mountPath)).includes("other"));
  await rename(at("letter.tmp"), at("letter"));
  assert.equal(await readFile(at("letter"), "utf8"), "a new letter");
  await saved.close();
  await eventually(async () => (await bench.driver.unsent(share)).length === 0);
  assert.equal(await readFile(join(disk, "letter"), "utf8"), "a new letter");
});
