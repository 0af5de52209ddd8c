import assert from "node:assert/strict";
import { test } from "node:test";
import { fullName, isCalled, type ToolChange, toldName } from "../../src/api/tool-changes-contract.ts";

const change = (tool: string, what?: string): ToolChange => ({
  backend: "files",
  tool,
  ...(what === undefined ? {} : { what }),
  published_as: null,
  kind: "changed",
  withheld: true,
  digest: "d",
  before_known: true,
  members: [],
});

test("E3 what waits is called by its own name, after its kind where it is no tool, and with its backend", () => {
  const [tool, prompt, words] = [
    change("review"),
    change("review", "prompt"),
    change("instructions", "instructions"),
  ];
  assert.deepEqual([tool, prompt, words].map(toldName), ["review", "prompt review", "instructions"]);
  assert.deepEqual([tool, prompt, words].map(fullName), [
    "files:review",
    "files:prompt review",
    "files:instructions",
  ]);
  for (const name of ["review", "prompt review", "files:review", "files:prompt review"])
    assert.ok(isCalled(prompt, name), name);
  assert.ok(!isCalled(tool, "prompt review"));
  assert.ok(!isCalled(prompt, "web:review"));
});
