// What somebody sees who runs it for the first time, with something missing.
import assert from "node:assert/strict";
import { access, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { COMMANDS } from "../../src/cli/program/command-list.ts";
import { createProgram } from "../../src/cli/program/program.ts";
import { assertEach } from "../support/assert-each.ts";
import { createTestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { pluck } from "../support/pluck.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { runCommand, startCommand } from "./command-line.ts";

const SHARE = `[[shares]]
name = "CORE"
thunderbolt_host = "127.0.0.1:1"
fallback_host = "127.0.0.1:2"
password = "\${NAS_PASSWORD}"
`;

test("monitor names at once an unset variable, with the fix, and again when that changes", async (t) => {
  const home = await temporaryFolder(t);
  const sync = '[sync]\ndetection = "hash"\npoll_interval = 0.1\ndebounce = 0.1\n';
  const backend = '[backends.files]\ncommand = "sh"\nenv = { T = "${FILES_TOKEN}" }\n';
  const config = `${sync}[server]\nport = ${await freePort()}\n${SHARE}${backend}`;
  await writeFile(join(home, "config.toml"), config);
  const monitor = startCommand(["monitor"], { home });
  await eventually(() => /share\.condition .*NAS_PASSWORD.* hint=/.test(monitor.stderr()));
  await eventually(() => /warn {2}backend\.phase backend=files .*FILES_TOKEN/.test(monitor.stderr()));
  const from = monitor.stderr().length;
  const others = config.replace("NAS_PASSWORD", "NAS_WORD").replace("FILES_TOKEN", "FILES_WORD");
  await writeFile(join(home, "config.toml"), others);
  const since = (): string => monitor.stderr().slice(from);
  await eventually(() => /share\.condition .*NAS_WORD.* hint=/.test(since()));
  await eventually(() => /warn {2}backend\.phase backend=files .*FILES_WORD/.test(since()));
  monitor.child.kill("SIGTERM");
  assert.equal((await monitor.ended).code, 0);
});

test("a request for a share whose password is missing explains how to set it, not to mount it", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), SHARE);
  for (const args of [["mount"], ["verify"], ["reconcile"]]) {
    const { code, stdout, stderr } = await runCommand(args, { home });
    const told = `${stdout}${stderr}`;
    assert.equal(code, 1, told);
    assert.match(told, /hint: Store it: mountaineer secret set nas-password;/);
    assert.doesNotMatch(told, /mountaineer mount/);
  }
});

test("doctor gives each error its own hint, and says once where to correct them", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), "[global]\nauto_failbak = true\nlsof_rechek = true\n");
  const { stdout } = await runCommand(["doctor"], { home });
  assert.equal(stdout.match(/did you mean/g)?.length, 2, stdout);
  assert.equal(stdout.match(/correct the file/g)?.length, 1, stdout);
});

test("C3 a reload is one line in the log, and a backend that cannot start a warning", async (t) => {
  const folder = await temporaryFolder(t);
  const backend = '[backends.files]\ncommand = "sh"\nenv = { T = "${NOT_SET}" }\n';
  const sync = '[sync]\ndetection = "hash"\npoll_interval = 0.1\ndebounce = 0.1\n';
  const config = `[server]\nport = ${await freePort()}\n${sync}${backend}`;
  const home = await createTestHome({ home: join(folder, "home"), config, env: { HOME: folder } });
  await using _monitor = await home.startMonitor();
  const begun = await home.log();
  const failed = begun.filter(({ message, level }) => message === "backend.phase" && level === "warn");
  assert.deepEqual(pluck(failed, "reason"), ["not set in the environment: NOT_SET"]);
  const told = async (): Promise<unknown[]> =>
    (await home.log()).map(({ message }) => message).filter((message) => /config|reload/.test(`${message}`));
  const before = (await told()).length;
  for (const [times, interval] of [3, 4].entries()) {
    await home.writeConfig(`${config}[global]\ncheck_interval_secs = ${interval}\n`);
    await eventually(async () => (await told()).length > before + times);
  }
  // The second is there, so all that the first had to say is, too.
  assert.deepEqual((await told()).slice(before), ["config.applied", "config.applied"]);
});

test("a named configuration that is missing is reported, and none is written in its place", async (t) => {
  const home = await temporaryFolder(t);
  const path = join(home, "mine.toml");
  const commands = [
    "monitor",
    "status",
    "verify",
    "shares list",
    "reload --dry-run",
    "menubar",
    "tools list",
  ];
  for (const command of commands) {
    const { code, stderr } = await runCommand([...command.split(" "), "--config", path], { home });
    assert.equal(code, 3, command);
    assert.equal(
      stderr,
      `mountaineer: there is no file at ${path}\n  hint: name one that is there, or have one written: mountaineer init --config ${path}\n`,
    );
  }
  await assert.rejects(access(path), { code: "ENOENT" });
});

test("commands that people try are answered with the one to type, wherever they appear", async (t) => {
  const home = await temporaryFolder(t);
  const cases: readonly (readonly [string, RegExp])[] = [
    ["start", /^mountaineer up$/],
    ["help start", /^mountaineer up$/],
    ["start --help", /^mountaineer up$/],
    ["install", /^mountaineer up$/],
    ["help nosuch", /^mountaineer --help shows what there is$/],
    ["nosuch --help", /^mountaineer --help shows what there is$/],
    ["help statsu", /^did you mean status\?$/],
    ["--config /x.toml rm CORE", /^mountaineer shares remove/],
    ["shares rm", /^mountaineer shares remove --share NAME$/],
    ["favorites delete", /^mountaineer shares remove --share NAME$/],
    ["shares lisst", /^did you mean list\?$/],
    ["shares remove CORE", /^mountaineer shares remove --share CORE$/],
    ["shares remove", /^mountaineer shares remove --share NAME$/],
    ["alias remove docs", /^mountaineer alias remove --name docs$/],
    ["backends add files", /^mountaineer backends add files -- PROGRAM ARGUMENTS/],
    ["backends rm files", /^mountaineer backends remove NAME$/],
    ["switch --share CORE fallback", /^mountaineer switch --share CORE --to fallback$/],
    ["switch --share CORE", /^mountaineer switch --help shows what there is$/],
    ["config ls", /^mountaineer config show$/],
    ["config delete sync.enabled", /^mountaineer config unset KEY/],
    ["secret rm nas", /^mountaineer secret remove NAME$/],
    ["tools call", /^mountaineer call TOOL$/],
    ["server", /^mountaineer backends list$/],
    ["favourites", /^mountaineer shares list$/],
    ["kill", /^mountaineer down$/],
    ["update", /^git pull && npm ci, then mountaineer restart$/],
    ["quux", /^mountaineer --help shows what there is$/],
  ];
  const answers = await Promise.all(cases.map(([line]) => runCommand(line.split(" "), { home })));
  for (const [index, { code, stdout, stderr }] of answers.entries()) {
    const [line, hint] = cases[index] ?? ["", /$^/];
    assert.deepEqual([code, stdout], [2, ""], `${line}: ${stderr}`);
    assert.match(/^ {2}hint: (.*)$/m.exec(stderr)?.[1] ?? "", hint, `${line}: ${stderr}`);
  }
});

test("suggestions name existing commands", async () => {
  const source = await readFile(new URL("../../src/cli/input/suggest-command.ts", import.meta.url), "utf8");
  const named = [...source.matchAll(/mountaineer ([a-z]+)(?: ([a-z]+))?/g)];
  assert.ok(named.length > 40, `only ${named.length} were found`);
  const known = COMMANDS.map(({ name }) => name);
  for (const [text, first = "", second = ""] of named) {
    assert.ok(known.includes(first) || known.includes(`${first} ${second}`), text);
  }
});

test("the version is also printed as JSON", async (t) => {
  const home = await temporaryFolder(t);
  const { stdout: version } = await runCommand(["--version"], { home });
  for (const word of ["-v", "version", "--version"]) {
    const { code, stdout } = await runCommand([word, "--json"], { home });
    assert.deepEqual([code, JSON.parse(stdout)], [0, { version: version.trim() }]);
  }
});

test("help of a command in a group prints the options of that command", async (t) => {
  const home = await temporaryFolder(t);
  const asked = await runCommand(["help", "secret", "set"], { home });
  assert.equal(asked.code, 0, asked.stderr);
  assert.match(asked.stdout, /^Usage: mountaineer secret set \[options\] <name>\n[\s\S]*--in <place>/);
  assert.match((await runCommand(["help", "secret"], { home })).stdout, /^Usage: mountaineer secret /);
});

test("help in a narrow terminal puts a command's description below its name", async () => {
  const lines: string[] = [];
  const program = createProgram({ print: (text) => void lines.push(text), complain() {} }, async () => {});
  program.configureOutput({ getOutHelpWidth: () => 44 });
  await assert.rejects(program.parseAsync(["--help"], { from: "user" }));
  const text = lines.join("");
  assert.match(text, /\n {2}status \[options\]\n {6}show every share and server, and what\n {6}is wrong\n/);
  const [list = ""] = text.split("\nExamples:");
  for (const line of list.split("\n")) assert.ok(line.length <= 44, line);
});

test("shares list prints its shares under their own name, and under the older one", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "config.toml"), SHARE);
  const { stdout } = await runCommand(["shares", "list", "--json"], { home });
  const { shares, favorites } = JSON.parse(stdout);
  assertEach(shares, ({ name }: { name: string }) => name, ["CORE"]);
  assert.deepEqual(shares, favorites);
});
