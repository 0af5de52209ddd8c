import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Ran } from "../../support/collect.ts";
import { createTestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { NO_TERMINAL, openTerminal } from "../../tui/terminal.ts";
import { COMMAND, environmentOf, runCommand } from "../command-line.ts";

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

test("at a terminal the value is asked for and not shown; Backspace and Ctrl-U work, Ctrl-C ends it", {
  skip: NO_TERMINAL,
}, async (t) => {
  const home = await temporaryFolder(t);
  const command = [...COMMAND, "secret", "set", "nas"].map((word) => `'${word}'`).join(" ");
  const open = () => openTerminal({ columns: 100, rows: 12, command, env: environmentOf({ home }) });
  {
    await using terminal = await open();
    await terminal.until("Value of nas (not shown):");
    await terminal.press("wrong", "C-u", "secrxx", "BSpace", "BSpace", "etÄ", "Up", "Enter");
    const lines = await terminal.until("nas is kept");
    assert.doesNotMatch(lines.join("\n"), /secret(?!s\.json| set)|wrong|Ä/);
  }
  assert.match(await readFile(join(home, "secrets.json"), "utf8"), /"value": "secretÄ"/);
  {
    await using terminal = await open();
    await terminal.until("Value of nas");
    await terminal.press("never", "C-c");
    await terminal.until((lines) => lines.some((line) => /stopped by SIGINT/.test(line)));
  }
  assert.match(await readFile(join(home, "secrets.json"), "utf8"), /"value": "secretÄ"/);
});

/** Answers each initialize, and has one tool whose name is its TOKEN. */
const SERVER = `
const lines = require("node:readline").createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { id, method } = JSON.parse(line);
  const answer = (result) => console.log(JSON.stringify({ jsonrpc: "2.0", id, result }));
  if (method === "initialize") answer({ protocolVersion: "2025-06-18", capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } });
  else if (method === "tools/list") answer({ tools: [{ name: "knows-" + process.env.TOKEN.length, inputSchema: { type: "object" } }] });
  else if (id !== undefined) answer({});
});
`;

async function freeHome(t: TestContext) {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "server.cjs"), SERVER);
  const config = `[server]\nport = 0\n[sync]\nenabled = false\n[backends.a]\ncommand = "${process.execPath}"\nargs = ["${join(folder, "server.cjs")}"]\nenv = { TOKEN = "secret:token" }\n`;
  return { folder, config };
}

test("B6 a running daemon has a missing secret as the backend's condition, and takes it, and each change, with a reload", async (t) => {
  const { folder, config } = await freeHome(t);
  const home = await createTestHome({
    home: join(folder, "home"),
    config: config.replace("port = 0", `port = ${await freePort()}`),
    env: { DBUS_SESSION_BUS_ADDRESS: "", MOUNTAINEER_LOG: "debug" },
  });
  await using monitor = await home.startMonitor();
  const toolNames = async (): Promise<readonly string[]> => {
    const { stdout } = await home.cli(["tools", "list", "--json"]);
    return (JSON.parse(stdout).tools as readonly { name: string }[]).map(({ name }) => name);
  };
  const before = await eventually(async () => {
    const backend = (await home.glance())?.backends?.[0];
    return backend?.phase === "Failed" ? backend : null;
  });
  assert.match(
    JSON.stringify(before.conditions),
    /secret_missing.*not kept as a secret.*token.*mountaineer secret set token/,
  );
  const first = await piped(["secret", "set", "token"], "hiddenone", home.home);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /takes it with: mountaineer reload/);
  const reload = await home.cli(["reload"]);
  assert.equal(reload.code, 0, reload.stderr);
  assert.match(reload.stdout, /1 backend/);
  await eventually(async () => (await toolNames()).includes("knows-9"));
  assert.match((await home.cli(["reload"])).stdout, /no changes|runs already/);
  await piped(["secret", "set", "token"], "hidden-another", home.home);
  assert.match((await home.cli(["reload"])).stdout, /1 backend/);
  await eventually(async () => (await toolNames()).includes("knows-14"));
  monitor.signal("SIGHUP");
  const everything = [
    await readFile(join(home.home, "mountaineer.log"), "utf8"),
    await monitor.stderr(),
    JSON.stringify(await home.glance()),
    (await home.cli(["config", "show", "--effective"])).stdout,
    (await home.cli(["config", "history"])).stdout,
  ].join("\n");
  assert.doesNotMatch(everything, /hidden/);
});
