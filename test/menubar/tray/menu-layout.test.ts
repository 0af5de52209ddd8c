import assert from "node:assert/strict";
import { test } from "node:test";
import type { MenuItem } from "../../../src/menubar/menu/menu.ts";
import { menuOf } from "../../../src/menubar/menu/model.ts";
import { separator, submenu, text } from "../../../src/menubar/menu/words.ts";
import { createLayoutBuilder, layoutChange } from "../../../src/menubar/tray/menu-layout.ts";
import { sampleReport, sampleShare } from "../../api/sample-report.ts";
import { sampleWorld } from "../worlds.ts";

test("an item keeps its id while it means the same, and no id is ever given to another", () => {
  const builder = createLayoutBuilder();
  const idsOf = (items: readonly MenuItem[]) => builder.build(items).root.children.map(({ id }) => id);
  const [a, b] = idsOf([text("a", "A"), text("b", "B")]);
  assert.deepEqual(idsOf([text("b", "B!"), text("c", "C")]), [b, 3]);
  const [again] = idsOf([text("a", "A")]);
  assert.notEqual(again, a, "what came back may mean something else by now");
  assert.equal(again, 4);
});

test("a key that comes twice makes two items all the same", () => {
  const { root, nodes } = createLayoutBuilder().build([text("a", "1"), text("a", "2"), text("a", "3")]);
  assert.equal(new Set(root.children.map(({ id }) => id)).size, 3);
  assert.equal(nodes.size, 4);
});

test("ids of menus that come and go are forgotten", () => {
  const builder = createLayoutBuilder();
  for (let turn = 0; turn < 10_000; turn += 1) builder.build([text(`t${turn}`, "T")]);
  assert.equal(builder.build([]).nodes.size, 1);
});

test("what differs is told as properties where the shape is the same, as a layout where it is not", () => {
  const builder = createLayoutBuilder();
  const before = builder.build([text("a", "A"), submenu("s", "S", [text("b", "B", "bad")]), separator("|")]);
  const same = builder.build([text("a", "A"), submenu("s", "S", [text("b", "B", "bad")]), separator("|")]);
  assert.deepEqual(layoutChange(before, same), { kind: "none" });
  const other = builder.build([text("a", "A_1"), submenu("s", "S", [text("b", "B")]), separator("|")]);
  const change = layoutChange(before, other);
  assert.equal(change.kind, "properties");
  if (change.kind !== "properties") return;
  const [a, s] = before.root.children;
  assert.deepEqual(
    change.updated.map(([id, properties]) => [id, [...properties]]),
    [[a?.id, [["label", { signature: "s", value: "A__1" }]]]],
  );
  assert.deepEqual(change.removed, [[s?.children[0]?.id, ["disposition"]]]);
  assert.deepEqual(layoutChange(before, builder.build([text("a", "A")])), { kind: "layout" });
});

test("a share that comes or goes changes the shape, one that only fares otherwise does not", () => {
  const builder = createLayoutBuilder();
  const layoutOf = (...shares: Parameters<typeof sampleReport>) =>
    builder.build(menuOf(sampleWorld(sampleReport(...shares))).items);
  const one = layoutOf([sampleShare()]);
  assert.equal(layoutChange(one, layoutOf([sampleShare({ tb_reachable: false })])).kind, "properties");
  assert.equal(layoutChange(one, layoutOf([sampleShare(), sampleShare({ name: "B" })])).kind, "layout");
});
