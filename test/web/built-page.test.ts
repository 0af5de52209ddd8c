// The page's files as a build makes them, and as they are found.
import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { compilePage } from "../../scripts/build/compile-page.ts";
import { builtPage } from "../../src/web/built-page.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ROOT = resolve(import.meta.dirname, "../..");

test("the shell names its files, which can be cached for ever, and nothing else of the build is served", async (t) => {
  const folder = join(await temporaryFolder(t), "build");
  await mkdir(folder);
  const { files } = await compilePage(ROOT);
  for (const { name, bytes } of files) await writeFile(join(folder, name), bytes);
  await writeFile(join(folder, "main.js"), "");
  await writeFile(join(folder, "package.json"), "{}");
  const page = builtPage(async () => folder);
  const shell = await page.find("/");
  assert.equal(shell?.isImmutable, false);
  const html = Buffer.from(shell.bytes).toString();
  const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = ""]) => path);
  assert.equal(named.length, 4);
  for (const path of named) {
    assert.match(path, /^\/page\/page-[a-z]+-[A-Za-z0-9]{8}\.(js|css|svg|md)$/);
    assert.equal((await page.find(path))?.isImmutable, true, path);
  }
  // The policy lets neither run.
  assert.doesNotMatch(html, /<style|style=|<script>|\son[a-z]+=/);
  for (const path of [
    "/page/main.js",
    "/main.js",
    "/page/package.json",
    "/page/",
    "/page.html",
    "/page/page.html",
  ]) {
    assert.equal(await page.find(path), null, path);
  }
});

test("F2 the editor, the plots and most views are chunks, requested by served names, and the page without them is small", async () => {
  const { files } = await compilePage(ROOT);
  const texts = new Map(files.map(({ name, bytes }) => [name, Buffer.from(bytes)]));
  const named = (name: string, form: RegExp): readonly string[] =>
    [...(texts.get(name)?.toString() ?? "").matchAll(form)].map(([, found = ""]) => found);
  const main = [...texts.keys()].find((name) => /^page-main-/.test(name)) ?? "";
  // A set that grows while it is read: what the page's program imports, at once.
  const first = new Set([main]);
  for (const name of first)
    for (const found of named(name, /(?:from|import)"\.\/([\w-]+\.js)"/g)) first.add(found);
  const asked = new Set([...texts.keys()].flatMap((name) => named(name, /import\("\.\/([\w-]+\.js)"\)/g)));
  assert.deepEqual(
    [...asked].map((name) => [name.replace(/-\w{8}\.js$/, ""), texts.has(name), first.has(name)]).toSorted(),
    [
      ...["activity-view", "add-server", "add-share", "approvals-view", "catalog-view", "code-editor"],
      ...["config-view", "fleet-view", "import-servers", "number-plots", "people-view"],
      ...["server-panel", "share-panel"],
    ].map((name) => [`page-${name}`, true, false]),
  );
  const shown = [...texts].filter(([name]) => first.has(name) || /\.(css|html|svg)$/.test(name));
  const bytes = shown.reduce((sum, [, text]) => sum + gzipSync(text).length, 0);
  assert.ok(bytes <= 80_000, `${bytes} bytes`);
  // The editor is no view: the configuration's text is there before it.
  for (const name of [...asked].filter((each) => !each.startsWith("page-code-editor-"))) {
    const more = gzipSync(texts.get(name) ?? "").length;
    assert.ok(more > 0 && more <= 30_000, `${name}: ${more} bytes`);
  }
});

test("an unreadable folder is tried again", async (t) => {
  const folder = join(await temporaryFolder(t), "build");
  const page = builtPage(async () => folder);
  await assert.rejects(page.find("/"), { code: "ENOENT" });
  await mkdir(folder);
  await writeFile(join(folder, "page.html"), "<!doctype html>");
  assert.equal((await page.find("/"))?.type, "text/html; charset=utf-8");
});

test("F2 a page read once is still served after the build is removed", async (t) => {
  const folder = join(await temporaryFolder(t), "build");
  await mkdir(folder);
  await writeFile(join(folder, "page.html"), "<!doctype html>");
  await writeFile(join(folder, "page-main-12345678.js"), "1;");
  const page = builtPage(async () => folder);
  await page.find("/");
  await rm(folder, { recursive: true });
  assert.equal(Buffer.from((await page.find("/page/page-main-12345678.js"))?.bytes ?? []).toString(), "1;");
});
