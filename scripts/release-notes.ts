// Prints what CHANGELOG.md says of a release: bin/with-node scripts/release-notes.ts v0.1.0. Ends with 1 when the tag is
// not the version in package.json, or the changelog has nothing of it, no date for it, or entries that belong to no version.
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");

/** Throws if the changelog is not ready for this version. */
export function releaseNotes(changelog: string, version: string): string {
  const [, ...sections] = changelog.split(/^## /m);
  const section = sections.find((text) => text.startsWith(`[${version}] - `));
  const notes = section?.split("\n").slice(1).join("\n").trim() ?? "";
  if (notes === "") throw new Error(`CHANGELOG.md says nothing of ${version}`);
  if (!/^\[\S+\] - \d{4}-\d\d-\d\d\n/.test(section ?? ""))
    throw new Error(`CHANGELOG.md has no date for ${version}`);
  if (sections.some((text) => /^\[Unreleased\]\s+\S/.test(text)))
    throw new Error(`CHANGELOG.md has entries under Unreleased: move them to ${version}`);
  return `${notes}\n`;
}

async function run(tag: string): Promise<void> {
  const { version } = JSON.parse(await readFile(resolve(ROOT, "package.json"), "utf8"));
  if (tag !== `v${version}`) throw new Error(`the tag is ${tag}, and package.json says ${version}`);
  process.stdout.write(releaseNotes(await readFile(resolve(ROOT, "CHANGELOG.md"), "utf8"), version));
}

if (process.argv[1] === import.meta.filename) await run(process.argv[2] ?? "");
