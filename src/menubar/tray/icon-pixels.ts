// The icons, drawn here so that no icon theme is needed. The states differ in shape, not only in colour.
import type { MenuState } from "../menu/menu.ts";

/** The sizes that panels show, in pixels, also on screens of double density. */
export const ICON_SIZES: readonly number[] = [16, 22, 24, 32, 48];

/** Samples per pixel in each direction, so that slopes look smooth. */
const SAMPLES = 4;

type Color = readonly [red: number, green: number, blue: number];

// Medium brightness, so that light and dark panels show them.
const ROCK: Color = [96, 142, 190];
const FAR_ROCK: Color = [132, 168, 204];
const SNOW: Color = [246, 249, 252];
const BADGES: Readonly<Record<Exclude<MenuState, "healthy">, Color>> = {
  tb_ready: [250, 184, 32],
  degraded: [240, 130, 24],
  down: [214, 48, 49],
};
const MARK: Color = [255, 255, 255];
const GREY: Color = [138, 146, 156];
const FAR_GREY: Color = [168, 174, 182];

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

/** The colour at the point (`u`, `v`) of the icon; null: transparent. Both run from 0 to 1, `v` downwards. */
function colorAt(state: MenuState, u: number, v: number): Color | null {
  if (state !== "healthy") {
    const badge = badgeAt(state, u, v);
    if (badge !== "outside") return badge;
  }
  const isGrey = state === "down";
  // The near peak with its snow, then the far peak behind it.
  if (inPeak(u, v, { top: [0.4, 0.12], left: 0.02, right: 0.78 })) {
    return v < 0.36 + 0.05 * zigzag(u) ? SNOW : isGrey ? GREY : ROCK;
  }
  if (inPeak(u, v, { top: [0.7, 0.36], left: 0.42, right: 0.98 })) return isGrey ? FAR_GREY : FAR_ROCK;
  return null;
}

const FOOT = 0.88;

function inPeak(
  u: number,
  v: number,
  {
    top,
    left,
    right,
  }: { readonly top: readonly [number, number]; readonly left: number; readonly right: number },
): boolean {
  const [topU, topV] = top;
  if (v < topV || v > FOOT) return false;
  const down = (v - topV) / (FOOT - topV);
  return u >= topU + (left - topU) * down && u <= topU + (right - topU) * down;
}

function zigzag(u: number): number {
  return 1 - Math.abs(((u * 12) % 2) - 1) * 2;
}

const BADGE = { u: 0.71, v: 0.71, radius: 0.28, gap: 0.05 };

/**
 * The colour of the badge at a point: a disc in the corner with a sign in it. null: the gap around the disc.
 * "outside": the point is beyond the gap.
 */
function badgeAt(state: Exclude<MenuState, "healthy">, u: number, v: number): Color | null | "outside" {
  const x = (u - BADGE.u) / BADGE.radius;
  const y = (v - BADGE.v) / BADGE.radius;
  const distance = Math.hypot(x, y);
  if (distance > 1 + BADGE.gap / BADGE.radius) return "outside";
  if (distance > 1) return null;
  return isMarked(state, x, y) ? MARK : BADGES[state];
}

/** Whether a point is in the bolt, exclamation mark or cross; coordinates from -1 to 1. */
function isMarked(state: Exclude<MenuState, "healthy">, x: number, y: number): boolean {
  switch (state) {
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
