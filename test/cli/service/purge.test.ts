// `uninstall --purge` beside other people's files: what is left of a user's folder.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { test } from "node:test";
import { grantFile } from "../../../src/gateway/backends/server-sign-in/grant-store.ts";
import { processIdentity } from "../../../src/runtime/process/process-identity.ts";
import { ends } from "../../support/ends.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand } from "../command-line.ts";

const ROOT = process.getuid?.() === 0 && process.platform === "linux";
const CONTENTS: Readonly<Record<string, string>> = {
  "config.toml": "[sync]\nenabled = false\n",
  "secrets.json": '{"version":1,"secrets":{}}',
};
const SHARE = "mounts/CORE";
/** Whatever a home may hold that Mountaineer made. */
const FULL = [
  ...[
    "config.toml",
    "state.json",
    "state.json.corrupt-2026-11-26T20-00-00.000Z",
    "secrets.json",
    "secrets.lock.db",
  ],
  ...["lock.db", "lock.json", "aliases.json", "aliases.json.set-aside", "sessions.jsonl", "session.key"],
  ...["numbers.log", "management.json", "daemon.json", "open.html", "audit.jsonl", "audit.jsonl.1"],
  ...["mountaineer.log", "mountaineer.log.1", "approvals.sealed", "approvals.key", "pins.sealed", "pins.key"],
  ...["names.sealed", "names.key", "lists.sealed", "lists.key", ".state.json.4711-0123456789ab.tmp"],
  ...["history/0000000001-0a1b2c3d.entry", "history/0000000002-0a1b2c3d.entry.corrupt"],
  ...["connections/.cursor.json.4711-0123456789ab.tmp", "connections/lock.db", "fleet/ca.pem"],
  ...["sign-in/_key.lock.db", `sign-in/${grantFile("docs", "ann")}.json`, "sign-in/docs-0a1b2c3d.asked.json"],
  ...[`${SHARE}/process.json`, `${SHARE}/mount-folder.json`, `${SHARE}/servers/0a1b/server.json`],
  ...[`${SHARE}/program.json`, `${SHARE}/control.sock`, `${SHARE}/journal`, `${SHARE}/aside`],
  ...[`${SHARE}/server.json`, `${SHARE}/server-1767225600000.json`, `${SHARE}/local-folders.json`],
  ...["logons/0a1b2c3d", "logons/try-0a1b2c3d", "mount-program/0a1b2c3d4e5f/mountaineer-fs"],
  "mount-program/installed/mountaineer-fs",
];

interface Row {
  /** Below the user's home. */
  readonly home: string;
  readonly before?: readonly string[];
  /** Links, each from its path to its target. */
  readonly links?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** What is left; folders end in `/`, and are named if they are empty. */
  readonly left: readonly string[];
  readonly says?: RegExp;
  /** Words before the command; paths below the user's home. */
  readonly config?: string;
  /** The files' texts, if not as in `CONTENTS`. */
  readonly contents?: Readonly<Record<string, string>>;
  /** The exit code if it refuses: nothing is removed. */
  readonly refused?: 1 | 7;
}

const THESIS = ["thesis/thesis.tex", "photo.jpg", "config.toml.orig", "lock.db.md"];

const inHome = (home: string, names: readonly string[]): string[] => names.map((name) => join(home, name));
/** This process stands for the program of a share. */
const SERVING = JSON.stringify({
  ...(await processIdentity(process.pid)),
  ...{ socket: "/s", mounted: "/mnt/OLD", folder: "@USER@/disk/mounts/OLD" },
});

const ROWS: Readonly<Record<string, Row>> = {
  "a home elsewhere stays while a program serves a share that nobody knows": {
    home: "disk",
    before: ["disk/config.toml", "disk/mounts/OLD/program.json"],
    contents: { "program.json": SERVING },
    left: ["disk/config.toml", "disk/mounts/OLD/program.json"],
    says: /a program \(pid \d+\) still serves \/mnt\/OLD/,
    refused: 1,
  },
  "a share may be called set-aside": {
    home: ".mountaineer",
    before: [".mountaineer/config.toml", ".mountaineer/mounts/set-aside/server.json"],
    left: [],
  },
  "a home elsewhere keeps a configuration that is not the one in use, and others' connections": {
    home: "work",
    config: "mine.toml",
    before: [
      "mine.toml",
      ...inHome("work", ["config.yaml", "connections/office.json", "connections/cursor.json.md"]),
    ],
    contents: { "mine.toml": "[sync]\nenabled = false\n" },
    left: [
      "mine.toml",
      ...inHome("work", ["config.yaml", "connections/cursor.json.md", "connections/office.json"]),
    ],
  },
  "the usual home goes whole, and its log": {
    home: ".mountaineer",
    before: [
      ...inHome(".mountaineer", FULL),
      ...inHome(".mountaineer", ["mounts/CORE/strange", "history/notes.txt"]),
      ...inHome(".local/state/mountaineer", ["mountaineer.log", "mountaineer.log.2"]),
    ],
    left: [],
  },
  "what others put into the usual home stays, and is named": {
    home: ".mountaineer",
    before: inHome(".mountaineer", [...FULL, ...THESIS]),
    left: inHome(".mountaineer", THESIS).sort(),
    says: /\.mountaineer stays, with what Mountaineer did not make there: config\.toml\.orig, lock\.db\.md, photo\.jpg, thesis\n/,
  },
  "a clone where the log was loses the log alone": {
    home: ".mountaineer",
    env: { XDG_STATE_HOME: "src" },
    before: inHome("src/mountaineer", [
      ".git/HEAD",
      "my-uncommitted-work.ts",
      "mountaineer.log",
      "mountaineer.log.md",
    ]),
    left: inHome("src/mountaineer", [".git/HEAD", "mountaineer.log.md", "my-uncommitted-work.ts"]),
  },
  "the schema that the configuration names goes with it": {
    home: "disk",
    before: inHome("disk", ["config.toml", "config.schema.json"]),
    contents: { "config.toml": "#:schema ./config.schema.json\n[sync]\nenabled = false\n" },
    left: [],
  },
  "a schema that the configuration does not name stays": {
    home: "disk",
    before: inHome("disk", ["config.toml", "config.schema.json"]),
    left: ["disk/config.schema.json"],
  },
  "links in place of our folders and log go, and nothing behind them": {
    home: ".mountaineer",
    before: ["big/1/program", "big/state.json", "state/mountaineer.log", "state/mine"],
    links: {
      ".mountaineer/mount-program": "../big",
      ".mountaineer/mounts": "../big",
      ".mountaineer/volumes": "../big",
      ".local/state/mountaineer": "../../state",
    },
    left: [".local/state/mountaineer", "big/1/program", "big/state.json", "state/mine"],
  },
  "a full home elsewhere goes by its names": {
    home: "disk/mountaineer",
    before: ["Shares/", ...inHome("disk/mountaineer", [...FULL, "Shares/Links/"])],
    left: ["Shares/", "disk/"],
  },
  "a home elsewhere keeps what is not ours, whatever it is called": {
    home: "mountaineer",
    before: [
      ...inHome("mountaineer", [...FULL, ...THESIS]),
      ...inHome("mountaineer", [
        "history/of-rome.txt",
        "fleet/src/fs.go",
        "mounts/CORE/film.mov",
        "mounts/a/b/c",
      ]),
      ...inHome("mountaineer", [
        "volumes/1/text",
        "program/pigeon",
        "cache/vfs/share/x",
        "connections/a/b.json",
      ]),
    ],
    left: [
      ...inHome("mountaineer", ["cache/vfs/share/x", "config.toml.orig", "connections/a/b.json"]),
      ...inHome("mountaineer", [
        "fleet/src/fs.go",
        "history/of-rome.txt",
        "lock.db.md",
        "mounts/CORE/film.mov",
      ]),
      ...inHome("mountaineer", ["mounts/a/b/c", "photo.jpg", "program/pigeon", "thesis/thesis.tex"]),
      "mountaineer/volumes/1/text",
    ],
  },
  "a usual home that is a link is a home elsewhere": {
    home: ".mountaineer",
    before: inHome("work", [...FULL, "history/notes.txt", "logons/README"]),
    links: { ".mountaineer": "work" },
    left: [".mountaineer", "work/history/notes.txt", "work/logons/README"],
  },
  "a usual home that is a link goes with the link if it is empty then": {
    home: ".mountaineer",
    before: inHome("work", FULL),
    links: { ".mountaineer": "work" },
    left: [],
  },
  "the user's own folder as the home stays, with empty folders and links": {
    home: "",
    before: [...FULL, "mounts/usb/", "Pictures/1.jpg", "history/.bash", "set-aside/mine"],
    links: { volumes: "Pictures", "notes.txt": "nowhere" },
    left: ["Pictures/1.jpg", "history/.bash", "mounts/usb/", "notes.txt", "set-aside/mine", "volumes"],
  },
};

for (const [title, row] of Object.entries(ROWS)) {
  test(`F6 purge: ${title}`, async (t) => {
    const user = await temporaryFolder(t);
    const { stderr } = await purge(user, row);
    const left = await leftIn(user);
    if (row.refused !== undefined) for (const path of row.left) assert.ok(left.includes(path), path);
    else assert.deepEqual(left, row.left);
    if (row.says !== undefined) assert.match(stderr, row.says);
  });
}

test("F6 purge: a home that is a mount point is emptied, and mounts in it are not entered", {
  skip: ROOT ? false : "needs root on Linux",
}, async (t) => {
  const user = await temporaryFolder(t);
  for (const [home, usb, left] of [
    [".mountaineer", ".mountaineer/usb", [".mountaineer/usb/mounts/x"]],
    ["disk", "disk/mounts/usb", ["disk/mounts/usb/mounts/x"]],
  ] as const) {
    const mounted: string[] = [];
    const mount = async (path: string): Promise<void> => {
      await mkdir(join(user, path), { recursive: true });
      execFileSync("mount", ["-t", "tmpfs", "none", join(user, path)]);
      mounted.unshift(join(user, path));
    };
    try {
      await mount(home);
      await mount(usb);
      await purge(user, { home, before: [...inHome(home, FULL), `${usb}/mounts/x`], left });
      assert.deepEqual(await leftIn(user), left);
    } finally {
      for (const path of mounted) execFileSync("umount", [path]);
      for (const name of await readdir(user)) execFileSync("rm", ["-r", join(user, name)]);
    }
  }
});

async function purge(user: string, row: Row) {
  const { home, before = [], links = {}, env = {}, config } = row;
  for (const folder of new Set(before.map((path) => (path.endsWith("/") ? path : dirname(path)))))
    await mkdir(join(user, folder), { recursive: true });
  for (const path of before) {
    const text = { ...CONTENTS, ...row.contents }[basename(path)] ?? "";
    if (!path.endsWith("/")) writeFileSync(join(user, path), text.replaceAll("@USER@", user));
  }
  for (const [path, target] of Object.entries(links)) {
    await mkdir(dirname(join(user, path)), { recursive: true });
    await symlink(target, join(user, path));
  }
  const isUsual = home === ".mountaineer";
  if (isUsual && links[home] === undefined) await mkdir(join(user, home), { recursive: true, mode: 0o700 });
  execFileSync("chmod", ["-R", "go-rwx", user]);
  const options = {
    home: isUsual ? "" : join(user, home),
    env: {
      HOME: user,
      ...Object.fromEntries(Object.entries(env).map(([name, path]) => [name, join(user, path)])),
    },
  };
  const given = config === undefined ? [] : ["--config", join(user, config)];
  const ran = await ends(runCommand([...given, "uninstall", "--purge", "--yes"], options), row.refused ?? 0);
  return ran;
}

async function leftIn(folder: string): Promise<readonly string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = found.map((entry) => ({ entry, path: join(entry.parentPath, entry.name) }));
  const isLeaf = (path: string): boolean => !paths.some((other) => other.path.startsWith(`${path}/`));
  return paths
    .filter(({ path }) => isLeaf(path))
    .map(({ entry, path }) => path.slice(folder.length + 1) + (entry.isDirectory() ? "/" : ""))
    .filter((path) => path !== ".local/state/")
    .sort();
}
