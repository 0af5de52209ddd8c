// Takes the pictures of the page that the documents show, from a real daemon with two shares and four backends, in a fleet
// with two other machines: bin/with-node scripts/docs/screenshots.ts (needs Chromium and nats-server; half a minute). Given a folder, it puts every view there of
// three homes (empty, this one, 23 servers of which eight fail), light and dark, wide and narrow, to be looked at.
import { mkdir, rm, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Page } from "playwright-core";
import { VIEWS } from "../../src/web/page/shell/views.ts";
import { sampleBackend } from "../../test/api/sample-gateway.ts";
import { sampleShare } from "../../test/api/sample-report.ts";
import { type NatsRig, startMember, startNats } from "../../test/fleet/nats-rig.ts";
import { eventually } from "../../test/support/eventually.ts";
import type { Scope } from "../../test/support/temporary-folder.ts";
import { FAILING, manyServers } from "../../test/web/many-servers.ts";
import { openPageRig, openView, type PageRig, type RigOptions } from "../../test/web/page-rig.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const IMAGES = join(ROOT, "docs/images");
/** Its paths are in the pictures. */
const STAGE = "/tmp/anna";

interface Shot {
  readonly name: string;
  /** The address behind `#/`. */
  readonly view: string;
  readonly width: number;
  readonly height: number;
  readonly dark: boolean;
  /** The view to its end, however long. */
  readonly whole?: boolean;
}

const backends = (note: string): string => `
[conflict_resolution]
strategy = "prefix"

[trust]
approve = "commands"

[audit]
enabled = true

[backends.files]
command = "node"
args = ["${STAGE}/servers/server-filesystem/dist/index.js", "/usr/share/doc"]

[backends.everything]
command = "node"
args = ["${STAGE}/servers/server-everything/dist/index.js"]
${note}
[backends.tickets]
type = "streamable-http"
url = "http://127.0.0.1:9/mcp"
`;

function mediaShare(nas: string): string {
  return `
[[shares]]
name = "MEDIA"
driver = "local"
thunderbolt_path = "${nas}/media-tb"
fallback_path = "${nas}/media-fb"
`;
}

function fleetSection({ url }: NatsRig): string {
  return `
[fleet]
name = "laptop"
servers = ["${url}"]
credentials = "\${FLEET_KEY}"
`;
}

/** What the documents show. */
const SHOWN: readonly Shot[] = [
  { name: "page-home", view: "home", width: 1000, height: 800, dark: false },
  { name: "page-fleet", view: "settings/fleet", width: 1000, height: 520, dark: false },
  { name: "page-tools", view: "servers/tools", width: 1000, height: 640, dark: false },
  { name: "page-approvals", view: "settings/approvals", width: 1000, height: 480, dark: true },
];

const EVERY_SHOT: readonly Shot[] = VIEWS.flatMap(({ parts }) => parts.map(({ at }) => at)).flatMap((view) =>
  [1400, 390].flatMap((width) =>
    [false, true].map((dark) => ({
      name: `${view.replace("/", "-")}-${width}-${dark ? "dark" : "light"}`,
      ...{ view, width, height: 900, dark, whole: true },
    })),
  ),
);

/** A home in which pictures are taken: what it has, and what happens in it before each picture. */
interface Scene {
  readonly name: string;
  readonly options: (nats: NatsRig) => RigOptions;
  readonly prepare?: (rig: PageRig) => Promise<void>;
  readonly happen?: (rig: PageRig, page: Page) => Promise<void>;
}

const WHOLE_SCENE: Scene = {
  name: "few",
  options: (nats) => ({
    more: (nas) => mediaShare(nas) + fleetSection(nats) + backends(""),
    env: { FLEET_KEY: nats.key("laptop").seed },
  }),
  prepare,
  happen,
};

const SCENES: readonly Scene[] = [
  { name: "empty", options: () => ({ isEmpty: true }) },
  WHOLE_SCENE,
  {
    name: "many",
    options: () => ({ more: manyServers }),
    prepare: ({ home }) => settled(home, 15, FAILING.length),
  },
];

async function takeShots(folder: string, scene: Scene, shots: readonly Shot[]): Promise<void> {
  // What others may read is a condition, which the pictures are not about.
  process.umask(0o077);
  const ends: (() => unknown)[] = [];
  // What is there already belongs to somebody else: this rejects.
  await mkdir(STAGE);
  try {
    await symlink(join(ROOT, "node_modules/@modelcontextprotocol"), join(STAGE, "servers"));
    const scope = { after: (end: () => unknown) => void ends.push(end) };
    const nats = await startNats(scope);
    await using rig = await openPageRig(scope, { ...scene.options(nats), folder: STAGE });
    if (scene === WHOLE_SCENE) startMachines(scope, nats);
    await scene.prepare?.(rig);
    for (const { name, view, width, height, dark, whole = false } of shots) {
      const { page, context } = await rig.signedIn({ width, height, dark });
      await scene.happen?.(rig, page);
      await page.goto(`${rig.url}/#/${view}`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      if (scene === WHOLE_SCENE) await fill(page, view);
      await page.waitForLoadState("networkidle", { timeout: 2000 }).catch(() => {});
      await page.screenshot({ path: join(folder, `${name}.png`), fullPage: whole });
      await context.close();
    }
  } finally {
    for (const end of ends) await end();
    await rm(STAGE, { recursive: true, force: true });
  }
}

async function settled(home: PageRig["home"], ready: number, failing: number): Promise<void> {
  await eventually(async () => {
    const all = (await home.glance())?.backends ?? [];
    const troubled = all.filter(({ conditions }) => conditions.length > 0);
    return all.filter(({ phase }) => phase === "Ready").length === ready && troubled.length >= failing;
    // A server that writes nothing fails after 60 s.
  }, 90_000);
}

/** Calls were made, and one entry waits for approval. */
async function prepare(rig: PageRig): Promise<void> {
  const { home } = rig;
  await mkdir(join(rig.nas, "media-fb"));
  await mkdir(join(rig.nas, "media-tb"));
  await settled(home, 3, 0);
  for (const [a, b] of [
    [2, 40],
    [3, 4],
  ]) {
    const { code, stderr } = await home.cli(["call", "everything_get-sum", JSON.stringify({ a, b })]);
    if (code !== 0) throw new Error(`the call failed: ${stderr}`);
  }
  await home.writeConfig(rig.config().replace(backends(""), backends('env = { LOG_LEVEL = "debug" }\n')));
  await eventually(async () => (await home.cli(["approve", "--list"])).stdout.includes("everything"));
}

/** The other machines of the fleet: one is well, and one has lost a share and a backend. */
function startMachines(scope: Scope, nats: NatsRig): void {
  startMember(scope, nats, "desktop").become({
    shares: [sampleShare({ name: "CORE" }), sampleShare({ name: "ARCHIVE" })],
    backends: [sampleBackend({ name: "files" }), sampleBackend({ name: "browser", tools: 21 })],
  });
  startMember(scope, nats, "nas").become({
    shares: [
      sampleShare({ name: "MEDIA", active_interface: "fallback" }),
      sampleShare({
        name: "BACKUP",
        mount_state: "error",
        active_interface: "none",
        last_error: "no host answers at 10.0.0.7: connection refused",
      }),
    ],
    backends: [
      sampleBackend({ name: "files" }),
      sampleBackend({ name: "db", phase: "Failed", tools: 0, reason: "it ended with exit code 1" }),
    ],
  });
}

/** CORE fails over and is TB Ready, MEDIA stays on its fallback host. */
async function happen(rig: PageRig, page: Page): Promise<void> {
  await openView(page, "Shares");
  const core = page.getByRole("row", { name: /^CORE\b/ });
  await rig.thunderbolt(false);
  await rm(join(rig.nas, "media-tb"), { recursive: true, force: true });
  await core.getByText("Mounted over Fallback").waitFor();
  await page
    .getByRole("row", { name: /^MEDIA\b/ })
    .getByText("Mounted over Fallback")
    .waitFor();
  await rig.thunderbolt(true);
  await core.getByText(/TB Ready/).waitFor();
  await page.mouse.move(0, 0);
}

/** What a picture shows beyond what is there at once. */
async function fill(page: Page, view: string): Promise<void> {
  if (view === "servers/tools") {
    await page.getByRole("button", { name: /get-structured-content/ }).click();
    const form = page.getByRole("form", { name: /^Try / });
    await form.getByRole("combobox").first().selectOption({ index: 1 });
    await form.getByRole("button", { name: "Call" }).click();
    await form.getByText(/ ms/).first().scrollIntoViewIfNeeded();
  }
  if (view === "settings/fleet") await page.getByRole("button", { name: "nas", exact: true }).click();
  if (view === "settings/configuration") await page.getByText("debounce", { exact: true }).first().waitFor();
  if (view === "settings/approvals") await page.getByRole("article", { name: /^Waiting: / }).waitFor();
  if (view === "activity")
    await page
      .getByText(/TB Ready/)
      .first()
      .waitFor();
}

const [folder] = process.argv.slice(2);
if (folder === undefined) await takeShots(IMAGES, WHOLE_SCENE, SHOWN);
else
  for (const scene of SCENES) {
    const into = join(folder, scene.name);
    await mkdir(into, { recursive: true });
    await takeShots(into, scene, EVERY_SHOT);
  }
