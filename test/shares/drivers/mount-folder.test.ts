// A share's folder and the bare folder below its mount: what is in them is not lost, and names cannot escape.
import assert from "node:assert/strict";
import { existsSync, lstatSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it, type TestContext, test } from "node:test";
import { ensureFolder } from "../../../src/runtime/files/durable-file.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import {
  failed,
  failedBy,
  orHanging,
  unmountFailed,
  whyNotListed,
} from "../../../src/shares/drivers/mount-failure.ts";
import { createMountFolders, type MountFolders } from "../../../src/shares/drivers/mount-folder.ts";
import { folderName, shareFiles, writeIfChanged } from "../../../src/shares/drivers/share-files.ts";
import {
  createRealMountPaths,
  indexMounts,
  isReadable,
  routeOfSource,
} from "../../../src/shares/drivers/smb-mounts.ts";
import { createUnmount } from "../../../src/shares/drivers/unmount.ts";
import { createMountTableLinux } from "../../../src/shares/mounts/mount-table-linux.ts";
import { parseMountInfo } from "../../../src/shares/mounts/mount-table-mountinfo.ts";
import type { MountCheck, Prober } from "../../../src/shares/prober/prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs, remountTmpfs } from "../../support/tiny-disk.ts";
import { routeTo, shareSpec } from "../share-spec.ts";

async function startBench(t: TestContext) {
  const folder = await temporaryFolder(t);
  const files = shareFiles(join(folder, "home"), "CORE");
  await ensureFolder(files.folder, 0o700);
  const place = { shareName: "CORE", files, mountPath: join(folder, "volumes", "CORE") };
  const fresh = (): MountFolders => createMountFolders({ clock: systemClock, logger: noopLogger });
  const ensure = async (folders: MountFolders): Promise<string> => {
    const outcome = await folders.ensure(place);
    if (outcome.ok) await outcome.bare.close();
    return outcome.ok ? "ok" : outcome.text;
  };
  return { place, files, path: place.mountPath, root: join(folder, "volumes"), fresh, ensure };
}

describe("the folder below a mount", () => {
  it("is writable to as few as possible, and removed once nothing is mounted", async (t) => {
    const { place, path, fresh, ensure } = await startBench(t);
    const folders = fresh();
    assert.equal(await ensure(folders), "ok");
    assert.equal((await stat(path)).mode & 0o777, process.getuid?.() === 0 ? 0o555 : 0o755);
    await folders.clear(place, true);
    assert.ok(!existsSync(path));
    await folders.clear(place, true);
    assert.deepEqual(await folders.setAside(place), []);
  });

  for (const when of ["before the next mount", "at the unmount"] as const) {
    it(`files written into our folder are set aside ${when}, also after a restart, and listed while they exist`, async (t) => {
      const { place, path, root, fresh, ensure } = await startBench(t);
      assert.equal(await ensure(fresh()), "ok");
      await writeFile(join(path, "precious"), "one");
      const later = fresh();
      if (when === "at the unmount") await later.clear(place, true);
      else assert.equal(await ensure(later), "ok");
      const [aside, ...more] = await later.setAside(place);
      assert.ok(aside);
      assert.ok(aside.startsWith(`${path}.set-aside-`), aside);
      assert.deepEqual(more, []);
      assert.equal(await readFile(join(aside, "precious"), "utf8"), "one");
      if (when === "at the unmount") assert.equal(await ensure(later), "ok");
      assert.deepEqual(await readdir(path), []);
      await writeFile(join(path, "precious"), "two");
      await later.clear(place, true);
      const both = await later.setAside(place);
      assert.equal(both.length, 2, "one never replaces another");
      assert.deepEqual(await fresh().setAside(place), both);
      for (const one of both) await rm(one, { recursive: true });
      assert.deepEqual(await fresh().setAside(place), []);
      assert.deepEqual(await readdir(root), []);
    });
  }

  it("files that the previous daemon sets aside after the next one has started are listed, whichever of them writes its record last", async (t) => {
    const { place, path, fresh, ensure } = await startBench(t);
    const [former, next] = [fresh(), fresh()];
    assert.equal(await ensure(former), "ok");
    await writeFile(join(path, "first"), "1");
    assert.equal(await ensure(next), "ok");
    const [first] = await next.setAside(place);
    assert.ok(first);
    await writeFile(join(path, "second"), "2");
    // As at the end of a mount that took long.
    const bare = await open(path);
    await former.uncover(place, bare);
    await bare.close();
    assert.equal((await fresh().setAside(place)).length, 2, "the former one forgets nothing of the next one");
    assert.equal(await ensure(next), "ok");
    await next.clear(place, true);
    const both = await fresh().setAside(place);
    assert.equal(both.length, 2, "nor the next one of the former one");
    assert.ok(both.includes(first));
  });

  it("is not touched if another program made it and filled it, although ours was there before", async (t) => {
    const { place, path, fresh, ensure } = await startBench(t);
    const folders = fresh();
    assert.equal(await ensure(folders), "ok");
    await folders.clear(place, true);
    await mkdir(join(path, "theirs"), { recursive: true });
    const before = lstatSync(path).ino;
    assert.match(await ensure(folders), /a folder with 1 entry; nothing is mounted over it/);
    assert.match(await ensure(fresh()), /a folder with 1 entry/);
    await folders.clear(place, true);
    assert.equal(lstatSync(path).ino, before);
    assert.deepEqual(await readdir(path), ["theirs"]);
  });

  it("is never a link or a file, and nothing is removed at a path that is not the share's", async (t) => {
    const { place, files, path, root, fresh, ensure } = await startBench(t);
    await mkdir(root);
    await symlink("/usr", path);
    assert.match(await ensure(fresh()), /is a link/);
    await fresh().clear(place, true);
    assert.ok(lstatSync(path).isSymbolicLink());
    const elsewhere = join(root, "elsewhere");
    await mkdir(elsewhere);
    await fresh().clear({ shareName: "CORE", files, mountPath: elsewhere }, false);
    assert.ok(existsSync(elsewhere));
  });

  it("stays on a full disk, where there is no space for a new one, and is used again", async (t) => {
    const disk = await mountTmpfs(t, "size=512k");
    if (disk === null) return;
    const { place: own, fresh } = await startBench(t);
    const path = join(disk, "CORE");
    const place = { ...own, mountPath: path };
    const folders = fresh();
    for (let times = 0; times < 2; times++) {
      const outcome = await folders.ensure(place);
      assert.ok(outcome.ok);
      await outcome.bare.close();
      await folders.clear(place, true);
      assert.ok(existsSync(path));
      await writeFile(join(disk, "filler"), Buffer.alloc(600_000)).catch(() => {});
    }
    assert.deepEqual((await readdir(disk)).sort(), ["CORE", "filler"]);
  });

  it("stays on a disk that has no space for more files", async (t) => {
    const disk = await mountTmpfs(t, "size=2m,nr_inodes=64");
    if (disk === null) return;
    const { place: own, fresh } = await startBench(t);
    const path = join(disk, "CORE");
    const place = { ...own, mountPath: path };
    await mkdir(path);
    await fresh().clear(place, true);
    assert.ok(existsSync(path));
  });

  it("is set aside readable by its owner only, and never if it is empty", async (t) => {
    const { place, path, root, fresh, ensure } = await startBench(t);
    const folders = fresh();
    assert.equal(await ensure(folders), "ok");
    assert.deepEqual(await folders.setAside(place), []);
    await using bare = await open(path);
    await folders.uncover(place, bare);
    assert.deepEqual(await readdir(root), ["CORE"]);
    await writeFile(join(path, "precious"), "one");
    await folders.uncover(place, bare);
    const [uncovered = assert.fail("the answer from before is given")] = await folders.setAside(place);
    await writeFile(join(path, "precious"), "two");
    assert.equal(await ensure(folders), "ok");
    const both = await folders.setAside(place);
    assert.equal(both.length, 2);
    assert.ok(both.includes(uncovered));
    for (const aside of both) assert.equal(lstatSync(aside).mode & 0o777, 0o700);
  });

  it("is made although a crash left an unfinished one, and is forgotten when it is removed", async (t) => {
    const { place, files, root, fresh, ensure } = await startBench(t);
    const folders = fresh();
    await mkdir(join(root, ".CORE.mountaineer-new"), { recursive: true });
    assert.equal(await ensure(folders), "ok");
    assert.deepEqual(await readdir(root), ["CORE"]);
    await folders.clear(place, true);
    assert.equal(JSON.parse(await readFile(files.mountFolder, "utf8")).identity, null);
  });

  it("is never entered while something is mounted on it, and an empty one that cannot be removed is used", async (t) => {
    const disk = await mountTmpfs(t, "size=2m");
    if (disk === null) return;
    const { files, fresh } = await startBench(t);
    const place = (mountPath: string) => ({ shareName: "CORE", files, mountPath });
    const mountedOn = await fresh().ensure(place(disk));
    assert.ok(!mountedOn.ok && /EBUSY/.test(mountedOn.text));
    const path = join(disk, "CORE");
    await mkdir(path);
    await remountTmpfs(disk, "ro");
    const outcome = await fresh().ensure(place(path));
    assert.ok(outcome.ok);
    await outcome.bare.close();
  });

  it("is not checked by its removal while a mount, which may hang, covers it", async (t) => {
    const disk = await mountTmpfs(t, "size=2m");
    if (disk === null) return;
    const { files } = await startBench(t);
    const place = { shareName: "CORE", files, mountPath: disk };
    const logger = createRecordingLogger();
    const folders = createMountFolders({ clock: systemClock, logger });
    // As if the mount had the identity of our folder: only a look at it can tell.
    const { ino, birthtimeNs, dev } = await stat(disk, { bigint: true });
    const identity = birthtimeNs > 0n ? `${ino}@${birthtimeNs}` : `${dev}:${ino}`;
    await ensureFolder(dirname(files.mountFolder), 0o700);
    await writeFile(files.mountFolder, JSON.stringify({ path: disk, identity, aside: [] }));
    await folders.clear(place, true);
    assert.deepEqual(pluck(logger.lines, "message"), []);
  });

  it("is ours by this process's knowledge, although another daemon's record has replaced its own", async (t) => {
    const { place, files, path, fresh, ensure } = await startBench(t);
    const folders = fresh();
    assert.equal(await ensure(folders), "ok");
    await writeFile(files.mountFolder, '{"path":null,"identity":null,"aside":[]}');
    await folders.setAside(place);
    await writeFile(join(path, "precious"), "one");
    await folders.clear(place, false);
    assert.ok(!existsSync(path));
  });

  it("has a name of whole characters when it is set aside", async (t) => {
    const { files, root, fresh } = await startBench(t);
    const place = { shareName: "CORE", files, mountPath: join(root, `x${"ä".repeat(110)}`) };
    const folders = fresh();
    const outcome = await folders.ensure(place);
    assert.ok(outcome.ok);
    await outcome.bare.close();
    await writeFile(join(place.mountPath, "precious"), "one");
    await folders.clear(place, true);
    const [aside = assert.fail()] = await readdir(root);
    assert.match(aside, /^xä+\.set-aside-/);
  });

  it("is listed until it is known to be empty, and as before while the record is unreadable", async (t) => {
    const { files, fresh, root } = await startBench(t);
    await mkdir(root);
    await writeFile(join(root, "a file now"), "");
    await writeFile(
      files.mountFolder,
      JSON.stringify({ aside: [join(root, "a file now"), join(root, "gone")] }),
    );
    const clock = createManualClock();
    const folders = createMountFolders({ clock, logger: noopLogger });
    const place = { shareName: "CORE", files };
    assert.deepEqual(await folders.setAside(place), [join(root, "a file now")]);
    await rm(files.mountFolder);
    await mkdir(files.mountFolder);
    await clock.advance(10_000);
    assert.deepEqual(await folders.setAside(place), [join(root, "a file now")]);
    assert.deepEqual(await fresh().setAside(place), []);
  });

  it("keeps its knowledge when its record is torn", async (t) => {
    const { place, files, path, fresh, ensure } = await startBench(t);
    await writeFile(files.mountFolder, "{ torn");
    assert.equal(await ensure(fresh()), "ok");
    await writeFile(files.mountFolder, '{"path":1,"identity":[],"aside":[3]}');
    assert.deepEqual(await fresh().setAside(place), []);
    await fresh().clear(place, true);
    assert.ok(!existsSync(path));
  });
});

describe("the folder of a share", () => {
  it("stays inside its parent and is another for every name", () => {
    const names = [
      "CORE",
      "..",
      ".",
      "a/b",
      "a%2Fb",
      "a b",
      ".hidden",
      "Größe",
      "x".repeat(300),
      `${"x".repeat(300)}y`,
      "",
      "\0",
    ];
    const folders = names.map((name) => shareFiles("/home", name).folder);
    assert.equal(new Set(folders).size, names.length);
    for (const [index, folder] of folders.entries()) {
      if (names[index] === "") continue;
      assert.equal(dirname(folder), join("/home", "mounts"), folder);
      assert.ok(Buffer.byteLength(folderName(names[index] ?? "")) <= 200);
    }
    assert.equal(folderName("CORE"), "CORE");
    assert.equal(folderName("My Share.v2"), "My%20Share.v2");
  });
});

describe("writing a share's files", () => {
  it("still succeeds on a full disk if the file exists: a share changes its host all the same", async (t) => {
    const disk = await mountTmpfs(t, "size=64k");
    if (disk === null) return;
    const file = join(disk, "rclone.conf");
    await writeIfChanged(file, "host = 10.99.1.200\n");
    await assert.rejects(writeFile(join(disk, "filler"), Buffer.alloc(1_000_000)), { code: "ENOSPC" });
    await writeIfChanged(file, "host = 10.99.2.2\n");
    assert.equal(await readFile(file, "utf8"), "host = 10.99.2.2\n");
    await assert.rejects(writeIfChanged(join(disk, "new"), "x"), { code: "ENOSPC" });
    await assert.rejects(writeIfChanged(file, "x".repeat(10_000)), { code: "ENOSPC" });
    assert.equal(await readFile(file, "utf8"), "host = 10.99.2.2\n", "never a part of the new text");
    assert.deepEqual((await readdir(disk)).sort(), ["filler", "rclone.conf"]);
  });
});

// Which mounts may be taken for a share that is ours to look after, and what is told when one is not let go of.
const OURS = 1000;

function mount(type: string, options: string) {
  const line = `36 35 0:48 / /mnt/CORE rw,nosuid - ${type} //nas/CORE rw,${options}`;
  const [{ device: _, root: __, mountId, ...rest } = assert.fail()] = parseMountInfo(Buffer.from(line));
  return { ...rest, id: String(mountId) };
}

describe("a mount that another user made", () => {
  for (const [what, type, options, userId, readable] of [
    ["through FUSE", "fuse.rclone", "user_id=1001,group_id=1001", OURS, false],
    ["through FUSE as root", "fuse.rclone", "user_id=0,group_id=0", OURS, false],
    ["for everyone", "fuse.rclone", "user_id=0,group_id=0,allow_other", OURS, true],
    ["and is ours", "fuse.rclone", "user_id=1000,group_id=1000", OURS, true],
    ["seen by root", "fuse.rclone", "user_id=1001,group_id=1001", 0, true],
    ["in the kernel", "cifs", "uid=1001,addr=10.0.0.1", OURS, true],
  ] as const) {
    it(`${what} is ${readable ? "" : "not "}readable`, () => {
      assert.equal(isReadable(mount(type, options), userId), readable);
    });
  }
});

describe("a mount of the kernel's client made by another program", () => {
  const share = shareSpec({
    shareName: "My Share",
    driver: "fs",
    routes: { tb: routeTo("10.10.10.1"), fallback: routeTo("nas.local") },
  });
  const addresses: Readonly<Record<string, readonly string[]>> = {
    "nas.local": ["192.168.1.9", "2001:db8::5", "fe80::1%eth0"],
    nas: ["192.168.1.9"],
  };
  const routeOf = async (source: string, options: string, root = "/", type = "cifs") => {
    const text = `36 35 0:48 ${root} /mnt/x rw,nosuid - ${type} ${source} rw,${options}\n`;
    const readTable = () => Promise.resolve(Buffer.from(text));
    const entries = await createMountTableLinux({ clock: createManualClock(), readTable }).read(0);
    const [mount] = indexMounts(entries).named(share.shareName);
    return mount === undefined ? "no root" : routeOfSource(share, mount, (host) => addresses[host] ?? []);
  };
  for (const [what, source, options, expected] of [
    ["by its address, without regard to case", "//10.10.10.1/my\\040SHARE", "addr=10.10.10.1", "tb"],
    ["by its name", "//NAS.local/My\\040Share", "addr=192.168.1.9", "fallback"],
    ["by another name of the same address", "//nas/My\\040Share", "vers=3.0", "fallback"],
    ["by an address that a line of fstab names", "//old-name/My\\040Share", "ip=192.168.1.9", "fallback"],
    ["by a name that only the kernel knew", "//old-name/My\\040Share", "addr=192.168.1.9", "fallback"],
    [
      "by an IPv6 address at full length",
      "//x/My\\040Share",
      "addr=2001:0db8:0000:0000:0000:0000:0000:0005",
      "fallback",
    ],
    [
      "by a local IPv6 address with a zone",
      "//x/My\\040Share",
      "addr=fe80:0000:0000:0000:0000:0000:0000:0001%2",
      "fallback",
    ],
    ["as Windows spells it", "\\134\\13410.10.10.1\\134My\\040Share", "addr=10.10.10.1", "tb"],
    ["with an end slash", "//10.10.10.1/My\\040Share/", "addr=10.10.10.1", "tb"],
    ["on another port", "//10.10.10.1/My\\040Share", "addr=10.10.10.1,port=4450", null],
    ["on another server", "//10.10.10.7/My\\040Share", "addr=10.10.10.7", null],
    ["that is a folder of the share", "//10.10.10.1/My\\040Share/sub", "addr=10.10.10.1", "no root"],
    ["that is another share", "//10.10.10.1/Other", "addr=10.10.10.1", "no root"],
  ] as const) {
    it(`${what}: ${expected ?? "no route"}`, async () => {
      assert.equal(await routeOf(source.replaceAll("\\\\", "\\"), options), expected);
      assert.equal(await routeOf(source.replaceAll("\\\\", "\\"), options, "/", "smb3"), expected);
    });
  }

  it("a bound folder of it is not the share, although the table names the whole", async () => {
    assert.equal(await routeOf("//10.10.10.1/My\\040Share", "addr=10.10.10.1", "/sub"), "no root");
    assert.equal(await routeOf("//10.10.10.1/My\\040Share", "addr=10.10.10.1", "/"), "tb");
  });
});

const ENTRY = { id: "1", path: "/mnt", type: "cifs", source: "//h/s", options: [], deviceMinor: 0 };

/** Unmounts by shell scripts that leave the mount standing. */
function unmountBy(...scripts: readonly { readonly script: string; readonly atMostMs?: number }[]) {
  return createUnmount({
    clock: systemClock,
    mountTable: { read: async () => [ENTRY] },
    commands: () =>
      scripts.map(({ script, ...more }) => ({ command: "/bin/sh", args: ["-c", script], ...more })),
  });
}

/** What people read when a command leaves the mount standing. */
async function textAfter(command: string, script = "", deadlineMs = 20_000): Promise<string> {
  const unmount = createUnmount({
    clock: systemClock,
    mountTable: { read: async () => [ENTRY] },
    commands: () => [{ command, args: ["-c", script] }],
  });
  const outcome = await unmount(ENTRY, "plain", { deadlineMs });
  assert.ok(!outcome.ok && outcome.reason === "failed");
  return outcome.text;
}

describe("the output of a command that unmounts", () => {
  for (const [what, script, expected] of [
    ["of a success is ignored", "echo 'umount: unmounted' >&2", "it is still in the mount table"],
    ["is one line", "echo out; printf ' a \\n\\n  b\\n' >&2; exit 1", "a b"],
    ["is stdout's if there is none on stderr", "echo out; exit 1", "out"],
    ["is in English", "echo $LC_ALL; exit 1", "C"],
    ["is its exit code if it is silent", "exit 32", "sh ended with 32"],
    ["is its signal if one ended it", "kill -KILL $$", "sh ended with SIGKILL"],
  ] as const) {
    it(what, async () => assert.equal(await textAfter("/bin/sh", script), expected));
  }

  it("reports its deadline in whole milliseconds if it hangs", async () => {
    assert.equal(await textAfter("/bin/sh", "exec sleep 600", 50.4), "sh did not end within 50 ms");
  });

  it("is the error if it cannot be started", async () => {
    assert.match(await textAfter("/nowhere/umount"), /nowhere/);
  });
});

describe("commands that unmount", () => {
  const BUSY = { script: "echo 'target is busy' >&2; exit 32" };
  it("are busy only for a plain unmount: a forced one has failed", async () => {
    const text = "target is busy";
    assert.deepEqual(await unmountBy(BUSY)(ENTRY, "plain", { deadlineMs: 20_000 }), {
      ok: false,
      reason: "busy",
      text,
    });
    assert.deepEqual(await unmountBy(BUSY)(ENTRY, "force", { deadlineMs: 20_000 }), unmountFailed(text));
  });

  it("run one after the other, none after a cancellation, and none longer than its limit", async (t) => {
    const log = join(await temporaryFolder(t), "log");
    const ending = new AbortController();
    const step = { deadlineMs: 20_000, signal: ending.signal };
    const unmount = createUnmount({
      clock: systemClock,
      mountTable: { read: async () => [ENTRY] },
      commands: () => [1, 2].map((step) => ({ command: "/bin/sh", args: ["-c", `echo ${step} >>${log}`] })),
    });
    assert.equal((await unmount(ENTRY, "plain", step)).ok, false);
    assert.equal(await readFile(log, "utf8"), "1\n2\n");
    ending.abort();
    assert.deepEqual(await unmount(ENTRY, "plain", step), unmountFailed("cancelled"));
    assert.equal(await readFile(log, "utf8"), "1\n2\n");
    const late = await unmountBy({ script: "exec sleep 600", atMostMs: 30 })(ENTRY, "force", {
      deadlineMs: 20_000,
    });
    assert.deepEqual(late, unmountFailed("sh did not end within 30 ms"));
  });
});

describe("a failure of a driver", () => {
  it("names no secret, and marks the errors that mean a missing permission", () => {
    const error = (code: string) => Object.assign(new Error(`${code}: hush, no`), { code });
    assert.deepEqual(failedBy(error("EROFS"), "hush"), failed("permission_denied", "EROFS: …, no"));
    assert.equal(failedBy(error("EACCES"), "").text, "EACCES: hush, no");
    for (const [code, reason] of [
      ["EACCES", "permission_denied"],
      ["EPERM", "permission_denied"],
      ["ENOENT", "other"],
    ] as const)
      assert.equal(failedBy(error(code), null).reason, reason);
  });

  const proberWith = (state: "pending" | "never"): Prober => {
    const prober = { checkMount: () => new Promise<MountCheck>(() => {}), lastCheck: () => ({ state }) };
    // Nothing else of it is asked.
    return prober as unknown as Prober;
  };
  it("is explained by our own check only if that hangs in a busy mount", () => {
    const busy = { ok: false, reason: "busy", text: "busy" } as const;
    const explained = orHanging(proberWith("pending"), ENTRY, busy);
    assert.deepEqual(explained, { ...busy, text: "the mount does not answer, --force unmounts it" });
    assert.equal(orHanging(proberWith("never"), ENTRY, busy), busy);
    const other = unmountFailed("other");
    assert.equal(orHanging(proberWith("pending"), ENTRY, other), other);
  });

  it("is a cancellation, and not lateness, when the step is cancelled before the share lists", async () => {
    const limits = { untilMs: 60_000, signal: AbortSignal.abort() };
    const tools = { clock: createManualClock(), prober: proberWith("pending") };
    assert.deepEqual(await whyNotListed(tools, ENTRY, limits), failed("other", "cancelled"));
  });
});

test("the real path of a mount's parent is looked up until it is known, and then cached", async () => {
  const answers = [null, "/real"];
  const paths = createRealMountPaths({
    realPath: async () => (answers.length > 0 ? (answers.shift() ?? null) : assert.fail("it is known")),
  });
  assert.equal(await paths.find("/link/CORE"), "/link/CORE");
  assert.equal(paths.known("/link/CORE"), "/link/CORE");
  assert.equal(await paths.find("/link/CORE"), "/real/CORE");
  assert.equal(await paths.find("/link/ARCHIVE"), "/real/ARCHIVE");
  assert.equal(paths.known("/link/CORE"), "/real/CORE");
});
