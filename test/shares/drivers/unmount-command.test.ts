// What is told of a program that was to unmount: the words that people and the ladders' own rules read.
import assert from "node:assert/strict";
import test from "node:test";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { runUnmountProgram } from "../../../src/shares/drivers/unmount-command.ts";

const said = (script: string, { name, deadlineMs = 20_000 }: { name?: string; deadlineMs?: number } = {}) =>
  runUnmountProgram(
    { command: "/bin/sh", args: ["-c", script], ...(name === undefined ? {} : { name }) },
    { clock: systemClock, deadlineMs },
  );

test("one that ends well said nothing, whatever it wrote", async () => {
  assert.equal(await said("echo 'umount: unmounted' >&2"), "");
});

test("what it wrote is one line, of stderr before stdout", async () => {
  assert.equal(await said("echo out; printf ' a \\n\\n  b\\n' >&2; exit 1"), "a b");
  assert.equal(await said("echo out; exit 1"), "out");
});

test("its words are those of no language but English", async () => {
  assert.equal(await said("echo $LC_ALL; exit 1"), "C");
});

test("one that wrote nothing is told by its code or signal, under the caller's name for it", async () => {
  assert.equal(await said("exit 32"), "/bin/sh ended with 32");
  assert.equal(await said("exit 32", { name: "umount" }), "umount ended with 32");
  assert.equal(await said("kill -KILL $$", { name: "umount" }), "umount ended with SIGKILL");
});

test("one that hangs is told with its deadline in whole milliseconds", async () => {
  assert.equal(
    await said("exec sleep 600", { name: "umount", deadlineMs: 50.4 }),
    "umount did not end within 50 ms",
  );
});

test("one that is not there is told, not thrown", async () => {
  const missing = { command: "/nowhere/umount", args: [] };
  assert.match(await runUnmountProgram(missing, { clock: systemClock, deadlineMs: 20_000 }), /nowhere/);
});
