// `config edit` in a real editor (ed, or a program that stands for one), with and without a terminal.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmod, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { editorCommand } from "../../../src/runtime/process/editor.ts";
import { startRig } from "../../api/management-rig.ts";
import { sampleEdit, scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, scriptedControl } from "../../api/sample-report.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { pluck } from "../../support/pluck.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { LINUX_ALONE } from "../../support/where.ts";
import { programMissing } from "../../sync/programs.ts";
import { COMMAND, environmentOf, runHere, startCommand } from "../command-line.ts";

const CONFIG = "# mine\n[global]\ncheck_interval_secs = 2\n";

async function editing(t: TestContext, config: string | null = CONFIG) {
  const home = await temporaryFolder(t);
  /** Where the copies are made. */
  const scratch = await temporaryFolder(t);
  const file = join(home, "config.toml");
  if (config !== null) await writeFile(file, config);
  const editor = join(scratch, "editor");
  const env = { EDITOR: `${editor} --wait`, TMPDIR: scratch };
  return {
    home,
    file,
    scratch,
    env,
    /** Runs `config edit` with a shell script for an editor; `$1` is the copy. */
    async edit(script: string, ...args: string[]) {
      await writeFile(editor, `#!/bin/sh\n[ "$1" = --wait ] || exit 99\nshift\n${script}\n`);
      await chmod(editor, 0o755);
      return runHere(["config", "edit", ...args], { home, env });
    },
    text: () => readFile(file, "utf8"),
    /** The copies that are left. */
    async copies() {
      const folders = (await readdir(scratch)).filter((name) => name.startsWith("mountaineer-edit-"));
      return folders.map((folder) => join(scratch, folder, "config.toml"));
    },
  };
}

describe("config edit", { concurrency: 3 }, () => {
  test("the editor's result is saved when it is valid, and the copy is removed", async (t) => {
    const { edit, text, copies } = await editing(t);
    await ends(edit(`perl -pi -e 's/= 2/= 3/' "$1"`), 0, /config\.toml is changed/, "");
    assert.equal(await text(), CONFIG.replace("= 2", "= 3"));
    assert.deepEqual(await copies(), []);
  });

  test("a file that has replaced the edited one stays unchanged", async (t) => {
    const { edit, home } = await editing(t, "# mine\n");
    const { code, stderr } = await edit(`mv ${home}/config.toml ${home}/config.yaml; echo '# more' >> "$1"`);
    assert.equal(code, 9, stderr);
    assert.match(stderr, /the configuration is .*config\.yaml now, not .*config\.toml/);
    assert.equal(await readFile(join(home, "config.yaml"), "utf8"), "# mine\n");
  });

  test("the copy is private, and named so that editors recognize its type", {
    skip: LINUX_ALONE,
  }, async (t) => {
    const { edit, scratch } = await editing(t);
    await edit(`stat -c '%a %n' "$(dirname "$1")" "$1" > ${scratch}/seen`);
    const seen = await readFile(join(scratch, "seen"), "utf8");
    assert.match(seen, /^700 .*\n600 .*\/config\.toml\n$/);
  });

  test("a real editor that reads its commands from the terminal: ed, or sed without it", async (t) => {
    const { home, env, text } = await editing(t);
    const [editor, commands] =
      (await programMissing("ed")) === null
        ? ["ed", "/= 2/s/2/4/\\nw\\nq\\n"]
        : ["sed -i -f -", "/= 2/s/2/4/\\n"];
    const command = `printf '${commands}' | EDITOR='${editor}' VISUAL= ${shell("config edit")}`;
    const child = spawn("sh", ["-c", command], {
      env: environmentOf({ home, env }),
      stdio: ["ignore", "ignore", "pipe"],
    });
    const found = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    assert.equal(found, 0);
    assert.equal(await text(), CONFIG.replace("= 2", "= 4"));
  });

  test("no change writes nothing, even when the editor rewrote the same", async (t) => {
    const { edit, file, copies } = await editing(t);
    const before = await stat(file);
    await ends(edit(`cp "$1" "$1.new"; mv "$1.new" "$1"`), 0, "– nothing was changed\n");
    assert.equal((await stat(file)).ino, before.ino);
    assert.deepEqual(await copies(), []);
  });

  test("errors are written nowhere without a terminal: exit 3, each with its position, and the copy is kept and named", async (t) => {
    const { edit, text, copies } = await editing(t);
    const { code, stdout, stderr } = await edit(`printf '[global]\\nnonsense = 1\\n' > "$1"`);
    assert.deepEqual([code, stdout], [3, ""]);
    assert.match(stderr, /config\.toml:2:1: global\.nonsense/);
    const [copy = ""] = await copies();
    assert.ok(stderr.includes(`what you wrote is kept in ${copy}`), stderr);
    assert.equal(await readFile(copy, "utf8"), "[global]\nnonsense = 1\n");
    assert.equal(await text(), CONFIG);
  });

  test("a file that has changed underneath is not overwritten: exit 9, and the copy is kept and named", async (t) => {
    const { edit, file, text, copies } = await editing(t);
    const { stderr } = await ends(edit(`echo '# theirs' >> ${file}; echo '# ours' >> "$1"`), 9);
    const [copy = ""] = await copies();
    assert.ok(stderr.includes(copy), stderr);
    assert.match(await readFile(copy, "utf8"), /# ours/);
    assert.equal(await text(), `${CONFIG}# theirs\n`);
  });

  test("an editor that fails, or is missing, writes nothing and ends with 1", async (t) => {
    const { home, edit, text, copies } = await editing(t);
    const failed = await edit("exit 4");
    assert.equal(failed.code, 1);
    assert.match(
      failed.stderr,
      /editor .* ended with 4; nothing was written\n {2}hint: set VISUAL or EDITOR/,
    );
    assert.deepEqual(await copies(), []);
    assert.doesNotMatch(failed.stderr, /is kept in/);
    const none = await runHere(["config", "edit"], { home, env: { VISUAL: "/no/such -x" } });
    assert.equal(none.code, 1);
    assert.match(none.stderr, /\/no\/such cannot be started: there is none of that name/);
    const changed = await edit(`echo '# kept' >> "$1"; exit 1`);
    assert.match(changed.stderr, /what you wrote is kept in/);
    assert.equal(await text(), CONFIG);
  });

  test("an editor that removes or empties its copy changes nothing, and ends with 1", async (t) => {
    const { edit, text, copies } = await editing(t);
    await ends(edit('rm "$1"'), 1, null, /nothing was changed/);
    await ends(edit(': > "$1"'), 1, "", /the editor left no text: nothing was changed/);
    assert.deepEqual(await copies(), []);
    assert.equal(await text(), CONFIG);
  });

  test("no shell interprets the editor's arguments", async (t) => {
    const { home, scratch } = await editing(t);
    const env = { EDITOR: `touch ${scratch}/a;touch ${scratch}/b`, TMPDIR: scratch };
    await runHere(["config", "edit"], { home, env });
    const made = (await readdir(scratch)).filter((name) => !name.startsWith("mountaineer-edit-"));
    assert.deepEqual(made, ["a;touch", "b"]);
  });

  test("a missing file begins with the starter, which is not written unless it is changed", async (t) => {
    const { edit, home, text } = await editing(t, null);
    assert.equal((await edit("true")).code, 0);
    assert.deepEqual(await readdir(home), []);
    await ends(edit(`perl -pi -e 's/^#\\[global\\]/[global]/' "$1"`), 0);
    assert.match(await text(), /^#:schema .*\n(.*\n)+\[global\]\n/);
    assert.ok((await readdir(home)).includes("config.schema.json"), "what its first line names is there");
  });

  test("a missing YAML file begins empty", async (t) => {
    const { edit, home } = await editing(t, null);
    const yaml = join(home, "config.yaml");
    const script = `[ -s "$1" ] && exit 9; echo 'global: {check_interval_secs: 2}' > "$1"`;
    await ends(edit(script, "--config", yaml), 0);
    assert.match(await readFile(yaml, "utf8"), /^global/);
  });

  test("a broken file can be corrected with it, even one with bytes that are not text", async (t) => {
    const { edit, file, text } = await editing(t);
    await writeFile(file, Buffer.from([0x23, 0xff, 0xfe, 0x0a]));
    await ends(edit(`[ "$(od -An -tx1 < "$1")" = ' 23 ff fe 0a' ] && echo '# well' > "$1"`), 0);
    assert.equal(await text(), "# well\n");
  });

  test("with a daemon the result is saved through it, with the hash of the opened content", async (t) => {
    const { home, file, edit } = await editing(t);
    const config = scriptedConfig({ edit: () => sampleEdit({ path: file }) });
    await startRig(t, { home, control: scriptedControl(sampleReport([], { config_path: file })), config });
    assert.ok(await connectToDaemon(home));
    await rm(file);
    assert.equal((await edit('grep -x "# now" "$1"')).code, 0, "without the file, it begins with what runs");
    await writeFile(file, CONFIG);
    await ends(edit(`printf '\\357\\273\\277# é\\r\\n' > "$1"`), 0, /settings reloaded/);
    const { createHash } = await import("node:crypto");
    const expected_sha256 = createHash("sha256").update(CONFIG).digest("hex");
    assert.deepEqual(pluck(config.calls, "name", "request"), [
      ["editText", { text: "\ufeff# é\r\n", expected_sha256, source: "cli" }],
    ]);
  });

  test("on a terminal it asks, and reopens the same copy until it is right", async (t) => {
    const { env, home, scratch, edit, text, copies } = await editing(t);
    await edit("true");
    const script = `#!/bin/sh\nshift\nif [ -e ${scratch}/again ]; then perl -pi -e 's/nonsense = 1/lsof_recheck = false/' "$1"; else touch ${scratch}/again; printf '[global]\\nnonsense = 1\\n' > "$1"; fi\n`;
    await writeFile(join(scratch, "editor"), script);
    const output = await onTerminal(t, {
      home,
      env,
      answers: [["Edit again?", "y\n"]],
      command: "config edit",
    });
    if (output === null) return t.skip("no script(1) here");
    assert.match(output, /global\.nonsense/);
    assert.match(output, /is changed/);
    assert.equal(await text(), "[global]\nlsof_recheck = false\n");
    assert.deepEqual(await copies(), []);
  });

  test("on a terminal a no keeps the copy; Ctrl-C in the editor ends only the editor's work", async (t) => {
    const { env, home, scratch, edit, text, copies } = await editing(t);
    await edit("true");
    const onInterrupt = `echo caught; printf "nonsense\\n" > "$1"; exit 0`;
    const script = `#!/bin/sh\nshift\ntrap '${onInterrupt}' INT\necho editing\nwhile :; do sleep 0.1; done\n`;
    await writeFile(join(scratch, "editor"), script);
    const answers: [string, string][] = [
      ["editing", "\u0003"],
      ["Edit again?", "no\n"],
    ];
    const output = await onTerminal(t, { home, env, answers, command: "config edit" });
    if (output === null) return t.skip("no script(1) here");
    assert.match(output, /caught/);
    assert.match(output, /what you wrote is kept in/);
    assert.equal((await copies()).length, 1);
    assert.equal(await text(), CONFIG);
  });

  test("rollback on a terminal shows the difference and asks; no changes nothing, yes does", async (t) => {
    const { env, home, edit, text } = await editing(t);
    await edit(`perl -pi -e 's/= 2/= 3/' "$1"`);
    const changed = await text();
    const command = "config rollback";
    const no = await onTerminal(t, { home, env, answers: [["[y/N]", "\n"]], command });
    if (no === null) return t.skip("no script(1) here");
    assert.match(no, /-check_interval_secs = 3/);
    assert.match(no, /\+check_interval_secs = 2/);
    assert.match(no, /nothing was changed/);
    assert.equal(await text(), changed);
    await onTerminal(t, { home, env, answers: [["[y/N]", "y\n"]], command });
    assert.equal(await text(), CONFIG);
  });

  test("SIGTERM also ends the editor, and keeps its saved text", async (t) => {
    const { env, home, scratch, edit, copies } = await editing(t);
    await edit("true");
    const script = `#!/bin/sh\nshift\necho '# kept' >> "$1"\ntouch ${scratch}/open\nexec sleep 600\n`;
    await writeFile(join(scratch, "editor"), script);
    const { child, ended } = startCommand(["config", "edit"], { home, env });
    await eventually(async () => (await readdir(scratch)).includes("open"));
    child.kill("SIGTERM");
    await ends(ended, 143, null, /what you wrote is kept in/);
    assert.equal((await copies()).length, 1);
  });
});

function shell(command: string): string {
  return `${COMMAND.map((word) => `'${word}'`).join(" ")} ${command}`;
}

/** All that the terminal showed; null where no terminal can be had. Types each answer when its words have come. */
async function onTerminal(
  t: TestContext,
  options: { home: string; env: Record<string, string>; answers: [string, string][]; command: string },
): Promise<string | null> {
  const { home, env, command } = options;
  // A Mac's script(1) has other options.
  if (LINUX_ALONE !== false) return null;
  const terminal = spawn("script", ["-qec", shell(command), "/dev/null"], {
    env: environmentOf({ home, env: { ...env, TERM: "dumb", SHELL: "/bin/sh" } }),
    stdio: ["pipe", "pipe", "ignore"],
  });
  t.after(() => void terminal.kill("SIGKILL"));
  let shown = "";
  let seen = 0;
  const answers = [...options.answers];
  terminal.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    shown += chunk;
    for (let next = answers[0]; next !== undefined; next = answers[0]) {
      const at = shown.indexOf(next[0], seen);
      if (at === -1) return;
      seen = at + next[0].length;
      answers.shift();
      terminal.stdin.write(next[1]);
    }
  });
  const late = setTimeout(() => terminal.kill("SIGKILL"), 100_000);
  terminal.once("close", () => clearTimeout(late));
  return new Promise((resolve) => {
    terminal.once("error", () => resolve(null));
    terminal.once("close", () => resolve(shown));
  });
}

test("the editor is $VISUAL, else $EDITOR, else vi; a path with spaces is one, and words are split as in a shell", async (t) => {
  const spaced = join(await temporaryFolder(t), "my editor");
  await writeFile(spaced, "#!/bin/sh\n", { mode: 0o755 });
  for (const [environment, command] of [
    [{}, ["vi"]],
    [{ VISUAL: " ", EDITOR: "" }, ["vi"]],
    [{ EDITOR: "nano" }, ["nano"]],
    [{ VISUAL: " code  --wait\t-n ", EDITOR: "nano" }, ["code", "--wait", "-n"]],
    [{ EDITOR: spaced }, [spaced]],
    [{ EDITOR: `"${spaced}" --wait` }, [spaced, "--wait"]],
    [{ EDITOR: `'${spaced}' -c 'set tw=0'` }, [spaced, "-c", "set tw=0"]],
    [{ EDITOR: `${spaced.replaceAll(" ", "\\ ")} -n` }, [spaced, "-n"]],
    [{ EDITOR: 'emacs --eval="(a b)"' }, ["emacs", "--eval=(a b)"]],
  ] as const) {
    assert.deepEqual(await editorCommand(environment), command);
  }
});
