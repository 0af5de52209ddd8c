import assert from "node:assert/strict";
import { test } from "node:test";
import { keepWhile } from "../../../src/cli/sessions/keep-while.ts";

test("secrets that the refused file would have named are removed again, and stay where it is written", async (t) => {
  const kept = new Map<string, string>();
  const keeper = {
    set(name: string, value: string) {
      kept.set(name, value);
      return Promise.resolve({ name, kept: "file" } as const);
    },
    remove(name: string) {
      kept.delete(name);
      return Promise.resolve({ name, kept: "file" } as const);
    },
  };
  const secrets = [["core", "hidden"]] as const;
  const refused = keepWhile(keeper, secrets, t.signal, () => {
    assert.equal(kept.size, 1, "kept before the file names them");
    return Promise.reject(new Error("the file changed meanwhile"));
  });
  await assert.rejects(refused, /changed meanwhile/);
  assert.equal(kept.size, 0);
  assert.equal(await keepWhile(keeper, secrets, t.signal, () => Promise.resolve("written")), "written");
  assert.deepEqual([...kept], [["core", "hidden"]]);
});
