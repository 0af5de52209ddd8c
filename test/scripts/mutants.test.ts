import assert from "node:assert/strict";
import { test } from "node:test";
import { drawMutants, findMutants, mutated } from "../../scripts/mutants.ts";

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

test("each change is one of code: comments, strings, types and imports stay", () => {
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

test("a refusal is not thrown, says yes, or is made by the first half of what it depends on", () => {
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

test("a draw is the same for the same seed, and each place comes once", () => {
  const found = [...findMutants("one.ts", SOURCE), ...findMutants("two.ts", REFUSALS)];
  const drawn = drawMutants(found, 6, 1);
  assert.deepEqual(drawMutants(found, 6, 1), drawn);
  assert.notDeepEqual(drawMutants(found, 6, 2), drawn);
  assert.deepEqual(
    drawn.map(({ id }) => id),
    ["1", "2", "3", "4", "5", "6"],
  );
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
