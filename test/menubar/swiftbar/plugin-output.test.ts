import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAction } from "../../../src/menubar/menu/action.ts";
import { menuOf } from "../../../src/menubar/menu/model.ts";
import { pluginFrame } from "../../../src/menubar/swiftbar/plugin-output.ts";
import { sampleReport, sampleShare } from "../../api/sample-report.ts";
import { fc } from "../../support/properties.ts";
import { everyItem, sampleWorld } from "../worlds.ts";
import { clickOf, everyLine, readStream } from "./plugin-format.ts";

const SWIFTBAR = { command: ["/Users/ada/Plugins/mountaineer.1d.sh"], isSwiftBar: true };

test("a frame reads back as the menu: levels, labels, marks and clicks", () => {
  const menu = menuOf(sampleWorld());
  const { header, body } = readStream(pluginFrame(menu, SWIFTBAR));
  assert.equal(header.length, 1);
  assert.equal(header[0]?.params.get("sfimage"), "externaldrive.connected.to.line.below");
  assert.equal(header[0]?.params.get("tooltip"), "All is well");
  const lines = everyLine(body);
  const items = everyItem(menu.items);
  assert.equal(lines.length, items.length);
  items.forEach((item, index) => {
    const line = lines[index];
    assert.ok(line);
    assert.equal(line.isSeparator, item.kind === "separator");
    if (item.kind === "separator") return;
    assert.equal(line.title, item.label);
    assert.equal(line.children.length, item.kind === "submenu" ? item.items.length : 0);
    if (item.kind === "toggle") assert.equal(line.params.get("checked"), String(item.checked));
    const click = clickOf(line);
    if ((item.kind === "action" || item.kind === "toggle") && item.enabled) {
      assert.equal(click?.[0], SWIFTBAR.command[0]);
      assert.equal(click?.[1], "--act");
      assert.deepEqual(parseAction(click?.[2] ?? ""), item.action);
      assert.equal(line.params.get("terminal"), "false");
    } else assert.equal(click, null, "what cannot be clicked has no action, and is grey");
  });
});

test("each state has a symbol of its own, and a sign where there are no symbols", () => {
  const worlds = [
    sampleWorld(),
    sampleWorld(sampleReport([sampleShare({ tb_recovery_pending: true })])),
    sampleWorld(sampleReport([sampleShare({ last_error: "no" })])),
    sampleWorld(sampleReport([sampleShare({ mount_alive: false })])),
  ];
  const symbols = worlds.map((world) =>
    readStream(pluginFrame(menuOf(world), SWIFTBAR)).header[0]?.params.get("sfimage"),
  );
  assert.equal(new Set(symbols).size, 4);
  const xbar = { ...SWIFTBAR, isSwiftBar: false };
  const signs = worlds.map((world) => readStream(pluginFrame(menuOf(world), xbar)).header[0]?.title);
  assert.deepEqual(signs, ["▲", "⚡", "△", "✕"]);
  assert.doesNotMatch(
    pluginFrame(menuOf(worlds[0] ?? sampleWorld()), xbar),
    /quit/,
    "xbar has no such thing",
  );
  assert.doesNotMatch(pluginFrame(menuOf(worlds[3] ?? sampleWorld()), xbar), /color=#\w+,/);
});

test("whatever shares and errors are called, no line becomes another one, and no click another click", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 30 }),
    fc.constantFrom(
      "x | bash=/bin/rm param1=-rf",
      "---",
      "a\n---\nb | bash=/bin/sh",
      "~~~",
      "a~~~b",
      "--nested",
      ":skull:",
      "'\"'",
      'x" bash="/bin/sh',
      "\u001b[31m",
    ),
  );
  fc.assert(
    fc.property(hostile, hostile, (name, error) => {
      const share = sampleShare({ name: name || "x", last_error: error, tb_recovery_pending: true });
      const menu = menuOf(sampleWorld(sampleReport([share])));
      const { header, body } = readStream(pluginFrame(menu, SWIFTBAR));
      assert.equal(header.length, 1);
      const lines = everyLine(body);
      const items = everyItem(menu.items);
      assert.equal(lines.length, items.length);
      items.forEach((item, index) => {
        const line = lines[index];
        assert.ok(line);
        const allowed = ["emojize", "symbolize", "color", "checked", "bash", "param1", "param2", "terminal"];
        for (const key of line.params.keys()) assert.ok(allowed.includes(key), key);
        const click = clickOf(line);
        const isClickable = (item.kind === "action" || item.kind === "toggle") && item.enabled;
        assert.equal(click !== null, isClickable);
        if (click !== null && "action" in item) {
          assert.equal(click.length, 3);
          assert.deepEqual(parseAction(click[2] ?? ""), item.action);
        }
      });
    }),
    { numRuns: 300 },
  );
});

test("a program's path is quoted as the format can, and refused where it cannot", () => {
  const frameFor = (file: string): readonly string[] | null => {
    const frame = pluginFrame(menuOf(sampleWorld()), { command: [file], isSwiftBar: true });
    return clickOf(everyLine(readStream(frame).body).find((line) => clickOf(line)) ?? assert.fail());
  };
  for (const path of ["/a b/c", "/it's/c", '/a "b"/c', "/a=b/c", "/plain"]) {
    assert.equal(frameFor(path)?.[0], path);
  }
  for (const path of ["/a|b", "/both'\"", "/a\nb", "/a~~~b", "/a\\b"]) {
    assert.throws(() => frameFor(path), { code: "usage" });
  }
});
