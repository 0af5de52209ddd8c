// The page's stage: a home with shares and a backend, its daemon, and a real browser.
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import axe, { type AxeResults } from "axe-core";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { connectToDaemon } from "../../src/api/client/client.ts";
import { VIEWS } from "../../src/web/page/shell/views.ts";
import { createTestHome, type Monitor, type TestHome } from "../support/daemon.ts";
import { freePort } from "../support/free-port.ts";
import { type Scope, temporaryFolder } from "../support/temporary-folder.ts";

const CHROMIUM = "/usr/bin/chromium";
/** Without it nothing here can be tested: the reason to skip; false: it is there. */
export const NO_BROWSER: string | false = existsSync(CHROMIUM) ? false : "needs chromium";
export const TOOLS_SERVER = resolve(import.meta.dirname, "../docs/programs/tools-server.mjs");
/** No claim of speed: a machine that is busy must fail nobody. */
export const SOON_MS = 30_000;

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The stage before anybody looks at it. */
export interface PageStage extends AsyncDisposable {
  readonly home: TestHome;
  /** The folder with the shares' routes. */
  readonly nas: string;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  monitor(): Monitor;
  restartMonitor(): Promise<void>;
  stopMonitor(): Promise<void>;
  /** The Thunderbolt folder of share CORE comes, or goes. */
  thunderbolt(isThere: boolean): Promise<void>;
  /** A one-time link, as `mountaineer open` makes it. */
  link(): Promise<string>;
  /** The configuration file's text as it was at first, with more behind it. */
  config(more?: string): string;
}

export interface PageRig extends PageStage {
  readonly browser: Browser;
  /** What the pages' consoles said, and what was thrown in them. */
  readonly complaints: string[];
  /** A signed-in page; its tabs share one session. */
  signedIn(options?: PageOptions): Promise<{ readonly page: Page; readonly context: BrowserContext }>;
}

export interface PageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  /** As `openView` takes it. */
  readonly view?: string;
}

export interface RigOptions {
  /** TOML behind the rig's own. `nas`: the folder with the shares' routes. */
  readonly more?: (nas: string) => string;
  /** An empty folder for all of it; absent: a temporary one. */
  readonly folder?: string;
  /** The daemon can hand over. */
  readonly kept?: boolean;
  /** True: nothing is configured, as in a new home. */
  readonly isEmpty?: boolean;
  /** Added to the daemon's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export async function startPageStage(
  t: Scope,
  { more: moreFor = () => "", folder: given, kept = false, isEmpty = false, env = {} }: RigOptions = {},
): Promise<PageStage> {
  const folder = given ?? (await temporaryFolder(t));
  const nas = join(folder, "nas");
  await mkdir(join(nas, "tb"), { recursive: true });
  await mkdir(join(nas, "fb"), { recursive: true });
  const port = await freePort();
  const more = moreFor(nas);
  const base = isEmpty ? daemonText(port) : daemonText(port) + firstText(nas);
  const home = await createTestHome({ home: join(folder, "h"), config: base + more, kept, env });
  let monitor: Monitor | null = await home.startMonitor();
  return {
    home,
    nas,
    url: `http://127.0.0.1:${port}`,
    config: (behind = "") => base + more + behind,
    monitor: () => {
      if (monitor === null) throw new Error("no monitor runs");
      return monitor;
    },
    async stopMonitor() {
      await monitor?.stop();
      monitor = null;
    },
    async restartMonitor() {
      await monitor?.stop();
      monitor = await home.startMonitor();
    },
    async thunderbolt(isThere) {
      if (isThere) await mkdir(join(nas, "tb"), { recursive: true });
      else await rm(join(nas, "tb"), { recursive: true, force: true });
    },
    link: () => pageLink(home),
    async [Symbol.asyncDispose]() {
      await monitor?.[Symbol.asyncDispose]();
    },
  };
}

export async function openPageRig(t: Scope, options: RigOptions = {}): Promise<PageRig> {
  const stage = await startPageStage(t, options);
  const browser = await startChromium();
  const complaints: string[] = [];
  return {
    ...stage,
    browser,
    complaints,
    async signedIn({ width = 1200, height = 900, dark = false, view = "" } = {}) {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: dark ? "dark" : "light",
        reducedMotion: "reduce",
      });
      context.setDefaultTimeout(SOON_MS);
      const page = await context.newPage();
      listenTo(page, complaints);
      await page.goto(await stage.link());
      await page.getByText("live", { exact: true }).waitFor();
      if (view !== "") await openView(page, view);
      return { page, context };
    },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await stage[Symbol.asyncDispose]();
    },
  };
}

export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** A one-time link, as `mountaineer open` makes it. */
export async function pageLink({ home }: TestHome): Promise<string> {
  const client = await connectToDaemon(home);
  if (client === null) throw new Error("no daemon answers");
  return (await client.call("openPage", {}, AbortSignal.timeout(SOON_MS))).url;
}

export function listenTo(page: Page, complaints: string[]): void {
  page.on("console", (message) => {
    // A daemon that is away, or about to be (503), is what some tests are about; the browser says so of each request.
    const isExpected =
      /ERR_CONNECTION_(REFUSED|RESET)|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|status of (401|503)/.test(
        message.text(),
      );
    if (["error", "warning"].includes(message.type()) && !isExpected) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
}

/** By the navigation, as a person does: "Home", or a view and its part, "Settings/Sync". */
export async function openView(page: Page, where: string): Promise<void> {
  const [view = "", part = view] = where.split("/");
  await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: view }).click();
  if (where.includes("/"))
    await page.getByRole("navigation", { name: "Parts of" }).getByRole("link", { name: part }).click();
  await page.getByRole("heading", { level: 1, name: part, exact: true }).waitFor();
}

/** Until nothing on the page has changed for a while. Its network never rests, as its stream of events does not end. */
const UNTIL_STILL = `new Promise((resolve) => {
  let still = setTimeout(resolve, 200);
  const watch = new MutationObserver(() => {
    clearTimeout(still);
    still = setTimeout(resolve, 200);
  });
  watch.observe(document.body, { subtree: true, childList: true, characterData: true });
  setTimeout(resolve, 2_000);
})`;

/** By the navigation; resolves once the view has what it asks for, and is still, or goes on changing for 2 s. */
export async function openWhole(page: Page, where: string): Promise<void> {
  await openView(page, where);
  await page.locator(".nothing").getByText(/ …$/).first().waitFor({ state: "detached" });
  await page.evaluate(UNTIL_STILL);
}

/** Every view and part, as `openView` takes them. */
export const EVERY_VIEW: readonly string[] = VIEWS.flatMap(({ title, parts }) =>
  parts.length === 1 ? [title] : parts.map((place) => `${title}/${place.title}`),
);

/** What axe finds wrong with what is shown, a line each. */
export async function violations(page: Page): Promise<string[]> {
  // Not as a <script>, which the page's policy refuses.
  await page.evaluate(axe.source);
  // Nor with copies of adopted style sheets, which it would make as <style>.
  const { violations: found }: AxeResults = await page.evaluate("axe.run(document, { preload: false })");
  return found.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(" ")}: ${failureSummary}`),
  );
}

/** How far the page could be scrolled sideways, px. */
export function sideways(page: Page): Promise<number> {
  return page.evaluate("document.documentElement.scrollWidth - window.innerWidth");
}

/** How far the page could be scrolled down, px. */
export function downwards(page: Page): Promise<number> {
  return page.evaluate("document.documentElement.scrollHeight - window.innerHeight");
}

function daemonText(port: number): string {
  return `[global]
check_interval_secs = 0.2
auto_failback = false
lsof_recheck = false
auto_failback_stable_secs = 1

[sync]
poll_interval = 0.1
debounce = 0.05
detection = "hash"

[server]
port = ${port}

[server.management]
allow_commands = true
`;
}

function firstText(nas: string): string {
  return `
[[shares]]
name = "CORE"
driver = "local"
thunderbolt_path = "${nas}/tb"
fallback_path = "${nas}/fb"

[backends.tools]
command = "${process.execPath}"
args = ["${TOOLS_SERVER}"]
`;
}
