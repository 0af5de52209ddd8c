// Records Home, in Chromium, while a cable of the lab's NAS is pulled and comes back, for the README, with three pictures of it for
// docs/use/two-cables.md: bin/with-node scripts/docs/recording.ts (root, what the lab needs, chromium and Debian's webp; about a
// minute). Given a folder, it puts them there.
import { execFile, spawn } from "node:child_process";
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { chromium, type Page } from "playwright-core";
import { FILE_SERVER } from "../../test/lab/file-agent.ts";
import { playScene, type Scene, serverName } from "../../test/lab/scene.ts";
import { startRootRig } from "../../test/rig/root-rig.ts";
import { eventually } from "../../test/support/eventually.ts";
import { pageLink } from "../../test/web/page-rig.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const IMAGES = process.argv[2] ?? join(ROOT, "docs/images");
const SIZE = { width: 1000, height: 660 } as const;
/** Between two pictures, at least. */
const BEAT_MS = 120;
const SHARES = ["CORE", "MEDIA"] as const;
const BIG_FILE = "film.mov";
const BIG_BYTES = 8 * 2 ** 30;

interface Shot {
  readonly file: string;
  readonly atMs: number;
}

const sections = (sharesRoot: string): string => `
[conflict_resolution]
strategy = "prefix"

[server]
port = 9000

[backends.documents]
command = "${process.execPath}"
args = ["${FILE_SERVER}", "${join(sharesRoot, "CORE")}"]
requires = ["CORE"]

[backends.photos]
command = "${process.execPath}"
args = ["${FILE_SERVER}", "${join(sharesRoot, "MEDIA")}"]
requires = ["MEDIA"]

[backends.everything]
command = "${process.execPath}"
args = ["${join(ROOT, "node_modules/@modelcontextprotocol/server-everything/dist/index.js")}"]
`;

async function record(): Promise<void> {
  // What others may read is a condition, which the pictures are not about.
  process.umask(0o077);
  await using rig = await startRootRig({ shares: SHARES.map(serverName), oneServer: true });
  const settings = { auto_failback_stable_secs: 3 };
  await playScene(rig, { shares: SHARES, onRouteChange: "move", settings, sections }, async (scene) => {
    // In an empty share nothing shows that both addresses are one server.
    for (const share of SHARES) await writeFile(scene.exported(share, "notes.txt"), "notes");
    await writeFile(scene.exported("CORE", BIG_FILE), "");
    await truncate(scene.exported("CORE", BIG_FILE), BIG_BYTES);
    await scene.start("tb");
    await eventually(async () => {
      const { backends = [] } = (await scene.home.glance()) ?? {};
      return backends.length === 3 && backends.every(({ phase }) => phase === "Ready");
    }, 60_000);
    await using _reader = startReader(scene.at("CORE", BIG_FILE));
    await using _claude = await startAgent(scene, "Claude Code", 700);
    await using _cursor = await startAgent(scene, "Cursor", 1_100);
    const shots = await filmed(scene);
    await written(shots);
  });
}

/** What happens in front of the camera. */
async function play(scene: Scene, page: Page): Promise<void> {
  const rate = page.locator(".picture .rate").filter({ hasText: "MB/s" });
  await rate.first().waitFor();
  await pause(2_000);
  await picture("both");
  const plug = await scene.rig.cut.carrierLost("tb");
  await scene.untilOver("CORE", "fallback");
  await pause(3_000);
  await picture("pulled");
  await pause(1_000);
  await plug();
  await scene.untilOver("CORE", "tb");
  await pause(3_000);
  await picture("back");
  await pause(1_000);

  async function picture(name: string): Promise<void> {
    await page.screenshot({ path: join(IMAGES, `two-cables-${name}.png`), animations: "allow" });
  }
}

async function filmed(scene: Scene): Promise<readonly Shot[]> {
  // The page's address is one of the workstation's.
  const browserPath = join(scene.folder, "chromium");
  await writeFile(browserPath, `#!/bin/sh\nexec ${scene.rig.enter.join(" ")} /usr/bin/chromium "$@"\n`, {
    mode: 0o700,
  });
  const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage({ viewport: SIZE, colorScheme: "light" });
    await page.goto(await pageLink(scene.home));
    await page.getByText("All is well").waitFor();
    const ending = new AbortController();
    const shots = shotsOf(page, join(scene.folder, "shots"), ending.signal);
    await play(scene, page).finally(() => ending.abort());
    return await shots;
  } finally {
    await browser.close();
  }
}

async function shotsOf(page: Page, folder: string, ending: AbortSignal): Promise<readonly Shot[]> {
  await mkdir(folder);
  const shots: Shot[] = [];
  while (!ending.aborted) {
    const atMs = performance.now();
    const file = join(folder, `${shots.length}.png`);
    await page.screenshot({ path: file, animations: "allow" });
    shots.push({ file, atMs });
    await pause(Math.max(0, atMs + BEAT_MS - performance.now()));
  }
  return shots;
}

async function written(shots: readonly Shot[]): Promise<void> {
  const frames = shots.flatMap(({ file, atMs }, index) => {
    const next = shots[index + 1]?.atMs ?? atMs + 1_500;
    return ["-d", String(Math.round(next - atMs)), file];
  });
  await promisify(execFile)("img2webp", [
    "-loop",
    "0",
    "-lossless",
    "-m",
    "6",
    ...frames,
    "-o",
    join(IMAGES, "page-recording.webp"),
  ]);
}

/** A program that reads one file from beginning to end, over whichever cable. */
function startReader(file: string): AsyncDisposable {
  const child = spawn("cat", [file], { stdio: ["ignore", "ignore", "inherit"] });
  const ended = new Promise((settle) => child.once("close", settle));
  return {
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
    },
  };
}

/** Calls a tool again and again; one that failed ends the recording. */
async function startAgent(scene: Scene, name: string, beatMs: number): Promise<AsyncDisposable> {
  const client = new Client({ name, version: "1.0.0" });
  const env = { PATH: process.env["PATH"] ?? "", MOUNTAINEER_HOME: scene.home.home };
  await client.connect(
    new StdioClientTransport({ command: join(ROOT, "bin/mountaineer"), args: ["mcp"], env }),
  );
  const ending = new AbortController();
  const calls = (async () => {
    while (!ending.signal.aborted) {
      const path = scene.at("CORE", "notes.txt");
      const { isError } = await client.callTool({ name: "documents_read_text_file", arguments: { path } });
      if (isError === true) throw new Error(`a call of ${name} failed: the image is as it was`);
      await pause(beatMs, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  })();
  // Told at the end.
  calls.catch(() => undefined);
  return {
    async [Symbol.asyncDispose]() {
      ending.abort();
      await calls.finally(() => client.close());
    },
  };
}

await record();
