// A backup's file: what is changed, cut, foreign or newer is refused with its reason, and nothing is written.
import assert from "node:assert/strict";
import { readdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openBackup, readBackupFile, sealBackup } from "../../../src/daemon/backup/backup-file.ts";
import { openRestore } from "../../../src/daemon/backup/backup-home.ts";
import { decodeContent, encodeContent } from "../../../src/daemon/backup/home-content.ts";
import { secretsIn } from "../../../src/daemon/backup/home-parts.ts";
import { planRestore } from "../../../src/daemon/backup/plan-restore.ts";
import { grantFile, readGrantFile } from "../../../src/gateway/backends/server-sign-in/grant-store.ts";
import { ENCRYPTION_KEY } from "../../../src/secrets/encrypted-files.ts";
import { userKey } from "../../../src/secrets/user-secrets.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const PASSPHRASE = "correct horse battery";
const CONTEXT = { home: "/h", userHome: "/", userName: "ann", defaultMountRoot: "/h/volumes" };
const ORIGIN = {
  time: "2026-12-01T00:00:00Z",
  machine: "m",
  version: "1",
  context: CONTEXT,
  config: "/h/config.toml",
};
const CONFIG = { path: "config.toml", content: "" };
const contentOf = (...files: readonly unknown[]): Buffer => Buffer.from(JSON.stringify({ ...ORIGIN, files }));

test("F8 a backup that was changed, cut, or is another's file is refused, says which, and changes nothing", async (t) => {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  const file = join(folder, "backup");
  const whole = Buffer.concat(await Array.fromAsync(sealBackup([contentOf(CONFIG)], PASSPHRASE)));
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return bytes;
  };
  // Another letter of the salt: a flipped bit could make it one that no salt has.
  const salted = Buffer.from(whole);
  salted[25] = salted.toString("latin1", 25, 26) === "A" ? 66 : 65;
  const line = whole.indexOf("\n") + 1;
  const body = line + 8 + 16;
  const cases: readonly [string, Buffer | string, RegExp, string?][] = [
    ["a wrong passphrase", whole, /passphrase is wrong/, "another passphrase"],
    ["no bytes", "", /foreign/],
    ["another's file", "-----BEGIN PGP MESSAGE-----\n", /foreign/],
    ["half a first line", whole.subarray(0, 30), /first line is cut short/],
    ["only the first line", whole.subarray(0, line), /cut short/],
    ["no body", whole.subarray(0, body), /cut short/],
    ["the last byte is missing", whole.subarray(0, -1), /cut short: 1 bytes are missing/],
    ["half of it", whole.subarray(0, body + 40), /cut short: \d+ bytes/],
    ["a byte more", Buffer.concat([whole, Buffer.from("x")]), /was changed after/],
    ["another salt", salted, /passphrase is wrong, or the file's beginning was changed/],
    ["another length", flipped(line + 7), /beginning was changed/],
    ["another byte", flipped(body + 9), /was changed after it was written/],
    ["another tag", flipped(whole.length - 1), /was changed after it was written/],
    [
      "a newer format",
      Buffer.concat([Buffer.from("mountaineer-backup 2 "), whole.subarray(21)]),
      /newer version.*format 2/,
    ],
  ];
  for (const [name, bytes, why, passphrase = PASSPHRASE] of cases) {
    await writeFile(file, bytes);
    const restore = {
      home,
      userHome: folder,
      file,
      passphrase,
      replaces: false,
      signal: AbortSignal.timeout(60_000),
    };
    await assert.rejects(openRestore(restore), { code: "backup_refused", message: why }, name);
    assert.deepEqual(await readdir(folder), ["backup"], name);
  }
  assert.deepEqual(await openBackup(whole, PASSPHRASE), contentOf(CONFIG));
  await symlink("/dev/zero", join(folder, "endless"));
  await assert.rejects(readBackupFile(join(folder, "endless")), /not a regular file/);
});

test("F8 only files that a home has are taken from a backup, each once", async () => {
  const named = (path: string) => ({ path, content: "" });
  const foreign = [
    ...[
      "../config.toml",
      "/etc/passwd",
      "history/../config.toml",
      "history",
      "",
      ".",
      "CONFIG.TOML",
      "config.toml/",
    ],
    ...[
      "approvals.key",
      "checked.sealed",
      "lock.db",
      "mountaineer.sock",
      "mounts/CORE/program.json",
      "config.toml\n",
    ],
    ...[
      "sign-in/..-00000000.json",
      "sign-in/a/b-00000000.json",
      "user-secrets/owner.json\0",
      "connections/claude.json",
    ],
  ];
  for (const path of foreign)
    assert.throws(() => decodeContent(contentOf(CONFIG, named(path))), { code: "backup_refused" }, path);
  for (const name of ["_seal-approvals", ENCRYPTION_KEY, "../x", ""])
    assert.throws(() => secretsIn(Buffer.from(JSON.stringify([[name, "x"]]))), /secrets are not/, name);
  assert.throws(() => decodeContent(contentOf(CONFIG, CONFIG)), /is in it twice/);
  assert.throws(() => decodeContent(contentOf(CONFIG, named("config.yaml"))), /has not one configuration/);
  assert.throws(() => decodeContent(contentOf()), /has not one configuration/);
  assert.throws(() => decodeContent(Buffer.from("[".repeat(2e8))), /no home is in it/);
  assert.throws(() => decodeContent(Buffer.from("[]")), /no home is in it/);
  const files = new Map([["fleet/ca.pem", Buffer.alloc(2 ** 29)]]);
  assert.throws(() => encodeContent({ ...ORIGIN, context: CONTEXT, files }), /256 MiB at most/);
  const signIns = [null, "ann"].map((user) => named(`sign-in/${grantFile("notes", user)}.json`));
  const paths = ["/h", "/h/x", "/data/h/x", "/hx", "-v:/h:/y"];
  const text = (all: readonly string[]): string =>
    `[backends.a]\ncommand = "cat"\nargs = ${JSON.stringify(all)}\n`;
  const old = contentOf({ path: "config.toml", content: Buffer.from(text(paths)).toString("base64") });
  const { content: moved } = await planRestore(decodeContent(old), "/new", null);
  const follow = ["/new", "/new/x", "/data/h/x", "/hx", "-v:/new:/y"];
  assert.equal(moved.files.get("config.toml")?.toString(), text(follow));
  assert.equal(decodeContent(contentOf(CONFIG, named("session.key"), ...signIns)).files.size, 4);
  for (const [server, user] of [
    ["notes", null],
    ["notes-0a1b2c3d", "ann"],
    [`n-0a1b2c3d-${"0".repeat(32)}`, null],
  ] as const)
    assert.deepEqual(readGrantFile(grantFile(server, user)), {
      backend: server,
      user: user && userKey(user),
    });
  for (const name of ["notes-00000000", "_key", `user-${userKey("ann")}`])
    assert.equal(readGrantFile(name), null, name);
});
