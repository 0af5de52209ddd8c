// Saves and cuts of the configuration file by real programs, while the daemon's service of the configuration watches it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { OWNER_RIGHTS } from "../../../src/api/operations/operation.ts";
import type { SyncSettings } from "../../../src/config/snapshot.ts";
import { sha256Of } from "../../../src/runtime/files/sha256.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { programMissing } from "../../sync/programs.ts";
import { NEVER, openScene, type Scene } from "./config-scene.ts";

const run = promisify(execFile);

const HEAD = (timeoutMs: number) => `[global]\nconnect_timeout_ms = ${timeoutMs}\n`;
const notes = (word: string, lines = 100) =>
  Array.from(
    { length: lines },
    (_, line) => `# ${word} ${line} about what is below, as people write them\n`,
  ).join("");
const RULES = `[authorization]\ndefault_effect = "deny"\n[[authorization.policies]]\neffect = "allow"\nresources = ["tool:*"]\nroles = ["admin"]\n`;
const SIGN_IN = `[incoming_auth]\ntype = "local"\n[[incoming_auth.users]]\nname = "ann"\ntoken = "\${ANN}"\nroles = ["admin"]\n`;
const BOB = `[[incoming_auth.users]]\nname = "bob"\ntoken = "\${BOB}"\n`;
const LAST = `[backends.last]\ncommand = "serve-last"\n`;
const SYNC = (detection: string, debounce: number) =>
  `[sync]\npoll_interval = 0.05\ndebounce = ${debounce}\ndetection = "${detection}"\n`;

/** What a program writes, by the content before. The head and `[sync]` come first in it, then the notes. */
const CONTENTS: Readonly<Record<string, (before: string) => string>> = {
  "another whole content": (before) => before.replace("= 801", "= 802"),
  "a longer content": (before) => `${before}args = ["more"]\n`,
  "as before with another value of the same length": (before) => before.replace("serve-last", "serve-next"),
  nothing: () => "",
  "an empty line": () => "\n",
  "the first half, to inside a comment": (before) => before.slice(0, 3_000),
  "all but the end of a text": (before) => before.slice(0, -6),
  "another first half, to inside a comment": (before) => before.replace("= 801", "= 8").slice(0, 3_000),
  "all but the sign-in and what follows": (before) => before.slice(0, before.indexOf(SIGN_IN)),
  "all but the policies": (before) => before.replace(RULES, ""),
  "all but the roles of a policy": (before) =>
    before.replace('resources = ["tool:*"]\nroles = ["admin"]\n', 'resources = ["tool:*"]\n'),
  "all but the last block": (before) => before.replace(LAST, ""),
  "all but the last block and the last line's end": (before) => before.replace(`\n${LAST}`, ""),
  "all but a user": (before) => before.replace(BOB, ""),
  "a list that is shorter, without a line's end": (before) =>
    before.replace(/\n$/, '\nargs = [\n"a",\n]').replace(notes("note", 2), ""),
  "more, but no sign-in": (before) => `${before.replace(SIGN_IN + BOB, "")}${notes("new")}`,
  "the first part of a longer content": (before) =>
    `${before.slice(0, before.indexOf(RULES))}${notes("new", 99)}# cut h`,
};

/** How a program writes `$NEW` into `$FILE`. */
const PROGRAMS = {
  "cat >": 'cat "$NEW" > "$FILE"',
  "( sleep; cat ) >": '( sleep 0.4; cat "$NEW" ) > "$FILE"',
  "two halves": '( head -c 3000 "$NEW"; sleep 0.4; tail -c +3001 "$NEW" ) > "$FILE"',
  "rm, then slowly": 'rm "$FILE"; ( head -c 3000 "$NEW"; sleep 0.4; tail -c +3001 "$NEW" ) > "$FILE"',
  cp: 'cp "$NEW" "$FILE"',
  truncate: 'truncate -s "$(wc -c < "$NEW")" "$FILE"',
  "dd over it": 'dd if="$NEW" of="$FILE" conv=notrunc status=none',
  tee: 'tee "$FILE" < "$NEW"',
  "rsync --inplace": 'rsync --inplace --ignore-times "$NEW" "$FILE"',
  rsync: 'rsync --ignore-times "$NEW" "$FILE"',
  mv: 'mv "$NEW" "$FILE"',
  install: 'install -m 600 "$NEW" "$FILE"',
  "cp --remove-destination": 'cp --remove-destination "$NEW" "$FILE"',
  tar: 'cd "$(dirname "$FILE")"; tar cf x.tar --transform "s/^new$/config.toml/" new; tar xf x.tar; rm x.tar',
  "git checkout": `cd "$(dirname "$FILE")"; export GIT_DIR="$PWD/git"; git init -q
    id=$(git hash-object -w new); git update-index --add --cacheinfo "100644,$id,config.toml"
    GIT_WORK_TREE=. git checkout-index -f config.toml`,
  "mv, then cut in place": 'cp "$FILE" "$FILE.next"; mv "$FILE.next" "$FILE"; cat "$NEW" > "$FILE"',
  "cut in place, then mv": 'truncate -s 3000 "$FILE"; mv "$NEW" "$FILE"',
  "a swap of links": 'ln -s "$NEW" "$FILE.link"; mv "$FILE.link" "$FILE"',
  ed: 'printf "1,\\$d\\n0r %s\\nw\\nq\\n" "$NEW" | ed -s "$FILE"',
  vim: 'vim -es -u NONE -c "set backupcopy=yes" -c "%!cat $NEW" -c wq "$FILE" < /dev/null',
} as const;

/** What PROGRAMS do that a machine may lack, in the same steps; the first word is the program. */
const STAND_INS: Partial<Record<keyof typeof PROGRAMS, string>> = {
  "rsync --inplace":
    'dd if="$NEW" of="$FILE" conv=notrunc status=none; truncate -s "$(wc -c < "$NEW")" "$FILE"',
  rsync: 'cp "$NEW" "$FILE.Xa7Kq2"; mv "$FILE.Xa7Kq2" "$FILE"',
  "git checkout": 'rm "$FILE"; cat "$NEW" > "$FILE"',
  ed: 'cat "$NEW" > "$FILE"',
  vim: 'cp -p "$FILE" "$FILE~"; cat "$NEW" > "$FILE"; rm "$FILE~"',
};

async function commandOf(program: keyof typeof PROGRAMS): Promise<string> {
  const standIn = STAND_INS[program];
  const isMissing = standIn !== undefined && (await programMissing(program.replace(/ .*/, ""))) !== null;
  return isMissing ? standIn : PROGRAMS[program];
}

type Comes = "applies" | "is held";

// The program, what it writes, and what comes of it.
const SAVES: readonly (readonly [keyof typeof PROGRAMS, keyof typeof CONTENTS, Comes])[] = [
  ["cat >", "another whole content", "applies"],
  ["( sleep; cat ) >", "another whole content", "applies"],
  ["two halves", "another whole content", "applies"],
  ["rm, then slowly", "another whole content", "applies"],
  ["cp", "a longer content", "applies"],
  ["dd over it", "as before with another value of the same length", "applies"],
  ["tee", "another whole content", "applies"],
  ["ed", "another whole content", "applies"],
  ["vim", "another whole content", "applies"],
  ["truncate", "nothing", "is held"],
  ["cat >", "nothing", "is held"],
  ["cat >", "an empty line", "is held"],
  ["truncate", "the first half, to inside a comment", "is held"],
  ["two halves", "all but the end of a text", "is held"],
  ["cp", "another first half, to inside a comment", "is held"],
  ["cp", "all but the sign-in and what follows", "is held"],
  ["( sleep; cat ) >", "all but the policies", "is held"],
  ["ed", "all but the roles of a policy", "is held"],
  ["cat >", "the first part of a longer content", "is held"],
  ["cat >", "more, but no sign-in", "is held"],
  ["rsync --inplace", "the first half, to inside a comment", "is held"],
  ["truncate", "all but the last block", "applies"],
  ["truncate", "all but the last block and the last line's end", "applies"],
  ["cp", "all but a user", "applies"],
  ["cp", "a list that is shorter, without a line's end", "applies"],
  // What loosens comes as another file.
  ["rsync", "more, but no sign-in", "applies"],
  ["rsync", "all but the sign-in and what follows", "is held"],
  ["mv", "the first half, to inside a comment", "is held"],
  ["mv", "nothing", "is held"],
  ["mv", "the first part of a longer content", "is held"],
  ["mv", "all but the policies", "applies"],
  ["mv", "all but the last block", "applies"],
  ["install", "all but the policies", "is held"],
  ["install", "another whole content", "applies"],
  ["cp --remove-destination", "all but the sign-in and what follows", "is held"],
  ["tar", "the first part of a longer content", "is held"],
  ["tar", "another whole content", "applies"],
  ["git checkout", "all but the policies", "is held"],
  ["mv, then cut in place", "all but the sign-in and what follows", "is held"],
  ["cut in place, then mv", "all but the policies", "applies"],
  ["a swap of links", "all but the sign-in and what follows", "applies"],
];

async function watching(t: TestContext, home: string, detection: string, debounce = 0.2) {
  const before = `${HEAD(801)}${SYNC(detection, debounce)}${notes("note")}${RULES}${SIGN_IN}${BOB}${LAST}`;
  await writeFile(join(home, "config.toml"), before);
  const scene = await openScene(home);
  t.after(() => scene.stop());
  return { ...scene, before, ...checksOf(scene) };
}

function checksOf({ service, config }: Pick<Scene, "service" | "config">) {
  const { control } = service;
  return {
    comes: (sha256: string, comes: Comes) =>
      eventually(() => {
        const { last_error, sha256: running, events } = control.sync();
        const types = events.map(({ type }) => type);
        if (comes === "is held") return last_error?.kind === "cut_short" && types.join() === "error";
        return running === sha256 && last_error === null && types.join() === "changed";
      }),
    signsIn: () => config().incomingAuth.type === "local" && config().authorization?.policies.length === 1,
  };
}

for (const detection of [
  "mtime",
  "hash",
  "inotify",
] as const satisfies readonly SyncSettings["detection"][]) {
  // Most of the time they wait.
  describe(`saves, detected by ${detection}`, { concurrency: 4 }, () => {
    for (const [program, content, comes] of SAVES) {
      it(`B12 (${detection}) ${program}: ${content} ${comes}`, async (t) => {
        const home = join(await temporaryFolder(t), "home");
        await mkdir(home);
        // A writer is waited for ten debounces at most: on a busy machine a slow one needs more than two seconds.
        const scene = await watching(t, home, detection, PROGRAMS[program].includes("sleep") ? 0.8 : 0.2);
        const after = CONTENTS[content]?.(scene.before) ?? "";
        const [NEW, FILE] = [join(home, "new"), scene.path];
        await writeFile(NEW, after);
        await run("sh", ["-c", await commandOf(program)], { env: { ...process.env, NEW, FILE } });
        await scene.comes(sha256Of(after), comes);
        if (comes === "applies") return;
        assert.ok(scene.signsIn());
        // Other bytes end it, and so does a person.
        const { control } = scene.service;
        if (detection === "hash") await writeFile(FILE, scene.before);
        else await control.reload({}, NEVER);
        await eventually(() => control.sync().last_error?.kind !== "cut_short");
      });
    }
  });
}

test("B12 a disk that fills up while the file is saved grants no access", {
  skip: process.getuid?.() !== 0 && "needs root",
}, async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  await run("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", home]);
  try {
    const own = await watching(t, home, "inotify");
    const [NEW, FILE] = [join(home, "new"), own.path];
    await writeFile(NEW, own.before.replace("= 801", "= 80"));
    // Another program takes what the save has freed, but for one page.
    const save =
      'exec 3> "$FILE"; cat /dev/zero > "$FILE.fill"; truncate -s -4096 "$FILE.fill"; cat "$NEW" >&3';
    await assert.rejects(run("sh", ["-c", save], { env: { ...process.env, NEW, FILE } }), /No space left/);
    await own.comes("", "is held");
    assert.ok(own.signsIn());
    await own.stop();
  } finally {
    await run("umount", ["-l", home]);
  }
});

test("B12 an edit in the middle of a slow save waits, and loses nothing of it", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  const { before, service, config, path: FILE } = await watching(t, home, "inotify");
  const NEW = join(home, "new");
  await writeFile(NEW, `${before}[backends.new]\ncommand = "serve-new"\n`);
  const saving = run("sh", ["-c", PROGRAMS["two halves"]], { env: { ...process.env, NEW, FILE } });
  await eventually(async () => (await stat(FILE)).size === 3_000);
  const edits = [{ key: "global.connect_timeout_ms", value: "900" }];
  const report = await service.control.edit({ edits, source: "cli" }, NEVER, OWNER_RIGHTS);
  await saving;
  assert.deepEqual([report.errors, report.changed], [[], true]);
  assert.deepEqual([config().global.connectTimeoutMs, config().backends.length], [900, 2]);
});

test("B12 a suspect file is not edited, and a rollback restores its last content", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  const { before, service, path, comes } = await watching(t, home, "hash");
  await writeFile(path, before.slice(0, 3_000));
  await comes("", "is held");
  const { control } = service;
  const edits = [{ key: "global.connect_timeout_ms", value: "900" }];
  await assert.rejects(async () => control.edit({ edits, source: "cli" }, NEVER, OWNER_RIGHTS), {
    code: "config_cut_short",
    message: /config\.toml: it ends inside a line, after 3000 of/,
  });
  await control.rollback({ n: 0 }, NEVER, OWNER_RIGHTS);
  assert.equal(await readFile(path, "utf8"), before);
  assert.equal(await readFile(`${path}.set-aside`, "utf8"), before.slice(0, 3_000));
  assert.equal(control.sync().last_error, null);
  // As the newest of the history, the half would run at the next start if the rollback broke off.
  const { entries } = await control.history();
  assert.deepEqual([...new Set(entries.map(({ sha256 }) => sha256))], [sha256Of(before)]);
  await writeFile(path, `${before}[backends.next\n`);
  await eventually(() => control.sync().last_error?.reason.includes("a table's header without its end"));
});

test("B12 a reload that finds an unnoticed half file suspects it, and the next reload confirms it", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  await mkdir(home);
  const { before, service, path, signsIn } = await watching(t, home, "hash", 1);
  const { control } = service;
  for (const [what, text] of [
    ["emptied", ""],
    ["drops", before.replace(SIGN_IN + BOB, "")],
  ] as const) {
    await writeFile(path, text);
    const { failure } = await control.reload({}, NEVER);
    assert.match(failure ?? "", new RegExp(`${what}.*mountaineer reload`));
    assert.ok(signsIn());
    await control.rollback({ n: 0 }, NEVER, OWNER_RIGHTS);
  }
  await writeFile(path, "");
  await control.reload({}, NEVER);
  assert.equal((await control.reload({}, NEVER)).failure, null);
  assert.equal(signsIn(), false);
});
