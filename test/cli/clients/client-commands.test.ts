// `mountaineer import` and `mountaineer connect`, as a person types them: from a client's file to a client that lists all.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { connectClient, disconnectClient, meantClient } from "../../../src/cli/clients/connect-client.ts";
import { importServers } from "../../../src/cli/clients/import-servers.ts";
import type { CommandContext } from "../../../src/cli/input/command.ts";
import { LIGHT_SERVER } from "../../mcp/fixture-programs.ts";
import { ends } from "../../support/ends.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { contextOf } from "../command-context.ts";
import { environmentOf, runCommand, serveHere } from "../command-line.ts";

test("F1 a new file is not removed if its client has since written to it", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "mcp.json");
  await mkdir(join(home, "own"));
  const manner = { client: "cursor", file, yes: false, keepOthers: true } as const;
  const yes = contextOf(join(home, "own"), { prompt: async () => "y" });
  assert.equal(await connectClient(yes, manner), 0);
  const connected = await readFile(file, "utf8");
  const written = '{"mcpServers": {"mine": {"command": "mine"}}}';
  const busy = contextOf(join(home, "own"), {
    async prompt() {
      await writeFile(file, written);
      return "y";
    },
  });
  await assert.rejects(disconnectClient(busy, manner), /has changed since it was read; nothing was written/);
  assert.equal(await readFile(file, "utf8"), written);
  // Nor is what an undo knows.
  await writeFile(file, connected);
  assert.equal(await disconnectClient(yes, manner), 0);
  await assert.rejects(readFile(file), { code: "ENOENT" });
  // A link of the person's own stays, and an interrupted write leaves no copy of the file's secrets.
  await symlink(join(home, "real.json"), file);
  const leftover = join(home, `.real.json.${process.pid}-0123456789ab.tmp`);
  await writeFile(leftover, connected);
  for (const change of [connectClient, disconnectClient]) assert.equal(await change(yes, manner), 0);
  assert.equal(await readlink(file), join(home, "real.json"));
  assert.deepEqual((await readdir(home)).sort(), ["mcp.json", "own"]);
  const nowhere = { ...manner, file: join(home, "nowhere/mcp.json") };
  await assert.rejects(connectClient(yes, nowhere), /Cursor has no folder at /);
});

test("F1 a file with bytes that are not valid UTF-8 stays unchanged", async (t) => {
  const home = await temporaryFolder(t);
  const file = join(home, "mcp.json");
  const bytes = Buffer.from('{"mcpServers": {}} // caf\xe9\n', "latin1");
  await mkdir(join(home, "own"));
  await writeFile(file, bytes);
  const yes = contextOf(join(home, "own"), { prompt: async () => "y" });
  const manner = { client: "cursor", file, yes: false, keepOthers: true } as const;
  await assert.rejects(connectClient(yes, manner), { code: "client_unreadable", message: /is not UTF-8/ });
  assert.deepEqual(await readFile(file), bytes);
});

const TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

async function setUp(t: TestContext, mcpServers: unknown) {
  const home = await temporaryFolder(t);
  const file = join(home, ".config/Claude/claude_desktop_config.json");
  const text = `{\n  // mine\n  "mcpServers": ${JSON.stringify(mcpServers, null, 4)},\n}\n`;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text, { mode: 0o640 });
  const env = { HOME: home, MOUNTAINEER_HOME: join(home, "own"), XDG_CONFIG_HOME: join(home, ".config") };
  return {
    file,
    text,
    env,
    config: () => readFile(join(home, "own/config.toml"), "utf8"),
    run: (...args: string[]) => runCommand(args, { home, env }),
    /** What came with the folder it is typed in is found, too. */
    runInFolder: (...args: string[]) => runCommand(args, { home, env, cwd: home }),
  };
}

const light = (prefix: string): object => ({
  command: process.execPath,
  args: [LIGHT_SERVER],
  env: { LIGHT_PREFIX: prefix },
});

test("F1 from a file with ten servers to a client that lists them all: two commands", async (t) => {
  const names = Array.from({ length: 10 }, (_, index) => `server${index}`);
  const { file, text, env, config, run } = await setUp(
    t,
    Object.fromEntries(names.map((name) => [name, light(`${name}_`)])),
  );
  const imported = await run("import", "claude", "--yes");
  assert.equal(imported.code, 0, imported.stderr);
  assert.match(imported.stdout, /✓ server9 {2}from Claude Desktop\n/);
  await stat(join(env.MOUNTAINEER_HOME, "config.schema.json"));
  assert.match(await config(), /\n\[sync\]\ndetection = "inotify"\ndebounce = 0\.1\n/);
  assert.match(imported.stdout, /a tool whose name is taken is listed as SERVER_tool/);
  const connected = await run("connect", "claude", "--yes");
  assert.equal(connected.code, 0, connected.stderr);
  assert.match(
    connected.stderr,
    /to be removed from Claude Desktop, because they come through Mountaineer: server0, /,
  );
  assert.equal((await stat(file)).mode & 0o777, 0o640);
  const again = await ends(run("connect", "claude", "--json"), 0, null, "");
  const connection = { client: "claude", path: file, connected: true, changed: false };
  assert.deepEqual(JSON.parse(again.stdout), connection);
  const unasked = await run("connect", "claude", "--undo", "--json");
  assert.deepEqual([unasked.code, JSON.parse(unasked.stdout)], [1, connection]);

  // What stands there now is all that a client knows.
  const { mcpServers } = JSON.parse(
    (await readFile(file, "utf8")).replace(/^ *\/\/.*\n/m, "").replace(/,(\s*\})/g, "$1"),
  );
  assert.deepEqual(Object.keys(mcpServers), ["mountaineer"]);
  const { command, args, env: own } = mcpServers.mountaineer;
  const client = new Client({ name: "test", version: "1" });
  const transport = new StdioClientTransport({
    command,
    args,
    env: { ...environmentOf({ home: env.HOME, env }), ...own },
  });
  t.after(() => client.close());
  await client.connect(transport);
  const { tools } = await client.listTools();
  for (const name of names)
    assert.ok(
      tools.some((tool) => tool.name === `${name}_echo`),
      name,
    );
  await client.close();

  await ends(run("connect", "claude", "--undo", "--yes"), 0);
  assert.equal(await readFile(file, "utf8"), text);
  assert.equal((await stat(file)).mode & 0o777, 0o640);
});

test("F1 E1 a token is stored as a secret, and appears neither in the file nor on the screen", async (t) => {
  const server = { command: process.execPath, args: [LIGHT_SERVER], env: { GITHUB_TOKEN: TOKEN } };
  const { env, config, run, runInFolder } = await setUp(t, { github: server });
  const { stdout, stderr, code } = await run("import", "claude", "--yes");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /a secret of it is stored as secret:github-github-token/);
  assert.ok(!`${stdout}${stderr}${await config()}`.includes(TOKEN));
  assert.match(await config(), /GITHUB_TOKEN = "secret:github-github-token"/);
  assert.ok((await readFile(join(env.MOUNTAINEER_HOME, "secrets.json"), "utf8")).includes(TOKEN));
  const shown = await run("connect", "claude", "--yes");
  assert.ok(!`${shown.stdout}${shown.stderr}`.includes(TOKEN));
  await ends(runInFolder("import", "--yes"), 0, null, /nothing new in 1 file/);
});

test("F1 E2 the question of import shows everything that would run, and hides only the secret in it", async (t) => {
  const { run } = await setUp(t, {
    docs: { command: "sh", args: ["-c", "DOCS_API_KEY=abcd1234efgh touch PWNED; exec npx -y docs-mcp"] },
    tool: { command: "npx", args: ["-y", "x7kq92lmzp4rtw"] },
  });
  const { stdout } = await run("import", "claude");
  assert.match(stdout, /DOCS_API_KEY=\$\{secret:docs-docs-api-key\} touch PWNED; exec npx -y docs-mcp/);
  assert.match(stdout, /"-y", "x7kq92lmzp4rtw"/);
  assert.doesNotMatch(stdout, /abcd1234efgh/);
});

test("F1 E1 a project's server starts in its folder with its secret argument, which is never shown", async (t) => {
  const { env, config, run, runInFolder } = await setUp(t, {});
  const [project, home] = [join(env.HOME, "project"), env.MOUNTAINEER_HOME];
  await mkdir(join(project, "bin"), { recursive: true });
  const program = `#!/bin/sh\necho "$PWD $*" > seen\nexec '${process.execPath}' '${LIGHT_SERVER}'\n`;
  await writeFile(join(project, "bin/run.sh"), program, { mode: 0o755 });
  const local = { command: "./bin/run.sh", args: ["--token", TOKEN, "--key=${input:key}"] };
  await writeFile(join(project, ".mcp.json"), JSON.stringify({ mcpServers: { local } }));
  const imported = await runInFolder("import", join(project, ".mcp.json"), "--yes");
  assert.match(
    imported.stdout,
    /local.*until its secret is stored.*secret:local-token.*secret set local-key/s,
  );
  await ends(
    runCommand(["secret", "set", "local-key"], {
      home: env.HOME,
      env,
      input: "another-secret\n",
    }),
    0,
    null,
    /local is enabled/,
  );
  const listed = await ends(run("tools", "list"), 0, /echo/);
  assert.equal(
    await readFile(join(project, "seen"), "utf8"),
    `${project} --token ${TOKEN} --key=another-secret\n`,
  );
  const status = await run("backends", "list", "--json");
  const shown = [imported, listed, status].map(({ stdout, stderr }) => stdout + stderr).join("\n");
  const texts =
    shown + (await config()) + (await readFile(join(home, "mountaineer.log"), "utf8").catch(() => ""));
  assert.match(texts, /args = \["--token", "\$\{secret:local-token\}", "--key=\$\{secret:local-key\}"\]/);
  for (const secret of [TOKEN, "another-secret"]) assert.ok(!texts.includes(secret));
});

test("F1 a client's broken file does not exclude other clients' servers, unless it is named", async (t) => {
  const { env, run, config } = await setUp(t, { good: light("a_") });
  await mkdir(join(env.HOME, ".cursor"));
  await writeFile(join(env.HOME, ".cursor/mcp.json"), '{"mcpServers": ');
  const all = await run("import", "--yes", "--wait", "0");
  assert.equal(all.code, 0, all.stderr);
  assert.match(all.stderr, /left out: \S+\.cursor\/mcp\.json is not JSON that can be read: at 1:16/);
  assert.match(await config(), /\[backends\.good\]/);
  assert.equal((await run("import", "cursor", "--yes")).code, 3);
});

test("F1 an unknown client is answered with the command to start, with its home", async (t) => {
  const { env, run } = await setUp(t, {});
  const { code, stderr } = await run("connect", "nobody");
  assert.equal(code, 2);
  assert.match(stderr, new RegExp(`others start: env MOUNTAINEER_HOME=${env.MOUNTAINEER_HOME} /\\S+ mcp`));
});

test("F1 nothing is written without a yes, nor over an unreadable file", async (t) => {
  const { file, text, env, run } = await setUp(t, { a: light("a_") });
  await ends(run("import", "claude"), 1, /^\+\[backends\.a\]$/m, /nothing was changed: --yes/);
  await assert.rejects(stat(join(env.MOUNTAINEER_HOME, "config.toml")));
  assert.equal((await run("connect", "claude")).code, 1);
  assert.equal(await readFile(file, "utf8"), text);
  await writeFile(file, '{"mcpServers": {');
  for (const command of ["import", "connect"]) {
    const refused = await run(command, "claude", "--yes");
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /claude_desktop_config\.json is not JSON that can be read: at 1:17/);
  }
  for (const text of ["[]", "// nothing yet\n"]) {
    await writeFile(file, text);
    assert.match((await run("connect", "claude", "--yes")).stderr, /the client's file is not an object/);
    assert.equal(await readFile(file, "utf8"), text);
  }
  await writeFile(file, '{"mcpServers": {');
  assert.equal(await readFile(file, "utf8"), '{"mcpServers": {');
});

test("F1 connected again after its own changes, a client gets back all removed entries", async (t) => {
  const { file, run } = await setUp(t, { a: light("a_"), b: { command: "b" } });
  await run("import", "claude", "--yes");
  await run("connect", "claude", "--yes");
  const now = await readFile(file, "utf8");
  // As where the program has moved: the client wrote its file, and what starts Mountaineer is another path.
  await writeFile(file, now.replace("// mine", "// ours").replace('"mcp"', '"mcp", "--old"'));
  await ends(run("connect", "claude", "--yes"), 0);
  await ends(run("connect", "claude", "--undo", "--yes"), 0);
  const text = await readFile(file, "utf8");
  assert.match(text, /\/\/ ours/);
  const { mcpServers } = JSON.parse(text.replace(/^ *\/\/.*\n/m, "").replace(/,(\s*\})/g, "$1"));
  assert.deepEqual(mcpServers, { a: light("a_"), b: { command: "b" } });
});

test("E2 an undo writes no file that only its record names", async (t) => {
  const { run, env } = await setUp(t, {});
  await run("connect", "claude", "--yes");
  const record = join(env.MOUNTAINEER_HOME, "connections/claude.json");
  const victim = join(env.HOME, "package.json");
  const before = "{}\n";
  await writeFile(victim, before);
  const after_sha256 = createHash("sha256").update(before).digest("hex");
  await writeFile(
    record,
    JSON.stringify({ path: victim, before: '{"scripts": {"test": "evil"}}', after_sha256, taken: [] }),
  );
  for (const words of [["--undo"], []]) await run("connect", "claude", ...words, "--yes");
  const purged = await run("uninstall", "--purge", "--yes");
  assert.equal(await readFile(victim, "utf8"), before);
  assert.equal(purged.code, 3);
  assert.match(
    purged.stderr,
    /is not its usual file\n.*connect claude --undo --file \S+package\.json; if not, remove \S+claude\.json\n/,
  );
  assert.ok((await stat(record)).isFile(), "nothing was removed");
});

test("F1 another file of a client does not prevent the undo of the first, nor does it replace that file", async (t) => {
  const { file, text, run, env } = await setUp(t, { a: light("a_") });
  await run("import", "claude", "--yes");
  await run("connect", "claude", "--yes");
  const connected = await readFile(file, "utf8");
  const other = `${file}.other`;
  await writeFile(other, text);
  const refused = await run("connect", "claude", "--file", other, "--yes");
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /uses Mountaineer in .*claude_desktop_config\.json[\s\S]*--undo/);
  assert.equal(await readFile(other, "utf8"), text);
  assert.equal((await run("connect", "claude", "--file", other, "--undo", "--yes")).code, 0);
  assert.equal(await readFile(file, "utf8"), connected, "no word was said of this one");
  // The first file is free as soon as its entry is gone, however it went.
  await writeFile(file, text);
  assert.equal((await run("connect", "claude", "--file", other, "--yes")).code, 0);
  const unnamed = await ends(run("connect", "claude", "--undo", "--yes"), 3);
  assert.ok(unnamed.stderr.includes(`mountaineer connect claude --undo --file ${other}`), unnamed.stderr);
  assert.equal((await run("connect", "claude", "--undo", "--file", other, "--yes")).code, 0);
  assert.equal(await readFile(other, "utf8"), text);
  await assert.rejects(stat(join(env.MOUNTAINEER_HOME, "connections/claude.json")));
});

test("F1 a server whose variable is not set is imported disabled, with the commands that enable it, and stays with its client", async (t) => {
  const { file, config, run, env } = await setUp(t, {
    gh: { ...light("gh_"), env: { GH_TOKEN: "${GH_TOKEN}" } },
  });
  const imported = await run("import", "claude", "--yes");
  assert.match(
    imported.stdout,
    /gh .*\n +disabled: the variable GH_TOKEN is not set here\n +first: mountaineer secret set gh-gh-token\n +then: mountaineer backends enable gh\n/,
  );
  assert.match(await config(), /# then: mountaineer backends enable gh\n[\s\S]*enabled = false/);
  assert.doesNotMatch(imported.stderr, /there already/);
  assert.match((await run("import", "claude", "--yes")).stderr, /there already: gh\n/);
  await run("connect", "claude", "--yes");
  assert.match(await readFile(file, "utf8"), /"gh"/);
  await runCommand(["secret", "set", "gh-gh-token", "--in", "file"], { home: env.HOME, env, input: TOKEN });
  assert.equal((await run("backends", "enable", "gh")).code, 0);
  await run("connect", "claude", "--yes");
  assert.doesNotMatch(await readFile(file, "utf8"), /"gh"/);
});

test("F1 import says before its question what would run and what it refuses; --dry-run asks nothing and changes nothing", async (t) => {
  const bad = { url: "wss://127.0.0.1:9/mcp" };
  const { run, config } = await setUp(t, {
    good: light("g_"),
    off: { ...light("o_"), disabled: true },
    twin: light("g_"),
    _comment: { of: "nothing" },
    bad,
    lost: { command: "no-such-program" },
  });
  const dry = await run("import", "claude", "--dry-run");
  assert.deepEqual([dry.code, /--yes/.test(dry.stderr)], [0, false]);
  assert.match(dry.stderr, /there already: twin \(as good\)\n/);
  const end =
    /bad {2}not imported: .*\n. lost {2}no-such-program is not installed here, or not on PATH\n1 to run, 1 without its program, 1 disabled, 1 not imported, 0 in projects\n$/;
  assert.match(dry.stdout, end);
  await ends(run("import", "claude"), 1, dry.stdout);
  await assert.rejects(config(), { code: "ENOENT" });
});

test("F1 import says why it refuses a server, and takes only those that --only names", async (t) => {
  const { run, config, env } = await setUp(t, {});
  const file = join(env.HOME, "team.json");
  const servers = {
    socket: { url: "wss://example.invalid/mcp" },
    local: { url: "unix:///run/mcp.sock" },
    away: { ...light("a_"), cwd: "sub" },
    good: { ...light("g_"), env: { API_KEY: "abc" } },
    other: light("o_"),
  };
  await writeFile(file, JSON.stringify({ mcpServers: servers }));
  const dry = await run("import", file, "--dry-run");
  assert.match(dry.stdout, /socket {2}not imported: its address begins with wss:\/\//);
  assert.match(dry.stdout, /local {2}not imported: its address begins with unix:\/\//);
  assert.match(dry.stdout, /away {2}not imported: its cwd sub is relative/);
  await ends(run("import", file, "--only", "nope"), 2, null, /they have socket, local, away, good, other/);
  const { stdout } = await run("import", file, "--only", "good", "--yes");
  assert.match(stdout, /its API_KEY stays written out in the file/);
  assert.match(stdout, /next: mountaineer up serves them, then mountaineer connect CLIENT/);
  assert.match(await config(), /\[backends\.good\]/);
  assert.doesNotMatch(await config(), /\[backends\.other\]/);
});

test("F1 an entry that starts Mountaineer itself is not imported", async (t) => {
  const { config, run } = await setUp(t, {
    launcher: { command: "/opt/mountaineer/bin/mountaineer", args: ["mcp"] },
    npx: { command: "npx", args: ["-y", "mountaineerd@0.2.0", "mcp", "--group", "work"] },
    demo: { command: "mountaineer", args: ["demo"] },
  });
  assert.equal((await run("import", "claude", "--yes")).code, 0);
  assert.deepEqual((await config()).match(/^\[backends\..*\]$/gm), ["[backends.demo]"]);
});

test("F1 two accounts of one server are two servers", async (t) => {
  const of = (token: string): object => ({
    command: process.execPath,
    args: [LIGHT_SERVER],
    env: { API_TOKEN: token },
  });
  const { config, run } = await setUp(t, { work: of(`${TOKEN}w`), home: of(`${TOKEN}h`) });
  assert.equal((await run("import", "claude", "--yes")).code, 0);
  assert.match(await config(), /\[backends\.work\][\s\S]*\[backends\.home\]/);
});

test("F1 with a daemon import returns when its servers are running: listing tools then includes them", async (t) => {
  const { env, run } = await setUp(t, { one: light("a_"), broken: { command: "/nowhere/server" } });
  const home = env.MOUNTAINEER_HOME;
  await mkdir(home, { recursive: true });
  await writeFile(join(home, "config.toml"), `[server]\nport = ${await freePort()}\n`);
  await using _served = await serveHere({ home, env });
  await ends(run("import", "claude", "--yes"), 0, [/✓ one {2}is ready: \d+ tools/, /✗ broken {2}is Failed/]);
  assert.match((await run("tools", "list")).stdout, /a_echo/);
});

test("E1 connect hides the secrets that are next to the servers in a client's file", async (t) => {
  const { file, run } = await setUp(t, {});
  const args = ["--api-key", "hunter2abc", "--token", "hunter2abcdef"];
  const servers = JSON.stringify({ a: { command: "a", args } });
  const text = `{\n  "primaryApiKey": "plain-words-that-are-one",\n  "mcpServers": ${servers},\n  "theme": "dark"\n}\n`;
  await writeFile(file, text);
  const { stdout } = await run("connect", "claude");
  assert.match(stdout, /"primaryApiKey": "\(hidden\)"/);
  assert.match(stdout, /"theme": "dark"/);
  assert.doesNotMatch(stdout, /plain-words|hunter2|def"/);
  assert.equal(await readFile(file, "utf8"), text);
});

test("F1 E2 import without a name and without a question skips servers from the folder, and says so", async (t) => {
  const { file, env, config, runInFolder } = await setUp(t, { mine: light("mine_") });
  const own = join(env.HOME, ".mcp.json");
  await writeFile(own, JSON.stringify({ mcpServers: { cloned: light("cloned_") } }));
  const all = await ends(runInFolder("import", "--yes"), 0);
  assert.ok(all.stderr.includes(`${own} came with this folder and is left out`), all.stderr);
  assert.match(await config(), /\[backends\.mine\]/);
  assert.doesNotMatch(await config(), /cloned/);
  const json = JSON.parse((await runInFolder("import", "--yes", "--json")).stdout);
  assert.deepEqual([json.left_out, json.read], [[own], [file]]);
  assert.equal((await runInFolder("import", own, "--yes")).code, 0);
  assert.match(await config(), /\[backends\.cloned\]/);
});

test("F1 connect leaves a server in the client's file that does not run here, as its secret is not stored yet", async (t) => {
  const { file, run, config, env } = await setUp(t, {});
  await mkdir(env.MOUNTAINEER_HOME, { recursive: true });
  const server = { command: process.execPath, args: [LIGHT_SERVER] };
  const own = `[backends.github]\ncommand = "${server.command}"\nargs = ["${LIGHT_SERVER}"]\nenv = { GITHUB_TOKEN = "secret:github-token" }\n`;
  await writeFile(join(env.MOUNTAINEER_HOME, "config.toml"), own);
  await writeFile(
    file,
    JSON.stringify({ mcpServers: { github: { ...server, env: { GITHUB_TOKEN: TOKEN } } } }),
  );
  assert.equal(await config(), own);
  const left = await run("connect", "claude", "--yes");
  assert.equal(left.code, 0);
  assert.match(left.stderr, /kept in Claude Desktop, because they do not work here yet: github;/);
  assert.match(await readFile(file, "utf8"), /"github"/, "it does not serve here");
  assert.equal((await run("connect", "claude", "--undo", "--yes")).code, 0);
  await ends(
    runCommand(["secret", "set", "github-token", "--in", "file"], {
      home: env.HOME,
      env,
      input: TOKEN,
    }),
    0,
  );
  assert.equal((await run("connect", "claude", "--yes")).code, 0);
  assert.doesNotMatch(await readFile(file, "utf8"), /"github"/);
});

test("F1 connect waits for a starting server, and then removes it from the client's file", async (t) => {
  const { file, env, run } = await setUp(t, {});
  const home = env.MOUNTAINEER_HOME;
  const gate = join(home, "gate");
  const slow = {
    command: "/bin/sh",
    args: ["-c", `until [ -e '${gate}' ]; do sleep 0.3; done; exec '${process.execPath}' '${LIGHT_SERVER}'`],
  };
  await writeFile(file, JSON.stringify({ mcpServers: { slow } }));
  await mkdir(home, { recursive: true });
  await writeFile(join(home, "config.toml"), `[server]\nport = ${await freePort()}\n`);
  await using _served = await serveHere({ home, env });
  assert.equal((await run("import", "claude", "--yes", "--wait", "0")).code, 0);
  const notes: string[] = [];
  const context: CommandContext = {
    ...contextOf(home),
    notify(line) {
      notes.push(line);
      if (/^checking which servers/.test(line)) void writeFile(gate, "");
    },
  };
  assert.equal(await connectClient(context, { client: "claude", file, yes: true, keepOthers: false }), 0);
  assert.match(notes.join("\n"), /to be removed from Claude Desktop, .*: slow$/m);
});

test("F1 a client's file that lists its servers twice is refused, as clients differ in which list they read", async (t) => {
  const { file, run } = await setUp(t, {});
  const text = '{ "mcpServers": {}, "mcpServers": { "x": { "command": "y" } } }\n';
  await writeFile(file, text);
  const { code, stderr } = await run("connect", "claude", "--yes");
  assert.notEqual(code, 0);
  assert.match(stderr, /has mcpServers 2 times/);
  assert.equal(await readFile(file, "utf8"), text);
});

/** Of this process, until the test ends. */
function setVariable(t: TestContext, name: string, value = ""): void {
  const before = process.env[name];
  process.env[name] = value;
  t.after(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}

test("F1 import offers the shell's proxies and certificates to the programs of all servers, but no password", async (t) => {
  const { file, env, config } = await setUp(t, { files: { command: "files" } });
  for (const name of ["HTTP_PROXY", "NO_PROXY", "https_proxy", "no_proxy", "SSL_CERT_FILE"])
    setVariable(t, name);
  setVariable(t, "HTTPS_PROXY", "http://ann:pw@proxy.example:8080");
  setVariable(t, "http_proxy", "http://proxy.example:8080");
  setVariable(t, "NODE_EXTRA_CA_CERTS", "/etc/ca.pem");
  const questions: string[] = [];
  const notes: string[] = [];
  const answering = (answer: string) =>
    contextOf(env.MOUNTAINEER_HOME, {
      prompt: async (question) => {
        questions.push(question);
        return question.startsWith("This shell") ? answer : "y";
      },
      notify: (line) => notes.push(line),
    });
  const options = {
    ...{ sources: [file], projects: false, only: [] as string[], dryRun: true, waitMs: 0 },
    yes: true,
  };
  await importServers(answering("y"), options);
  assert.match(notes.join("\n"), /programs do not get this shell's http_proxy, NODE_EXTRA_CA_CERTS:/);
  assert.equal(await importServers(answering("y"), { ...options, yes: false, dryRun: false }), 0);
  assert.match(
    questions[0] ?? "",
    /^This shell has http_proxy, NODE_EXTRA_CA_CERTS, for the network. Give it to the servers' programs/,
  );
  const common =
    /\[backend_defaults\.env\]\nhttp_proxy = "http:\/\/proxy\.example:8080"\nNODE_EXTRA_CA_CERTS = "\/etc\/ca\.pem"\n/;
  assert.match(await config(), common);
  assert.doesNotMatch((await config()) + notes.join("\n"), /ann:pw/);
  assert.match(
    notes.join("\n"),
    /^HTTPS_PROXY has a password, .*config set backends\.NAME\.env\.HTTPS_PROXY secret:/m,
  );
  // What every program has already is not offered again.
  await writeFile(file, '{"mcpServers": {"more": {"command": "more"}}}');
  await importServers(answering("n"), { ...options, yes: false, dryRun: false });
  assert.equal(questions.filter((question) => question.startsWith("This shell")).length, 1);
});

test("F1 import keeps the line ends of the configuration, and adds to a table on one line", async (t) => {
  const { env, run, config } = await setUp(t, { fresh: { command: "fresh" } });
  const path = join(env.MOUNTAINEER_HOME, "config.toml");
  await mkdir(env.MOUNTAINEER_HOME, { mode: 0o700 });
  await writeFile(path, "[server]\r\nport = 9123\r\n", { mode: 0o600 });
  assert.equal((await run("import", "claude", "--yes")).code, 0);
  assert.doesNotMatch(await config(), /[^\r]\n/);
  await writeFile(path, 'backends = { a = { command = "node" } }\n', { mode: 0o600 });
  assert.equal((await run("import", "claude", "--yes")).code, 0);
  assert.match(await config(), /^backends = \{.*fresh.*\}/m);
});

test("F1 a client's file whose servers are not an object is refused, and gets no second key", async (t) => {
  const { file, run } = await setUp(t, {});
  const wrong = `{ "mcpServers": ["github"] }\n`;
  await writeFile(file, wrong);
  await ends(run("connect", "claude", "--yes"), 3, null, /mcpServers in the client's file is not an object/);
  assert.equal(await readFile(file, "utf8"), wrong);
  await writeFile(file, `{ "mcpServers": null }\n`);
  assert.equal((await run("connect", "claude", "--yes")).code, 0);
  assert.deepEqual(Object.keys(JSON.parse(await readFile(file, "utf8")).mcpServers), ["mountaineer"]);
});

test("F1 E1 a secret with a different value in the client's file is reported, as the stored one stays", async (t) => {
  const server = { command: process.execPath, args: [LIGHT_SERVER], env: { GITHUB_TOKEN: TOKEN } };
  const { file, run } = await setUp(t, { github: server });
  assert.equal((await run("import", "claude", "--yes")).code, 0);
  const rotated = { ...server, env: { GITHUB_TOKEN: TOKEN.toLowerCase() } };
  await writeFile(file, JSON.stringify({ mcpServers: { github: rotated } }));
  const { stderr } = await run("import", "claude", "--yes");
  assert.match(
    stderr,
    /their secrets stay as they are stored: github; for another value: mountaineer secret set/,
  );
});

test("F1 an import names the servers that belong to other folders, and takes them with --projects", async (t) => {
  const { env, run, runInFolder, config } = await setUp(t, {});
  const projects = {
    "/srv/one": { mcpServers: { first: light("a_"), second: light("b_") } },
    "/srv/two": { mcpServers: { third: light("c_") } },
    "/srv/three": { mcpServers: {} },
  };
  await writeFile(join(env.HOME, ".claude.json"), JSON.stringify({ projects }));
  const named = await runInFolder("import", "claude-code", "--yes", "--wait", "0");
  assert.match(
    named.stderr,
    /3 more servers belong to projects: \/srv\/one, \/srv\/two \(run import there, or with --projects\)/,
  );
  const json = JSON.parse((await run("import", "claude-code", "--json")).stdout);
  assert.deepEqual(json.of_projects, [
    { folder: "/srv/one", servers: ["first", "second"] },
    { folder: "/srv/two", servers: ["third"] },
  ]);
  const all = await run("import", "claude-code", "--projects", "--yes", "--wait", "0");
  assert.doesNotMatch(all.stderr, /belong to projects/);
  assert.deepEqual((await config()).match(/^\[backends\.\w+\]/gm), [
    "[backends.first]",
    "[backends.second]",
    "[backends.third]",
  ]);
});

test("F1 `claude` is the Claude that has a file; a person is asked where both or neither have one", async (t) => {
  const home = await temporaryFolder(t);
  const [desktop, code] = [".config/Claude/claude_desktop_config.json", ".claude.json"].map((file) =>
    join(home, file),
  );
  assert.ok(desktop !== undefined && code !== undefined);
  const before = { ...process.env };
  Object.assign(process.env, { HOME: home, XDG_CONFIG_HOME: join(home, ".config") });
  t.after(() => Object.assign(process.env, before));
  const questions: string[] = [];
  const meant = (answer: string | null, yes = false) =>
    meantClient(
      contextOf(home, {
        prompt:
          answer === null
            ? null
            : async (question) => {
                questions.push(question);
                return answer;
              },
      }),
      "claude",
      yes,
    );
  assert.equal(await meant("c"), "claude-code");
  assert.equal(await meant(""), null);
  assert.equal(await meant(null), "claude");
  await writeFile(code, "{}");
  assert.equal(await meant("d"), "claude-code");
  await mkdir(dirname(desktop), { recursive: true });
  await writeFile(desktop, "{}");
  assert.equal(await meant("Claude Desktop"), "claude");
  assert.equal(await meant("c", true), "claude");
  assert.equal(questions.length, 3);
});
