// From an empty home to a called tool in the page, before a real daemon: the only command is `mountaineer open`.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import { createTestHome, type TestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import {
  EVERY_VIEW,
  listenTo,
  NO_BROWSER,
  openView,
  SOON_MS,
  startChromium,
  TOOLS_SERVER,
  violations,
} from "./page-rig.ts";

const VALUE = "ghp_0123456789abcdefghijABCDEFGHIJ012345";

/** A link as `mountaineer open` makes it in a terminal. */
async function terminalLink({ home }: TestHome): Promise<string> {
  const client = await connectToDaemon(home);
  assert.ok(client !== null);
  return (await client.call("openPage", { from_terminal: true }, AbortSignal.timeout(SOON_MS))).url;
}

test("a first server in the page", { skip: NO_BROWSER }, async (t) => {
  const it = t.test.bind(t);
  const folder = await temporaryFolder(t);
  const home = await createTestHome({
    home: join(folder, "h"),
    config: `[server]\nport = ${await freePort()}\n`,
    env: { HOME: folder },
  });
  await using monitor = await home.startMonitor();
  await using browser = await startChromium();
  const complaints: string[] = [];
  const open = async () => {
    const context = await browser.newContext({ reducedMotion: "reduce" });
    context.setDefaultTimeout(SOON_MS);
    const page = await context.newPage();
    listenTo(page, complaints);
    await page.goto(await terminalLink(home));
    await page.getByText("live", { exact: true }).waitFor();
    return page;
  };
  const page = await open();
  const dialog = page.getByRole("dialog");
  const paste = async (text: string): Promise<void> => {
    await page.getByLabel("JSON from a guide").fill(text);
    await page.getByRole("button", { name: "Show what runs …" }).click();
  };

  await it("F2 no button of an empty home leads to a blank page, and no view asks in vain", async () => {
    for (const name of ["Add a share", "Import servers", "Add a server"]) {
      await openView(page, "Home");
      await page.getByRole("link", { name }).click();
      await page.locator("#main").getByRole("button").first().waitFor();
    }
    for (const view of EVERY_VIEW.filter((one) => /^(Activity|Settings)/.test(one))) {
      await openView(page, view);
      const waiting = page.locator("#main").getByText(/^(Asking|Reading|Looking)/);
      await eventually(async () => (await waiting.count()) === 0);
      assert.ok((await page.locator("#main").innerText()).length > 30, view);
    }
    assert.deepEqual(complaints, []);
    await openView(page, "Home");
  });

  await it("F4 the link of an empty home gives the right to import, and pasted servers are shown whole", async () => {
    await page.getByRole("link", { name: "Import servers" }).click();
    const args = JSON.stringify([TOOLS_SERVER, "--with space"]);
    await paste(`"tools": {"command": "${process.execPath}", "args": ${args}, "env": {"GITHUB_TOKEN": "${VALUE}"}},
      "dead": {"url": "wss://dead.example/mcp"}`);
    await dialog.getByText(`${process.execPath} ${TOOLS_SERVER} '--with space'`).waitFor();
    await dialog.getByText("GITHUB_TOKEN = secret:tools-github-token", { exact: true }).waitFor();
    await dialog.getByText(/^1 to run, \d disabled, \d not imported, 0 in projects$/).waitFor();
    await dialog
      .getByText(/wss:\/\//)
      .first()
      .waitFor();
    assert.ok(!(await page.content()).includes(VALUE));
    assert.deepEqual(await violations(page), []);
    await dialog.getByRole("button", { name: /^Import / }).click();
    await page.getByText(/server.* imported\./).waitFor();
    const written = await readFile(home.configFile, "utf8");
    assert.match(written, /GITHUB_TOKEN = "secret:tools-github-token"/);
    assert.ok(!written.includes(VALUE));
    assert.match((await home.cli(["secret", "list"])).stdout, /gateway-token[\s\S]*tools-github-token/);
  });

  await it("F4 an import is undone, and text without a server changes nothing", async () => {
    const before = await readFile(home.configFile, "utf8");
    await openView(page, "Servers/Import");
    await paste('{"url": "http://127.0.0.1:9/mcp", "name": "second"}');
    await dialog.getByRole("button", { name: "Import it" }).click();
    await page.getByRole("row", { name: /^second\b/ }).waitFor();
    await page
      .getByRole("button", { name: /^Undo: 1 server imported/ })
      .last()
      .click();
    await page.getByRole("row", { name: /^second\b/ }).waitFor({ state: "detached" });
    assert.equal(await readFile(home.configFile, "utf8"), before);
    await openView(page, "Servers/Import");
    await paste("{}");
    await page.getByText("No MCP servers were found").waitFor();
  });

  await it("F4 the link of a home that has something gives no right to import", async () => {
    const other = await open();
    await openView(other, "Servers/Import");
    await other.getByText("To import servers, run in a terminal").waitFor();
    assert.ok(await other.getByRole("textbox").first().isDisabled());
    assert.deepEqual(complaints, []);
  });

  await it("F2 the page keeps its address through the first server and a restart", async () => {
    await monitor.stop();
    await page.getByText(/not connected since/).waitFor();
    await using _next = await home.startMonitor();
    await page.getByText("live", { exact: true }).waitFor();
    await page.reload();
    await openView(page, "Servers");
    await page.getByRole("row", { name: /^tools\b/ }).waitFor();
  });
});
