import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { commandLinePages } from "../../../scripts/docs/command-line.ts";
import { COMMANDS } from "../../../src/cli/program/command-list.ts";
import { ERROR_CODES } from "../../../src/runtime/errors.ts";

const ROOT = resolve(import.meta.dirname, "../../..");

/** Each page's text by its path. */
const PAGES = new Map(
  await Promise.all(commandLinePages().map(async ({ path, generate }) => [path, await generate()] as const)),
);

test("the reference and the man pages match the definitions, and no page is left of a removed command", async () => {
  for (const [path, text] of PAGES)
    assert.equal(await readFile(join(ROOT, path), "utf8"), text, `${path} is stale: run npm run docs`);
  for (const folder of ["docs/reference/cli", "docs/reference/man"])
    for (const name of await readdir(join(ROOT, folder)))
      assert.ok(PAGES.has(`${folder}/${name}`), `${folder}/${name}: remove it`);
});

test("each command has a page with its synopsis, options and examples", () => {
  for (const { name, examples, takes } of COMMANDS) {
    const word = name.split(" ")[0];
    const page = PAGES.get(`docs/reference/cli/${word}.md`) ?? assert.fail(name);
    assert.match(page, new RegExp(`\\bmountaineer ${name}( |$)`, "m"));
    for (const [line, does] of Object.entries(examples))
      assert.ok(page.includes(`\n# ${does}\n${line}\n`), line);
    const index = PAGES.get("docs/reference/cli.md") ?? "";
    for (const term of Object.keys(takes)) {
      const [named] = term.match(/--[\w-]+/) ?? [term];
      // It goes with --url, which the page names.
      if (named !== "--token-file") assert.ok(page.includes(named), `${name} ${term}`);
      assert.ok(`${page}${index}`.includes(`\`${term}\``), `${name} ${term} is explained`);
    }
    assert.ok(index.includes(`[\`${word}\`](cli/${word}.md)`), name);
  }
});

test("the index has the common options and each error code, and so has mountaineer(1)", () => {
  for (const path of ["docs/reference/cli.md", "docs/reference/man/mountaineer.1"]) {
    const text = PAGES.get(path) ?? assert.fail(path);
    for (const option of ["--json", "--config", "--share", "--url", "--wait"])
      assert.ok(text.replaceAll("\\-", "-").includes(option), `${path}: ${option}`);
    for (const code of Object.keys(ERROR_CODES)) assert.ok(text.includes(code), `${path}: ${code}`);
  }
});

test("groff takes each man page without a warning, and shows its examples as they are typed", (t) => {
  const args = ["-man", "-Tutf8", "-Kutf8", "-ww", "-P-cbou", "-rLL=500n"];
  for (const [path, input] of PAGES) {
    if (!path.endsWith(".1")) continue;
    const { stdout, stderr, error } = spawnSync("groff", args, { input, encoding: "utf8" });
    if (error !== undefined) return t.skip("no groff here");
    assert.equal(stderr, "", path);
    const text = stdout.replace(/\s+/g, " ");
    const own = COMMANDS.filter(({ name }) => path.endsWith(`/mountaineer-${name.split(" ")[0]}.1`));
    for (const line of own.flatMap(({ examples }) => Object.keys(examples)))
      assert.ok(text.includes(line), `${path}: ${line}`);
  }
});
