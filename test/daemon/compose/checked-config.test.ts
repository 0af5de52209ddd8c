// A start whose file this build has checked before, and all that makes it read the file again.
import assert from "node:assert/strict";
import { mkdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openHistory } from "../../../src/config/history/history.ts";
import type { StartReader } from "../../../src/config/worker/reader-process.ts";
import { isTrustedKey, openCheckedConfig } from "../../../src/daemon/compose/checked-config.ts";
import { openHome } from "../../../src/daemon/compose/home.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { sha256Of } from "../../../src/runtime/files/sha256.ts";
import { objectOf } from "../../../src/runtime/text/json-object.ts";
import { decryptText, encryptText } from "../../../src/secrets/encrypted-files.ts";
import { readersInProcess } from "../../support/reader-in-process.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const KEY = "0a".repeat(32);
const ANOTHER_KEY = "0b".repeat(32);
const SECRET = "the-value-of-the-token";
const FILE = `[backends.one]
command = "serve-one"
[backends.one.env]
TOKEN = "\${ONE_TOKEN}"
`;

interface Start {
  readonly build?: string | null;
  readonly key?: string | Error | null;
  readonly userHome?: string;
}

async function scene(t: TestContext, content = FILE) {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home, { mode: 0o700 });
  const configFile = join(home, "config.toml");
  const sealedFile = join(home, "checked.sealed");
  await writeFile(configFile, content, { mode: 0o600 });
  const inProcess = readersInProcess();
  let reads = 0;
  const startReader: StartReader = (clock) => {
    reads += 1;
    return inProcess(clock);
  };
  /** As the service does once it runs the content of the file. */
  const accept = async (text = content): Promise<void> => {
    const bytes = Buffer.from(text);
    const entry = { bytes, sha256: sha256Of(bytes), format: "toml", source: "start", summary: "" } as const;
    await openHistory(home, configFile).record({ ...entry, time: "2026-11-28T10:00:00.000Z" });
  };
  /** Resolves with what runs, and whether a process read it; keeps what runs, as a start does later. */
  const start = async ({ build = "build", key = KEY, userHome = "/home/ann" }: Start = {}) => {
    const checked = openCheckedConfig({
      home,
      key: () => (key instanceof Error ? Promise.reject(key) : Promise.resolve(key)),
      build,
    });
    const before = reads;
    const options = {
      home,
      configPath: null,
      environment: { HOME: userHome, ONE_TOKEN: SECRET },
      fallsBack: true,
      startReader,
    };
    const opened = await openHome({ ...options, checked });
    if (opened.rejected === null) await checked.keep(opened.snapshot, opened.homeContext);
    return { ...opened, wasRead: reads > before };
  };
  const first = await start();
  assert.equal(first.wasRead, true);
  await accept();
  return { home, configFile, sealedFile, start, accept, first };
}

const fileKey = (key: string): Buffer => Buffer.from(key, "hex");

const storedIn = async (file: string): Promise<Readonly<Record<string, unknown>>> =>
  objectOf(JSON.parse(decryptText("checked", await readFile(file, "utf8"), fileKey(KEY))));

/** Replaces the stored value; encrypted as by the home, or by a program with another key. */
async function replaceStored(
  file: string,
  change: (stored: Readonly<Record<string, unknown>>) => unknown,
  { key = KEY, name = "checked" } = {},
) {
  const text = encryptText(name, JSON.stringify(change(await storedIn(file))), fileKey(key));
  await writeFile(file, text, { mode: 0o600 });
}

test("D6 a start with the file that was checked before starts no process that reads it, and runs the same", async (t) => {
  const { sealedFile, start, first } = await scene(t);
  const before = await stat(sealedFile);
  const again = await start();
  assert.equal(again.wasRead, false);
  assert.deepEqual(again.snapshot, first.snapshot);
  assert.ok(Object.isFrozen(again.snapshot.config.backends[0]));
  const after = await stat(sealedFile);
  assert.deepEqual([after.mode & 0o777, after.ino], [0o600, before.ino], "private, and not written again");
});

type Scene = Awaited<ReturnType<typeof scene>>;

// What happened between two starts, and how the second one starts.
const READS_AGAIN: readonly (readonly [what: string, happens: (scene: Scene) => unknown, as?: Start])[] = [
  ["another build", () => {}, { build: "newer" }],
  ["sources, which may have changed", () => {}, { build: null }],
  ["another user's home folder", () => {}, { userHome: "/home/bea" }],
  ["no key", () => {}, { key: null }],
  [
    "a keyring that gives no answer",
    () => {},
    { key: new MountaineerError("secret_unavailable", "the keyring is locked") },
  ],
  ["another key", () => {}, { key: ANOTHER_KEY }],
  ["nothing kept", ({ sealedFile }) => rm(sealedFile)],
  [
    "another Node",
    ({ sealedFile }) =>
      replaceStored(sealedFile, ({ ground, ...stored }) => ({
        ...stored,
        ground: String(ground).replace(process.version, "v0.0.1"),
      })),
  ],
  [
    "a forged configuration by another key",
    ({ sealedFile }) =>
      replaceStored(
        sealedFile,
        (stored) => JSON.parse(JSON.stringify(stored).replace("serve-one", "serve-two")),
        { key: ANOTHER_KEY },
      ),
  ],
  [
    "a text of the same key for another file",
    ({ sealedFile }) => replaceStored(sealedFile, (stored) => stored, { name: "pins" }),
  ],
  [
    "a changed byte",
    async ({ sealedFile }) => {
      const text = await readFile(sealedFile, "latin1");
      const at = text.length >> 1;
      await writeFile(sealedFile, `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`);
    },
  ],
  [
    "half of what was kept",
    async ({ sealedFile }) => writeFile(sealedFile, (await readFile(sealedFile)).subarray(0, 400)),
  ],
  ["another content accepted since", ({ accept }) => accept(`${FILE}args = ["x"]\n`)],
  ["the history removed", ({ home }) => rm(join(home, "history"), { recursive: true })],
];

for (const [what, happens, as] of READS_AGAIN) {
  test(`D6 a start with ${what} reads and checks the file again`, async (t) => {
    const at = await scene(t);
    await happens(at);
    const { wasRead, snapshot } = await at.start(as);
    assert.equal(wasRead, true);
    assert.equal(JSON.stringify(snapshot).includes("serve-two"), false);
  });
}

test("D6 a file that changed while no daemon ran is read, and one with errors is rejected", async (t) => {
  const { configFile, start } = await scene(t);
  await writeFile(configFile, FILE.replace("serve-one", "serve-changed"));
  const changed = await start();
  assert.equal(changed.wasRead, true);
  assert.match(JSON.stringify(changed.snapshot.config.backends), /serve-changed/);
  await writeFile(configFile, FILE.replace("command", "comand"));
  const mistaken = await start();
  assert.equal(mistaken.wasRead, true);
  assert.match(JSON.stringify(mistaken.rejected?.mistakes), /comand/);
});

test("D6 the stored configuration is encrypted, and has references in place of secrets", async (t) => {
  const { sealedFile, start } = await scene(t, `${FILE}WRITTEN_OUT = "not-a-reference"\n`);
  const text = await readFile(sealedFile, "latin1");
  const plain = Buffer.from(text.replace(/^.*"sealed":"|".*$/gs, ""), "base64").toString("latin1");
  for (const unreadable of ["serve-one", "ONE_TOKEN", "not-a-reference"])
    assert.ok(!`${text}${plain}`.includes(unreadable), unreadable);
  const stored = JSON.stringify(await storedIn(sealedFile));
  assert.match(stored, /"variable":"ONE_TOKEN"/);
  assert.ok(!stored.includes(SECRET));
  assert.match(JSON.stringify((await start()).snapshot), /"variable":"ONE_TOKEN"/);
});

test("D6 a file whose check follows links elsewhere is checked at every start", async (t) => {
  const { start } = await scene(
    t,
    `[backends.one]\ncommand = "/usr/bin/server"\ncwd = "client"\ninstances = "per-client"\n`,
  );
  assert.equal((await start()).wasRead, true);
});

test("D6 E2 a key in the home's file is not trusted while the approvals' key is in the keyring", () => {
  assert.equal(isTrustedKey("file", "keyring"), false);
  for (const [own, ofApprovals] of [
    ["file", "file"],
    ["file", null],
    ["keyring", "keyring"],
    ["keyring", "file"],
    [null, "keyring"],
  ] as const)
    assert.equal(isTrustedKey(own, ofApprovals), true, `${own} ${ofApprovals}`);
});

// A start, and a command without a daemon, where the file was written over the newest content of the history.
const GUARDED = `[global]
connect_timeout_ms = 801
# what follows keeps others out
[incoming_auth]
type = "local"
[[incoming_auth.users]]
name = "ann"
token = "\${ANN}"
[backends.last]
command = "serve-last"
`;

/** As an earlier version accepted it. */
const EARLIER = `${GUARDED}gone_key = 1\n`;

// The content of the file, how it came, why it is held (null: it runs), and the content before.
const STARTS: readonly (readonly [
  what: string,
  text: string,
  how: "in place" | "rename" | "link",
  why: RegExp | null,
  before?: string,
])[] = [
  ["emptied", "", "in place", /it was emptied/],
  ["cut inside a line", GUARDED.slice(0, 60), "in place", /ends inside a line, after 60 of/],
  ["cut inside a text", GUARDED.slice(0, -5), "in place", /ends inside a line/],
  [
    "cut before the sign-in",
    GUARDED.slice(0, GUARDED.indexOf("[incoming")),
    "in place",
    /drops \[incoming_auth\]/,
  ],
  [
    "of an earlier version cut before the sign-in",
    GUARDED.slice(0, GUARDED.indexOf("[incoming")),
    "in place",
    /drops \[incoming_auth\]/,
    EARLIER,
  ],
  ["without its last block", GUARDED.slice(0, GUARDED.indexOf("[backends")), "in place", null],
  ["as it was", GUARDED, "in place", null],
  ["with more", `${GUARDED}args = ["x"]\n`, "in place", null],
  [
    "renamed, without the sign-in",
    "[global]\nconnect_timeout_ms = 801\n",
    "rename",
    /drops \[incoming_auth\]/,
  ],
  ["renamed, and empty", "", "rename", /it was emptied/],
  ["renamed, without its last block", GUARDED.slice(0, GUARDED.indexOf("[backends")), "rename", null],
  ["behind another link, without the sign-in", "[global]\nconnect_timeout_ms = 801\n", "link", null],
];

for (const [what, content, how, why, before = GUARDED] of STARTS) {
  test(`B12 a start with a file ${what} ${why === null ? "runs it" : "runs the last accepted content"}`, async (t) => {
    const home = join(await temporaryFolder(t), "home");
    await mkdir(home, { mode: 0o700 });
    const path = join(home, "config.toml");
    await writeFile(path, before, { mode: 0o600 });
    const bytes = Buffer.from(before);
    const inode = String((await stat(path, { bigint: true })).ino);
    const accepted = {
      bytes,
      sha256: sha256Of(bytes),
      format: "toml",
      source: "start",
      summary: "",
      inode,
    } as const;
    await openHistory(home, path).record({ ...accepted, time: "2026-11-21T20:00:00.000Z" });
    await writeFile(how === "in place" ? path : `${path}.new`, content, { mode: 0o600 });
    if (how === "rename") await rename(`${path}.new`, path);
    if (how === "link") {
      await symlink(`${path}.new`, `${path}.link`);
      await rename(`${path}.link`, path);
    }
    const options = { home, configPath: null, environment: {}, startReader: readersInProcess() };
    if (before === EARLIER)
      return assert.rejects(openHome(options), { code: "config_cut_short", message: why ?? /./ });
    const { snapshot, rejected } = await openHome({ ...options, fallsBack: true });
    assert.equal(snapshot.sha256, sha256Of(Buffer.from(why === null ? content : GUARDED)));
    if (why === null) return assert.equal(rejected, null);
    assert.equal(rejected?.isSuspect, true);
    assert.match(rejected?.reason ?? "", why);
    await assert.rejects(openHome(options), { code: "config_cut_short", message: why });
  });
}
