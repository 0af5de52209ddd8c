// Measures how soon the icon answers a click: idle, and under the worst that it must stand.
import { setTimeout as pause } from "node:timers/promises";
import { type IconScene, openMenu, startIconScene } from "../test/menubar/icon-scene.ts";
import { busMissing } from "../test/menubar/session-bus.ts";
import { goal, median, quantile, round, say } from "./figures.ts";

export const title = "menubar: a click on the icon until the whole menu is there";

export function missing(): string | null {
  return busMissing === false ? null : busMissing;
}

const EVENTS_A_SECOND = 10_000;
const BETWEEN_CLICKS_MS = 10;

export async function bench({ short }: { short: boolean }): Promise<void> {
  const seconds = short ? 2 : 8;
  const ends: (() => unknown)[] = [];
  try {
    const scene = await startIconScene({ after: (end) => void ends.push(end) });
    // The compiler's and the caches' first turns are nobody's second click.
    await clicks(scene, 1, 0);
    const idle = await clicks(scene, seconds, 0);
    await scene.hang();
    const loaded = await clicks(scene, seconds, EVENTS_A_SECOND);
    tell("idle", idle);
    tell("a share and the API hang, 10,000 events/s", loaded);
    say(
      `  ratio to idle: median ${round(median(loaded) / median(idle))} ×, p99 ${round(quantile(loaded, 0.99) / quantile(idle, 0.99))} ×`,
    );
    goal("the menu answers within 100 ms, whatever hangs", Math.max(...loaded) <= 100);
  } finally {
    for (const end of ends) await end();
  }
}

/** How long each click took, ms; so many events are sent meanwhile. */
async function clicks(scene: IconScene, seconds: number, eventsASecond: number): Promise<number[]> {
  const took: number[] = [];
  const startedAt = performance.now();
  let sent = 0;
  for (let passed = 0; passed < seconds * 1000; passed = performance.now() - startedAt) {
    const due = Math.floor((eventsASecond * passed) / 1000);
    scene.publish(due - sent);
    sent = due;
    const askedAt = performance.now();
    await openMenu(scene.panel);
    took.push(performance.now() - askedAt);
    await pause(BETWEEN_CLICKS_MS);
  }
  return took;
}

function tell(name: string, took: readonly number[]): void {
  const [middle, late, worst] = [median(took), quantile(took, 0.99), Math.max(...took)];
  say(
    `  ${name}: median ${round(middle)} ms, p99 ${round(late)} ms, worst ${round(worst)} ms (${took.length} clicks)`,
  );
}
