// Imports and code are read from a source as the compiler would, without one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { scanSource } from "../../scripts/source-scan.ts";

test("tells types, values and lazy loads apart", () => {
  const { imports } = scanSource(
    [
      'import a, { type B } from "./a.ts";',
      'import type { C } from "./c.ts";',
      'import type from "./named-type.ts";',
      'export type { D } from "./d.ts";',
      'export * from "./e.ts";',
      'const f = await import("./f.ts");',
      'let g: typeof import("./g.ts");',
    ].join("\n"),
  );
  assert.deepEqual(
    imports.map(({ specifier, typeOnly, dynamic }) => [specifier, typeOnly, dynamic]),
    [
      ["./a.ts", false, false],
      ["./c.ts", true, false],
      ["./named-type.ts", false, false],
      ["./d.ts", true, false],
      ["./e.ts", false, false],
      ["./f.ts", false, true],
      ["./g.ts", true, false],
    ],
  );
});

test("keeps lines and offsets while it blanks comments, strings, templates and regular expressions", () => {
  const source = `a; // "b\n"c" + /d"/.test(\`e\${f("g")}h\`) /* i\n */ / 2;`;
  const { code } = scanSource(source);
  assert.equal(code.length, source.length);
  assert.equal(code, `a;      \n" " +     .test(\` \${f(" ")} \`)     \n    / 2;`);
});
