// What rclone is given: config that cannot be broken out of, its arguments, and the note of who serves a mount.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  configText,
  mountArguments,
  parseProcessNote,
  processNoteText,
  rcloneFiles,
} from "../../../../src/shares/drivers/rclone/files.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";

const route = routeTo("nas.local", { port: 4450 });
const share = shareSpec({
  username: "anna",
  password: "secret",
  routes: { tb: route, fallback: routeTo("fe80::1") },
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
    const note = { identity: { pid: 5, startTime: "77" }, mountPath: "/v/CORE", server: "0af3" };
    for (const carried of [
      { carriedPort: null, pinned: false },
      { carriedPort: 4450, pinned: true },
    ])
      assert.deepEqual(parseProcessNote(processNoteText({ ...note, ...carried })), { ...note, ...carried });
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
