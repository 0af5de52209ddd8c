// Which mounts of a Mac are a share's, and over which route: by what the table says alone.
import assert from "node:assert/strict";
import test from "node:test";
import { silentLogger } from "../../../../src/runtime/log/log.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import type { FoundMount } from "../../../../src/shares/drivers/mount-driver.ts";
import { createNetfsDriver } from "../../../../src/shares/drivers/netfs/netfs.ts";
import type { MountEntry } from "../../../../src/shares/mounts/mount-entry.ts";
import { ANOTHER_USERS } from "../../../../src/shares/mounts/mount-table-darwin.ts";
import { startProber } from "../../../../src/shares/prober/prober-process.ts";
import type { ShareSpec } from "../../../../src/shares/share-spec.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";

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

/** What is found of the share in these lines. */
async function found(lines: readonly string[], share: ShareSpec = SHARE): Promise<readonly FoundMount[]> {
  const entries = lines.map(entryOf);
  await using prober = startProber({ clock: systemClock, logger: silentLogger });
  const driver = createNetfsDriver({
    clock: systemClock,
    logger: silentLogger,
    prober,
    mountTable: { read: () => Promise.resolve(entries) },
    addressesOf: (host) => (host === "My-NAS.local" ? ["192.168.1.5"] : []),
  });
  return driver.find(share, 0);
}

const inShort = (mounts: readonly FoundMount[]) =>
  mounts.map(({ path, route: name, sameShare }) => [path, name, sameShare]);

test("a mount is the share's by its source, and its route by host, address or service", async () => {
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

test("the path is the same however it is composed, and is told as it is configured", async () => {
  const decomposed = "/Volumes/Größe".normalize("NFD");
  const mounts = await found([`//ann@10.10.10.1/Gr%C3%B6%C3%9Fe on ${decomposed} (smbfs, mounted by ann)`]);
  assert.deepEqual(inShort(mounts), [["/Volumes/Größe", "tb", true]]);
});

test("a twin is found as what it is, by its source", async () => {
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

test("what stands at its path and is another share, another kind, or another user's, is not it", async () => {
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
});
