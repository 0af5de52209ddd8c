// Measures the page's first paint in Chromium on loopback, signed in, beside a static page of a bare server, in turns.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "playwright-core";
import { NO_BROWSER, openPageRig } from "../test/web/page-rig.ts";
import { goal, median, say, spread } from "./figures.ts";

export const title = "page: first paint beside a static page";
export const missing = (): string | null => (NO_BROWSER === false ? null : NO_BROWSER);

const LOADS = 10;
const MOST_MS = 200;
const MOST_DRAWN_MS = 400;
/** ms since the navigation began, as the browser tells it; with `buffered` also what was painted before it was asked. */
const FIRST_PAINT = `new Promise((resolve) => {
  new PerformanceObserver((list) => {
    const [paint] = list.getEntriesByName("first-contentful-paint");
    if (paint !== undefined) resolve(paint.startTime);
  }).observe({ type: "paint", buffered: true });
})`;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const ends: (() => unknown)[] = [];
  const bare = createServer((_request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end("<!doctype html><title>bare</title><p>here</p>");
  });
  bare.listen(0, "127.0.0.1");
  await once(bare, "listening");
  try {
    await using rig = await openPageRig({ after: (end) => void ends.push(end) });
    const { page, context } = await rig.signedIn();
    const { port } = bare.address() as AddressInfo;
    const empty = await context.newPage();
    const ours: number[] = [];
    const drawn: number[] = [];
    const theirs: number[] = [];
    // The first turn compiles.
    for (let turn = -1; turn < (short ? 3 : LOADS); turn++) {
      await empty.bringToFront();
      const bareMs = await firstPaint(empty, `http://127.0.0.1:${port}/`);
      await page.bringToFront();
      const oursMs = await firstPaint(page, rig.url);
      const drawnMs = await whenDrawn(page);
      if (turn < 0) continue;
      theirs.push(bareMs);
      ours.push(oursMs);
      drawn.push(drawnMs);
    }
    say(`  first paint: ${spread(ours)}; a static page: ${spread(theirs)}`);
    say(`  home says how all is: ${spread(drawn)}`);
    goal(`first paint ≤ ${MOST_MS} ms`, median(ours) <= MOST_MS);
    goal(`the picture ≤ ${MOST_DRAWN_MS} ms`, median(drawn) <= MOST_DRAWN_MS);
  } finally {
    bare.closeAllConnections();
    bare.close();
    for (const end of ends) await end();
  }
}

async function firstPaint(page: Page, url: string): Promise<number> {
  // Another address in between: to the same one with another hash the browser would not go anew.
  await page.goto("about:blank");
  await page.goto(url);
  return page.evaluate<number>(FIRST_PAINT);
}

async function whenDrawn(page: Page): Promise<number> {
  await page.getByText("All is well").waitFor();
  return page.evaluate<number>("performance.now()");
}
