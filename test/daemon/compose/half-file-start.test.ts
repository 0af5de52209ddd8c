// A start, and a command without a daemon, where the file was written over the newest content of the history.
import assert from "node:assert/strict";
import { mkdir, rename, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openHistory } from "../../../src/config/history/history.ts";
import { openHome } from "../../../src/daemon/compose/home.ts";
import { sha256Of } from "../../../src/runtime/files/sha256.ts";
import { readersInProcess } from "../../support/reader-in-process.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

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
