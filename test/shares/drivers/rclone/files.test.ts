// A share's folder: names that cannot clash or escape, config that cannot be broken out of.
import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import {
  configText,
  folderName,
  mountArguments,
  parseProcessNote,
  processNoteText,
  rcloneFiles,
  writeIfChanged,
} from "../../../../src/shares/drivers/rclone/files.ts";
import type { ShareSpec } from "../../../../src/shares/share-spec.ts";
import { mountTmpfs } from "../../../support/tiny-disk.ts";

const route = { host: "nas.local", port: 4450, interfaceName: null, folder: null };
const share: ShareSpec = {
  name: "CORE",
  shareName: "CORE",
  username: "anna",
  password: "secret",
  missingVariable: null,
  driver: "rclone",
  routes: { tb: route, fallback: { ...route, host: "fe80::1", port: 445 } },
  mountPath: "/v/CORE",
  stablePath: "/s/CORE",
};

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
    const folders = names.map((name) => rcloneFiles("/home", name).folder);
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

describe("the config", () => {
  it("differs between routes in host and port alone, so that unsent writes are found again", () => {
    const [tb, fallback] = [
      configText(share, share.routes.tb, "obscured"),
      configText(share, share.routes.fallback, "obscured"),
    ];
    const without = (text: string): string => text.replace(/^(host|port) = .*$/gm, "");
    assert.equal(without(tb), without(fallback));
    assert.match(tb, /^host = nas\.local\nport = 4450$/m);
    assert.match(fallback, /^host = \[fe80::1\]\nport = 445$/m);
  });

  it("keeps odd users whole, takes domains apart, and names a guest", () => {
    const userOf = (username: string): string[] =>
      configText({ ...share, username }, route, "x")
        .split("\n")
        .filter((line) => /^(user|domain) =/.test(line));
    assert.deepEqual(userOf(" anna;`x` "), ['user = """`x` """', 'domain = """ anna"""']);
    assert.deepEqual(userOf("WORK\\anna"), ['user = """anna"""', 'domain = """WORK"""']);
    assert.deepEqual(userOf("anna@example.org"), ['user = """anna@example.org"""']);
    const guest = configText(share, route, null);
    assert.match(guest, /^user = """guest"""$/m);
    assert.ok(!guest.includes("pass"));
  });

  it("has no password in the arguments, and the route in what the mount table will show", () => {
    const args = mountArguments(share, route, "/v/CORE", rcloneFiles("/home", "CORE"));
    assert.ok(!args.join(" ").includes("secret"));
    assert.equal(args[args.indexOf("--devname") + 1], "//nas.local:4450/CORE");
  });
});

describe("the note of who serves a mount", () => {
  it("is read back, and nothing else is taken for one", () => {
    const note = { identity: { pid: 5, startTime: "77" }, mountPath: "/v/CORE", carriedPort: null };
    assert.deepEqual(parseProcessNote(processNoteText(note)), note);
    for (const text of [
      null,
      "",
      "{",
      "[]",
      "null",
      "5",
      '{"pid":"5","startTime":"7","mountPath":"/"}',
      '{"pid":5}',
    ]) {
      assert.equal(parseProcessNote(text), null, String(text));
    }
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
