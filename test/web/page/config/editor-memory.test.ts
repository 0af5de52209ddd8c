import assert from "node:assert/strict";
import { test } from "node:test";
import { EDITORS, isEdited } from "../../../../src/web/page/config/editor-memory.ts";

test("F2 what was typed is kept for its session, and known as not saved until it is", () => {
  const session = {};
  const editor = EDITORS.storeOf(session, "", () => ({ base: null, text: "" }));
  assert.equal(isEdited(EDITORS.kept(session)), false, "nothing was read yet");
  const base = { path: "/c.toml", format: "toml", sha256: "0".repeat(64), text: "a = 1\n" } as const;
  editor.set({ base, text: "a = 2\n" });
  assert.equal(isEdited(EDITORS.kept(session)), true);
  assert.equal(isEdited(EDITORS.kept({})), false, "another session's");
  // A save holds for the text that was sent; what was typed meanwhile is not in it.
  editor.set({ base: { ...base, text: "a = 2\n" } });
  assert.equal(isEdited(EDITORS.kept(session)), false);
});
