// Names of SMB mounts, as other tools write them.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSameHost, isShareNamed, parseSmbSource, sourceOf } from "../../src/shares/smb-source.ts";

describe("an SMB source", () => {
  const table: [source: string, host: string, port: number, share: string, subpath: string][] = [
    ["//nas/CORE", "nas", 445, "CORE", ""],
    ["//nas/CORE/", "nas", 445, "CORE", ""],
    ["//nas:4450/CORE", "nas", 4450, "CORE", ""],
    ["//anna@nas.local/CORE", "nas.local", 445, "CORE", ""],
    ["//anna:secret@nas/CORE", "nas", 445, "CORE", ""],
    ["//WORK;anna@nas/CORE/deep/er", "nas", 445, "CORE", "deep/er"],
    ["//nas/CORE/deep/", "nas", 445, "CORE", "deep"],
    ["//anna@example.org@nas/CORE", "nas", 445, "CORE", ""],
    ["//10.0.0.1/My Share", "10.0.0.1", 445, "My Share", ""],
    ["//[fe80::1%25tb0]:4450/CORE", "fe80::1%tb0", 4450, "CORE", ""],
    ["//fe80::1/CORE", "fe80::1", 445, "CORE", ""],
    ["smb://nas/CORE", "nas", 445, "CORE", ""],
    ["\\\\nas\\CORE", "nas", 445, "CORE", ""],
  ];
  for (const [source, host, port, share, subpath] of table) {
    it(`${source} is understood`, () => {
      const parsed = parseSmbSource(source);
      assert.deepEqual(parsed && [parsed.host, parsed.port, parsed.shareNames[0], parsed.subpath], [
        host,
        port,
        share,
        subpath,
      ]);
    });
  }

  for (const source of ["nas:CORE", "/dev/sda1", "//nas", "//nas/", "///CORE", "none", "", "//a b:x/CORE"]) {
    it(`${JSON.stringify(source)} is not one`, () => assert.equal(parseSmbSource(source), null));
  }

  it("is written with a port only where it is not 445, and IPv6 in brackets", () => {
    assert.equal(sourceOf({ host: "nas", port: 445 }, "CORE"), "//nas/CORE");
    assert.equal(sourceOf({ host: "nas", port: 4450 }, "My Share"), "//nas:4450/My Share");
    assert.equal(sourceOf({ host: "fe80::1", port: 445 }, "CORE"), "//[fe80::1]/CORE");
  });

  it("a written source reads back unchanged", () => {
    for (const shareName of ["CORE", "My Share", "Größe", "50%", "a%20b", "50% off%2F", "it's"]) {
      const parsed = parseSmbSource(sourceOf({ host: "fe80::1", port: 4450 }, shareName));
      assert.ok(parsed && isShareNamed(parsed, shareName), shareName);
      assert.deepEqual([parsed.host, parsed.port], ["fe80::1", 4450]);
    }
  });

  it("compares share names without regard to case, composition or percent escapes", () => {
    const named = (share: string, wanted: string): boolean => {
      const parsed = parseSmbSource(`//nas/${share}`);
      return parsed !== null && isShareNamed(parsed, wanted);
    };
    assert.ok(named("core", "CORE"));
    assert.ok(named("Gro\u0308\u00dfe", "GRÖSSE"));
    assert.ok(named("My%20Share", "my share"));
    assert.ok(!named("CORE-1", "CORE"));
    assert.ok(!named("CORE", "CORE2"));
  });

  it("hosts are equal without case and the root's dot", () => {
    assert.ok(isSameHost("NAS.local.", "nas.local"));
    assert.ok(!isSameHost("nas", "nas.local"));
  });
});
