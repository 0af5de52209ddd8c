import assert from "node:assert/strict";
import { test } from "node:test";
import { createFormKeeper } from "../../../../src/web/page/parts/kept-form.ts";

test("F2 a form is kept by its session and its name, and is one for all that draw it", () => {
  const forms = createFormKeeper<{ text: string }>();
  const session = {};
  assert.equal(forms.kept(session, "one"), null);
  const one = forms.storeOf(session, "one", () => ({ text: "drawn" }));
  one.set({ text: "typed" });
  // A save that began before a look at another view must not bring back what was typed before it.
  const again = forms.storeOf(session, "one", () => ({ text: "drawn" }));
  again.set({ text: "typed later" });
  assert.deepEqual(one.get(), { text: "typed later" });
  assert.equal(forms.kept(session, "two"), null, "another tool's");
  assert.equal(forms.kept({}, "one"), null, "another session's");
  assert.deepEqual(forms.storeOf({}, "one", () => ({ text: "drawn" })).get(), { text: "drawn" });
  assert.equal(createFormKeeper().kept(session, "one"), null, "another kind's");
});
