import assert from "node:assert/strict";
import { test } from "node:test";
import { faultsOf } from "../../../scripts/docs/pages.ts";

const PAGE = "docs/page.md";
const faults = (text: string, others: Readonly<Record<string, string>> = {}): readonly string[] =>
  faultsOf(
    new Map([[PAGE, text], ...Object.entries(others)]),
    (file) => file === PAGE || file in others || file === "docs/images/a.png",
  );

test("a row with another number of cells than its table is named, and text that only looks like a cell is not", () => {
  const table = "| a | b |\n| --- | --- |\n";
  assert.deepEqual(faults(`${table}| 1 | 2 | 3 |\n`), [
    "docs/page.md:3: the row has 3 cells, and its table 2",
  ]);
  assert.deepEqual(faults(`${table}| 1 |\n`), ["docs/page.md:3: the row has 1 cells, and its table 2"]);
  assert.deepEqual(faults(`${table}| \`a \\| b\` | c \\| d |\n\n| one |\n| --- |\n`), []);
  assert.deepEqual(faults(`\`\`\`\n${table}| 1 | 2 | 3 |\n\`\`\`\n`), [], "a block of code is no table");
});

test("a link to a missing page, heading or picture is named", () => {
  const other = { "docs/other.md": "# A page, with `code`\n\n## Twice\n\n## Twice\n" };
  const links = [
    "[a](other.md)",
    "[b](other.md#a-page-with-code)",
    "[c](other.md#twice-1)",
    "![d](images/a.png)",
    "[e](https://example.com/x#y)",
    "`[f](none.md)`",
  ];
  assert.deepEqual(faults(links.join("\n"), other), []);
  for (const target of ["none.md", "other.md#twice-2", "#here", "images/b.png", "../none"])
    assert.deepEqual(faults(`[x](${target})`, other), [`docs/page.md:1: the link ${target} leads nowhere`]);
});
