// What a person does in the page, in Apple's engine: Safari on a Mac, WebKitGTK on Linux. Debian's other two browsers do all
// of it in the lab (test/web/page-actions.test.ts).
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { handAt } from "../web/hand.ts";
import { EVERY_VIEW, startPageStage, TOOLS_SERVER } from "../web/page-rig.ts";
import { NO_WEBKIT, openWebkitTab } from "../web/webkit-tab.ts";

const CLIENTS_TEXT = '{\n  "mcpServers": {}\n}\n';

test("F4 the page in WebKit: every view, and its owner changes what runs and what a client gets", {
  skip: NO_WEBKIT,
}, async (t) => {
  const userHome = await temporaryFolder(t);
  const file = join(userHome, ".cursor", "mcp.json");
  await mkdir(join(userHome, ".cursor"));
  await writeFile(file, CLIENTS_TEXT);
  await using stage = await startPageStage(t, { env: { HOME: userHome } });
  const { home } = stage;
  await home.cli(["config", "set", "server.management.allow_commands", "false"]);
  const { tab, close } = await openWebkitTab();
  await using ends = new AsyncDisposableStack();
  ends.defer(close);
  const hand = handAt(tab, "mouse");
  await tab.goto(await stage.link());
  await hand.see(/\blive\b/i);

  await t.test("every view is drawn", async () => {
    for (const view of EVERY_VIEW.toReversed()) await hand.go(view);
  });

  await t.test("the owner's right is typed in a terminal", async () => {
    await hand.go("Settings/Clients");
    await hand.press("Unlock");
    const [, code = ""] = /mountaineer admin (\S+)/.exec(await hand.see(/mountaineer admin \S+/)) ?? [];
    assert.equal((await home.cli(["admin", code])).code, 0);
  });

  await t.test("a client is connected, and restored", async () => {
    await hand.press("Connect: Cursor");
    await hand.press("Change it");
    await hand.see(/uses this gateway/);
    assert.match(await readFile(file, "utf8"), /"mountaineer"/);
    await hand.press("Undo: Cursor uses this gateway now.*");
    await hand.press("Change it");
    await eventually(async () => (await readFile(file, "utf8")) === CLIENTS_TEXT);
  });

  await t.test("a server is added by its command, and a tool of it switched off and on again", async () => {
    await hand.go("Servers/Add a server");
    await hand.fill("Name \\(required\\)", "more");
    await hand.fill("Command or address \\(required\\)", `${process.execPath} ${TOOLS_SERVER}`);
    await hand.press("Show what runs …");
    await hand.see(/tools-server\.mjs/);
    await hand.press("Add it");
    await hand.arrive("servers");
    await eventually(async () => {
      const backends = (await home.glance())?.backends ?? [];
      return backends.some(({ name, phase }) => name === "more" && phase === "Ready");
    }, 60_000);
    await hand.go("Servers/Tools");
    await hand.press("more_read_text_file");
    await hand.press("Switch off");
    await hand.press("Undo: .*read_text_file is switched off");
    await hand.see(/read_text_file is switched on/);
  });
});
