// Moves of a carried share: cuts of every kind that make it take the other route, and moves by hand.
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import type { Route } from "../rig/root-rig-network.ts";
import { monotonicMs } from "./programs/work-log.ts";
import { pick } from "./random.ts";
import type { Scene } from "./scene.ts";

export const CUT_KINDS = ["own link down", "far link down", "silence", "reject"] as const;
export type CutKind = (typeof CUT_KINDS)[number];
export type MoveKind = CutKind | "server restarts" | "no route" | "planned";

export interface Move {
  readonly kind: MoveKind;
  readonly to: Route;
  readonly fromMs: number;
  /** When status said that the share is in use again. */
  readonly toMs: number;
  /** For so long no route could answer, ms. */
  readonly withoutRouteMs: number;
}

/** A move is late beyond it: the slowest kind takes seconds, the rest is for a busy machine. */
const MOVES_MS = 30_000;
/** What a person or a cable leaves between two cuts at least, so that the daemon has proved the route that came back. */
const SETTLES_MS = 2_500;

export function otherOf(route: Route): Route {
  return route === "tb" ? "fallback" : "tb";
}

export function isServedOver(share: ShareStatus, route: Route | null): boolean {
  return (
    share.moves?.phase === "serving" &&
    share.mount_alive &&
    share.last_error === null &&
    (route === null || share.active_interface === route)
  );
}

export function untilServedOver(
  scene: Scene,
  name: string,
  route: Route | null,
  deadlineMs = MOVES_MS,
): Promise<ShareStatus> {
  return scene.home.untilShare(name, (share) => isServedOver(share, route), deadlineMs);
}

/** Cuts the route in use; the share takes the other; the cut ends. */
export async function cutOnce(scene: Scene, name: string, kind: CutKind): Promise<Move> {
  const { active_interface: route } = await untilServedOver(scene, name, null);
  assert.ok(route !== "none");
  const to = otherOf(route);
  const fromMs = monotonicMs();
  const restore = await cut(scene, kind, route);
  await untilServedOver(scene, name, to);
  const toMs = monotonicMs();
  await pause(300);
  await restore();
  await untilBothAnswer(scene, name);
  return { kind, to, fromMs, toMs, withoutRouteMs: 0 };
}

/** The server is away on both routes, its connections reset, and comes back. */
export async function restartServer(scene: Scene, name: string, awayMs: number): Promise<Move> {
  const { active_interface: route } = await untilServedOver(scene, name, null);
  assert.ok(route !== "none");
  const fromMs = monotonicMs();
  await Promise.all([scene.rig.killServerOn("tb"), scene.rig.killServerOn("fallback")]);
  await pause(awayMs);
  await Promise.all([scene.rig.startServerOn("tb"), scene.rig.startServerOn("fallback")]);
  const withoutRouteMs = monotonicMs() - fromMs;
  await untilServedOver(scene, name, null);
  const toMs = monotonicMs();
  const { active_interface: after } = await untilBothAnswer(scene, name);
  return { kind: "server restarts", to: after === "none" ? route : after, fromMs, toMs, withoutRouteMs };
}

/** Both routes are cut, each in a way of its own; one of them comes back before the other. */
export async function loseBothRoutes(
  scene: Scene,
  name: string,
  random: () => number,
  awayMs: number,
): Promise<Move> {
  const { active_interface: route } = await untilServedOver(scene, name, null);
  assert.ok(route !== "none");
  const back = pick(random, [route, otherOf(route)]);
  const kinds = { tb: pick(random, CUT_KINDS), fallback: pick(random, CUT_KINDS) };
  const fromMs = monotonicMs();
  const [tb, fallback] = await Promise.all([
    cut(scene, kinds.tb, "tb"),
    cut(scene, kinds.fallback, "fallback"),
  ]);
  const restores = { tb, fallback };
  await pause(awayMs);
  await restores[back]();
  const withoutRouteMs = monotonicMs() - fromMs;
  await untilServedOver(scene, name, back);
  const toMs = monotonicMs();
  await restores[otherOf(back)]();
  await untilBothAnswer(scene, name);
  return { kind: "no route", to: back, fromMs, toMs, withoutRouteMs };
}

/** `mountaineer switch` to the other route. */
export async function switchOnce(scene: Scene, name: string): Promise<Move> {
  const { active_interface: route } = await untilServedOver(scene, name, null);
  assert.ok(route !== "none");
  const to = otherOf(route);
  const fromMs = monotonicMs();
  const end = await scene.home.cli(["switch", "--share", name, "--to", to]);
  assert.equal(end.code, 0, `switch --to ${to}: ${end.stdout}${end.stderr}`);
  await untilServedOver(scene, name, to);
  return { kind: "planned", to, fromMs, toMs: monotonicMs(), withoutRouteMs: 0 };
}

export function cut(scene: Scene, kind: CutKind, route: Route): Promise<() => Promise<void>> {
  const { cut: cuts } = scene.rig;
  if (kind === "own link down") return cuts.ownLinkDown(route);
  if (kind === "far link down") return cuts.farLinkDown(route);
  return kind === "silence" ? cuts.silence(route) : cuts.reject(route);
}

export async function untilBothAnswer(scene: Scene, name: string): Promise<ShareStatus> {
  const answer = (): Promise<ShareStatus> =>
    scene.home.untilShare(
      name,
      (share) => share.tb_reachable && share.fb_reachable && isServedOver(share, null),
      MOVES_MS,
    );
  await answer();
  await pause(SETTLES_MS);
  return answer();
}
