// The commands that mount where NetFS cannot be called, with programs in their place that show what they were given.
import assert from "node:assert/strict";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import {
  type CommandMount,
  mountByCommand,
  osascriptText,
  smbfsSource,
  withoutPasswords,
} from "../../../../src/shares/drivers/netfs/macos-mount-commands.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";

const MOUNT: CommandMount = {
  host: "nas.local",
  port: 445,
  shareName: "My Share",
  username: "ann",
  password: null,
  folder: null,
};
const HOSTILE = `a"b\\c" & (do shell script "x")`;

async function inPlace(t: TestContext, script: string) {
  const folder = await temporaryFolder(t);
  const program = join(folder, "program");
  await writeFile(
    program,
    `#!/bin/sh\nfor one in "$@"; do printf '%s\\n' "$one"; done > ${folder}/args\n${script.replaceAll("FOLDER", folder)}\n`,
  );
  await chmod(program, 0o755);
  return {
    run: (mount: Partial<CommandMount>, deadlineMs = 60_000) =>
      mountByCommand(
        { ...MOUNT, ...mount },
        { clock: systemClock, deadlineMs, signal: new AbortController().signal },
        { osascript: program, mountSmbfs: program },
      ),
    told: (name: "args" | "stdin") => readFile(join(folder, name), "utf8"),
  };
}

test("osascript gets its script by stdin, so that no password is in an argument", async (t) => {
  const { run, told } = await inPlace(t, "cat > FOLDER/stdin");
  assert.deepEqual(await run({ password: HOSTILE }), { ok: true });
  assert.equal(await told("args"), "-\n");
  assert.equal(
    await told("stdin"),
    `mount volume "smb://ann@nas.local/My%20Share" as user name "ann" with password "a\\"b\\\\c\\" & (do shell script \\"x\\")"\n`,
  );
});

test("a quote or a backslash ends no text of a script", () => {
  for (const password of ['"', "\\", '\\"', '"\\', HOSTILE, "\n"]) {
    const script = osascriptText({ ...MOUNT, username: password, password });
    const bare = script.replaceAll(/\\[\\"]/g, "");
    assert.equal(bare.split('"').length - 1, 6, script);
  }
  assert.equal(osascriptText(MOUNT), 'mount volume "smb://ann@nas.local/My%20Share" as user name "ann"\n');
  assert.equal(osascriptText({ ...MOUNT, username: null }), 'mount volume "smb://nas.local/My%20Share"\n');
});

test("osascript's failures have their reasons, without passwords", async (t) => {
  const { run } = await inPlace(
    t,
    `cat > FOLDER/stdin; echo 'execution error: smb://ann:s3cret@nas.local and s3cret. (-5023)' >&2; exit 1`,
  );
  const outcome = await run({ password: "s3cret" });
  assert.ok(!outcome.ok);
  assert.equal(outcome.reason, "wrong_credentials");
  assert.ok(!outcome.text.includes("s3cret"), outcome.text);
});

test("mount_smbfs mounts softly, asks nothing, on a folder of ours", async (t) => {
  const { run, told } = await inPlace(t, "");
  assert.deepEqual(await run({ folder: "/home/ann/-x y" }), { ok: true });
  assert.equal(await told("args"), "-N\n-o\nsoft\n--\n//ann@nas.local/My%20Share\n/home/ann/-x y\n");
  assert.equal(smbfsSource({ ...MOUNT, username: null, port: 4450 }), "//guest:@nas.local:4450/My%20Share");
});

test("a password is never handed to mount_smbfs, whose only way is an argument", async (t) => {
  const { run, told } = await inPlace(t, "");
  const outcome = await run({ folder: "/home/ann/x", password: "s3cret" });
  assert.ok(!outcome.ok && outcome.reason === "driver_unavailable");
  await assert.rejects(told("args"));
});

test("mount_smbfs's failures and delays are told", async (t) => {
  const refused = await inPlace(
    t,
    `echo 'mount_smbfs: server rejected the connection: Authentication error' >&2; exit 77`,
  );
  const outcome = await refused.run({ folder: "/x" });
  assert.ok(!outcome.ok && outcome.reason === "wrong_credentials", JSON.stringify(outcome));
  const late = await inPlace(t, "exec sleep 600");
  const timedOut = await late.run({ folder: "/x" }, 300);
  assert.ok(!timedOut.ok && timedOut.reason === "timed_out");
});

test("passwords are taken out of whatever is said, escaped ones too", () => {
  assert.equal(
    withoutPasswords("mount error: //ann:p%40ss@nas/core: and p@ss", "p@ss"),
    "mount error: //ann:…@nas/core: and …",
  );
  assert.equal(withoutPasswords("//ann:other@nas/x", null), "//ann:…@nas/x");
  assert.equal(
    withoutPasswords("//ann@nas:4450/x //[fe80::1]:445/x", ""),
    "//ann@nas:4450/x //[fe80::1]:445/x",
  );
});
