import assert from "node:assert/strict";
import { test } from "node:test";
import { keepWhile } from "../../../src/api/setup/home-secrets.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";

test("secrets of a refused file are removed again, and stay where it exists or may be written", async (t) => {
  const kept = new Map<string, string>();
  const change = (name: string) => Promise.resolve({ name, kept: "file" } as const);
  const keeper = {
    set(name: string, value: string) {
      kept.set(name, value);
      return change(name);
    },
    remove(name: string) {
      kept.delete(name);
      return name === "nas" ? Promise.reject(new Error("the store is gone")) : change(name);
    },
  };
  const secrets = [
    ["nas", "hidden"],
    ["core", "hidden"],
  ] as const;
  const keptAfter = async (error: Error): Promise<number> => {
    const refused = keepWhile(keeper, secrets, t.signal, () => {
      assert.equal(kept.size, 2, "kept before the file names them");
      return Promise.reject(error);
    });
    await assert.rejects(refused, error);
    return kept.size;
  };
  assert.equal(await keptAfter(new MountaineerError("config_changed", "the file changed meanwhile")), 0);
  for (const code of ["timed_out", "daemon_unreachable", "aborted"] as const)
    assert.equal(await keptAfter(new MountaineerError(code, "the answer was lost")), 2, code);
  assert.equal(await keptAfter(new Error("the schema beside the file cannot be written")), 2);
  kept.clear();
  const late = new MountaineerError("timed_out", "the keyring does not answer");
  const half = {
    ...keeper,
    set: (name: string, value: string) => (name === "nas" ? Promise.reject(late) : keeper.set(name, value)),
  };
  const reversed = [...secrets].reverse();
  await assert.rejects(
    keepWhile(half, reversed, t.signal, () => assert.fail("written all the same")),
    late,
  );
  assert.equal(kept.size, 0);
  assert.equal(await keepWhile(keeper, secrets, t.signal, () => Promise.resolve("written")), "written");
  assert.deepEqual([...kept.keys()], ["nas", "core"]);
});
