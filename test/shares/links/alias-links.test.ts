// The aliases of a configuration, and what is remembered of those that were made.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, readlink, rm, stat, symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { parseConfig } from "../../../src/config/read/load.ts";
import type { MountaineerConfig } from "../../../src/config/snapshot.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { AliasLinks, type AliasTransition } from "../../../src/shares/links/alias-links.ts";
import { openAliasMemory } from "../../../src/shares/links/alias-memory.ts";
import type { Prober } from "../../../src/shares/prober/prober.ts";
import { eventually } from "../../support/eventually.ts";
import { fileProber } from "../../support/file-prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const NEVER = new AbortController().signal;

// Its clock stands still: however busy the machine is, no look is late.
const proberOfFile = fileProber({ clock: createManualClock(), logger: noopLogger });

async function scene(t: TestContext) {
  const prober = proberOfFile();
  const folder = await temporaryFolder(t);
  const root = join(folder, "Shares");
  let looks = 0;
  const counting: Prober = {
    ...prober,
    readLinks(paths, waitMs) {
      looks += paths.length;
      return prober.readLinks(paths, waitMs);
    },
  };
  const clock = createManualClock();
  const transitions: AliasTransition[] = [];
  const start = async () => {
    const memory = await openAliasMemory({
      path: join(folder, "aliases.json"),
      logger: noopLogger,
      readOnly: false,
    });
    const links = new AliasLinks({
      clock,
      logger: noopLogger,
      prober: counting,
      memory,
      mountPaths: () => [join(folder, "volumes", "CORE")],
      publish: (transition) => void transitions.push(transition),
    });
    t.after(() => links[Symbol.asyncDispose]());
    return links;
  };
  return {
    folder,
    root,
    clock,
    transitions,
    start,
    links: await start(),
    looks: () => looks,
    at: (name: string) => join(root, "Links", name),
    config: (...aliases: readonly string[]) => configOf(folder, root, aliases),
  };
}

/** Aliases as `name=target`, or `name=target@path`. */
async function configOf(
  folder: string,
  root: string,
  aliases: readonly string[],
): Promise<MountaineerConfig> {
  const blocks = aliases.map((text) => {
    const [, name, target, path] = /^(.+)=([^@]+)(?:@(.+))?$/.exec(text) ?? [];
    const at = path === undefined ? "" : `path = "${path}"\n`;
    return `[[aliases]]\nname = "${name}"\nshare = "CORE"\ntarget_subpath = "${target}"\n${at}`;
  });
  const text = `[global]
shares_root = "${root}"
[[shares]]
name = "CORE"
thunderbolt_path = "/tb"
fallback_path = "/fb"
${blocks.join("")}`;
  const place = {
    home: folder,
    userHome: folder,
    userName: "ann",
    defaultMountRoot: join(folder, "volumes"),
  };
  const loaded = await parseConfig(Buffer.from(text), "config.toml", place);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.snapshot.config;
}

test("Paths links are made, reported once, and status shows them", async (t) => {
  const { links, config, transitions, at, root } = await scene(t);
  links.apply(await config("docs=Docs/2026", "film=Film"));
  assert.deepEqual(pluck(links.status(), "link"), ["missing", "missing"]);
  const told = await links.reconcile(NEVER);
  assert.deepEqual(told[0], {
    name: "docs",
    share: "CORE",
    targetSubpath: "Docs/2026",
    path: at("docs"),
    target: join(root, "CORE", "Docs", "2026"),
    link: "right",
    detail: null,
  });
  assert.deepEqual(links.status(), told);
  assert.equal(await readlink(at("film")), join(root, "CORE", "Film"));
  await links.reconcile(NEVER);
  assert.deepEqual(pluck(transitions, "name"), ["alias.linked", "alias.linked"]);
  assert.deepEqual(links.conditions(), []);
});

test("Paths a lost link returns with the first beat after two seconds, and a correct one is not checked until then", async (t) => {
  const { links, config, clock, looks, at } = await scene(t);
  links.apply(await config("docs=Docs"));
  await links.reconcile(NEVER);
  await unlink(at("docs"));
  const before = looks();
  links.trigger("tick");
  await clock.advance(1_900);
  assert.equal(looks(), before);
  await clock.advance(200);
  links.trigger("tick");
  await eventually(async () => (await readlink(at("docs")).catch(() => null)) !== null);
});

test("Paths a link made before a restart is still known afterwards, and is removed if its alias has since been removed", async (t) => {
  const { links, config, start, at, root } = await scene(t);
  links.apply(await config("docs=Docs", "film=Film"));
  await links.reconcile(NEVER);
  await links[Symbol.asyncDispose]();
  const next = await start();
  next.apply(await config("film=Elsewhere"));
  await next.reconcile(NEVER);
  assert.equal(await readlink(at("docs")).catch(() => null), null);
  assert.equal(await readlink(at("film")), join(root, "CORE", "Elsewhere"), "ours, so it is mended");
});

test("Paths a link that another program has made in its place stays when the alias is removed", async (t) => {
  const { links, config, at, transitions } = await scene(t);
  links.apply(await config("docs=Docs"));
  await links.reconcile(NEVER);
  await unlink(at("docs"));
  await symlink("/elsewhere", at("docs"));
  links.apply(await config());
  await links.reconcile(NEVER);
  assert.equal(await readlink(at("docs")), "/elsewhere");
  assert.ok(!transitions.some(({ name }) => name === "alias.removed"));
});

test("Paths a link that a person makes in place of a removed alias stays, wherever it leads", async (t) => {
  const { links, config, at, transitions } = await scene(t);
  links.apply(await config("docs=Docs"));
  await links.reconcile(NEVER);
  const target = await readlink(at("docs"));
  links.apply(await config());
  await links.reconcile(NEVER);
  await symlink(target, at("docs"));
  await links.reconcile(NEVER);
  assert.equal(await readlink(at("docs")), target);
  assert.equal(pluck(transitions, "name").filter((name) => name === "alias.removed").length, 1);
});

test("Paths an occupied path is a condition, reported once, until it is free", async (t) => {
  const { links, config, transitions, at } = await scene(t);
  await mkdir(join(at("docs"), ".."), { recursive: true });
  await writeFile(at("docs"), "mine");
  links.apply(await config("docs=Docs"));
  const [told] = await links.reconcile(NEVER);
  assert.equal(told?.link, "taken");
  await links.reconcile(NEVER);
  assert.deepEqual(pluck(transitions, "name"), ["alias.blocked"]);
  const [condition, ...more] = links.conditions();
  assert.deepEqual(more, []);
  assert.equal(condition?.code, "alias_path_taken");
  assert.match(condition?.title ?? "", /alias docs .* is a file/);
  assert.equal(condition?.since, "2026-01-01T00:00:00.000Z");
  await rm(at("docs"));
  links.trigger("tick");
  await eventually(() => links.status()[0]?.link === "right");
  assert.deepEqual(links.conditions(), []);
});

test("a check changes nothing, and reports each link's state", async (t) => {
  const { links, config, at, transitions } = await scene(t);
  links.apply(await config("docs=Docs", "film=Film"));
  const states = async () => (await links.check()).map(({ link }) => link);
  assert.deepEqual(await states(), ["missing", "missing"]);
  await links.reconcile(NEVER);
  await unlink(at("docs"));
  await symlink("/elsewhere", at("docs"));
  const told = transitions.length;
  assert.deepEqual(await states(), ["taken", "right"]);
  assert.equal(transitions.length, told);
  links.apply(await config("docs=Docs", "film=New"));
  assert.deepEqual(await states(), ["taken", "missing"], "ours, and mended with the next beat");
});

test("Paths an alias that is removed while its link is checked is not linked", async (t) => {
  const { links, config, looks, transitions } = await scene(t);
  links.apply(await config("docs=Docs"));
  const none = await config();
  const reconciled = links.reconcile(NEVER);
  for (let turn = 0; looks() === 0 && turn < 1_000; turn++) await Promise.resolve();
  assert.equal(looks(), 1);
  links.apply(none);
  await reconciled;
  assert.deepEqual(transitions, []);
});

test("a home without aliases sends the prober nothing", async (t) => {
  const { links, config, looks } = await scene(t);
  links.apply(await config());
  links.trigger("tick");
  assert.deepEqual(await links.reconcile(NEVER), []);
  assert.equal(looks(), 0);
});

test("the links are made even if the caller leaves", async (t) => {
  const { links, config } = await scene(t);
  links.apply(await config("docs=Docs"));
  await assert.rejects(links.reconcile(AbortSignal.abort()), { code: "aborted" });
  await eventually(() => links.status()[0]?.link === "right");
});

async function memoryScene(t: TestContext) {
  const folder = await temporaryFolder(t);
  const path = join(folder, "aliases.json");
  const logger = createRecordingLogger();
  return { folder, path, logger, open: (readOnly = false) => openAliasMemory({ path, logger, readOnly }) };
}

test("the links made are known after the next start, with every path that they led to", async (t) => {
  const { path, open } = await memoryScene(t);
  const first = await open();
  assert.deepEqual(first.paths, []);
  await first.remember("/a", "/S/CORE/x");
  await Promise.all([first.remember("/a", "/S/CORE/y"), first.remember("/b", "/S/CORE/z")]);
  const next = await open();
  assert.deepEqual(next.paths, ["/a", "/b"]);
  assert.deepEqual([...next.targetsOf("/a")], ["/S/CORE/x", "/S/CORE/y"]);
  assert.deepEqual([...next.targetsOf("/c")], []);
  await next.forget("/a");
  await next.forget("/never there");
  assert.deepEqual((await open()).paths, ["/b"]);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test("pin: the file", async (t) => {
  const { path, open } = await memoryScene(t);
  await (await open()).remember("/a", "/S/CORE/x");
  assert.deepEqual(JSON.parse(await readFile(path, "utf8")), {
    version: 1,
    links: [{ path: "/a", targets: ["/S/CORE/x"] }],
  });
});

test("A5 one that cannot be read is set aside, never overwritten, and nothing is ours then", async (t) => {
  for (const text of [
    "{",
    "[]",
    '{"version":2,"links":[]}',
    '{"version":1,"links":[{"path":1,"targets":[]}]}',
  ]) {
    const { path, open, logger } = await memoryScene(t);
    await writeFile(path, text);
    assert.deepEqual((await open(true)).paths, [], text);
    assert.equal(await readFile(path, "utf8"), text, "a looker moves nothing");
    const memory = await open();
    assert.deepEqual(memory.paths, [], text);
    assert.equal(await readFile(`${path}.set-aside`, "utf8"), text);
    await memory.remember("/a", "/x");
    assert.deepEqual((await open()).paths, ["/a"]);
    assert.ok(logger.lines.some(({ level }) => level === "warn"));
  }
});

test("a pipe in its place does not prevent a start", async (t) => {
  const { path, open, logger } = await memoryScene(t);
  execFileSync("mkfifo", [path]);
  assert.deepEqual((await open()).paths, []);
  assert.ok(logger.lines.some(({ fields }) => fields["reason"] === "it is not a regular file"));
});

test("a folder in its place does not prevent a start", async (t) => {
  const { path, open } = await memoryScene(t);
  await mkdir(path);
  const memory = await open();
  await assert.rejects(memory.remember("/a", "/x"));
  assert.deepEqual([...memory.targetsOf("/a")], [], "what could not be kept is not known");
});

test("read-only callers write nothing", async (t) => {
  const { folder, open } = await memoryScene(t);
  await chmod(folder, 0o500);
  const memory = await open(true);
  await memory.remember("/a", "/x");
  await chmod(folder, 0o700);
  assert.deepEqual((await open()).paths, []);
});
