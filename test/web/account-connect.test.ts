// A user's sign-in to an own account in Chromium, where the gateway and the issuer are different sites: cookies go only where a
// browser sends them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium, type Page } from "playwright-core";
import { startAccountHome } from "../cli/clients/account-home.ts";
import { eventually } from "../support/eventually.ts";
import { NO_BROWSER, SOON_MS } from "./page-rig.ts";

/** Signs in and agrees at the issuer. */
async function agreeAs(page: Page, name: string): Promise<void> {
  await page.fill("input[name=login]", name);
  await page.fill("input[name=password]", "any");
  await page.click("button[type=submit]");
  await page.waitForSelector("input[name=prompt][value=consent]", { state: "attached" });
  await page.click("button[type=submit]");
}

test("E1 in Chromium the browser that began a sign-in connects the account, and one that was sent the issuer's address does not", {
  skip: NO_BROWSER,
}, async (t) => {
  await using b = await startAccountHome(t);
  await b.login([], "owner-there");
  await eventually(async () => (await b.run(["tools", "list"])).stdout.includes("whoami"));
  const executablePath = "/usr/bin/chromium";
  await using browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const open = async (): Promise<Page> => {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(SOON_MS);
    return page;
  };
  const begin = async (page: Page, token: string): Promise<string> => {
    await page.goto(await b.address(token, b.url.replace("127.0.0.1", "localhost")));
    await page.fill("input[name=token]", token);
    const asked = page.waitForRequest(`${b.issuer.issuer}/auth?**`);
    await page.click("button");
    await page.waitForURL(`${b.issuer.issuer}/**`);
    return (await asked).url();
  };
  const [ann, ben] = [await open(), await open()];
  const sent = await begin(ann, b.tokens.ann);
  await ben.goto(sent);
  await agreeAs(ben, "ben-there");
  await ben.getByText("this sign-in was begun in another browser").waitFor();

  const own = await open();
  await begin(own, b.tokens.ben);
  await agreeAs(own, "ben-there");
  await own.getByText("becomes the one of ben at the server far").waitFor();
  await own.click("button");
  await own.getByText("is now the one of ben at the server far").waitFor();
  assert.equal(await b.whose(b.tokens.ben), "ben-there");
  assert.match(await b.whose(b.tokens.ann), /sign in with your own account/);
});
