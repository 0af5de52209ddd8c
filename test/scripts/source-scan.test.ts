// What scripts read of sources: imports, strings, conformance's reasons, mutants.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { reasonFor, type Situation } from "../../scripts/conformance/reasons.ts";
import { importGraph, loadedFiles, nearestTests, testsReaching } from "../../scripts/import-graph.ts";
import { drawMutants, findMutants, mutated } from "../../scripts/mutants.ts";
import { scanSource } from "../../scripts/source-scan.ts";
import { pluck } from "../support/pluck.ts";

test("distinguishes types, values and lazy loads", () => {
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
  assert.deepEqual(pluck(imports, "specifier", "typeOnly", "dynamic"), [
    ["./a.ts", false, false],
    ["./c.ts", true, false],
    ["./named-type.ts", false, false],
    ["./d.ts", true, false],
    ["./e.ts", false, false],
    ["./f.ts", false, true],
    ["./g.ts", true, false],
  ]);
});

test("keeps lines and offsets while it blanks comments, strings, templates and regular expressions", () => {
  const source = `a; // "b\n"c" + /d"/.test(\`e\${f("g")}h\`) /* i\n */ / 2;`;
  const { code } = scanSource(source);
  assert.equal(code.length, source.length);
  assert.equal(code, `a;      \n" " +     .test(\` \${f(" ")} \`)     \n    / 2;`);
});

const known = new Set([
  "src/a.ts",
  "src/b.ts",
  "src/child.ts",
  "src/deep/c.ts",
  "test/a.test.ts",
  "test/b.test.ts",
]);

test("a file loads what it imports and names the programs that it starts; types load nothing", () => {
  const source = `
    import type { B } from "./b.ts";
    import { c } from "./deep/c.ts";
    startChildProgram("child");
    // import { a } from "./a.ts" in a comment names it, too: rather one test file too many.
  `;
  assert.deepEqual([...loadedFiles("src/main.ts", source, known)].sort(), [
    "src/a.ts",
    "src/child.ts",
    "src/deep/c.ts",
  ]);
  assert.deepEqual([...loadedFiles("test/x.test.ts", 'run("src/a.ts")', known)], ["src/a.ts"]);
});

test("a program that is started from a build is reached by its built name", () => {
  const sources = new Map([
    ["src/prober/start.ts", 'new URL("./prober-process.js", import.meta.url)'],
    ["src/prober/service/prober-process.ts", ""],
  ]);
  const reached = importGraph(sources).get("src/prober/start.ts");
  assert.deepEqual([...(reached ?? [])], ["src/prober/service/prober-process.ts"]);
});

test("a change reaches the test files that load it, at any distance, and a changed test file itself", () => {
  const graph = new Map([
    ["src/a.ts", new Set(["src/b.ts"])],
    ["src/b.ts", new Set(["src/a.ts"])],
    ["test/a.test.ts", new Set(["src/a.ts"])],
    ["test/b.test.ts", new Set<string>()],
  ]);
  assert.deepEqual([...testsReaching(graph, ["src/b.ts"])], [["test/a.test.ts", 2]]);
  assert.deepEqual([...testsReaching(graph, ["test/b.test.ts"])], [["test/b.test.ts", 0]]);
  assert.deepEqual([...testsReaching(graph, ["src/gone.ts"])], []);
});

test("the nearest test file is a source's own, then those that share its rarer words, of its folder, by few imports", () => {
  const told = "expects a refusal, as everybody";
  const sources = new Map([
    ["src/a/b.ts", 'import { Clock } from "../c.ts";\nthrow new Refusal("everybody waits for a lantern")'],
    ["src/c.ts", ""],
    ["test/a/a.test.ts", told],
    ["test/a/b.test.ts", told],
    ["test/a/else.test.ts", "lantern"],
    ["test/c.test.ts", told],
    ["test/direct.test.ts", told],
    ["test/far.test.ts", "a lantern for everybody"],
  ]);
  const graph = new Map([
    ["src/a/b.ts", new Set<string>()],
    ["src/c.ts", new Set(["src/a/b.ts"])],
    ["test/a/a.test.ts", new Set(["src/c.ts"])],
    ["test/a/b.test.ts", new Set(["src/c.ts"])],
    ["test/a/else.test.ts", new Set<string>()],
    ["test/c.test.ts", new Set(["src/c.ts"])],
    ["test/direct.test.ts", new Set(["src/a/b.ts"])],
    ["test/far.test.ts", new Set(["test/c.test.ts"])],
  ]);
  const near = nearestTests(sources, graph, ["src/a/b.ts"]);
  assert.deepEqual(
    pluck(near, "file"),
    ["b", "../far", "a", "../direct", "../c"].map((name) => join("test/a", `${name}.test.ts`)),
  );
  assert.deepEqual(
    near.flatMap(({ file, isBeside }) => (isBeside ? file : [])),
    ["test/a/b.test.ts", "test/a/a.test.ts"],
  );
});

const bridged: Situation = {
  front: "2026-07-28",
  back: "2025-11-25",
  alone: false,
  shared: true,
  scenario: "input-required-result-basic-sampling",
  message:
    'JSON-RPC error: the client that this belongs to is unknown; set instances = "per-client" for server a',
};

test("D1 a shared process that cannot know whose question it is excuses a check that asks, and no other", () => {
  assert.match(String(reasonFor(bridged)), /a shared process/u);
  const unexcused: Partial<Situation>[] = [
    { message: "JSON-RPC error: internal error" },
    { message: "JSON-RPC error: this requestState is not valid for this request" },
    { message: "Server did not return a JSON-RPC error for tampered requestState." },
    { scenario: "tools-call-simple-text" },
    { shared: false },
    { back: "2026-07-28" },
    { front: "2025-11-25" },
  ];
  for (const other of unexcused)
    assert.equal(reasonFor({ ...bridged, ...other }), null, JSON.stringify(other));
});

const SOURCE = `import { f } from "./f.ts";
// if (a < b) is a comment
interface Way { go(at: number): void; readonly "a < b": true }
export function g(a: number, b: number): void {
  if (a < b && a === 1) f(a, b);
  const text = "a > b";
  f(text);
}
`;

function changes(source: string): Map<string, string[]> {
  const mutants = findMutants("x.ts", source);
  const texts = (operator: string): string[] =>
    mutants
      .filter((mutant) => mutant.operator === operator)
      .map((mutant) => mutated(source, mutant).split("\n")[mutant.line - 1]?.trim() ?? "");
  return new Map(mutants.map(({ operator }) => [operator, texts(operator)]));
}

test("each mutation changes code: comments, strings, types and imports stay", () => {
  assert.deepEqual(
    changes(SOURCE),
    new Map([
      ["return early", ["export function g(a: number, b: number): void { return;"]],
      ["drop a statement", [";"]],
      ["never take a branch", ["if (false) f(a, b);"]],
      ["negate a condition", ["if (!(a < b && a === 1)) f(a, b);"]],
      ["move a bound", ["if (a <= b && a === 1) f(a, b);"]],
      ["drop a second half", ["if (a < b) f(a, b);"]],
      ["swap equal and unequal", ["if (a < b && a !== 1) f(a, b);"]],
      ["off by one", ["if (a < b && a === 2) f(a, b);"]],
      ["swap arguments", ["if (a < b && a === 1) f(b, a);"]],
    ]),
  );
});

const REFUSALS = `export function g(a: string | null, b: () => boolean): boolean {
  const known =
    a ??
    b().toString();
  if (known === "" || (b() && a !== null)) return false;
  if (b())
    throw new Error(
      known,
    );
  return a === null || b() ? b() : true;
}
`;

test("a mutated refusal is not thrown, is reversed, or depends on only the first half of its condition", () => {
  const found = changes(REFUSALS);
  assert.deepEqual(found.get("drop a throw"), [";"]);
  assert.deepEqual(found.get("constant result"), ['if (known === "" || (b() && a !== null)) return true;']);
  assert.deepEqual(found.get("drop a second half"), [
    "a;",
    'if (known === "") return false;',
    'if (known === "" || (b())) return false;',
    "return a === null ? b() : true;",
  ]);
});

test("a draw is the same for the same seed, and each place is drawn once", () => {
  const found = [...findMutants("one.ts", SOURCE), ...findMutants("two.ts", REFUSALS)];
  const drawn = drawMutants(found, 6, 1);
  assert.deepEqual(drawMutants(found, 6, 1), drawn);
  assert.notDeepEqual(drawMutants(found, 6, 2), drawn);
  assert.deepEqual(pluck(drawn, "id"), ["1", "2", "3", "4", "5", "6"]);
  const all = drawMutants(found, 1_000, 1).map(
    ({ file, offset, operator }) => `${file} ${offset} ${operator}`,
  );
  assert.deepEqual([all.length, new Set(all).size], [found.length, found.length]);
});

test("a change is refused in a text that it was not drawn from", () => {
  const [mutant] = findMutants("x.ts", SOURCE);
  assert.ok(mutant !== undefined);
  assert.throws(() => mutated("another", mutant), /not the text/);
});
