// The single file that unpacks itself: which of the versions that somebody starts becomes the current one.
import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { selfExtracting } from "../../scripts/bundle/artifacts.ts";
import { PLATFORMS } from "../../scripts/bundle/platform-packages.ts";
import { runCommand } from "../../src/runtime/process/child-process.ts";
import { findProgram } from "../../src/runtime/process/find-program.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const PLATFORM = PLATFORMS.find(({ name }) => name === `${process.platform}-${process.arch}`);

/** A file of that version whose program does nothing. */
async function fileOf(output: string, version: string, node: string = process.execPath): Promise<string> {
  assert.ok(PLATFORM !== undefined);
  const folder = join(output, `mountaineer-${version}-${PLATFORM.name}`);
  await mkdir(join(folder, "bin"), { recursive: true });
  await mkdir(join(folder, "dist"));
  await writeFile(join(folder, "bundle.json"), JSON.stringify({ version }));
  await writeFile(join(folder, "bin/mountaineer"), '#!/bin/sh\necho "started as $(id -u)"\n');
  await writeFile(join(folder, "dist/node"), `#!/bin/sh\nexec '${node}' "$@"\n`);
  for (const program of ["bin/mountaineer", "dist/node"]) await chmod(join(folder, program), 0o755);
  return selfExtracting({
    folder,
    output,
    platform: PLATFORM,
    version,
    epochSeconds: 0,
    level: 1,
  });
}

/** The version that is current once files of these versions were started one after the other. */
async function currentAfter(t: TestContext, files: ReadonlyMap<string, string>, started: readonly string[]) {
  const data = await temporaryFolder(t);
  const env = { PATH: process.env["PATH"] ?? "", HOME: data, XDG_DATA_HOME: data };
  for (const version of started) {
    const limits = { clock: systemClock, deadlineMs: 60_000, env };
    await runCommand(files.get(version) ?? "", [], limits);
  }
  return (await readlink(join(data, "mountaineer/current"))).replace(/-[0-9a-f]{12}$/, "");
}

test("a file of a newer version becomes the current one, and a release is newer than its candidates", async (t) => {
  const sorted = ["0.9.0", "0.10.0-rc.2", "0.10.0-rc.10", "0.10.0"];
  const output = await temporaryFolder(t);
  const files = new Map<string, string>();
  for (const version of sorted) files.set(version, await fileOf(output, version));
  for (const [at, newer] of sorted.entries()) {
    const older = sorted[at - 1];
    if (older === undefined) continue;
    assert.equal(await currentAfter(t, files, [older, newer]), newer, `${older}, ${newer}`);
    assert.equal(await currentAfter(t, files, [newer, older]), newer, `${newer}, ${older}`);
  }
});

test("a program that may not be started here is not installed, and the reason is reported", async (t) => {
  const output = await temporaryFolder(t);
  const limits = { clock: systemClock, deadlineMs: 60_000, env: { PATH: "/usr/bin:/bin", HOME: output } };
  const { exitCode, stderr } = await runCommand(await fileOf(output, "1.0.0", "/nowhere/node"), [], limits);
  assert.equal(exitCode, 127);
  assert.match(stderr, /cannot start what is unpacked.*noexec.*XDG_DATA_HOME.*nowhere/s);
  assert.deepEqual(await readdir(join(output, ".local/share/mountaineer")), []);
});

/** The last line of what each start prints, in a mount namespace in which /var/cache is empty. */
async function startsOf(t: TestContext, script: string): Promise<readonly string[] | null> {
  for (const program of ["unshare", "setpriv"]) {
    if ((await findProgram(program, (process.env["PATH"] ?? "").split(":"))) === null) {
      t.skip(`needs ${program}`);
      return null;
    }
  }
  if (process.getuid?.() !== 0) {
    t.skip("needs root");
    return null;
  }
  const file = await fileOf(await temporaryFolder(t), "1.0.0");
  const prepare = `mount -t tmpfs -o mode=755 mountaineer-test /var/cache && cd /var/cache && cp '${file}' run && mkdir ann &&
    chown 12345:12345 ann && ann() { setpriv --reuid=12345 --regid=12345 --clear-groups "$@"; }`;
  const limits = { clock: systemClock, deadlineMs: 60_000, env: { PATH: process.env["PATH"] ?? "" } };
  const { stdout } = await runCommand("unshare", ["--mount", "sh", "-c", `${prepare}\n${script}`], limits);
  return stdout.trim().split("\n");
}

test("F3 root with another user's HOME unpacks into its own cache, and that user can still start the file", async (t) => {
  const lines = await startsOf(
    t,
    `HOME=/var/cache/ann ./run 2>&1; HOME=/var/cache/ann ./run 2>&1
    HOME=/var/cache/ann XDG_DATA_HOME=/var/cache/ann/data ./run 2>&1
    HOME=/var/cache/ann ann mountaineer/current/bin/mountaineer
    HOME=/var/cache/ann ann ./run 2>&1; find ann -not -user 12345`,
  );
  if (lines === null) return;
  assert.deepEqual(lines, [
    "mountaineer: /var/cache/ann belongs to another user, so root unpacks into /var/cache/mountaineer",
    "started as 0",
    "started as 0",
    "started as 0",
    "started as 12345",
    "started as 12345",
  ]);
});

test("F3 a folder of another user is named with the command that gives it back", async (t) => {
  const lines = await startsOf(
    t,
    `for made in .local .local/share .local/share/mountaineer; do
      rm -rf ann/.local; mkdir -p ann/.local/share; chown -R 12345:12345 ann/.local; mkdir -p ann/.local/share/mountaineer
      chown root ann/$made; HOME=/var/cache/ann ann ./run 2>&1
    done`,
  );
  if (lines === null) return;
  const to = (path: string) =>
    `mountaineer: /var/cache/ann/${path} belongs to another user: sudo chown -R 12345 '/var/cache/ann/${path}'`;
  assert.deepEqual(lines, [to(".local"), to(".local/share"), to(".local/share/mountaineer")]);
});
