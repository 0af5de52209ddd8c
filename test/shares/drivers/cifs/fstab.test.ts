// What is read of an fstab.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fstabLine, parseFstab } from "../../../../src/shares/drivers/cifs/fstab.ts";

describe("an fstab", () => {
  it("has its SMB shares read, with blanks, comments, tabs and lines cut short", () => {
    const entries = parseFstab(
      [
        "# //nas/no /mnt/no cifs user 0 0",
        "",
        "UUID=1-2 / ext4 defaults 0 1",
        "  //nas/my\\040share\t/mnt/my\\040share/  cifs \t user,credentials=/etc/nas,port=4450 0 0",
        "//nas/b /mnt/b smb3",
        "//nas/c",
        "\\\\134\\134nas\\134d /mnt/d cifs users,nouser",
        "//nas/e /mnt/e cifs nouser,users,guest",
      ].join("\n"),
    );
    assert.deepEqual(
      entries.map(({ source, path, forUsers, hasCredentials }) => [source, path, forUsers, hasCredentials]),
      [
        ["//nas/my share", "/mnt/my share", true, true],
        ["//nas/b", "/mnt/b", false, false],
        ["\\\\\\nas\\d", "/mnt/d", false, false],
        ["//nas/e", "/mnt/e", true, true],
      ],
    );
    assert.deepEqual(entries[0]?.options, ["user", "credentials=/etc/nas", "port=4450"]);
  });

  it("has its carried mounts told by this machine's address and the last port", () => {
    const carriedPort = (source: string, options: string) =>
      parseFstab(`${source} /mnt/a cifs ${options} 0 0`)[0]?.carriedPort;
    assert.equal(carriedPort("//127.0.0.1/a", "port=24450"), 24_450);
    assert.equal(carriedPort("//127.0.0.1/a", "port=1,hard,port=24450"), 24_450);
    assert.equal(carriedPort("//127.0.0.1/a", "hard"), null);
    assert.equal(carriedPort("//127.0.0.1/a", "port=x"), null);
    assert.equal(
      carriedPort("//nas/a", "ip=127.0.0.1,port=24450"),
      null,
      "the kernel looks the name up again",
    );
  });

  it("takes a line that is written for it as it was meant", () => {
    const line = fstabLine("//nas/my share", "/mnt/my\tshare", ["users", "username=ann\\b"]);
    const [entry] = parseFstab(line);
    assert.deepEqual(
      [entry?.source, entry?.path, entry?.options],
      ["//nas/my share", "/mnt/my\tshare", ["users", "username=ann\\b"]],
    );
    assert.equal(line.split(" ").length, 6);
  });
});
