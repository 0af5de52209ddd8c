// A share's folder: names that cannot clash or escape, and files that a full disk does not spoil.
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { folderName, shareFiles, writeIfChanged } from "../../../src/shares/drivers/share-files.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";

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
  it("goes on where the disk is full and a file is there already: a share changes its host all the same", async (t) => {
    const disk = await mountTmpfs(t, "size=64k");
    if (disk === null) return;
    const file = join(disk, "rclone.conf");
    await writeIfChanged(file, "host = 10.99.1.200\n");
    await assert.rejects(writeFile(join(disk, "filler"), Buffer.alloc(1_000_000)), { code: "ENOSPC" });
    await writeIfChanged(file, "host = 10.99.2.2\n");
    assert.equal(await readFile(file, "utf8"), "host = 10.99.2.2\n");
    await assert.rejects(writeIfChanged(join(disk, "new"), "x"), { code: "ENOSPC" });
    assert.deepEqual((await readdir(disk)).sort(), ["filler", "rclone.conf"]);
  });
});
