// The page in a real browser, before a real daemon. One stage for all: a browser and a daemon take seconds to start.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Locator } from "playwright-core";
import { eventually } from "../support/eventually.ts";
import {
  downwards,
  EVERY_VIEW,
  listenTo,
  NO_BROWSER,
  openPageRig,
  openView,
  openWhole,
  SOON_MS,
  sideways,
  violations,
} from "./page-rig.ts";

test("the page in a browser", { skip: NO_BROWSER }, async (t) => {
  const it = t.test.bind(t);
  await using rig = await openPageRig(t);
  const { page } = await rig.signedIn();

  await it("F2 a link signs in once; its code is gone from the address; a second use is refused", async () => {
    const context = await rig.browser.newContext();
    context.setDefaultTimeout(SOON_MS);
    const guest = await context.newPage();
    listenTo(guest, rig.complaints);
    const link = await rig.link();
    await guest.goto(link);
    await guest.getByRole("heading", { level: 1, name: "Home" }).waitFor();
    assert.doesNotMatch(guest.url(), /#\w/);
    await guest.getByRole("button", { name: "Sign out" }).click();
    await guest.getByText("You are signed out.").waitFor();
    assert.deepEqual(await violations(guest), []);
    await guest.goto("about:blank");
    await guest.goto(link);
    await guest.getByText(/This link has expired or was already used/).waitFor();
    await guest.getByLabel("Token").fill("mtn_wrong");
    await guest.getByRole("button", { name: "Sign in" }).click();
    await guest.getByRole("alert").waitFor();
    await context.close();
  });

  await it("F2 no view has an axe violation, light or dark, nor scrolls sideways on a phone", async () => {
    for (const dark of [false, true]) {
      const { page: phone, context } = await rig.signedIn({ width: dark ? 360 : 1200, height: 740, dark });
      for (const view of EVERY_VIEW) {
        await openWhole(phone, view);
        assert.deepEqual(await violations(phone), [], `${view}, ${dark ? "dark" : "light"}`);
        assert.equal(await sideways(phone), 0, view);
        const down = await downwards(phone);
        assert.ok(down <= 0 || down > 8, `${view} scrolls by ${down} px`);
      }
      await context.close();
    }
  });

  await it("F2 the page follows a share live: failover, TB Ready, and the switch by its button", async () => {
    await openView(page, "Shares");
    const card = page.getByRole("article", { name: "Share CORE" });
    await card.getByText("Mounted over the preferred route").waitFor();
    await rig.thunderbolt(false);
    await card.getByText("Mounted over Fallback").waitFor();
    await openView(page, "Home");
    await page.getByRole("list", { name: "Shares and servers" }).getByText("mounted over Fallback").waitFor();
    await rig.thunderbolt(true);
    await page.getByRole("button", { name: "Switch to the preferred route: CORE" }).waitFor();
    await openView(page, "Shares");
    await card.getByText("TB Ready:").waitFor();
    await card.getByRole("button", { name: "Switch to the preferred route: CORE" }).click();
    await card.getByText("Mounted over the preferred route").waitFor();
  });

  await it("F4 Home draws the cables and the servers: a move and a call are seen as they happen", async () => {
    const { page: phone, context } = await rig.signedIn({ width: 390, height: 800 });
    await phone.emulateMedia({ reducedMotion: "no-preference" });
    for (const each of [page, phone]) await openView(each, "Home");
    const joined = (text: RegExp) =>
      phone
        .getByRole("list", { name: /is joined to/ })
        .getByRole("listitem")
        .filter({ hasText: text })
        .first();
    await joined(/Preferred · in use.*Fallback · ready/).waitFor({ state: "attached" });
    await rig.thunderbolt(false);
    await joined(/Preferred · (?!in use|ready).*Fallback · in use/).waitFor({ state: "attached" });
    for (const each of [page, phone]) {
      // Each page has a stream of its own, and both wires change in turn.
      await each.locator("path.wire.down").waitFor({ state: "attached" });
      await each.locator("path.wire.used").first().waitFor({ state: "attached" });
      assert.equal(await each.locator("path.wire.used").count(), 1);
    }
    const move = "getComputedStyle(document.querySelector('path.wire.used')).animationName";
    assert.deepEqual([await phone.evaluate(move), await page.evaluate(move)], ["taken", "none"]);
    const passes = phone.locator("path.call").first().waitFor({ state: "attached" });
    const { stdout } = await rig.home.cli(["tools", "list", "--json"]);
    const { tools } = JSON.parse(stdout);
    await rig.home.cli(["call", tools[0].name, "{}"]);
    await passes;
    await joined(/^tools, .*1 call/).waitFor({ state: "attached" });
    assert.deepEqual(await violations(phone), []);
    assert.equal(await sideways(phone), 0);
    await rig.thunderbolt(true);
    await phone.getByRole("button", { name: "Switch to the preferred route: CORE" }).click();
    await joined(/Preferred · in use/).waitFor({ state: "attached" });
    await context.close();
  });

  await it("F2 unmount asks first, Escape means no, and mount restores it", async () => {
    await openView(page, "Shares");
    const card = page.getByRole("article", { name: "Share CORE" });
    await card.getByRole("button", { name: "Unmount: CORE" }).click();
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal((await rig.home.glance())?.shares[0]?.mount_state, "mounted");
    await card.getByRole("button", { name: "Unmount: CORE" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Unmount" }).click();
    await card.getByText("Not mounted").waitFor();
    await card.getByText("not mounted, set by hand").waitFor();
    await card.getByRole("button", { name: "Mount: CORE" }).click();
    await card.getByText("Mounted over the preferred route").waitFor();
    await card.getByRole("button", { name: "Check now: CORE" }).click();
  });

  await it("F2 a backend is restarted, and its lines are shown", async () => {
    await openView(page, "Servers");
    const card = page.getByRole("article", { name: "Server tools" });
    const pid = async () => (await rig.home.glance())?.backends?.find(({ name }) => name === "tools")?.pid;
    const before = await eventually(pid);
    await card.getByRole("button", { name: "Restart: tools" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Restart" }).click();
    await eventually(async () => ![null, undefined, before].includes(await pid()));
    await card.getByRole("button", { name: "Logs: tools" }).click();
    await card.getByRole("region", { name: "Logs of tools" }).waitFor();
  });

  await it("B9 the Sync panel saves into the file, and keeps its comments", async () => {
    await openView(page, "Settings/Sync");
    await page.getByLabel("Wait after last save (s)").fill("99");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Wait after last save (s): 0.01 to 60").waitFor();
    await page.getByLabel("Wait after last save (s)").fill("0.06");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText(/^Saved: /).waitFor();
    await eventually(async () =>
      (await rig.home.cli(["config", "get", "sync.debounce"])).stdout.includes("0.06"),
    );
  });

  await it("F2 the editor colours, suggests keys, marks errors in place, and shows both texts before a save", async () => {
    await openView(page, "Settings/Configuration");
    const text = page.getByRole("textbox", { name: "Text of the configuration" });
    const line = text.getByText(/^check_interval_secs = /);
    await line.waitFor();
    const colour = (of: Locator) => of.evaluate((element) => getComputedStyle(element).color);
    assert.notEqual(await colour(line.getByText("0.2")), await colour(line), "numbers have a colour");
    const dialog = page.getByRole("dialog");
    const save = async (value: string): Promise<void> => {
      await line.click();
      await page.keyboard.press("Home");
      await page.keyboard.press("Shift+End");
      await page.keyboard.type(`check_interval_secs = ${value}`);
      await page.getByRole("button", { name: "Save …" }).click();
      const sides = dialog.getByRole("textbox");
      await sides.nth(1).getByText(`check_interval_secs = ${value}`).waitFor();
      assert.match(await sides.nth(0).innerText(), /check_interval_secs = 0\.2/);
      assert.deepEqual(await violations(page), []);
      await dialog.getByRole("button", { name: "Save" }).click();
    };
    await save("nonsense");
    // The mistakes are there before the refusal is; until then the button is busy.
    await page.getByText("Nothing was saved: the text has errors.").waitFor();
    await page.locator(".cm-lintRange-error").first().waitFor();
    await page.getByRole("button", { name: /^2:/ }).first().click();
    await page.locator(".cm-focused").waitFor();
    assert.deepEqual(await violations(page), []);
    await save("0.3");
    await eventually(async () => (await rig.home.glance())?.global.check_interval_secs === 0.3);
    await line.click();
    await page.keyboard.press("End");
    await page.keyboard.type("\nconnect_ti");
    await page.getByRole("option", { name: /connect_timeout_ms/ }).click();
    await text.getByText("connect_timeout_ms =").waitFor();
    // What turns a text around, or is not seen at all, is marked.
    await page.keyboard.insertText("1\u202b\u{e0041} # ");
    for (const code of ["202b", "e0041"]) await text.getByLabel(`Control character 0x${code}`).waitFor();
    await line.getByText("check_interval_secs").hover();
    await page
      .locator(".cm-tooltip-hover")
      .getByText(/global\.check_interval_secs: number/)
      .waitFor();
    // A written-out secret is in no draft; anything else is.
    await page.keyboard.type('900\npassword = "hunter2"');
    await openView(page, "Shares");
    await page.getByText(/were not kept: there is a secret in them/).waitFor();
    await openView(page, "Settings/Configuration");
    await line.waitFor();
    assert.doesNotMatch(await text.innerText(), /hunter2|connect_ti/);
  });

  await it("F2 the history shows each change, and restores", async () => {
    const entries = page
      .getByRole("region", { name: /Accepted contents/ })
      .getByRole("rowheader")
      .getByRole("button");
    await eventually(async () => (await entries.count()) >= 2);
    await entries.nth(1).click();
    await page.getByRole("button", { name: "Go back to it …" }).click();
    await page
      .getByRole("dialog")
      .getByRole("textbox")
      .nth(1)
      .getByText("check_interval_secs = 0.2")
      .waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Go back" }).click();
    await eventually(async () => (await rig.home.glance())?.global.check_interval_secs === 0.2);
  });

  await it("F2 a lost connection is shown with its time, and the page recovers with the daemon", async () => {
    await openView(page, "Shares");
    await rig.stopMonitor();
    await page.getByText(/not connected since/).waitFor();
    await page.getByRole("alert").getByText("The daemon does not answer.").waitFor();
    assert.equal(await page.getByRole("button", { name: "Unmount: CORE" }).count(), 0);
    assert.deepEqual(await violations(page), []);
    await rig.restartMonitor();
    await page.getByText("live", { exact: true }).waitFor();
    const card = page.getByRole("article", { name: "Share CORE" });
    await card.getByText("Mounted over the preferred route").waitFor();
  });

  await it("F4 the plots of a share and a server are read out by keys, by a pointer, and as a table, at any width", async () => {
    for (const width of [1200, 390]) {
      const { page: other, context } = await rig.signedIn({ width, height: 900, dark: width === 390 });
      for (const [view, of] of [
        ["Shares", "CORE"],
        ["Servers", "tools"],
      ] as const) {
        await openView(other, view);
        const plot = other.getByRole("slider", { name: `Last hour of ${of}` });
        const newest = view === "Shares" ? /: over the preferred route/ : /: (started, )?0 calls/;
        await other.locator(".readout").getByText(newest).waitFor();
        await plot.focus();
        await other.keyboard.press("Home");
        const first = await plot.getAttribute("aria-valuetext");
        assert.match(first ?? "", /^\d\d:\d\d:\d\d: not known$/);
        await other.keyboard.press("ArrowRight");
        assert.notEqual(await plot.getAttribute("aria-valuetext"), first);
        const box = await plot.locator(".u-over").first().boundingBox();
        assert.ok(box !== null && box.width > 200);
        await other.mouse.click(box.x + box.width - 2, box.y + 20);
        assert.equal(
          await other.locator(".readout").textContent(),
          await plot.getAttribute("aria-valuetext"),
        );
        await other.getByRole("button", { name: "Last week" }).click();
        await other.getByRole("slider", { name: `Last week of ${of}` }).waitFor();
        await other.getByText("As a table").click();
        await other
          .getByRole("region", { name: /as a table/ })
          .locator("tbody tr")
          .first()
          .waitFor();
        assert.deepEqual(await violations(other), [], `${view} at ${width} px`);
        assert.equal(await sideways(other), 0, `${view} at ${width} px`);
      }
      await context.close();
    }
  });

  await it("F2 two tabs share a session: signed out in one is signed out in both", async () => {
    const { page: one, context } = await rig.signedIn();
    const two = await context.newPage();
    listenTo(two, rig.complaints);
    await two.goto(rig.url);
    await two.getByText("Share", { exact: false }).first().waitFor();
    await one.getByRole("button", { name: "Sign out" }).click();
    await two.getByText("Signed out in another tab.").waitFor();
    assert.equal(await two.evaluate("fetch('/manage/v1/status').then(({ status }) => status)"), 401);
    await context.close();
  });

  await it("F2 the content and every view are reachable by keyboard only", async () => {
    // A page on which nobody has clicked yet: Tab begins at its top.
    const { page: fresh, context } = await rig.signedIn();
    await fresh.bringToFront();
    await fresh.keyboard.press("Tab");
    await fresh.locator("a:focus", { hasText: "Skip to the content" }).waitFor();
    await fresh.keyboard.press("Enter");
    await fresh.locator("#title:focus").waitFor();
    await context.close();
  });

  await it("no page complained: no console error, no policy broken, nothing thrown", () => {
    assert.deepEqual(rig.complaints, []);
  });
});
