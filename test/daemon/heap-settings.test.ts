import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

const SETTINGS = new URL("../../src/daemon/heap-settings.ts", import.meta.url).href;
const FLAGS = ["--allow-natives-syntax", "--expose-gc", "--input-type=module"];

/** Has V8 decide that what `make` makes is born old, lets it compile that, and tells where the next one is. */
const PROGRAM = `
  function make(part) { return { part, other: null }; }
  %PrepareFunctionForOptimization(make);
  let last;
  for (let count = 0; count < 10; count++) last = make(count);
  %PretenureAllocationSite(last);
  gc({ type: "minor" });
  gc({ type: "minor" });
  %PrepareFunctionForOptimization(make);
  make(1);
  make(2);
  %OptimizeFunctionOnNextCall(make);
  make(3);
  process.stdout.write(%InYoungGeneration(make(4)) ? "young" : "old");
`;

async function bornWith(settings: string): Promise<string> {
  const args = [...FLAGS, "-e", `${settings}\n${PROGRAM}`];
  return (await promisify(execFile)(process.execPath, args, { timeout: 60_000 })).stdout;
}

test("what a call makes is born in the young heap, whatever V8 took from the calls before", async () => {
  const settings = `import { settleHeap } from ${JSON.stringify(SETTINGS)}; settleHeap();`;
  assert.equal(await bornWith(settings), "young");
  // Otherwise this would show nothing.
  assert.equal(await bornWith(""), "old");
});
