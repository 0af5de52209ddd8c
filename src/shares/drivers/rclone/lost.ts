// Uses up the connections that rclone keeps and that are dead: it takes the oldest without a look, and whatever it takes a
// dead one for fails. Each question takes one: after the first that reaches the server, none of those that were dead before
// is left. It is asked beside the mount, where programs that wait for the server would hold it up.
import type { Clock } from "../../../runtime/time/clock.ts";
import { isOlder, KEEPS_DEAD_SINCE } from "./available.ts";
import { askSpace, askVersion, type RcloneControl } from "./control.ts";

/** A reader that has given one up finds one of these before that. */
const STAND_READY = 6;
const QUESTIONS_AT_MOST = 2_048;
const ALL_MS = 2_000;

/** `kept`: so many connections it has at most. Ends after 2 s, and when rclone does not answer. Never rejects. */
export async function dropLostConnections(
  clock: Clock,
  control: RcloneControl,
  remote: string,
  kept: number,
): Promise<void> {
  const untilMs = clock.monotonicMs() + ALL_MS;
  const leftMs = (): number => Math.max(1, untilMs - clock.monotonicMs());
  const version = await askVersion(control, ALL_MS);
  const keepsDead = version !== null && !isOlder(version, KEEPS_DEAD_SINCE);
  const wanted = keepsDead ? kept + 1 : 1;
  for (let asked = 0, served = 0; served < wanted; asked++) {
    const isLate = asked >= QUESTIONS_AT_MOST || clock.monotonicMs() >= untilMs;
    const answer = isLate ? "unreachable" : await askSpace(control, remote, leftMs());
    if (answer === "unreachable") return;
    served = answer === "done" ? served + 1 : 0;
  }
  if (!keepsDead) return;
  await Promise.all(Array.from({ length: STAND_READY }, () => askSpace(control, remote, leftMs())));
}
