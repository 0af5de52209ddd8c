import assert from "node:assert/strict";
import { test } from "node:test";
import { actionText, type MenuAction, parseAction } from "../../../src/menubar/menu/action.ts";
import { fc } from "../../support/properties.ts";

const name = fc.string({ minLength: 1, unit: "grapheme" });
const actions: fc.Arbitrary<MenuAction> = fc.oneof(
  fc.record({ kind: fc.constant("mount" as const), share: fc.option(name) }),
  fc.record({ kind: fc.constant("unmount" as const), share: fc.option(name), force: fc.boolean() }),
  fc.record({
    kind: fc.constant("switch" as const),
    share: name,
    to: fc.constantFrom("tb" as const, "fallback" as const, "auto" as const),
    force: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("toggle" as const),
    setting: fc.constantFrom("auto_failback" as const, "lsof_recheck" as const),
    on: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("restart" as const), backend: fc.option(name) }),
  fc.record({ kind: fc.constant("alias-choose" as const), share: name }),
  fc.record({ kind: fc.constant("alias-add" as const), share: name, subpath: name }),
  fc.record({ kind: fc.constant("alias-remove" as const), alias: name }),
  fc.record({ kind: fc.constant("open" as const), path: name.map((each) => `/${each}`) }),
  fc.constantFrom(
    { kind: "alias-repair" as const },
    { kind: "approve" as const },
    { kind: "dismiss" as const },
    { kind: "reload" as const },
    { kind: "start" as const },
    { kind: "quit" as const },
  ),
);

test("whatever shares are called, an action is spelled in characters that no menu and no shell touches", () => {
  fc.assert(
    fc.property(actions, (action) => {
      const text = actionText(action);
      assert.match(text, /^[\w%./-]+$/);
      assert.doesNotMatch(text, /^-|---|~/);
      assert.deepEqual(parseAction(text), { ...action });
    }),
  );
});

for (const [text, why] of [
  ["", "nothing"],
  ["format-disk", "nothing that is known"],
  ["switch/CORE", "no target"],
  ["switch//tb", "no share"],
  ["switch/CORE/tb/FORCE", "another word than force"],
  ["switch/CORE/tb/force/more", "too much"],
  ["unmount/CORE/please", "another word than force"],
  ["toggle/check_interval_secs/on", "a setting that is no switch"],
  ["toggle/auto_failback/perhaps", "neither on nor off"],
  ["open/relative", "a path that depends on where one stands"],
  ["mount/%E0%A4", "half a character"],
  ["mount/a b", "a space"],
] as const) {
  test(`${JSON.stringify(text)} is no action: ${why}`, () => {
    assert.equal(parseAction(text), null);
  });
}
