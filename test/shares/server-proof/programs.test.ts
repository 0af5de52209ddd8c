// What the programs that list a root print, and what is left of the files with a login that they were given.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import { entryExists } from "../../../src/runtime/files/durable-file.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { shareFiles } from "../../../src/shares/drivers/share-files.ts";
import { createLogins } from "../../../src/shares/logins/logins.ts";
import { ownRuntimeFolder } from "../../../src/shares/mounts/mount-claims.ts";
import { createKnownServers } from "../../../src/shares/server-proof/known-servers.ts";
import { createLoginFiles } from "../../../src/shares/server-proof/login-files.ts";
import {
  createSmbclientReader,
  parseRcloneLine,
  parseSmbclientLine,
  smbclientScript,
} from "../../../src/shares/server-proof/program-output.ts";
import type { ListedEntry } from "../../../src/shares/server-proof/root-listing.ts";
import { createRootReader } from "../../../src/shares/server-proof/root-reader.ts";
import { listShareNames } from "../../../src/shares/server-proof/share-names.ts";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { pluck } from "../../support/pluck.ts";
import { fc } from "../../support/properties.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { preferSystemRclone } from "../../support/system-rclone.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { shareSpec } from "../share-spec.ts";

describe("rclone lsjson", () => {
  test("A10 returns name, size and time of each line", () => {
    const file = `{"Path":"x.txt","Name":"x.txt","Size":3,"ModTime":"2026-11-21T08:12:00.771504900+09:00","IsDir":false},`;
    const expected = {
      name: "x.txt",
      isFolder: false,
      size: 3,
      modifiedMs: Date.UTC(2026, 10, 20, 23, 12, 0, 771),
    };
    assert.deepEqual(parseRcloneLine(file), expected);
    const folder = `{"Path":"d","Name":"d","Size":-1,"ModTime":"2026-11-20T23:12:00.775Z","IsDir":true}`;
    assert.deepEqual(parseRcloneLine(`[${folder}`), {
      name: "d",
      isFolder: true,
      size: null,
      modifiedMs: Date.UTC(2026, 10, 20, 23, 12, 0, 775),
    });
  });

  test("A10 any other line is not an entry", () => {
    for (const line of [
      "[",
      "]",
      "",
      "{",
      '{"Name":"x"}',
      '{"Name":1,"Size":1,"ModTime":"","IsDir":false}',
      "{}",
    ]) {
      assert.equal(parseRcloneLine(line), null, line);
    }
    fc.assert(fc.property(fc.string(), (line) => void parseRcloneLine(line)));
  });
});

describe("smbclient", () => {
  const at = Date.UTC(2026, 10, 20, 23, 18, 12);
  const time = "Fri Nov 20 23:18:12 2026";
  const file = (name: string, size = 0): ListedEntry => ({ name, isFolder: false, size, modifiedMs: at });
  const folder = (name: string): ListedEntry => ({ name, isFolder: true, size: null, modifiedMs: at });
  const lines: readonly (readonly [line: string, expected: ListedEntry | null])[] = [
    [`  .                                   D        0  ${time}`, null],
    [`  ..                                  D        0  ${time}`, null],
    [`  dir                                 D        0  ${time}`, folder("dir")],
    [`  x.txt                             AHR        3  ${time}`, file("x.txt", 3)],
    [`  D  D                                D        0  ${time}`, folder("D  D")],
    [`  foo  ADHR                           N        0  ${time}`, file("foo  ADHR")],
    [`   lead                               N        0  ${time}`, file(" lead")],
    [`  日本語                           N        0  ${time}`, file("日本語")],
    [`  big                                 N 123456789012  ${time}`, file("big", 123_456_789_012)],
    [
      `  this is a name longer than thirty characters.dat      N        0  ${time}`,
      file("this is a name longer than thirty characters.dat"),
    ],
    ["\t\t264212084 blocks of size 1024. 78621536 blocks available", null],
    ['Try "help" to get a list of possible commands.', null],
  ];
  for (const [line, expected] of lines) {
    test(`A10 lists ${JSON.stringify(line.trim().slice(0, 20))}`, () =>
      assert.deepEqual(parseSmbclientLine(line), expected));
  }

  const allinfo = (created: string, others: string) =>
    [
      "altname: x.txt",
      `create_time:    ${created}`,
      `access_time:    ${others}`,
      `write_time:     ${others}`,
      `change_time:    ${others}`,
      "attributes:  (80)",
      "stream: [::$DATA], 3 bytes",
    ] as const;

  test("A10 reports an entry's creation time, and whether it differs from the other times", () => {
    assert.equal(smbclientScript(true, ["\\"]), 'ls\nmountaineer-mark-0\nallinfo "\\"\n');
    const entries: ListedEntry[] = [];
    const reader = createSmbclientReader(5, (entry) => entries.push(entry));
    assert.equal(reader.isConnected(), false);
    const output = [
      lines[2]?.[0] ?? "",
      "mountaineer-mark-0: command not found",
      ...allinfo("Wed Jan  2 03:04:05 2019 UTC", "Fri Nov 20 23:12:01 2026 UTC"),
      "mountaineer-mark-1: command not found",
      "NT_STATUS_OBJECT_NAME_NOT_FOUND getting alt name for \\gone",
      "mountaineer-mark-2: command not found",
      ...allinfo("Fri Nov 20 23:12:00 2026 UTC", "Fri Nov 20 23:12:01 2026 UTC"),
      "mountaineer-mark-3: command not found",
      ...allinfo("NTTIME(0)", "NTTIME(0)"),
      "mountaineer-mark-4: command not found",
      ...allinfo("Wed Jan  2 03:04:05 2019 UTC", "NTTIME(0)"),
    ];
    for (const line of output) reader.onLine(line);
    assert.deepEqual(reader.creationTimes(), [
      { createdMs: Date.UTC(2019, 0, 2, 3, 4, 5), isOwn: true },
      null,
      { createdMs: Date.UTC(2026, 10, 20, 23, 12, 0), isOwn: false },
      null,
      { createdMs: Date.UTC(2019, 0, 2, 3, 4, 5), isOwn: false },
    ]);
    assert.deepEqual([reader.isConnected(), reader.listingError(), entries.length], [true, null, 1]);
  });

  test("A10 a refused listing is reported, and an empty root is not a refusal", () => {
    for (const [line, error] of [
      ["NT_STATUS_ACCESS_DENIED listing \\*", "NT_STATUS_ACCESS_DENIED listing \\*"],
      ["NT_STATUS_NO_SUCH_FILE listing \\*", null],
    ] as const) {
      const reader = createSmbclientReader(1, () => assert.fail("no entry"));
      reader.onLine(line);
      assert.equal(reader.listingError(), error);
    }
  });
});

const MODULE = resolve(import.meta.dirname, "../../../src/shares/server-proof/login-files.ts");
// Nothing but its name is asked for.
const CORE = { name: "CORE" } as ShareSpec;

/** Writes a login for the share in another process, which then waits for its end. */
async function startWriter(
  t: TestContext,
  stateFolder: string,
): Promise<{ child: ChildProcess; path: string }> {
  const program = `
    const { createLoginFiles } = await import(${JSON.stringify(MODULE)});
    const files = createLoginFiles(${JSON.stringify(stateFolder)});
    console.log(await files.write({ name: "CORE" }, "tb", "auth", "password = secret"));
    setInterval(() => {}, 60_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const [path] = await once(createInterface({ input: child.stdout }), "line");
  return { child, path: String(path) };
}

test("A10 a login left by a killed process is removed, and none that is being read", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const files = createLoginFiles(stateFolder);
  const own = await files.write(CORE, "fallback", "conf", "");
  const folder = dirname(own);
  const kept = ["rclone.conf", "server.json", "proof-of-purchase.auth", own.slice(folder.length + 1)];
  for (const name of kept) await writeFile(join(folder, name), "");
  // As 0.1 named them, and one that was being written.
  for (const name of ["proof-tb.auth", "proof-fallback.conf", "proof-tb.auth.new"])
    await writeFile(join(folder, name), "password = secret");
  const { child, path } = await startWriter(t, stateFolder);
  await files.removeLeftovers(noopLogger);
  assert.deepEqual((await readdir(folder)).toSorted(), [...kept, path.slice(folder.length + 1)].toSorted());

  child.kill("SIGKILL");
  await once(child, "exit");
  await files.removeLeftovers(noopLogger);
  assert.deepEqual((await readdir(folder)).toSorted(), kept.toSorted());
});

test("A10 a login that cannot be replaced does not stay", async (t) => {
  const files = createLoginFiles(await temporaryFolder(t));
  const path = await files.write(CORE, "tb", "auth", "password = secret");
  await symlink(join(dirname(path), "none", "there"), `${path}.new`);
  await assert.rejects(files.write(CORE, "tb", "auth", "password = another"), { code: "ENOENT" });
  assert.equal(await entryExists(path), false);
});

test("A10 a login left by a killed process in the user's folder, on a full disk, is removed", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const left = join(await ownRuntimeFolder(), "proof-tb.4194305-0123456789ab.0123456789ab.auth");
  await writeFile(left, "password = secret");
  t.after(() => rm(left, { force: true }));
  await createLoginFiles(stateFolder).removeLeftoversOf(CORE);
  assert.equal(await entryExists(left), false);
});

test("F3 the login with which shares are listed is not left behind, whatever the result", async (t) => {
  const folder = await temporaryFolder(t);
  const before = process.env["TMPDIR"];
  t.after(() => {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
  });
  process.env["TMPDIR"] = join(folder, "tmp");
  await mkdir(join(folder, "tmp"));
  const program = join(folder, "smbclient");
  const listed = "ls $TMPDIR/* > $TMPDIR/../seen; echo 'Disk|docs|'; echo 'Disk|print$|'";
  for (const [script, kind] of [
    [listed, "listed"],
    ["exit 1", "failed"],
  ] as const) {
    await writeFile(program, `#!/bin/sh\nTMPDIR=${folder}/tmp\n${script}\n`, { mode: 0o755 });
    const names = await listShareNames(shareSpec({ password: "secret" }), folder, t.signal, [folder]);
    assert.equal(names.kind, kind);
    assert.deepEqual(await readdir(join(folder, "tmp")), []);
  }
  assert.equal(await readFile(join(folder, "seen"), "utf8"), "login\n");
});

test("A13 of a share's servers only those are known whose own file says so", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const { folder } = shareFiles(stateFolder, CORE.name);
  const files = {
    a: "{",
    b: '{"version":3,"shareName":"CORE"}',
    c: '{"version":2,"shareName":"CORE"}',
    d: null,
  };
  for (const [id, content] of Object.entries(files)) {
    await mkdir(join(folder, "servers", id), { recursive: true });
    if (content !== null) await writeFile(join(folder, "servers", id, "server.json"), content);
  }
  await writeFile(join(folder, "servers", ".DS_Store"), "");
  await writeFile(join(folder, "server.json"), '{"version":2,"shareName":"CORE"}');
  const servers = await createKnownServers(stateFolder).list(CORE);
  assert.deepEqual(pluck(servers, "id").toSorted(), ["c", "first"]);
});

test("A10 another process with the killed one's number does not keep its login", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const files = createLoginFiles(stateFolder);
  const own = await files.write(CORE, "tb", "auth", "password = secret");
  const folder = dirname(own);
  await rename(own, own.replace(/-\w+\.auth$/, "-0123456789ab.auth"));
  await files.removeLeftoversOf(CORE);
  assert.deepEqual(await readdir(folder), []);
});

test("A10 a home without shares has nothing to remove, and a failed removal is reported", async (t) => {
  const stateFolder = await temporaryFolder(t);
  const logger = createRecordingLogger();
  const files = createLoginFiles(stateFolder);
  await files.removeLeftovers(logger);
  await mkdir(join(stateFolder, "mounts", "CORE", "proof-tb.auth", "inside"), { recursive: true });
  await files.removeLeftovers(logger);
  assert.deepEqual(pluck(logger.lines, "level"), ["warn"]);
});

test("A10 rclone leaves from the address of its route, except one with a zone, which names the interface itself", async (t) => {
  const folder = await temporaryFolder(t);
  preferSystemRclone(t);
  const asked = join(folder, "asked");
  await writeFile(join(folder, "rclone"), `#!/bin/sh\necho "$@" > ${asked}\necho '[]'\n`, { mode: 0o755 });
  const clock = systemClock;
  const reader = createRootReader({
    ...{ clock, stateFolder: folder, logins: createLogins(clock) },
    folders: () => [folder],
  });
  const argumentsFor = async (localAddress: string) => {
    const endpoint = { address: "10.0.0.2", port: 445, localAddress };
    const deadlineAtMs = clock.monotonicMs() + 60_000;
    const request = { share: shareSpec({ folder }), route: "tb", endpoint, deadlineAtMs } as const;
    const { kind } = await reader.list("rclone", { ...request, signal: AbortSignal.any([]) });
    assert.equal(kind, "read");
    return await readFile(asked, "utf8");
  };
  assert.match(await argumentsFor("10.0.0.1"), / --bind 10\.0\.0\.1\n$/);
  assert.doesNotMatch(await argumentsFor("fe80::1%eth0"), /--bind/);
});
