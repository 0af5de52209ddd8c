import assert from "node:assert/strict";
import { mkdir, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import {
  type AliasLinkTools,
  type AliasSpec,
  aliasFault,
  ensureAliasLink,
  removeAliasLink,
} from "../../../src/shares/links/alias-link.ts";
import { fileProber } from "../../support/file-prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const LOOK_MS = 5_000;

// Its clock stands still: however busy the machine is, no look is late.
const proberOfFile = fileProber({ clock: createManualClock(), logger: silentLogger });

async function scene(t: TestContext, overrides: Partial<AliasLinkTools> = {}) {
  const prober = proberOfFile();
  const folder = await temporaryFolder(t);
  const made = new Map<string, Set<string>>();
  const tools: AliasLinkTools = {
    prober,
    madeTargets: (path) => made.get(path) ?? new Set(),
    async remember(path, target) {
      made.set(path, new Set([...(made.get(path) ?? []), target]));
    },
    mountPaths: () => [join(folder, "volumes", "CORE")],
    waitMs: LOOK_MS,
    ...overrides,
  };
  const spec: AliasSpec = {
    name: "docs",
    share: "CORE",
    path: join(folder, "Shares", "Links", "docs"),
    targetSubpath: "Docs/2026",
    target: join(folder, "Shares", "CORE", "Docs", "2026"),
  };
  const look = async (path = spec.path) => (await prober.readLinks([path], LOOK_MS))[0];
  return {
    folder,
    spec,
    tools,
    made,
    look,
    ensure: async (of: AliasSpec = spec) => ensureAliasLink(tools, of, await look(of.path)),
  };
}

test("Paths an alias is made with its folder, and is right from then on, wherever it leads", async (t) => {
  const { spec, ensure, look, made } = await scene(t);
  assert.deepEqual(aliasFault(await look(), spec), "missing");
  assert.deepEqual(await ensure(), { result: "created" });
  assert.equal(await readlink(spec.path), spec.target, "absolute, and the share is not even there");
  assert.deepEqual(await ensure(), { result: "right" });
  assert.equal(aliasFault(await look(), spec), null);
  assert.deepEqual([...(made.get(spec.path) ?? [])], [spec.target]);
});

test("Paths one that leads where we made it lead before is replaced in one step", async (t) => {
  const { spec, ensure } = await scene(t);
  await ensure();
  const other = { ...spec, target: `${spec.target}-new` };
  assert.deepEqual(await ensure(other), { result: "repaired" });
  assert.equal(await readlink(spec.path), other.target);
});

test("Paths nothing is made over what is not ours: a file, a folder, a link that leads elsewhere", async (t) => {
  const { folder, spec, ensure } = await scene(t);
  const file = { ...spec, path: join(folder, "file") };
  await writeFile(file.path, "mine");
  assert.deepEqual(await ensure(file), { result: "blocked", by: `${file.path} is a file`, taken: true });
  const taken = { ...spec, path: join(folder, "folder") };
  await mkdir(taken.path);
  assert.deepEqual(await ensure(taken), { result: "blocked", by: `${taken.path} is a folder`, taken: true });
  const link = { ...spec, path: join(folder, "link") };
  await symlink("/elsewhere", link.path);
  const blocked = await ensure(link);
  assert.ok(blocked.result === "blocked" && blocked.taken && /a link to \/elsewhere/.test(blocked.by));
  assert.equal(await readlink(link.path), "/elsewhere");
});

test("Paths nothing is made on a share's mount, also where a link leads onto it", async (t) => {
  const { folder, spec, ensure } = await scene(t);
  const mount = join(folder, "volumes", "CORE");
  await mkdir(mount, { recursive: true });
  await symlink(mount, join(folder, "way"));
  for (const path of [join(mount, "docs"), join(mount, "new", "docs"), join(folder, "way", "a", "docs")]) {
    const outcome = await ensure({ ...spec, path });
    assert.ok(outcome.result === "blocked" && !outcome.taken, path);
    assert.match(outcome.by, /lies on the share/);
  }
  assert.deepEqual(await stat(join(mount, "new")).catch(() => "nothing"), "nothing");
});

test("a way that ends in a file, or in a link that leads nowhere, is told", async (t) => {
  const { folder, spec, ensure } = await scene(t);
  await writeFile(join(folder, "file"), "");
  await symlink("/nowhere at all", join(folder, "dangling"));
  const inFile = await ensure({ ...spec, path: join(folder, "file", "docs") });
  assert.ok(inFile.result === "blocked" && /is a file/.test(inFile.by));
  const inLink = await ensure({ ...spec, path: join(folder, "dangling", "docs") });
  assert.ok(inLink.result === "blocked" && /leads nowhere/.test(inLink.by), JSON.stringify(inLink));
});

test("what cannot be remembered is not made: nobody would know it as ours", async (t) => {
  const { spec, ensure, look } = await scene(t, { remember: () => Promise.reject(new Error("disk full")) });
  assert.deepEqual(await ensure(), { result: "blocked", by: "disk full", taken: false });
  assert.deepEqual(await look(), { state: "missing" });
  await mkdir(join(spec.path, ".."), { recursive: true });
  await symlink(spec.target, spec.path);
  assert.deepEqual(await ensure(), { result: "right" }, "one that is right is right all the same");
});

test("a look that had no answer touches nothing", async (t) => {
  const { spec, tools, made } = await scene(t);
  const outcome = await ensureAliasLink(tools, spec, { state: "unknown", text: "no answer in time" });
  assert.ok(outcome.result === "blocked" && !outcome.taken);
  assert.equal(made.size, 0);
});

test("Paths a link is removed only while it leads where we made it lead", async (t) => {
  const { spec, ensure, look, tools } = await scene(t);
  await ensure();
  assert.equal(await removeAliasLink(tools, spec.path, { state: "unknown", text: "late" }), false);
  assert.equal(await removeAliasLink(tools, spec.path, await look()), true);
  assert.deepEqual(await look(), { state: "missing" });
  assert.equal(await removeAliasLink(tools, spec.path, await look()), true, "gone is gone");
  await symlink("/elsewhere", spec.path);
  assert.equal(await removeAliasLink(tools, spec.path, await look()), true, "not ours any more");
  assert.equal(await readlink(spec.path), "/elsewhere");
  await rm(spec.path);
});
