// Two shares and 23 servers, eight of which fail for six causes, before a real daemon: each user interface shows each cause
// once, and all else stays reachable.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { menuOf } from "../../src/menubar/menu/model.ts";
import { sampleWorld } from "../menubar/worlds.ts";
import { eventually } from "../support/eventually.ts";
import { MOUNTAINEER, openScene } from "../tui/scene.ts";
import { NO_TERMINAL } from "../tui/terminal.ts";
import { CAUSE_COUNT, CAUSES, FAILING, manyServers, SERVERS } from "./many-servers.ts";
import {
  EVERY_VIEW,
  NO_BROWSER,
  openPageRig,
  openView,
  openWhole,
  sideways,
  violations,
} from "./page-rig.ts";

/** Words and paths that are cut or broken inside: elements whose text is wider than they are. */
const CUT = `[...document.querySelectorAll("main *")].flatMap((each) =>
  each.children.length === 0 && each.clientWidth > 0 && each.scrollWidth > each.clientWidth + 1 &&
  each.closest("svg, pre, select, textarea, .unseen, .code, details:not([open]) > :not(summary)") === null ? [each.textContent] : [])`;

/** What reaches over the right edge of the window. */
const OUTSIDE = `[...document.querySelectorAll("body *")].flatMap((each) =>
  each.getBoundingClientRect().right > innerWidth + 0.5 && each.closest(".code, pre, details:not([open]) > :not(summary)") === null
    ? [each.tagName + " " + each.className + ": " + each.textContent.slice(0, 80)] : [])`;

/** Words that begin on one line and end on the next, without a hyphen or slash between. */
const BROKEN = `(() => {
  const found = [];
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
    if (text.parentElement.closest("svg, pre, textarea, .unseen, .code, details:not([open])") !== null) continue;
    for (const { index, 0: word } of text.data.matchAll(/[\\p{L}\\d]{2,}/gu)) {
      const range = document.createRange();
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      const tops = new Set([...range.getClientRects()].map(({ top }) => Math.round(top)));
      if (tops.size > 1) found.push(word);
    }
  }
  return found;
})()`;

async function troublesOf(page: Page): Promise<readonly string[]> {
  return page.locator(".trouble > div:first-child > a").allTextContents();
}

/** Checks that each cause which two servers share is there once, with their names. */
function hasCauses(troubles: readonly string[]): void {
  for (const cause of CAUSES)
    assert.equal(troubles.filter((each) => each.startsWith(cause)).length, 1, troubles.join("\n"));
}

test("two shares, and 23 servers of which eight fail for six causes", { skip: NO_BROWSER }, async (t) => {
  const it = t.test.bind(t);
  await using rig = await openPageRig(t, { more: manyServers });
  const { home } = rig;
  await eventually(async () => {
    const all = (await home.glance())?.backends ?? [];
    const failing = all.filter(({ conditions }) => conditions.some(({ severity }) => severity !== "info"));
    const ready = all.filter(({ phase }) => phase === "Ready").length;
    return ready === SERVERS.length - FAILING.length && failing.length === FAILING.length;
  }, 120_000);

  await it("F4 status and the menu show each cause once, and each server", async () => {
    const { stdout } = await home.cli(["status"]);
    for (const cause of CAUSES) assert.equal(stdout.split(cause).length, 2, stdout);
    for (const name of SERVERS) assert.match(stdout, new RegExp(`\\b${name}\\b`));
    const status = await home.glance();
    assert.ok(status !== null);
    const { items } = menuOf(sampleWorld(status));
    hasCauses(items.flatMap((item) => (item.kind === "text" && item.tone === "bad" ? [item.label] : [])));
    for (const name of SERVERS) assert.ok(JSON.stringify(items).includes(`"${name} — `), name);
  });

  await it("F4 the terminal shows each shared cause once at 80 by 24", {
    skip: NO_TERMINAL,
  }, async (scope) => {
    const command = `exec ${MOUNTAINEER} tui`;
    await using scene = await openScene(scope, { mountaineerHome: home.home, command });
    const lines = await scene.terminal.until((shown) => shown.some((line) => line.includes("figma")));
    hasCauses(lines.flatMap((line) => /✗ gateway: (.*)/.exec(line)?.[1] ?? []));
  });

  for (const width of [390, 1400]) {
    const { page, context } = await rig.signedIn({ width, height: 900 });

    await it(`F4 Home at ${width} px is short, has each cause once, and the servers as one thing`, async () => {
      await openView(page, "Home");
      await page.locator(".trouble").first().waitFor();
      const troubles = await troublesOf(page);
      hasCauses(troubles);
      assert.equal(troubles.length, CAUSE_COUNT, troubles.join("\n"));
      assert.equal(await page.locator(".trouble:not(:has(button, .button))").count(), 0, "each has a button");
      assert.deepEqual(await page.locator(".thing.server .title").allTextContents(), ["23 servers"]);
      assert.equal(await page.getByRole("table").count(), 0);
      const rows = page.getByRole("list", { name: "Shares and servers" }).getByRole("listitem");
      assert.equal(await rows.count(), 2 + SERVERS.length);
      for (const name of FAILING)
        assert.match((await rows.allInnerTexts()).slice(0, 8).join(), new RegExp(name));
      const [whole, picture] = (await page.evaluate(`[document.documentElement.scrollHeight,
        document.querySelector(".picture").getBoundingClientRect().height]`)) as [number, number];
      assert.ok(whole <= (width === 390 ? 2100 : 1700), `${whole} px`);
      assert.ok(picture <= 320, `the picture has ${picture} px`);
      const scrolled = await page.evaluate(`[...document.querySelectorAll("main *")].filter((each) =>
        each.scrollHeight > each.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(each).overflowY)).length`);
      assert.equal(scrolled, 0, "no box scrolls");
      assert.equal(await page.locator("main details").count(), 0, "nothing is folded");
    });

    await it(`F4 each server opens to its panel at ${width} px, by a click and by the keyboard`, async () => {
      for (const view of ["Servers/Servers"]) {
        await openView(page, view);
        const table = page.getByRole("region", { name: "Servers", exact: true }).getByRole("table");
        const openers = table.getByRole("button", { expanded: false });
        await openers.nth(SERVERS.length - 1).waitFor();
        assert.deepEqual((await openers.allTextContents()).toSorted(), SERVERS.toSorted());
        assert.deepEqual((await openers.allTextContents()).slice(0, 8).toSorted(), FAILING.toSorted());
        await page.getByRole("searchbox").fill("time");
        await table.getByRole("row", { name: /time/ }).getByText("Ready").click();
        const card = page.getByRole("article", { name: "Server time" });
        await card.getByRole("button", { name: "Restart: time" }).waitFor();
        await card.getByRole("button", { name: "Settings: time" }).click();
        await card.getByRole("button", { name: "Disable: time" }).waitFor();
        await table.getByRole("button", { name: "time", exact: true }).focus();
        await page.keyboard.press("Enter");
        await card.waitFor({ state: "detached" });
        await page.keyboard.press("Space");
        await card.waitFor();
        await page.getByRole("searchbox").fill("reached");
        await page.getByRole("button", { name: "Restart these 2" }).waitFor();
        assert.deepEqual((await openers.allTextContents()).toSorted(), FAILING.slice(0, 2).toSorted());
        await page.getByRole("searchbox").fill("");
      }
    });

    await it(`F4 each tool is found and opens to its form at ${width} px`, async () => {
      await openView(page, "Servers/Tools");
      const tools = 4 * (SERVERS.length - FAILING.length);
      await page.getByText(`${tools} tools of ${tools}`).waitFor();
      const opener = page.getByRole("region", { name: "Tools" }).getByRole("button", { expanded: false });
      assert.equal(await opener.count(), tools);
      await page.getByLabel("Search").fill("wiki sum");
      await page.getByText("No tool has these words.").waitFor();
      await page.getByLabel("Search").fill("memory sum");
      await opener.focus();
      await page.keyboard.press("Enter");
      await page.getByRole("form", { name: /^Try / }).getByLabel("a (required)").waitFor();
      await page.getByRole("button", { name: "Switch off" }).waitFor();
      await page.getByLabel("Search").fill("");
    });

    await it(`F2 no view at ${width} px scrolls sideways, cuts or breaks a word, or shows a back-quote`, async () => {
      for (const view of EVERY_VIEW) {
        await openWhole(page, view);
        assert.deepEqual(await page.evaluate(OUTSIDE), [], view);
        assert.equal(await sideways(page), 0, view);
        assert.deepEqual(await page.evaluate(CUT), [], view);
        assert.deepEqual(await page.evaluate(BROKEN), [], view);
        if (view !== "Settings/Configuration")
          assert.doesNotMatch(await page.locator("body").innerText(), /`/, view);
        await page
          .getByRole("contentinfo")
          .getByText(/^Mountaineer \d/)
          .waitFor();
        assert.deepEqual(await violations(page), [], view);
      }
    });

    await context.close();
  }

  await it("F2 Activity is short, however often servers have failed until now", async () => {
    const { page, context } = await rig.signedIn({ width: 1400, height: 900, view: "Activity" });
    await page.locator("main tbody tr").first().waitFor();
    const text = await page.locator("main").innerText();
    assert.doesNotMatch(text, /\b(pid|lane|process \d+)\b/i);
    const height = Number(await page.evaluate("document.documentElement.scrollHeight"));
    assert.ok(height <= 1700, `${height} px: ${text}`);
    await context.close();
  });

  await it("F2 Help opens the guide to the page as the daemon has it", async () => {
    const { page, context } = await rig.signedIn();
    const opened = context.waitForEvent("page");
    await page.getByRole("link", { name: "Help" }).click();
    await (await opened).getByText("# The page in the browser").waitFor();
    await context.close();
    assert.deepEqual(rig.complaints, []);
  });
});
