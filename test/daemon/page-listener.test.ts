import assert from "node:assert/strict";
import { test } from "node:test";
import { Access, LINK_LIFE_MS, SESSION_LIFE_MS } from "../../src/api/http/access.ts";
import { PageListener } from "../../src/daemon/page-listener.ts";
import { silentLogger } from "../../src/runtime/log/log.ts";
import { eventually } from "../support/eventually.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

async function listen(t: Parameters<typeof temporaryFolder>[0]) {
  const clock = createManualClock();
  const home = await temporaryFolder(t);
  const access = await Access.open({ home, clock, logger: silentLogger });
  const take = (_: unknown, response: { end(text: string): unknown }): boolean => {
    response.end("page");
    return true;
  };
  const page = new PageListener({ take, access, clock, logger: silentLogger });
  t.after(() => page[Symbol.asyncDispose]());
  const url = await page.url();
  const { secret } = await access.makeLink();
  page.look();
  return {
    clock,
    access,
    page,
    url,
    secret,
    isServed: () =>
      fetch(url).then(
        () => true,
        () => false,
      ),
  };
}

test("the page's own address closes when its last session has ended, by its time or by its person", async (t) => {
  for (const ending of ["link", "session", "sign-out"] as const) {
    const { clock, access, url, secret, isServed } = await listen(t);
    assert.equal(await (await fetch(url)).text(), "page");
    if (ending !== "link") {
      const given = await access.redeem(secret);
      assert.ok(given);
      await clock.advance(LINK_LIFE_MS * 2);
      assert.equal(await isServed(), true, "somebody is signed in");
      if (ending === "sign-out") await access.signOut(given.secret);
    }
    if (ending === "sign-out") await isServed();
    else await clock.advance(SESSION_LIFE_MS + LINK_LIFE_MS);
    await eventually(async () => !(await isServed()));
    await eventually(() => access.pagePort === null);
  }
});

test("a port that another program has taken meanwhile is not waited for", async (t) => {
  const first = await listen(t);
  const clock = createManualClock();
  const access = await Access.open({ home: await temporaryFolder(t), clock, logger: silentLogger });
  await access.keepPagePort(Number(new URL(first.url).port));
  await using page = new PageListener({ take: () => false, access, clock, logger: silentLogger });
  const url = await page.url();
  assert.notEqual(url, first.url);
  assert.equal(access.pagePort, Number(new URL(url).port));
  assert.equal((await fetch(url)).status, 404);
});
