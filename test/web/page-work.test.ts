// What a person does in the page beyond looking: approve, call by fields, read what was, restart, sign in again.
import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { connectToDaemon } from "../../src/api/client/client.ts";
import { eventually } from "../support/eventually.ts";
import { NO_BROWSER, openPageRig, openView, type PageRig, violations } from "./page-rig.ts";

const TRUST =
  '\n[trust]\napprove = "commands"\n\n[audit]\nenabled = true\n\n[authorization]\ndefault_effect = "allow"\ndestructive = "ask"\n';
const MOUNTAINEER = resolve(import.meta.dirname, "../../bin/mountaineer");

/** A program of the owner whose client cannot ask: the official SDK without elicitation, through `mountaineer mcp`. */
async function startProgram({ home }: PageRig, ends: AsyncDisposableStack) {
  const client = new Client({ name: "Agent\u202e", version: "1" });
  const env = { PATH: process.env["PATH"] ?? "", MOUNTAINEER_HOME: home.home };
  await client.connect(new StdioClientTransport({ command: MOUNTAINEER, args: ["mcp"], env }));
  ends.defer(() => client.close());
  return async (message: string): Promise<string> =>
    JSON.stringify((await client.callTool({ name: "echo", arguments: { message } })).content);
}

test("work in the page", { skip: NO_BROWSER }, async (t) => {
  const it = t.test.bind(t);
  await using rig = await openPageRig(t, { more: () => TRUST, kept: true });
  const { page } = await rig.signedIn();

  await it("F2 a tool is called with the fields of its form, and an empty required field is reported", async () => {
    await openView(page, "Servers/Tools");
    await page.getByRole("searchbox").fill("sum");
    await page.getByRole("button", { name: /sum$/ }).click();
    const form = page.getByRole("form", { name: /^Try / });
    await form.getByLabel("a (required)").fill("2");
    await form.getByRole("button", { name: "Call" }).click();
    await form.getByText("b: required").waitFor();
    assert.deepEqual(await violations(page), []);
    await form.getByLabel("b (required)").fill("40");
    await form.getByRole("button", { name: "Call" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Call it" }).click();
    await form.getByText("42", { exact: true }).waitFor();
  });

  await it("F2 input typed for each tool stays for as long as the page is open, and nowhere else", async () => {
    const form = page.getByRole("form", { name: /^Try / });
    await form.getByLabel("b (required)").fill("4071");
    await page.getByRole("searchbox").fill("");
    await page.getByRole("button", { name: /echo$/ }).click();
    await form.getByRole("button", { name: "Write it as JSON" }).click();
    await form.getByLabel("Arguments, as JSON").fill('{"message": "half a thou');
    await openView(page, "Settings/Sync");
    await openView(page, "Servers/Tools");
    // The tool that was chosen is there as it was left.
    assert.equal(await form.getByLabel("Arguments, as JSON").inputValue(), '{"message": "half a thou');
    await page.getByRole("searchbox").fill("sum");
    await page.getByRole("button", { name: /sum$/ }).click();
    assert.equal(await form.getByLabel("a (required)").inputValue(), "2");
    assert.equal(await form.getByLabel("b (required)").inputValue(), "4071");
    const stored =
      "JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }, history.state])";
    assert.doesNotMatch(await page.evaluate(stored), /4071|half a thou/);
    await page.reload();
    await openView(page, "Servers/Tools");
    await page.getByRole("button", { name: /sum$/ }).click();
    assert.equal(await form.getByLabel("b (required)").inputValue(), "");
  });

  await it("F2 a pending entry is shown whole, and approved as shown", async () => {
    await openView(page, "Settings/Approvals");
    await page.getByText("No entry waits.").waitFor();
    await rig.home.writeConfig(withNote(rig, "first"));
    const card = page.getByRole("article", { name: /^Waiting: .*tools/ });
    await card.getByText(/\+.*first/).waitFor();
    assert.deepEqual(await violations(page), []);

    await card.getByRole("button", { name: /^Approve / }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(/\+.*first/).waitFor();
    assert.deepEqual(await violations(page), []);
    // Another hand is quicker than the answer.
    await rig.home.writeConfig(withNote(rig, "second"));
    await dialog.getByText(/the pending changes differ/).waitFor();
    assert.equal(await dialog.getByRole("button", { name: "Approve this" }).isDisabled(), true);
    assert.deepEqual(await violations(page), []);
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });

    await card.getByText(/\+.*second/).waitFor();
    await card.getByRole("button", { name: /^Approve / }).click();
    await dialog.getByText(/\+.*second/).waitFor();
    await dialog.getByRole("button", { name: "Approve this" }).click();
    await page.getByText(/^Approved: /).waitFor();
    await page.getByText("No entry waits.").waitFor();
  });

  await it("E6 the owner answers in an unlocked tab, and a question outlives a handover", async () => {
    await using ends = new AsyncDisposableStack();
    const [call, other] = [await startProgram(rig, ends), await startProgram(rig, ends)];
    await rig.home.cli(["config", "set", "server.management.allow_commands", "false"]);
    const { page: tab, context } = await rig.signedIn();
    ends.defer(() => context.close());
    const card = tab.getByRole("article", { name: "Waits for your answer: echo of tools" });
    const [first, second] = [call("of this  program"), other("of this  program")];
    await tab
      .getByText(/echo of tools waits for your answer/)
      .first()
      .waitFor();
    assert.equal(await card.count(), 0, "the tab is locked");
    assert.doesNotMatch(JSON.stringify(await rig.home.glance()), /of this {2}program/);
    // On Home, in place of the answer.
    await tab
      .getByRole("button", { name: /^Unlock: / })
      .first()
      .click();
    const typed = await tab.getByText(/^MOUNTAINEER_HOME=\S+ mountaineer admin /).textContent();
    assert.equal((await rig.home.cli((typed ?? "").split(" ").slice(2))).code, 0);
    await card.nth(1).waitFor();
    assert.deepEqual(await violations(tab), []);
    assert.match(await card.first().innerText(), /"message": "of this {2}program"/);
    for (const text of ["Agent\\u{202e} 1", "Asked because of: destructive"])
      await card.first().getByText(text).waitFor();
    await card.first().getByRole("button", { name: "Allow once: echo of tools" }).click();
    assert.match(await Promise.race([first, second]), /of this {2}program/);
    await eventually(async () => (await card.count()) === 1);
    await card.getByRole("button", { name: "Deny: echo of tools" }).click();
    const answers = await Promise.all([first, second]);
    assert.equal(answers.filter((text) => text.includes("the owner of this gateway denied it")).length, 1);

    const waiting = call("over a restart");
    await card.getByText('"message": "over a restart"').waitFor();
    assert.equal((await rig.home.cli(["restart"])).code, 0);
    assert.match(await waiting, /has not answered yet; the question stands for ten minutes/);
    const daemon = await connectToDaemon(rig.home.home);
    const { signal } = new AbortController();
    const { questions = [] } = (await daemon?.call("questions", null, signal)) ?? {};
    const answer = { code: questions[0]?.code ?? "", allow: true, from: "terminal" } as const;
    assert.equal((await daemon?.call("answer", answer, signal))?.effect, "stored");
    assert.match(await call("over a restart"), /^\[\{"type":"text","text":"over a restart"/);
    await rig.home.cli(["config", "set", "server.management.allow_commands", "true"]);
  });

  await it("F2 the daemon is restarted from the page, which continues with the next one", async () => {
    const before = (await rig.home.glance())?.global.pid;
    await openView(page, "Settings/About");
    await page.getByRole("button", { name: "Restart daemon" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Restart the daemon?").waitFor();
    assert.deepEqual(await violations(page), []);
    await dialog.getByRole("button", { name: "Restart" }).click();
    const pid = await eventually(async () => {
      const now = (await rig.home.glance())?.global.pid;
      return now !== before && now !== undefined && now !== null ? now : null;
    }, 60_000);
    const card = page.getByRole("article", { name: "Daemon" });
    await card.getByText(`process ${pid},`).waitFor();
    await page.getByText("live", { exact: true }).waitFor();
  });

  await it("F2 a session that ends leads to the sign-in, and shows nothing of the daemon", async () => {
    const { page: guest, context } = await rig.signedIn();
    await guest.evaluate(
      "fetch('/page/v1/session', { method: 'DELETE', headers: { Authorization: `Bearer ${sessionStorage.getItem('mountaineer-session')}` } })",
    );
    await guest.getByText("The session has ended.").waitFor();
    await guest.getByLabel("Token").waitFor();
    assert.equal(await guest.getByRole("article").count(), 0);
    await context.close();
  });

  await it("E2 input typed by a person who signs out is hidden from the next one", async () => {
    const { page: guest, context } = await rig.signedIn();
    await openView(guest, "Servers/Tools");
    await guest.getByRole("button", { name: /sum$/ }).click();
    const form = guest.getByRole("form", { name: /^Try / });
    await form.getByLabel("b (required)").fill("4071");
    await guest.getByRole("button", { name: "Sign out" }).click();
    await guest.getByText("You are signed out.").waitFor();
    // The same open page, signed in by another one of the browser.
    const other = await context.newPage();
    await other.goto(await rig.link());
    await guest.getByRole("navigation", { name: "Views" }).waitFor();
    await openView(guest, "Servers/Tools");
    await guest.getByRole("button", { name: /sum$/ }).waitFor();
    assert.equal(await form.count(), 0, "no tool is chosen");
    await guest.getByRole("button", { name: /sum$/ }).click();
    assert.equal(await form.getByLabel("b (required)").inputValue(), "");
    await openView(guest, "Settings/Configuration");
    await guest.getByRole("textbox").first().press("ControlOrMeta+End");
    await guest.keyboard.type("# not saved");
    await guest.getByRole("button", { name: "Sign out" }).click();
    const dialog = guest.getByRole("dialog", { name: "Sign out without saving?" });
    await dialog.waitFor();
    assert.deepEqual(await violations(guest), []);
    await guest.keyboard.press("Escape");
    await openView(guest, "Servers/Tools");
    await form.getByLabel("b (required)").fill("4072");
    await other.getByRole("button", { name: "Sign out" }).click();
    await guest.getByText("Signed out in another tab.").waitFor();
    await other.goto("about:blank");
    await other.goto(await rig.link());
    await guest.getByRole("navigation", { name: "Views" }).waitFor();
    await openView(guest, "Servers/Tools");
    await guest.getByRole("button", { name: /sum$/ }).click();
    assert.equal(await form.getByLabel("b (required)").inputValue(), "");
    await context.close();
  });

  await it("F2 without allow_commands the page says that it is read-only, and how to unlock it", async () => {
    await rig.home.cli(["config", "set", "server.management.allow_commands", "false"]);
    await page.reload();
    for (const view of ["Settings/Configuration", "Settings/Approvals"]) {
      await openView(page, view);
      await page.getByRole("button", { name: "Unlock" }).waitFor();
      assert.deepEqual(await violations(page), [], view);
    }
  });

  await it("no page complained", () => assert.deepEqual(rig.complaints, []));
});

/** The rig's configuration, with a note in the environment of the backend: it decides what runs. */
function withNote(rig: PageRig, note: string): string {
  return rig.config(`\n[backends.tools.env]\nNOTE = "${note}"\n`);
}
