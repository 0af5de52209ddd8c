import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseMountOutput } from "../../../src/shares/mounts/mount-output-darwin.ts";
import { isShareNamed, parseSmbSource } from "../../../src/shares/smb-source.ts";

const one = (line: string) => {
  const [mount, ...others] = parseMountOutput(`${line}\n`);
  assert.deepEqual(others, []);
  assert.ok(mount, line);
  return mount;
};

describe("what macOS's mount prints", () => {
  it("is a source, a path, a type, flags, and who made it", () => {
    assert.deepEqual(one("//ann@nas.local/core on /Volumes/core (smbfs, nodev, nosuid, mounted by ann)"), {
      fsid: null,
      path: "/Volumes/core",
      type: "smbfs",
      source: "//ann@nas.local/core",
      options: ["nodev", "nosuid"],
      owner: { userName: "ann" },
    });
  });

  it("has lines of other file systems, sources with blanks too", () => {
    const output = [
      "/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)",
      "devfs on /dev (devfs, local, nobrowse)",
      "map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)",
      "/dev/disk5s1 on /Volumes/Backup on the road (old) (hfs, local, nodev, nosuid, journaled, noowners)",
      "//GUEST:@localhost:11484/caf%C3%A9 on /Volumes/café (smbfs)",
      "",
    ].join("\n");
    assert.deepEqual(
      parseMountOutput(output).map(({ source, path, type }) => [source, path, type]),
      [
        ["/dev/disk3s1s1", "/", "apfs"],
        ["devfs", "/dev", "devfs"],
        ["map auto_home", "/System/Volumes/Data/home", "autofs"],
        ["/dev/disk5s1", "/Volumes/Backup on the road (old)", "hfs"],
        ["//GUEST:@localhost:11484/caf%C3%A9", "/Volumes/café", "smbfs"],
      ],
    );
  });

  it("is split right whatever stands in a name", () => {
    for (const path of [
      "/Volumes/a on /b",
      "/Volumes/x (smbfs, mounted by root)",
      "/Volumes/)(",
      "/Volumes/ ",
      "/Volumes/über 日本",
      "/Volumes/two\nlines",
      "/Volumes/three\n\n on lines",
    ]) {
      const mount = one(`//ann@nas/s on ${path} (smbfs, nodev, mounted by ann)`);
      assert.deepEqual([mount.source, mount.path, mount.type], ["//ann@nas/s", path, "smbfs"], path);
    }
  });

  it("leaves out what is no mount, and goes on after it", () => {
    const good = "//ann@nas/s on /Volumes/s (smbfs, mounted by ann)";
    for (const junk of ["junk", "mount: permission denied", "x on y (z)", ") (", " on / ("]) {
      assert.deepEqual(
        parseMountOutput(`${junk}\n${good}\n${junk}\n`).map(({ path }) => path),
        ["/Volumes/s"],
        junk,
      );
    }
    assert.deepEqual(parseMountOutput(""), []);
    assert.deepEqual(parseMountOutput("\0\n".repeat(10_000)), []);
  });
});

describe("a source on macOS", () => {
  for (const [source, host, port, share] of [
    ["//ann@nas.local/core", "nas.local", 445, "core"],
    ["//guest:@localhost:11484/caf%C3%A9", "localhost", 11484, "café"],
    ["//HOME;ann@10.10.10.1/Gro%CC%88%C3%9Fe", "10.10.10.1", 445, "Größe"],
    ["//ann@NAS._smb._tcp.local/core", "NAS._smb._tcp.local", 445, "core"],
    ["//a%40b:@My%20NAS._smb._tcp.local/on%20%2F%20(x)", "My NAS._smb._tcp.local", 445, "on / (x)"],
    ["//ann@[fe80::1%25en0]:4450/core", "fe80::1%en0", 4450, "core"],
  ] as const) {
    it(`${source} names host, port and share`, () => {
      const parsed = parseSmbSource(source);
      assert.ok(parsed);
      assert.deepEqual([parsed.host, parsed.port], [host, port]);
      assert.ok(isShareNamed(parsed, share));
    });
  }
});
