// Links that people use: made, mended, and never put over what is somebody else's.
import assert from "node:assert/strict";
import { mkdir, readdir, readlink, rm, rmdir, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import test, { describe, it, type TestContext } from "node:test";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import {
  type AliasLinkTools,
  type AliasSpec,
  ensureAliasLink,
  removeAliasLink,
} from "../../../src/shares/links/alias-link.ts";
import { ensureLink, replaceLink } from "../../../src/shares/links/stable-link.ts";
import { createStableLinks } from "../../../src/shares/links/stable-links.ts";
import { NO_LINK_ANSWER } from "../../../src/shares/prober/prober.ts";
import { fileProber } from "../../support/file-prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { mountTmpfs } from "../../support/tiny-disk.ts";
import { LINUX_ALONE } from "../../support/where.ts";
import { shareSpec } from "../share-spec.ts";

const WAIT_MS = 5_000;

// Its clock stands still: however busy the machine is, no look is late.
const proberOfFile = fileProber({ clock: createManualClock(), logger: noopLogger });

async function bench(t: TestContext) {
  const folder = await temporaryFolder(t);
  const prober = proberOfFile();
  const volumes = join(folder, "volumes");
  const path = join(folder, "Shares", "My Share");
  const target = join(volumes, "My Share");
  const isOurs = (old: string): boolean => resolve(dirname(path), old).startsWith(`${volumes}/`);
  return {
    folder,
    prober,
    path,
    target,
    ensure: async (to = target) => ensureLink(path, to, await prober.readLink(path, WAIT_MS), isOurs),
  };
}

describe("the stable link", () => {
  it("is created with its folder, is right then, and needs no existing target", async (t) => {
    const { ensure, path, target, folder } = await bench(t);
    assert.deepEqual(await ensure(), { result: "created" });
    assert.equal(await readlink(path), target);
    assert.deepEqual(await ensure(), { result: "right" });
    assert.deepEqual(await readdir(join(folder, "Shares")), ["My Share"]);
  });

  it("that points to another of our mounts is repaired, in one step, and nothing else is left", async (t) => {
    const { ensure, path, target, folder } = await bench(t);
    await mkdir(join(folder, "Shares"));
    await symlink(join(folder, "volumes", "elsewhere"), path);
    assert.deepEqual(await ensure(), { result: "repaired" });
    assert.equal(await readlink(path), target);
    assert.deepEqual(await readdir(join(folder, "Shares")), ["My Share"]);
  });

  it("that is relative is judged by its target", async (t) => {
    const { ensure, path, target } = await bench(t);
    await mkdir(join(path, ".."));
    await symlink("../volumes/old", path);
    assert.deepEqual(await ensure(), { result: "repaired" });
    assert.equal(await readlink(path), target);
  });

  it("is repaired although an earlier repair was cut short", async (t) => {
    const { ensure, path, target, folder } = await bench(t);
    await ensure(join(folder, "volumes", "old"));
    await symlink("/left/behind", join(folder, "Shares", ".My Share.mountaineer-new"));
    assert.deepEqual(await ensure(), { result: "repaired" });
    assert.equal(await readlink(path), target);
    assert.deepEqual(await readdir(join(folder, "Shares")), ["My Share"]);
  });

  for (const [what, make] of [
    ["a folder", (path: string) => mkdir(path)],
    ["a file", (path: string) => writeFile(path, "mine")],
    ["a link to /usr", (path: string) => symlink("/usr", path)],
    ["a link to a neighbour of ours", (path: string) => symlink("../volumes2/x", path)],
  ] as const) {
    it(`is not put over ${what}`, async (t) => {
      const { ensure, path, folder } = await bench(t);
      await mkdir(join(folder, "Shares"));
      await make(path);
      const outcome = await ensure();
      assert.equal(outcome.result, "blocked");
      assert.ok(outcome.result === "blocked" && outcome.by.includes(path), JSON.stringify(outcome));
      await rm(path, { recursive: true });
      assert.deepEqual(await ensure(), { result: "created" });
    });
  }

  it("is blocked where its folder is a file, with the system's reason", async (t) => {
    const { ensure, folder } = await bench(t);
    await writeFile(join(folder, "Shares"), "");
    const outcome = await ensure();
    assert.ok(outcome.result === "blocked" && /EEXIST|ENOTDIR/.test(outcome.by), JSON.stringify(outcome));
  });

  it("is blocked where no folder can be made for it", { skip: LINUX_ALONE }, async (t) => {
    const { prober, target } = await bench(t);
    const path = "/proc/mountaineer/Shares/My Share";
    const outcome = await ensureLink(path, target, await prober.readLink(path, WAIT_MS), () => false);
    assert.ok(outcome.result === "blocked" && /ENOENT/.test(outcome.by), JSON.stringify(outcome));
  });

  it("is blocked where we may not write", async (t) => {
    const { prober, target } = await bench(t);
    const disk = await mountTmpfs(t, "ro,size=64k");
    if (disk === null) return;
    const path = join(disk, "My Share");
    const outcome = await ensureLink(path, target, await prober.readLink(path, WAIT_MS), () => false);
    assert.equal(outcome.result, "blocked");
  });

  it("is repaired however long its name is", async (t) => {
    const { folder } = await bench(t);
    for (const name of ["x".repeat(255), "漢".repeat(85)]) {
      const path = join(folder, name);
      await symlink("/old", path);
      await replaceLink(path, "/new");
      assert.equal(await readlink(path), "/new");
    }
  });

  it("is never missing during a change", async (t) => {
    const { ensure, path, folder } = await bench(t);
    await ensure();
    let changing = true;
    const changes = (async () => {
      for (let index = 0; index < 100; index++)
        await replaceLink(path, join(folder, "volumes", String(index)));
      changing = false;
    })();
    let reads = 0;
    while (changing) {
      await readlink(path);
      reads++;
    }
    await changes;
    assert.ok(reads > 0);
  });
});

test("while checks are late, a link that was right counts as right for a minute, for its own target only", async (t) => {
  const { prober, path, target } = await bench(t);
  const clock = createManualClock();
  let isLate = false;
  const links = createStableLinks(clock, {
    ...prober,
    readLink: async (at, waitMs) => (isLate ? NO_LINK_ANSWER : await prober.readLink(at, waitMs)),
  });
  const spec = shareSpec({ stablePath: path, mountPath: target });
  const faultAfter = async (ms: number, to = target): Promise<string | null> => {
    isLate = false;
    assert.equal(await links.ensureNow(spec, target), null);
    isLate = true;
    await clock.advance(ms);
    return (await links.ensureNow(spec, to))?.why ?? null;
  };
  assert.equal(await faultAfter(59_999), null);
  assert.equal(await faultAfter(60_000), "late");
  assert.equal(await faultAfter(0, `${target}-1`), "late");
  isLate = false;
  await rm(path);
  await symlink(`../volumes/${basename(target)}`, path);
  assert.equal(await links.ensureNow(spec, `${target}-1`), null, "ours, as it leads to the mount path");
});

const LOOK_MS = 5_000;

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
  const { spec, ensure, made } = await scene(t);
  assert.deepEqual(await ensure(), { result: "created" });
  assert.equal(await readlink(spec.path), spec.target, "absolute, and the share is not even there");
  assert.deepEqual(await ensure(), { result: "right" });
  assert.deepEqual([...(made.get(spec.path) ?? [])], [spec.target]);
});

test("Paths one that leads to its former target is replaced in one step", async (t) => {
  const { spec, ensure } = await scene(t);
  await ensure();
  const other = { ...spec, target: `${spec.target}-new` };
  assert.deepEqual(await ensure(other), { result: "repaired" });
  assert.equal(await readlink(spec.path), other.target);
});

test("Paths nothing is made over foreign objects: a file, a folder, a link that leads elsewhere", async (t) => {
  const { folder, spec, ensure } = await scene(t);
  const file = { ...spec, path: join(folder, "file") };
  await writeFile(file.path, "mine");
  assert.deepEqual(await ensure(file), { result: "blocked", by: `${file.path} is a file`, why: "taken" });
  const taken = { ...spec, path: join(folder, "folder") };
  await mkdir(taken.path);
  assert.deepEqual(await ensure(taken), { result: "blocked", by: `${taken.path} is a folder`, why: "taken" });
  const link = { ...spec, path: join(folder, "link") };
  await symlink("/elsewhere", link.path);
  const blocked = await ensure(link);
  assert.ok(
    blocked.result === "blocked" && blocked.why === "taken" && /a link to \/elsewhere/.test(blocked.by),
  );
  assert.equal(await readlink(link.path), "/elsewhere");
});

test("Paths nothing is made on a share's mount, not even through a link", async (t) => {
  const { folder, spec, ensure, made } = await scene(t);
  const mount = join(folder, "volumes", "CORE");
  await mkdir(join(mount, "there"), { recursive: true });
  await symlink(mount, join(folder, "way"));
  const onMount = ["docs", "new/docs", "there/docs"].map((path) => join(mount, path));
  for (const path of [...onMount, join(folder, "way", "a", "docs")]) {
    const outcome = await ensure({ ...spec, path });
    assert.ok(outcome.result === "blocked" && outcome.why === "failed", path);
    assert.match(outcome.by, /lies on the share/);
  }
  assert.deepEqual(await stat(join(mount, "new")).catch(() => "nothing"), "nothing");
  assert.equal(made.size, 0, "what a person makes there later is not ours");
  await mkdir(`${mount}-2`);
  assert.deepEqual(await ensure({ ...spec, path: join(`${mount}-2`, "docs") }), { result: "created" });
});

test("Paths nothing is made in a folder that cannot be read", async (t) => {
  const prober = { readLinks: async (paths: readonly string[]) => paths.map(() => NO_LINK_ANSWER) };
  const { spec, made, ensure } = await scene(t, { prober: { ...prober, realPath: async () => "/" } });
  const outcome = await ensure();
  assert.ok(outcome.result === "blocked" && /cannot be checked$/.test(outcome.by), JSON.stringify(outcome));
  assert.deepEqual([await stat(dirname(spec.path)).catch(() => "nothing"), made.size], ["nothing", 0]);
});

test("Paths a link that a person has made correctly is repaired from then on", async (t) => {
  const { spec, ensure } = await scene(t);
  await mkdir(dirname(spec.path), { recursive: true });
  await symlink(spec.target, spec.path);
  assert.deepEqual(await ensure(), { result: "right" });
  assert.deepEqual(await ensure({ ...spec, target: `${spec.target}-new` }), { result: "repaired" });
});

test("a path through a file, or through a dangling link, is reported", async (t) => {
  const { folder, spec, ensure } = await scene(t);
  await writeFile(join(folder, "file"), "");
  await symlink("/nowhere at all", join(folder, "dangling"));
  const inFile = await ensure({ ...spec, path: join(folder, "file", "docs") });
  assert.ok(inFile.result === "blocked" && /is a file/.test(inFile.by));
  const inLink = await ensure({ ...spec, path: join(folder, "dangling", "docs") });
  assert.ok(inLink.result === "blocked" && /leads nowhere/.test(inLink.by), JSON.stringify(inLink));
});

test("a link that cannot be recorded is not made: it would later not be known as ours", async (t) => {
  const { spec, ensure, look } = await scene(t, { remember: () => Promise.reject(new Error("disk full")) });
  assert.deepEqual(await ensure(), { result: "blocked", by: "disk full", why: "failed" });
  assert.deepEqual(await look(), { state: "missing" });
  await mkdir(join(spec.path, ".."), { recursive: true });
  await symlink(spec.target, spec.path);
  assert.deepEqual(await ensure(), { result: "right" }, "one that is right is right all the same");
});

test("a check without an answer touches nothing", async (t) => {
  const { spec, tools, made } = await scene(t);
  const outcome = await ensureAliasLink(tools, spec, NO_LINK_ANSWER);
  assert.ok(outcome.result === "blocked" && outcome.why === "late");
  assert.equal(made.size, 0);
});

test("Paths a link is removed only while it has the target that we gave it", async (t) => {
  const { spec, ensure, look, tools } = await scene(t);
  await ensure();
  assert.equal(await removeAliasLink(tools, spec.path, { state: "unknown", text: "late" }), false);
  assert.equal(await removeAliasLink(tools, spec.path, await look()), true);
  assert.deepEqual(await look(), { state: "missing" });
  assert.equal(await removeAliasLink(tools, spec.path, await look()), true, "gone is gone");
  await ensure();
  const seen = await look();
  await rm(spec.path);
  assert.equal(await removeAliasLink(tools, spec.path, seen), true, "gone since the look");
  await mkdir(spec.path);
  assert.equal(await removeAliasLink(tools, spec.path, seen), false, "another's since the look");
  await rmdir(spec.path);
  await symlink("/elsewhere", spec.path);
  assert.equal(await removeAliasLink(tools, spec.path, await look()), true, "not ours any more");
  assert.equal(await readlink(spec.path), "/elsewhere");
  await rm(spec.path);
});
