// Secrets of a running daemon, and asked for at a terminal.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
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
    const lines = await terminal.until("nas is stored");
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

test("B6 a running daemon reports a missing secret as the backend's condition, and takes it, and each change, with a reload", async (t) => {
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
    /secret_missing.*not stored, or not readable: secret token.*mountaineer secret set token/,
  );
  const first = await piped(["secret", "set", "token"], "hiddenone", home.home);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /the running daemon uses it now/);
  await eventually(async () => (await toolNames()).includes("knows-9"));
  assert.match((await home.cli(["reload"])).stdout, /no changes|runs already/);
  await piped(["secret", "set", "token"], "hidden-another", home.home);
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
