// `mountaineer init` beside a running daemon, and at a terminal.
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { shellWord } from "../../../src/runtime/text/plain-text.ts";
import { createTestHome } from "../../support/daemon.ts";
import { ends } from "../../support/ends.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { WITHOUT_SHARES } from "../../support/without-shares.ts";
import { NO_TERMINAL, openTerminal } from "../../tui/terminal.ts";
import { COMMAND, environmentOf } from "../command-line.ts";

test("with a daemon an added share runs at once, and it is reported if it could not be mounted", async (t) => {
  const folder = await temporaryFolder(t);
  const home = await createTestHome({ home: join(folder, "home"), env: { HOME: folder } });
  await using _monitor = await home.startMonitor();
  // It is written, and could not be mounted.
  await ends(
    home.cli(["init", "--share", "CORE", "--tb-host", "127.0.0.2:1", "--fallback-host", "127.0.0.3:1"]),
    1,
    /✗ CORE {2}failed: .*[\s\S]*config\.toml is changed: CORE/,
  );
  assert.equal(
    (await home.glance())?.shares.some(({ name }) => name === "CORE"),
    true,
  );
});

/** In a network of its own, where nobody answers. */
const ALONE = ["unshare", "--net", ...WITHOUT_SHARES];
const NO_ASKING = NO_TERMINAL === false && process.getuid?.() !== 0 ? "needs root" : NO_TERMINAL;

test("at a terminal it asks, explains an invalid answer, and adds only after a yes", {
  skip: NO_ASKING,
}, async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const command = [...ALONE, ...COMMAND, "init"].map(shellWord).join(" ");
  const open = () => openTerminal({ columns: 160, rows: 30, command, env: environmentOf({ home }) });
  {
    await using terminal = await open();
    const answer = async (question: string, text: string): Promise<void> => {
      await terminal.until(question);
      await terminal.press(...(text === "" ? [] : [text]), "Enter");
    };
    await answer("No NAS was found. The address of yours", "smb://nas");
    await terminal.until("without `smb://`");
    await terminal.press("Enter");
    await answer("An MCP server", "files");
    await answer("The command line of files", "sh -c true");
    await terminal.until((lines) => lines.filter((line) => line.includes("An MCP server")).length === 2);
    await terminal.press("Enter");
    await terminal.until("next: mountaineer doctor");
  }
  const text = await readFile(join(home, "config.toml"), "utf8");
  assert.match(text, /\[backends\.files\]\ncommand = "sh"/);
  {
    await using terminal = await open();
    await terminal.until("Add to it? [y/N]");
    await terminal.press("Enter");
    await terminal.until("nothing was written");
  }
  assert.equal(await readFile(join(home, "config.toml"), "utf8"), text);
});

test("the end of input is not an answer: nothing is written, and the command says so", {
  skip: NO_ASKING,
}, async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const init = [...ALONE, ...COMMAND, "init"].map(shellWord).join(" ");
  const command = `${init}; echo "ended with $?"; sleep 60`;
  await using terminal = await openTerminal({
    columns: 110,
    rows: 30,
    command,
    env: environmentOf({ home }),
  });
  await terminal.until("The address of yours");
  await terminal.press("Enter");
  await terminal.until("An MCP server");
  await terminal.press("C-d");
  await terminal.until("ended with 130");
  const said = (await terminal.lines()).join("\n");
  assert.match(said, /^mountaineer: the input ended before an answer$/m);
  assert.doesNotMatch(said, /await|Warning/);
  await assert.rejects(stat(join(home, "config.toml")));
});
