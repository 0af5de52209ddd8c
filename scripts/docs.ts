// Writes the generated documents; with --check, only lists the stale ones, and what is wrong in the written pages, and fails.
// To add a document, add an entry to GENERATORS.
import { existsSync } from "node:fs";
import { glob, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { boundsTable } from "./docs/bounds.ts";
import { commandLinePages } from "./docs/command-line.ts";
import { conditionCodes } from "./docs/conditions.ts";
import { configurationReference, configurationSchema } from "./docs/configuration.ts";
import type { DocumentGenerator } from "./docs/generator.ts";
import { thirdPartyNotices } from "./docs/notices.ts";
import { faultsOf } from "./docs/pages.ts";

const GENERATORS: readonly DocumentGenerator[] = [
  configurationReference,
  configurationSchema,
  ...commandLinePages(),
  conditionCodes,
  boundsTable,
  thirdPartyNotices,
];

/** Checked for tables, links and words. */
const PAGES = ["*.md", "docs/**/*.md", "{bench,mount}/*.md"];

const CHECKOUT = resolve(import.meta.dirname, "..");

async function currentText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

/** The paths of stale documents. Writes the documents unless `check`. */
async function refresh(check: boolean): Promise<string[]> {
  const stale: string[] = [];
  for (const generator of GENERATORS) {
    const path = join(CHECKOUT, generator.path);
    const text = await generator.generate();
    if ((await currentText(path)) === text) continue;
    stale.push(generator.path);
    if (check) continue;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  return stale;
}

async function faults(): Promise<readonly string[]> {
  const pages = new Map<string, string>();
  for await (const page of glob(PAGES, { cwd: CHECKOUT }))
    if (page !== "THIRD-PARTY-NOTICES.md") pages.set(page, await readFile(join(CHECKOUT, page), "utf8"));
  return faultsOf(pages, (file) => existsSync(join(CHECKOUT, file)));
}

const unknown = process.argv.slice(2).filter((argument) => argument !== "--check");
if (unknown.length > 0) {
  process.stderr.write(`docs: ${unknown.join(" ")} is not understood; the only option is --check\n`);
  process.exitCode = 2;
} else {
  const check = process.argv.includes("--check");
  const stale = await refresh(check);
  for (const path of stale) process.stdout.write(`${check ? "stale" : "written"}: ${path}\n`);
  if (check && stale.length > 0) {
    process.stderr.write("docs: generated documents are stale; run `npm run docs` and commit them\n");
    process.exitCode = 1;
  }
  const wrong = check ? await faults() : [];
  for (const fault of wrong) process.stdout.write(`${fault}\n`);
  if (wrong.length > 0) process.exitCode = 1;
}
