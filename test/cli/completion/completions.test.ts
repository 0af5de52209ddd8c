// Completion as shells really do it: each script is loaded by its shell, and asked by it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { completionRequest } from "../../../src/cli/completion/completion-request.ts";
import { COMMANDS } from "../../../src/cli/program/command-list.ts";
import { complete, lineArgs } from "../../../src/cli/program/complete.ts";
import { createProgram } from "../../../src/cli/program/program.ts";
import { ends } from "../../support/ends.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { programMissing } from "../../sync/programs.ts";
import { NO_TERMINAL, openTerminal } from "../../tui/terminal.ts";
import { COMMAND, environmentOf, runCommand } from "../command-line.ts";

const run = promisify(execFile);

const CONFIG = `[[shares]]
name = "CORE"
thunderbolt_host = "127.0.0.2:1"
fallback_host = "127.0.0.3:1"
password = "secret:nas"
[[shares]]
name = "my $hare: \\"one\\""
thunderbolt_host = "127.0.0.2:2"
fallback_host = "127.0.0.3:2"
[backends.files]
command = "sh"
[backends.finance]
command = "sh"
[[backends.wiki.routes]]
name = "here"
command = "wiki-server"
[[backends.wiki.routes]]
url = "http://127.0.0.1:1/mcp"
`;

type Scene = Awaited<ReturnType<typeof scene>>;

/** A home with names in it, and a program called `mountaineer` on the PATH. */
async function scene(t: TestContext) {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  const bin = join(folder, "bin");
  await mkdir(home);
  await mkdir(bin);
  await writeFile(join(home, "config.toml"), CONFIG);
  const words = COMMAND.map((word) => `'${word}'`).join(" ");
  await writeFile(join(bin, "mountaineer"), `#!/bin/sh\nexec ${words} "$@"\n`);
  await chmod(join(bin, "mountaineer"), 0o755);
  const env = environmentOf({ home });
  return { home, folder, env: { ...env, PATH: `${bin}:${env["PATH"]}`, HOME: folder } };
}

async function script(shell: string, { home, folder }: Scene): Promise<string> {
  const { stdout } = await ends(runCommand(["completions", shell], { home }), 0, null, "");
  const path = join(folder, shell === "zsh" ? "_mountaineer" : `mountaineer.${shell}`);
  await writeFile(path, stdout);
  return path;
}

async function asked(home: string, ...words: readonly string[]): Promise<string[]> {
  const { stdout } = await ends(runCommand(["__complete", "zsh", ...words], { home }), 0, null, "");
  return stdout.split("\n").filter((line) => line !== "");
}

/** The same in this process, for as long as it takes unless the clock says otherwise. */
async function found(
  home: string,
  words: readonly string[],
  clock = createManualClock(),
): Promise<readonly string[]> {
  let printed = "";
  const print = (text: string): void => {
    printed += text;
  };
  assert.equal(await complete(["zsh", ...words], { home, clock, print }), 0);
  return printed.split("\n").filter((line) => line !== "");
}

const values = (lines: readonly string[]): string[] => lines.map((line) => line.split("\t")[0] ?? "");

test("commands, options and choices are taken from the definitions; file arguments are left to the shell", () => {
  const program = createProgram({ print: () => {}, complain: () => {} }, async () => {});
  const words = (...typed: readonly string[]): readonly string[] => {
    const request = completionRequest(program, COMMANDS, typed);
    return request.kind === "words" ? request.candidates.map(({ value }) => value) : [`:${request.kind}`];
  };
  assert.ok(words("").includes("status") && words("").includes("config") && words("").includes("help"));
  assert.ok(!words("").includes("__complete"));
  assert.deepEqual(words("config", "").includes("rollback"), true);
  assert.deepEqual(words("switch", "--to", ""), ["tb", "fallback", "auto"]);
  assert.deepEqual(words("switch", "--to=f"), ["--to=tb", "--to=fallback", "--to=auto"]);
  assert.ok(words("connect", "").includes("claude-code") && !words("connect", "").includes("mcp-hub"));
  assert.ok(words("import", "c").includes("cursor") && words("import", "zed", "m").includes("mcp-hub"));
  assert.deepEqual(words("import", "./m"), [":files"], "a file, too");
  assert.ok(words("switch", "--").includes("--force") && words("switch", "--").includes("--config"));
  assert.ok(!words("switch", "--force", "--").includes("--force"), "once is enough");
  assert.ok(words("status", "--json", "--").every((word) => word.startsWith("--")));
  assert.deepEqual(words("--config", ""), [":files"]);
  assert.deepEqual(words("config", "validate", ""), [":files"]);
  assert.deepEqual(words("--config", "x.toml", "status", ""), [":nothing"]);
  assert.deepEqual(words("mount", "--share", ""), [":live"]);
  assert.deepEqual(words("init", "--share", ""), [":nothing"], "what is new is there under no name yet");
  assert.deepEqual(words("completions", ""), ["bash", "zsh", "fish"]);
  assert.ok(words("help", "").includes("status"));
  assert.deepEqual(words("no-such-command", ""), [":nothing"]);
  assert.deepEqual(words("monitor", "--interval", ""), [":nothing"]);
  assert.deepEqual(words("call", "tool", ""), [":nothing"]);
  assert.deepEqual(words("backends", "restart", "files", ""), [":live"], "several can be named");
  for (const word of ["-", "--config="])
    assert.deepEqual(words("backends", "add", "x", "--", "server", word), [":nothing"], "not our options");
  for (const command of ["login", "logout"]) assert.deepEqual(words("backends", command, ""), [":live"]);
});

test("the line that bash passes is split as bash splits it, open quotes and all", () => {
  assert.deepEqual(lineArgs("mountaineer "), [""]);
  assert.deepEqual(lineArgs("mountaineer"), [""]);
  assert.deepEqual(lineArgs("mountaineer  mount --share my\\ sh"), ["mount", "--share", "my sh"]);
  assert.deepEqual(lineArgs(`mountaineer mount --share "my sh`), ["mount", "--share", "my sh"]);
  assert.deepEqual(lineArgs("mountaineer mount --share 'my s' "), ["mount", "--share", "my s", ""]);
});

test("names are those of the configuration, with a description", async (t) => {
  const { home } = await scene(t);
  assert.deepEqual(values(await found(home, ["mount", "--share", ""])), ["CORE", 'my $hare: "one"']);
  assert.deepEqual(values(await found(home, ["mount", "--share", "C"])), ["CORE"]);
  assert.deepEqual(values(await found(home, ["mount", "--share=C"])), ["--share=CORE"]);
  assert.deepEqual(values(await found(home, ["backends", "restart", "files", "f"])), ["finance"]);
  assert.deepEqual(await found(home, ["call", ""]), []);
});

test("with any home, it is quick and quiet", async (t) => {
  const { home } = await scene(t);
  await writeFile(join(home, "config.toml"), 'shares = "no"\n[[[');
  assert.deepEqual(await asked(home, "mount", "--share", ""), []);
  assert.deepEqual(await asked(join(home, "config.toml"), "mount", "--share", ""), []);
  await ends(runCommand(["__complete"], { home }), 0, null, "");
});

test("bash completes words, names that need quoting, and files", async (t) => {
  const missing = await programMissing("bash");
  if (missing !== null) return t.skip(missing);
  const place = await scene(t);
  const path = await script("bash", place);
  const replies = async (line: string, ...words: readonly string[]): Promise<string[]> => {
    const program = `source "$1"; shift; COMP_LINE=$1; shift; COMP_POINT=\${#COMP_LINE}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mountaineer; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run("bash", ["--norc", "-c", program, "bash", path, line, ...words], {
      env: place.env,
    });
    return stdout.split("\n").filter((each) => each !== "");
  };
  const own = ["--norc", "-c", `source "$1"; complete -p mountaineer`, "bash", path];
  const { stdout } = await run("bash", own, { env: place.env });
  assert.equal(stdout, "complete -F _mountaineer mountaineer\n");
  assert.deepEqual(await replies("mountaineer swi", "mountaineer", "swi"), ["switch"]);
  assert.deepEqual(await replies("mountaineer mount --share ", "mountaineer", "mount", "--share", ""), [
    "CORE",
    'my\\ \\$hare:\\ \\"one\\"',
  ]);
  // Bash parts words at `:` and `=`, and replaces the last part alone.
  assert.deepEqual(await replies("mountaineer switch --to=f", "mountaineer", "switch", "--to", "=", "f"), [
    "fallback",
  ]);
  assert.deepEqual(await replies("mountaineer switch --to=", "mountaineer", "switch", "--to", "="), [
    "tb",
    "fallback",
    "auto",
  ]);
  assert.deepEqual(
    await replies("mountaineer mount --share=C", "mountaineer", "mount", "--share", "=", "C"),
    ["CORE"],
  );
  // In an open quote only what means something there is escaped.
  assert.deepEqual(await replies('mountaineer mount --share "my', "mountaineer", "mount", "--share", '"my'), [
    'my \\$hare: \\"one\\"',
  ]);
  assert.deepEqual(await replies("mountaineer mount --share 'my", "mountaineer", "mount", "--share", "'my"), [
    'my $hare: "one"',
  ]);
  assert.deepEqual(await replies("mountaineer --config ", "mountaineer", "--config", ""), []);
});

test("at a terminal, Tab in bash completes", { skip: NO_TERMINAL }, async (t) => {
  const place = await scene(t);
  const path = await script("bash", place);
  await writeFile(
    join(place.folder, "rc"),
    `PATH='${place.folder}/bin':$PATH\nsource '${path}'\nPS1='ready> '\n`,
  );
  const command = `bash --rcfile '${join(place.folder, "rc")}' -i`;
  await using terminal = await openTerminal({ columns: 100, rows: 20, command, env: place.env });
  // tmux gives a new session its client's PATH, whatever it is told; hence the line in `rc`.
  await terminal.until("ready>");
  await terminal.press("mountaineer mount --share m", "Tab");
  await terminal.until('mountaineer mount --share my\\ \\$hare:\\ \\"one\\"');
});

test("zsh completes, with a description of each", { skip: NO_TERMINAL }, async (t) => {
  const missing = await programMissing("zsh");
  if (missing !== null) return t.skip(missing);
  const place = await scene(t);
  await script("zsh", place);
  await writeFile(
    join(place.folder, ".zshrc"),
    `PATH='${place.folder}/bin':$PATH\nfpath=('${place.folder}' $fpath)\nautoload -Uz compinit && compinit -u -D\nPS1='ready> '\n`,
  );
  await using terminal = await openTerminal({
    columns: 110,
    rows: 30,
    command: "zsh -i",
    env: { ...place.env, ZDOTDIR: place.folder },
  });
  await terminal.until("ready>");
  await terminal.press("mountaineer switch --share C", "Tab");
  await terminal.until("mountaineer switch --share CORE");
  await terminal.press("Space", "--to f", "Tab");
  await terminal.until((lines) => lines.some((line) => /--share CORE +--to fallback/.test(line)));
  await terminal.press("C-u", "mountaineer mount --share m", "Tab");
  await terminal.until((lines) => lines.some((line) => /--share my\\ \\\$hare:\\ \\"one\\"/.test(line)));
  await terminal.press("C-u", "mountaineer backends restart ", "Tab");
  await terminal.until((lines) => lines.some((line) => /files {2}-- server/.test(line)));
});

test("fish completes, with a description of each", async (t) => {
  const missing = await programMissing("fish");
  if (missing !== null) return t.skip(missing);
  const place = await scene(t);
  const path = await script("fish", place);
  const completed = async (line: string): Promise<string[]> => {
    const { stdout } = await run(
      "fish",
      ["--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, path, line],
      {
        env: place.env,
      },
    );
    return stdout.split("\n").filter((each) => each !== "");
  };
  assert.match((await completed("mountaineer swi")).join("\n"), /^switch\t\S/);
  assert.deepEqual(values(await completed("mountaineer mount --share ")), ["CORE", 'my $hare: "one"']);
  assert.deepEqual(await completed("mountaineer backends restart wi"), ["wiki\tserver"]);
  assert.ok(
    (await completed(`mountaineer --config ${place.home}/conf`)).some((one) => one.includes("config.toml")),
  );
});

test("an unknown shell is refused with the list of known ones", async (t) => {
  const { code, stderr } = await runCommand(["completions", "tcsh"], { home: await temporaryFolder(t) });
  assert.deepEqual([code, /bash, zsh, fish/.test(stderr)], [2, true]);
});
