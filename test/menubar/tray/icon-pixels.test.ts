import assert from "node:assert/strict";
import { test } from "node:test";
import type { MenuState } from "../../../src/menubar/menu/menu.ts";
import { ICON_SIZES, iconPixels } from "../../../src/menubar/tray/icon-pixels.ts";

const STATES: readonly MenuState[] = ["healthy", "tb_ready", "degraded", "down"];

/** One character for each pixel: how bright it is, or nothing. */
function shape(state: MenuState, size: number): string[] {
  const { argb } = iconPixels(state, size);
  return Array.from({ length: size }, (_, y) =>
    Array.from({ length: size }, (_unused, x) => {
      const [alpha = 0, red = 0, green = 0, blue = 0] = argb.subarray((y * size + x) * 4);
      if (alpha < 128) return " ";
      return red + green + blue > 600 ? "o" : "#";
    }).join(""),
  );
}

test("every state has an icon of its own in every size, told apart without colour", () => {
  for (const size of ICON_SIZES) {
    const shapes = STATES.map((state) => {
      const icon = iconPixels(state, size);
      assert.deepEqual([icon.width, icon.height, icon.argb.length], [size, size, size * size * 4]);
      return shape(state, size).join("\n");
    });
    assert.equal(new Set(shapes).size, STATES.length, `${size} pixels`);
  }
});

test("corners are empty, the mountain is not, and only a badge reaches its corner", () => {
  for (const state of STATES) {
    const rows = shape(state, 24);
    assert.equal(rows[0]?.[0], " ");
    assert.equal(rows[0]?.[23], " ");
    assert.notEqual(rows[18]?.[8], " ");
    assert.ok(rows[5]?.includes("o"), "snow on the top");
  }
  assert.equal(shape("healthy", 24)[22]?.trim(), "");
  assert.notEqual(shape("down", 24)[22]?.trim(), "");
});
