// Uses up the connections that rclone keeps and that are dead: it takes the oldest without a look, and whatever it takes a
// dead one for fails. Each question takes one; asked as often as there are connections, and never in vain, it keeps none
// that is dead. It is asked beside the mount, where programs that wait for the server would hold it up.
import type { Clock } from "../../runtime/clock.ts";
import { askSpace, type RcloneControl } from "./rclone-control.ts";

const TRIES_AT_MOST = 2_048;
const ALL_MS = 2_000;

/** `kept`: so many connections it has at most. Ends after 2 s, and when rclone does not answer. Never rejects. */
export async function dropLostConnections(
  clock: Clock,
  control: RcloneControl,
  remote: string,
  kept: number,
): Promise<void> {
  const untilMs = clock.monotonicMs() + ALL_MS;
  for (let tries = 0, servedInARow = 0; tries < TRIES_AT_MOST && servedInARow <= kept; tries++) {
    const leftMs = untilMs - clock.monotonicMs();
    const answer = leftMs <= 0 ? "unreachable" : await askSpace(control, remote, leftMs);
    if (answer === "unreachable") return;
    servedInARow = answer === "done" ? servedInARow + 1 : 0;
  }
}
