import assert from "node:assert/strict";
import { test } from "node:test";
import { confirms } from "../../../src/cli/input/confirm.ts";

test("F3 Enter agrees to additions, and not to removals; without a person to ask nothing is changed", async () => {
  const notes: string[] = [];
  const said = (answer: string, silence: "yes" | "no"): Promise<boolean> =>
    confirms({ prompt: async () => answer, notify: (text) => void notes.push(text) }, "Go on?", silence);
  for (const answer of ["y", "Yes", " YES "])
    for (const silence of ["yes", "no"] as const) assert.equal(await said(answer, silence), true, answer);
  assert.deepEqual(
    [await said("", "yes"), await said(" ", "no"), await said("n", "yes")],
    [true, false, false],
  );
  assert.equal(await confirms({ prompt: null, notify: (text) => void notes.push(text) }, "Go on?"), false);
  assert.match(notes.at(-1) ?? "", /--yes/);
});
