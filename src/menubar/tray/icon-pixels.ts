// The icons, drawn here so that no icon theme is needed. The states differ in shape, not only in colour.
import type { MenuState } from "../menu/menu.ts";

/** The sizes that panels show, in pixels, also on screens of double density. */
export const ICON_SIZES: readonly number[] = [16, 22, 24, 32, 48];

/** Samples per pixel in each direction, so that slopes look smooth. */
const SAMPLES = 4;

type Color = readonly [red: number, green: number, blue: number];

// Medium brightness, so that light and dark panels show them.
const MOUNTAIN: Readonly<Record<MenuState, Color>> = {
  healthy: [96, 142, 190],
  tb_ready: [214, 150, 20],
  degraded: [224, 110, 20],
  down: [214, 48, 49],
};
const SIGN: Color = [255, 255, 255];

/** `argb`: four bytes each, alpha first, as StatusNotifierItem takes them. */
export function iconPixels(state: MenuState, size: number) {
  const argb = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) argb.set(pixel(state, x, y, size), (y * size + x) * 4);
  }
  return { width: size, height: size, argb };
}

function pixel(state: MenuState, x: number, y: number, size: number): readonly number[] {
  let covered = 0;
  const sum = [0, 0, 0];
  for (let sample = 0; sample < SAMPLES * SAMPLES; sample += 1) {
    const u = (x + ((sample % SAMPLES) + 0.5) / SAMPLES) / size;
    const v = (y + (Math.floor(sample / SAMPLES) + 0.5) / SAMPLES) / size;
    const color = colorAt(state, u, v);
    if (color === null) continue;
    covered += 1;
    color.forEach((part, index) => {
      sum[index] = (sum[index] ?? 0) + part;
    });
  }
  if (covered === 0) return [0, 0, 0, 0];
  const alpha = Math.round((255 * covered) / (SAMPLES * SAMPLES));
  return [alpha, ...sum.map((part) => Math.round(part / covered))];
}

const TOP = 0.08;
const FOOT = 0.92;
/** Where the sign is: its middle from the top, and half its height. */
const SIGN_AT = { v: 0.62, radius: 0.27 };

/** The colour at the point (`u`, `v`) of the icon; null: transparent. Both run from 0 to 1, `v` downwards. */
function colorAt(state: MenuState, u: number, v: number): Color | null {
  const down = (v - TOP) / (FOOT - TOP);
  if (down < 0 || down > 1 || Math.abs(u - 0.5) > down / 2) return null;
  const isSign = isMarked(state, (u - 0.5) / SIGN_AT.radius, (v - SIGN_AT.v) / SIGN_AT.radius);
  return isSign ? SIGN : MOUNTAIN[state];
}

/** Whether a point is in the bolt, exclamation mark or cross; coordinates from -1 to 1. */
function isMarked(state: MenuState, x: number, y: number): boolean {
  switch (state) {
    case "healthy":
      return false;
    case "tb_ready": {
      const upper = y > -0.75 && y < 0.15 && Math.abs(x - 0.1 + y * 0.42) < 0.24 - y * 0.05;
      const lower = y > -0.15 && y < 0.75 && Math.abs(x + 0.1 + y * 0.42 - 0.2) < 0.24 * (0.85 - y);
      return upper || lower;
    }
    case "degraded":
      return Math.abs(x) < 0.17 && ((y > -0.68 && y < 0.22) || (y > 0.4 && y < 0.7));
    case "down":
      return Math.max(Math.abs(x), Math.abs(y)) < 0.58 && Math.min(Math.abs(x - y), Math.abs(x + y)) < 0.25;
  }
}
