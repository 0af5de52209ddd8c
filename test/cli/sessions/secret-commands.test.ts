import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Ran } from "../../support/collect.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

/** The command with something on its standard input. */
function piped(args: readonly string[], input: string | Buffer, home: string): Promise<Ran> {
  return runCommand(args, { home, input });
}

const CONFIG = `[[shares]]
name = "CORE"
thunderbolt_host = "127.0.0.2"
fallback_host = "127.0.0.3"
password = "secret:nas"
[backends.web]
url = "http://127.0.0.1:9/mcp"
headers = { Authorization = "Bearer \${secret:token}" }
`;

test("a secret is set from standard input, listed by its name, and removed", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), CONFIG);
  const set = await piped(["secret", "set", "nas"], "hidden word\n", home);
  assert.deepEqual([set.code, set.stderr], [0, ""]);
  assert.match(set.stdout, /nas is kept: secrets\.json/);
  assert.equal((await stat(join(home, "secrets.json"))).mode & 0o777, 0o600);
  assert.match(await readFile(join(home, "secrets.json"), "utf8"), /"hidden word"/);
  const list = await runCommand(["secret", "list"], { home });
  assert.equal(list.code, 0);
  assert.match(
    list.stdout,
    /● nas {4}secrets\.json \(0600\) {2}share CORE\n✗ token {2}not kept .*backend web \(headers/,
  );
  const json = await runCommand(["secret", "list", "--json"], { home });
  assert.deepEqual(JSON.parse(json.stdout), {
    secrets: [
      { name: "nas", kept: "file", used_by: ["share CORE"] },
      { name: "token", kept: null, used_by: ["backend web (headers Authorization)"] },
    ],
    config_error: null,
  });
  assert.doesNotMatch(`${list.stdout}${json.stdout}${set.stdout}`, /hidden/);
  const removed = await runCommand(["secret", "remove", "nas", "--json"], { home });
  assert.deepEqual(JSON.parse(removed.stdout), { name: "nas", kept: "file" });
  const again = await runCommand(["secret", "remove", "nas"], { home });
  assert.deepEqual([again.code, again.stdout], [2, ""]);
  assert.match(again.stderr, /no secret nas is kept/);
});

test("shares remove names a secret that nothing uses any more, and not one that something does", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(
    join(home, "config.toml"),
    `${CONFIG}${CONFIG.replace("CORE", "MEDIA").split("[backends")[0]}`,
  );
  await piped(["secret", "set", "nas"], "hidden word\n", home);
  const first = await runCommand(["shares", "remove", "--share", "CORE"], { home });
  assert.deepEqual([first.code, first.stderr], [0, ""]);
  const last = await runCommand(["shares", "remove", "--share", "MEDIA"], { home });
  assert.deepEqual(
    [last.code, last.stderr],
    [0, "mountaineer: nothing uses the secret nas any more; mountaineer secret remove nas removes it\n"],
  );
});

test("what can be no value or no name is refused, without repeating it, and changes nothing", async (t) => {
  const home = await temporaryFolder(t);
  const values: readonly (readonly [string | Buffer, RegExp])[] = [
    ["", /empty/],
    ["\n", /empty/],
    ["two\nlines\n", /one line/],
    ["a\0b", /NUL/],
    [Buffer.from([0xff, 0xfe]), /UTF-8/],
    ["x".repeat(9_000), /bytes at most/],
  ];
  for (const [value, why] of values) {
    const { code, stderr } = await piped(["secret", "set", "nas"], value, home);
    assert.equal(code, 2);
    assert.match(stderr, why);
  }
  for (const name of ["a/b", "-x", "", "ä", "__proto__"]) {
    const { code } = await piped(["secret", "set", "--", name], "x", home);
    assert.equal(code, 2, name);
  }
  const { code, stderr } = await piped(["secret", "set", "nas", "--in", "drawer"], "x", home);
  assert.deepEqual([code, /keyring, file/.test(stderr)], [2, true]);
  await assert.rejects(stat(join(home, "secrets.json")));
});

test("with a broken configuration the secrets are listed all the same, and where no keyring is, that is said", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "[global]\nauto_failbak = true\n");
  const none = await runCommand(["secret", "list"], { home });
  assert.match(none.stdout, /no secret is kept; what refers to any is not known: /);
  assert.equal((await piped(["secret", "set", "nas"], "x", home)).code, 0);
  const list = await runCommand(["secret", "list"], { home });
  assert.equal(list.code, 0);
  assert.match(list.stdout, /nas .*not used[\s\S]*who uses them is not known/);
  const keyring = await piped(["secret", "set", "other", "--in", "keyring"], "x", home);
  assert.equal(keyring.code, 1);
  assert.match(keyring.stderr, /keyring cannot be used/);
});

test("a home that cannot be written is told", async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "home"), "a file");
  const { code, stderr } = await piped(["secret", "set", "nas"], "x", join(folder, "home"));
  assert.deepEqual([code, /cannot/.test(stderr)], [6, true], stderr);
});
