// The machines of a fleet in the page: a daemon in a fleet on a real nats-server, and another machine that changes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectToDaemon } from "../../src/api/client/client.ts";
import { sampleMachine } from "../api/sample-fleet.ts";
import { sampleBackend } from "../api/sample-gateway.ts";
import { sampleShare } from "../api/sample-report.ts";
import { needsNats, startMember, startNats } from "../fleet/nats-rig.ts";
import { NO_BROWSER, openPageRig, openView, SOON_MS, sideways, violations } from "./page-rig.ts";

const HOSTILE = '<img src="x" onerror="document.title=1">\u202e';

test("the fleet in the page", { skip: NO_BROWSER || needsNats.skip }, async (t) => {
  const it = t.test.bind(t);
  const nats = await startNats(t);
  await using rig = await openPageRig(t, { env: { FLEET_KEY: nats.key("laptop").seed } });
  const { page } = await rig.signedIn({ view: "Settings/Fleet" });
  const openers = page.getByRole("region", { name: "Machines" }).getByRole("rowheader").getByRole("button");

  await it("G1 without a fleet the page explains what one is, and where its steps are", async () => {
    await page.getByText("This machine is in no fleet.").waitFor();
    await page.getByText("docs/reference/fleet.md shows the three steps").waitFor();
    assert.deepEqual(await violations(page), []);
  });

  await it("G1 a fleet that starts, and a machine that joins, are shown without a reload", async () => {
    const fleet = `\n[fleet]\nname = "laptop"\nservers = ["${nats.url}"]\ncredentials = "\${FLEET_KEY}"\n`;
    await rig.home.writeConfig(rig.config(fleet));
    await page.getByRole("status").getByText("1 machine: 1 here; no trouble").waitFor();
    await page.getByText("No other machine is known yet.").waitFor();
    await page
      .getByRole("article", { name: "Machine laptop" })
      .getByText("mounted over the preferred route")
      .waitFor();
    const desktop = startMember(t, nats, "desktop");
    await openers.filter({ hasText: "desktop" }).waitFor();
    desktop.become({
      shares: [sampleShare({ name: "MEDIA", active_interface: "fallback" })],
      backends: [sampleBackend({ name: "db", phase: "Failed", reason: HOSTILE, tools: 0 })],
    });
    await page.getByRole("status").getByText("2 machines: all here; trouble on 1").waitFor();
  });

  await it("G1 a machine is chosen by keys, and its report is text and nothing else", async () => {
    await openers.filter({ hasText: "desktop" }).focus();
    await page.keyboard.press("Enter");
    const card = page.getByRole("article", { name: "Machine desktop" });
    await card.getByText("mounted over fallback").waitFor();
    await card.getByText(`Failed, 0 tools`).waitFor();
    await card.getByText('<img src="x" onerror="document.title=1">').waitFor();
    assert.equal(await card.locator("img").count(), 0);
    assert.equal(await page.title(), "Fleet · Mountaineer");
    assert.deepEqual(await violations(page), []);
  });

  await it("G1 of a thousand machines the first are shown, problems first, and words find the others", async () => {
    let silent: number | null = null;
    const client = await connectToDaemon(rig.home.home);
    const report = await client?.call("fleet", null, AbortSignal.timeout(SOON_MS));
    assert.ok(report !== undefined);
    await page.route("**/manage/v1/fleet", async (route) => {
      const others = Array.from({ length: 999 }, (_, index) => {
        const name = `m${String(index).padStart(3, "0")}`;
        return sampleMachine(index === silent ? { name, presence: "silent", heard_secs_ago: 95 } : { name });
      });
      await route.fulfill({ json: { ...report, machines: [...report.machines, ...others] } });
    });
    await page.getByText("801 more: search for them.").waitFor();
    // This machine, and desktop with its failed backend, stand before the others. A row moves while it has the focus.
    const m005 = openers.filter({ hasText: "m005" });
    await m005.focus();
    silent = 5;
    await openers.nth(2).filter({ hasText: "m005" }).waitFor();
    assert.deepEqual((await openers.allTextContents()).slice(0, 4), ["laptop", "desktop", "m005", "m000"]);
    assert.equal(await page.evaluate("document.activeElement.textContent"), "m005");
    await page.getByLabel("Search").fill("silent");
    await page.getByRole("status").getByText("1 machine of 1001").waitFor();
    await m005.click();
    await page
      .getByRole("article", { name: "Machine m005" })
      .getByText("silent, last heard from 1 min ago")
      .waitFor();
    await page.setViewportSize({ width: 360, height: 800 });
    assert.ok((await sideways(page)) <= 0);
    assert.deepEqual(await violations(page), []);
    await page.getByLabel("Search").fill("");
    await page.unroute("**/manage/v1/fleet");
    // What was chosen and is gone is said.
    await page.getByText("m005 is no longer in the fleet.").waitFor();
    await page.setViewportSize({ width: 1200, height: 900 });
  });

  await it("G1 while the server is away the page gives the reason, and the machines stay", async () => {
    await openers.filter({ hasText: "desktop" }).click();
    await nats.kill();
    await page.getByText(/^warning: The fleet is not reached/).waitFor();
    await page.getByRole("article", { name: "Machine desktop" }).getByText("mounted over fallback").waitFor();
    await openView(page, "Home");
    await page
      .getByText(/The fleet is not reached/)
      .first()
      .waitFor();
  });

  await it("no page complained", () => assert.deepEqual(rig.complaints, []));
});
