// What driver `netfs` is made of: codes, mounts that are found, turns, the ladder of unmounts.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { it, type TestContext } from "node:test";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../../src/runtime/time/clock.ts";
import type { FoundMount } from "../../../../src/shares/drivers/mount-driver.ts";
import { failedByNetfs } from "../../../../src/shares/drivers/netfs/codes.ts";
import { createMountTurns } from "../../../../src/shares/drivers/netfs/mount-turns.ts";
import {
  createMacosUnmount,
  createNetfsDriver,
  netfsUrl,
} from "../../../../src/shares/drivers/netfs/netfs.ts";
import type { MountEntry } from "../../../../src/shares/mounts/mount-entry.ts";
import { ANOTHER_USERS } from "../../../../src/shares/mounts/mount-table-darwin.ts";
import { startProber } from "../../../../src/shares/prober/prober-process.ts";
import type { ShareSpec } from "../../../../src/shares/share-spec.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";

const STATUSES = {
  permission_denied: [1, 13, -5999],
  no_such_share: [2, -5998, -6003, -1_073_741_275],
  path_taken: [16, 17],
  unreachable: [50, 51, 64, 65, -6005],
  timed_out: [60],
  refused: [61],
  wrong_credentials: [80, -5045, -5046, -6004],
  other: [62, -128, -5996, -5997, -6600, -6602, 4711],
};

test("each NetFS status has its own reason and text", () => {
  for (const [reason, statuses] of Object.entries(STATUSES)) {
    for (const status of statuses) {
      const failure = failedByNetfs(status);
      assert.equal(failure.reason, reason, String(status));
      assert.match(failure.text, new RegExp(`^.{6,} \\(${status}\\)(; |$)`));
    }
  }
});

test("a missing permission also looks like no route, and the hint says so", () => {
  assert.match(failedByNetfs(65).text, /Local Network/);
  assert.match(failedByNetfs(80).text, /Finder|password/);
});

test("a URL's parts are escaped separately, with names in NFC and a zone's percent sign escaped", () => {
  const url = (part: Partial<Parameters<typeof netfsUrl>[0]>): string =>
    netfsUrl({ host: "nas.local", port: 445, shareName: "core", username: "ann", ...part });
  assert.equal(url({}), "smb://ann@nas.local/core");
  assert.equal(url({ port: 4450, username: null }), "smb://nas.local:4450/core");
  assert.equal(
    url({ shareName: "cafe\u0301 & (x)/#?" }),
    "smb://ann@nas.local/caf%C3%A9%20%26%20%28x%29%2F%23%3F",
  );
  assert.equal(url({ username: "HOME;a:b@c" }), "smb://HOME%3Ba%3Ab%40c@nas.local/core");
  assert.equal(url({ host: "fe80::1%en0", port: 4450 }), "smb://ann@[fe80::1%25en0]:4450/core");
  assert.equal(url({ host: "My NAS._smb._tcp.local" }), "smb://ann@My%20NAS._smb._tcp.local/core");
});

const SHARE = shareSpec({
  shareName: "Größe",
  driver: "netfs",
  routes: { tb: routeTo("10.10.10.1"), fallback: routeTo("My-NAS.local") },
  mountPath: "/Volumes/Größe",
});

/** `FROM on PATH (TYPE, FLAG, …, mounted by USER)`, as macOS's `mount` prints it. */
function entryOf(line: string, index: number): MountEntry {
  const [, source = "", path = "", flags = ""] = /^(.*?) on (\/.*) \(([^()]*)\)$/su.exec(line) ?? [];
  const [type = "", ...words] = flags.split(", ");
  const options = words.map((word) =>
    word.startsWith("mounted by ") && word !== "mounted by ann" ? ANOTHER_USERS : word,
  );
  return { id: String(index), path, type, source, options, deviceMinor: 0 };
}

/** What is found of the share in these lines, and of `edited` after that. */
async function found(
  lines: readonly string[],
  share: ShareSpec = SHARE,
  edited?: ShareSpec,
): Promise<readonly FoundMount[]> {
  const entries = lines.map(entryOf);
  await using prober = startProber({ clock: systemClock, logger: noopLogger });
  const driver = createNetfsDriver({
    clock: systemClock,
    logger: noopLogger,
    prober,
    mountTable: { read: () => Promise.resolve(entries) },
    stateFolder: "/nowhere",
    commands: { compareServers: () => assert.fail("nothing logs in") },
    addressesOf: (host) => (host === "My-NAS.local" ? ["192.168.1.5"] : []),
  });
  const mounts = await driver.find(share, 0);
  return edited === undefined ? mounts : driver.find(edited, 0);
}

const inShort = (mounts: readonly FoundMount[]) =>
  mounts.map(({ path, route: name, sameShare }) => [path, name, sameShare]);

test("a mount is recognized as the share's by its source, and its route by host, address or service", async () => {
  for (const [source, name] of [
    ["//ann@10.10.10.1/Gr%C3%B6%C3%9Fe", "tb"],
    ["//ann@10.10.10.1/Gro%CC%88%C3%9Fe", "tb"],
    ["//HOME;ann@my-nas.local/GR%C3%96%C3%9Fe", "fallback"],
    ["//ann@192.168.1.5/Gr%C3%B6%C3%9Fe", "fallback"],
    ["//ann@My%20NAS._smb._tcp.local/Gr%C3%B6%C3%9Fe", "fallback"],
    ["//ann@10.10.10.1:4450/Gr%C3%B6%C3%9Fe", null],
    ["//ann@elsewhere/Gr%C3%B6%C3%9Fe", null],
  ] as const) {
    const mounts = await found([`${source} on /Volumes/Größe (smbfs, nodev, mounted by ann)`]);
    assert.deepEqual(inShort(mounts), [["/Volumes/Größe", name, true]], source);
  }
});

test("the path is the same in every Unicode composition, and is reported as configured", async () => {
  const decomposed = "/Volumes/Größe".normalize("NFD");
  const mounts = await found([`//ann@10.10.10.1/Gr%C3%B6%C3%9Fe on ${decomposed} (smbfs, mounted by ann)`]);
  assert.deepEqual(inShort(mounts), [["/Volumes/Größe", "tb", true]]);
});

test("a duplicate is recognized by its source", async () => {
  const mounts = await found([
    "//ann@10.10.10.1/Gr%C3%B6%C3%9Fe on /Volumes/Größe (smbfs, mounted by ann)",
    "//ann@My-NAS.local/Gr%C3%B6%C3%9Fe on /Volumes/Größe-1 (smbfs, mounted by ann)",
    "//ann@elsewhere/Gr%C3%B6%C3%9Fe on /Volumes/Größe-2 (smbfs, mounted by ann)",
    "//ann@10.10.10.1/other on /Volumes/other (smbfs, mounted by ann)",
  ]);
  assert.deepEqual(inShort(mounts), [
    ["/Volumes/Größe", "tb", true],
    ["/Volumes/Größe-1", "fallback", true],
  ]);
});

test("another share, another type of file system or another user's mount at its path is not recognized as its own", async () => {
  for (const line of [
    "//ann@10.10.10.1/other on /Volumes/Größe (smbfs, mounted by ann)",
    "//ann@10.10.10.1/Gr%C3%B6%C3%9Fe/sub on /Volumes/Größe (smbfs, mounted by ann)",
    "/dev/disk5s1 on /Volumes/Größe (apfs, local, journaled)",
    "//ann@10.10.10.1/Gr%C3%B6%C3%9Fe on /Volumes/Größe (smbfs, mounted by bob)",
  ]) {
    const [mount] = await found([line]);
    assert.deepEqual(
      [mount?.path, mount?.sameShare, mount?.madeByDriver],
      ["/Volumes/Größe", false, false],
      line,
    );
  }
  const others = "//bob@10.10.10.1/Gr%C3%B6%C3%9Fe on /Volumes/Größe-1 (smbfs, mounted by bob)";
  assert.deepEqual(await found([others]), []);
});

test("on a folder of ours it is ours whatever it shows, with or without the data volume's path", async () => {
  const own = { ...SHARE, mountPath: "/nowhere/volumes/CORE" };
  for (const path of ["/nowhere/volumes/CORE", "/System/Volumes/Data/nowhere/volumes/CORE"]) {
    const [mount] = await found([`//ann@10.10.10.1/old on ${path} (smbfs, mounted by ann)`], own);
    assert.deepEqual(
      [mount?.path, mount?.sameShare, mount?.madeByDriver],
      ["/nowhere/volumes/CORE", false, true],
      path,
    );
  }
  const [another] = await found([`//bob@10.10.10.1/old on ${own.mountPath} (smbfs, mounted by bob)`], own);
  assert.equal(another?.madeByDriver, false, "another user's");
});

test("an occupant of the folder that macOS makes for a share is found, whatever the share's path is", async () => {
  const named = { ...SHARE, mountPath: "/Volumes/Mine" };
  const mounts = await found(["//ann@elsewhere/other on /Volumes/Größe (smbfs, mounted by ann)"], named);
  assert.deepEqual(inShort(mounts), [["/Volumes/Größe", null, false]]);
});

test("a mount is recognized at another path if it was the share's, over a route", async () => {
  const own = { ...SHARE, mountPath: "/nowhere/volumes/CORE" };
  const edited = { ...own, mountPath: "/nowhere/volumes/MOVED", shareName: "renamed" };
  for (const [source, paths] of [
    ["//ann@10.10.10.1/Gr%C3%B6%C3%9Fe", [own.mountPath]],
    ["//ann@10.10.10.1/old", []],
  ] as const) {
    const mounts = await found([`${source} on ${own.mountPath} (smbfs, mounted by ann)`], own, edited);
    assert.deepEqual(pluck(mounts, "path"), paths, source);
  }
});

const NEVER = new AbortController().signal;

function setUp() {
  const clock = createManualClock();
  const turns = createMountTurns(clock);
  const told: string[] = [];
  const begin = (key: string, name: string, waitMs = 20_000, signal = NEVER) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const given = turns.take(key, { waitMs, signal }, () => {
      told.push(name);
      return promise;
    });
    return { given, end: () => resolve(name), fail: () => reject(new Error(name)) };
  };
  return { clock, told, begin };
}

it("A2 mounts of one server are made one after another, in order, alongside those of others", async () => {
  const { clock, told, begin } = setUp();
  const [first, second, third] = [begin("nas", "1"), begin("nas", "2"), begin("nas", "3")];
  const other = begin("other", "o");
  await clock.advance(1);
  assert.deepEqual(told, ["1", "o"]);
  first.end();
  assert.equal(await first.given, "1");
  await clock.advance(1);
  assert.deepEqual(told, ["1", "o", "2"]);
  const fourth = begin("nas", "4");
  await clock.advance(1);
  assert.deepEqual(told, ["1", "o", "2"], "who comes later waits behind all");
  second.fail();
  await assert.rejects(second.given, /2/);
  await clock.advance(1);
  assert.deepEqual(told, ["1", "o", "2", "3"], "one that fails ends its turn");
  third.end();
  other.end();
  assert.deepEqual([await third.given, await other.given], ["3", "o"]);
  fourth.end();
  assert.equal(await fourth.given, "4");
  assert.equal(await begin("nas", "never", 20_000, AbortSignal.abort()).given, null);
  const again = begin("nas", "5");
  again.end();
  assert.equal(await again.given, "5");
  assert.ok(!told.includes("never"));
});

it("A2 a turn that is late or cancelled is not taken", async () => {
  const { clock, told, begin } = setUp();
  const first = begin("nas", "1");
  const controller = new AbortController();
  const [late, cancelled, patient] = [
    begin("nas", "late", 5_000),
    begin("nas", "cancelled", 20_000, controller.signal),
    begin("nas", "patient"),
  ];
  await clock.advance(5_000);
  assert.equal(await late.given, null);
  controller.abort();
  assert.equal(await cancelled.given, null);
  assert.equal(await begin("nas", "too late", 20_000, controller.signal).given, null);
  first.end();
  await clock.advance(1);
  assert.deepEqual(told, ["1", "patient"]);
  patient.end();
  assert.equal(await patient.given, "patient");
  assert.equal(clock.pendingTimers, 0);
});

const MOUNT = { id: "1", path: "/Volumes/it's (x) -f" };
const BUSY = "umount(/Volumes/core): Resource busy -- try 'diskutil unmount'";

/** The mount stands while FOLDER/mounted does. */
async function ladder(t: TestContext, umount: string, diskutil: string, clock: Clock = systemClock) {
  const folder = await temporaryFolder(t);
  const mark = join(folder, "mounted");
  await writeFile(mark, "");
  const program = async (name: string, script: string): Promise<string> => {
    const path = join(folder, name);
    const note = `printf '%s' ${name} >> ${folder}/ran; printf ' <%s>' "$@" >> ${folder}/ran; echo >> ${folder}/ran`;
    await writeFile(path, `#!/bin/sh\n${note}\n${script.replaceAll("LET_GO", `rm -f ${mark}`)}\n`);
    await chmod(path, 0o755);
    return path;
  };
  const unmount = createMacosUnmount({
    clock,
    mountTable: {
      read: async () =>
        existsSync(mark) ? [{ ...MOUNT, type: "smbfs", source: "//h/s", options: [], deviceMinor: 0 }] : [],
    },
    commands: { umount: await program("umount", umount), diskutil: await program("diskutil", diskutil) },
  });
  return {
    run: (mode: "plain" | "force", deadlineMs = 60_000, signal = new AbortController().signal) =>
      unmount(MOUNT, mode, { deadlineMs, signal }),
    ran: async () => (await readFile(join(folder, "ran"), "utf8").catch(() => "")).trim().split("\n"),
    letGo: () => rm(mark),
  };
}

test("a healthy mount needs only a plain umount", async (t) => {
  const { run, ran } = await ladder(t, "LET_GO", "");
  assert.deepEqual(await run("plain"), { ok: true });
  assert.deepEqual(await ran(), [`umount <--> <${MOUNT.path}>`]);
});

test("a busy mount is reported as busy and stays; no stronger force is tried", async (t) => {
  const { run, ran } = await ladder(t, `echo "${BUSY}" >&2; exit 1`, "LET_GO");
  const outcome = await run("plain");
  assert.deepEqual(outcome, { ok: false, reason: "busy", text: BUSY });
  assert.equal((await ran()).length, 1);
});

test("only a command that reports it means that the mount is busy", async (t) => {
  for (const [text, reason] of [
    ["umount: /mnt: target is busy.", "busy"],
    ["umount(/Volumes/Busy Bees): Operation not permitted", "failed"],
  ] as const) {
    const { run } = await ladder(t, `echo "${text}" >&2; exit 1`, "");
    assert.deepEqual(await run("plain"), { ok: false, reason, text });
  }
});

test("by force: umount -f, and when that does not help, diskutil", async (t) => {
  const first = await ladder(t, "LET_GO", "");
  assert.deepEqual(await first.run("force"), { ok: true });
  assert.deepEqual(await first.ran(), [`umount <-f> <--> <${MOUNT.path}>`]);
  const second = await ladder(t, `echo "${BUSY}" >&2; exit 1`, "LET_GO");
  assert.deepEqual(await second.run("force"), { ok: true });
  assert.deepEqual(await second.ran(), [
    `umount <-f> <--> <${MOUNT.path}>`,
    `diskutil <unmount> <force> <${MOUNT.path}>`,
  ]);
});

test("an umount that hangs leaves time for diskutil", async (t) => {
  const clock = createManualClock();
  const { run, ran } = await ladder(t, "exec sleep 600", "LET_GO", clock);
  const unmounting = run("force", 1_200);
  await eventually(async () => (await ran())[0] !== "");
  await clock.advance(600);
  assert.deepEqual(await unmounting, { ok: true });
  assert.equal((await ran()).length, 2);
});

test("the table decides whether it is done, not a command's output", async (t) => {
  const lying = await ladder(t, "exit 0", "exit 0");
  const outcome = await lying.run("plain");
  assert.deepEqual(outcome, { ok: false, reason: "failed", text: "it is still in the mount table" });
  const wedged = await lying.run("force");
  assert.ok(!wedged.ok && wedged.reason === "failed");
  assert.match(wedged.text, /wedged until the machine is restarted/);
  const complaining = await ladder(t, "LET_GO; echo 'not currently mounted' >&2; exit 1", "");
  assert.deepEqual(await complaining.run("plain"), { ok: true });
});

test("an absent mount counts as unmounted; a cancelled unmount runs nothing", async (t) => {
  const { run, ran, letGo } = await ladder(t, "", "");
  const cancelled = await run("force", 60_000, AbortSignal.abort());
  assert.deepEqual(cancelled, { ok: false, reason: "failed", text: "cancelled" });
  await letGo();
  assert.deepEqual(await run("plain"), { ok: true });
  assert.deepEqual(await ran(), [""]);
});
