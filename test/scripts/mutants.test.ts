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
      ["drop a statement", [";", ";"]],
      ["negate a condition", ["if (!(a < b && a === 1)) f(a, b);"]],
      ["move a bound", ["if (a <= b && a === 1) f(a, b);"]],
      ["swap and and or", ["if (a < b || a === 1) f(a, b);"]],
      ["swap equal and unequal", ["if (a < b && a !== 1) f(a, b);"]],
      ["off by one", ["if (a < b && a === 2) f(a, b);"]],
      ["swap arguments", ["if (a < b && a === 1) f(b, a);"]],
    ]),
  );
});

test("a draw is the same for the same seed, and takes from each room in turn", () => {
  const rooms = new Map([
    ["one", findMutants("one.ts", SOURCE)],
    ["two", findMutants("two.ts", SOURCE)],
  ]);
  const drawn = drawMutants(rooms, 6, 1);
  assert.deepEqual(drawMutants(rooms, 6, 1), drawn);
  assert.notDeepEqual(drawMutants(rooms, 6, 2), drawn);
  assert.deepEqual(
    drawn.map(({ id }) => id),
    ["one-1", "two-1", "one-2", "two-2", "one-3", "two-3"],
  );
  assert.equal(drawMutants(rooms, 1_000, 1).length, 18);
});

test("a change is refused in a text that it was not drawn from", () => {
  const [mutant] = findMutants("x.ts", SOURCE);
  assert.ok(mutant !== undefined);
  assert.throws(() => mutated("another", mutant), /not the text/);
});
