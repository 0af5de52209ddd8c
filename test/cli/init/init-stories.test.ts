// `mountaineer init` beside a running daemon, and at a terminal.
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { shellWord } from "../../../src/runtime/text/plain-text.ts";
import { createTestHome } from "../../support/daemon.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { WITHOUT_SHARES } from "../../support/without-shares.ts";
import { NO_TERMINAL, openTerminal } from "../../tui/terminal.ts";
import { COMMAND, environmentOf } from "../command-line.ts";

test("with a daemon what is added runs at once", async (t) => {
  const folder = await temporaryFolder(t);
  const home = await createTestHome({ home: join(folder, "home"), env: { HOME: folder } });
  await using _monitor = await home.startMonitor();
  const added = await home.cli([
    "init",
    "--share",
    "CORE",
    "--tb-host",
    "127.0.0.2:1",
    "--fallback-host",
    "127.0.0.3:1",
  ]);
  assert.equal(added.code, 0, added.stderr);
  await eventually(async () => (await home.glance())?.shares.some(({ name }) => name === "CORE") === true);
});

test("at a terminal it asks, keeps the password, and adds only when told so", {
  skip: NO_TERMINAL,
}, async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const command = [...WITHOUT_SHARES, ...COMMAND, "init"].map(shellWord).join(" ");
  const open = () => openTerminal({ columns: 110, rows: 30, command, env: environmentOf({ home }) });
  {
    await using terminal = await open();
    const answer = async (question: string, text: string): Promise<void> => {
      await terminal.until(question);
      await terminal.press(...(text === "" ? [] : [text]), "Enter");
    };
    await answer("on the server (empty: none):", "CORE");
    await answer("over Thunderbolt", "");
    await answer("Leave CORE out? [y/N]", "");
    await terminal.until((lines) => lines.filter((line) => line.includes("over Thunderbolt")).length === 2);
    await terminal.press("10.10.10.1", "Enter");
    await answer("over the other network", "nas.local");
    await answer("Your name on the server", "ann");
    await answer("want a password?", "y");
    await answer("A further share", "");
    await answer("An MCP server", "files");
    await answer("Its command line", "sh -c true");
    await terminal.until((lines) => lines.filter((line) => line.includes("An MCP server")).length === 2);
    await terminal.press("Enter");
    await answer("Value of core", "hidden");
    await terminal.until("next: mountaineer doctor");
  }
  const text = await readFile(join(home, "config.toml"), "utf8");
  assert.match(
    text,
    /name = "CORE"[\s\S]*password = "secret:core"[\s\S]*\[backends\.files\]\ncommand = "sh"/,
  );
  assert.match(await readFile(join(home, "secrets.json"), "utf8"), /"hidden"/);
  {
    await using terminal = await open();
    await terminal.until("Add to it? [y/N]");
    await terminal.press("Enter");
    await terminal.until("nothing was written");
  }
  assert.equal(await readFile(join(home, "config.toml"), "utf8"), text);
});

test("the end of what is typed is no answer: nothing is written, and it says so", {
  skip: NO_TERMINAL,
}, async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const init = [...WITHOUT_SHARES, ...COMMAND, "init"].map(shellWord).join(" ");
  const command = `${init}; echo "ended with $?"; sleep 60`;
  await using terminal = await openTerminal({
    columns: 110,
    rows: 30,
    command,
    env: environmentOf({ home }),
  });
  await terminal.until("on the server (empty: none):");
  await terminal.press("CORE", "Enter");
  await terminal.until("over Thunderbolt");
  await terminal.press("C-d");
  await terminal.until("ended with 130");
  const said = (await terminal.lines()).join("\n");
  assert.match(said, /^mountaineer: the input ended before an answer$/m);
  assert.doesNotMatch(said, /await|Warning/);
  await assert.rejects(stat(join(home, "config.toml")));
});
