// Measures what Home costs while much passes: the page's main thread and layouts as Chromium counts them, whether it grows,
// and what one open page costs the daemon. What passes is told to the page in place of the daemon's own answers, as no
// machine here has 40 shares and 60 servers.
import type { CDPSession } from "playwright-core";
import type { FlowEvent } from "../src/api/contract/contract.ts";
import { gatewayReport, sampleBackend } from "../test/api/sample-gateway.ts";
import { sampleShare } from "../test/api/sample-report.ts";
import { NO_BROWSER, openPageRig, type PageRig, SOON_MS } from "../test/web/page-rig.ts";
import { goal, median, round, say, spread } from "./figures.ts";
import { cpuMs } from "./processes.ts";

export const title = "page: 40 moving shares, 60 servers, 300 calls a second";
export const missing = (): string | null => (NO_BROWSER === false ? null : NO_BROWSER);

const SHARES = 40;
const NAS = 8;
const SERVERS = 60;
const CLIENTS = 8;
const CALLS_A_SECOND = 300;
/** As the daemon tells it at most. */
const BETWEEN_MS = 250;
const MOST_MAIN_MS = 100;
const MOST_DAEMON = 1;

/** How many frames there are in three seconds. */
const FRAMES = `new Promise((resolve) => {
  const [frames, until] = [[], performance.now() + 3000];
  requestAnimationFrame(function next(now) {
    frames.push(now);
    if (now < until) requestAnimationFrame(next);
    else resolve(frames.length);
  });
})`;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const ends: (() => unknown)[] = [];
  try {
    await using rig = await openPageRig({ after: (end) => void ends.push(end) });
    await measureDaemon(rig, short ? 10_000 : 60_000);
    await measureMotion(rig, short);
  } finally {
    for (const end of ends) await end();
  }
}

async function measureDaemon(rig: PageRig, ms: number): Promise<void> {
  const { pid } = rig.monitor();
  const used = async (): Promise<number> => {
    const before = await cpuMs(pid);
    await pause(ms);
    return ((await cpuMs(pid)) - before) / ms;
  };
  await pause(ms / 6);
  const alone = await used();
  const { context } = await rig.signedIn({ view: "Home" });
  await pause(ms / 6);
  const seen = await used();
  await context.close();
  const cost = (seen - alone) * 100;
  say(`  the daemon: ${round(alone * 100)} % of a core alone, ${round(seen * 100)} % with one open page`);
  goal(`one open page ≤ ${MOST_DAEMON} % of a core`, cost <= MOST_DAEMON);
}

async function measureMotion({ browser, link }: PageRig, short: boolean): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  context.setDefaultTimeout(SOON_MS);
  const page = await context.newPage();
  await page.addInitScript(inPlace());
  await page.goto(await link());
  await page.locator(".picture .rate").filter({ hasText: "MB/s" }).first().waitFor();
  const session = await context.newCDPSession(page);
  // By the thread's own clock: beside other work its tasks only take longer.
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const main: number[] = [];
  for (let second = 0; second < (short ? 5 : 30); second++) {
    const [before, startedAt] = [await metricsOf(session), performance.now()];
    await pause(1000);
    main.push(((await metricsOf(session)).mainMs - before.mainMs) / ((performance.now() - startedAt) / 1000));
  }
  say(`  main thread for an animated second: ${spread(main)}`);
  goal(`main thread ≤ ${MOST_MAIN_MS} ms for an animated second`, median(main) <= MOST_MAIN_MS);
  const { layouts } = await metricsOf(session);
  const frames = await page.evaluate<number>(FRAMES);
  const each = ((await metricsOf(session)).layouts - layouts) / frames;
  say(`  layouts a frame: ${round(each)} (${frames} frames)`);
  goal("one layout a frame at most", each <= 1);
  await measureGrowth(session, short ? 0.5 : 10);
  await context.close();
}

/** What is there after a collection, from the first minute on. */
async function measureGrowth(session: CDPSession, minutes: number): Promise<void> {
  const looks: { readonly heap: number; readonly nodes: number; readonly listeners: number }[] = [];
  for (let look = 0; look <= 10; look++) {
    await pause((minutes * 60_000) / 11);
    await session.send("HeapProfiler.collectGarbage");
    const { heapMb, nodes, listeners } = await metricsOf(session);
    looks.push({ heap: heapMb, nodes, listeners });
  }
  for (const name of ["heap", "nodes", "listeners"] as const) {
    const values = looks.map((look) => look[name]);
    const [early, late] = [median(values.slice(0, 4)), median(values.slice(-4))];
    say(`  ${name} over ${minutes} min: ${values.map(round).join(" ")}`);
    goal(`${name}: no growth`, late <= early * 1.05);
  }
}

async function metricsOf(session: CDPSession) {
  const { metrics } = await session.send("Performance.getMetrics");
  const value = (name: string): number => metrics.find((each) => each.name === name)?.value ?? Number.NaN;
  return {
    mainMs: value("TaskDuration") * 1000,
    layouts: value("LayoutCount"),
    heapMb: value("JSHeapUsedSize") / 1e6,
    nodes: value("Nodes"),
    listeners: value("JSEventListeners"),
  };
}

/** A script for the page, which answers `status` and the event stream itself. */
function inPlace(): string {
  const moves = {
    phase: "serving" as const,
    ...{ count: 0, connections: 1, connections_in_all: 1, open_files: 0 },
    ...{ bytes_to_server: 0, bytes_from_server: 0, longest_wait_ms: 0 },
  } as const;
  const shares = Array.from({ length: SHARES }, (_, at) =>
    sampleShare({
      name: `share${at}`,
      tb_host: `10.0.0.${at % NAS}`,
      fb_host: `10.1.0.${at % NAS}`,
      moves,
    }),
  );
  const backends = Array.from({ length: SERVERS }, (_, at) => sampleBackend({ name: `server${at}` }));
  const flow: FlowEvent = {
    kind: "flow",
    shares: shares.map(({ name }) => ({ name, to_server: 0, from_server: 0 })),
    backends: backends.map(({ name }) => ({ name, calls: 0 })),
    clients: Array.from({ length: CLIENTS }, (_, at) => ({ name: `client${at}`, sessions: 1, calls: 0 })),
  };
  const status = gatewayReport(backends, { shares });
  return `{
    const real = window.fetch;
    const flow = ${JSON.stringify(flow)};
    const told = () => {
      for (const share of flow.shares) share.from_server += Math.round(Math.random() * 2e7);
      for (let call = 0; call < ${(CALLS_A_SECOND * BETWEEN_MS) / 1000}; call++) {
        flow.backends[Math.floor(Math.random() * ${SERVERS})].calls++;
        flow.clients[Math.floor(Math.random() * ${CLIENTS})].calls++;
      }
      return new TextEncoder().encode("data: " + JSON.stringify(flow) + "\\n\\n");
    };
    const stream = () => new ReadableStream({
      start: (to) => void setInterval(() => to.enqueue(told()), ${BETWEEN_MS}),
    });
    window.fetch = async (path, init) => {
      if (path.includes("/events")) return new Response(stream());
      if (!path.endsWith("/status")) return real(path, init);
      return new Response(${JSON.stringify(JSON.stringify(status))}, { headers: { "Content-Type": "application/json" } });
    };
  }`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
