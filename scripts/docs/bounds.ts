// The table of the bounds of foreign texts, for docs/reference/security.md.
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Bound, TEXT_BOUNDS } from "../../src/runtime/text/bounds.ts";
import type { DocumentGenerator } from "./generator.ts";

const PATH = "docs/reference/security.md";
const HEAD = "| text | at most | beyond it |\n| --- | --- | --- |\n";

export const boundsTable: DocumentGenerator = {
  path: PATH,
  async generate() {
    const page = await readFile(join(resolve(import.meta.dirname, "../.."), PATH), "utf8");
    const start = page.indexOf(HEAD) + HEAD.length;
    const rows = Object.values(TEXT_BOUNDS).map(
      ({ by, what, beyond, ...most }) => `| ${by}: ${what} | ${mostText(most)} | ${beyond} |`,
    );
    return page.slice(0, start) + rows.join("\n") + page.slice(page.indexOf("\n\n", start));
  },
};

function mostText({ most, unit }: Pick<Bound, "most" | "unit">): string {
  const kib = most / 1024;
  const count =
    unit === "" || !Number.isInteger(kib) || kib < 8
      ? most.toLocaleString("en")
      : kib < 1024
        ? `${kib} Ki`
        : `${kib / 1024} Mi`;
  return `${count} ${unit}`
    .trim()
    .replace(/ (Ki|Mi) bytes$/, " $1B")
    .replace(/ (Ki|Mi) characters$/, " $1 characters");
}
