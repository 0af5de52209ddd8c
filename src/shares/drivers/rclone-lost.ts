// Uses up the connections that rclone keeps and that are dead: it takes the oldest without a look, and whatever it takes a
// dead one for fails. Each question takes one; asked as often as there are connections, and never in vain, it keeps none
// that is dead. It is asked beside the mount, where programs that wait for the server would hold it up.
import type { Clock } from "../../runtime/clock.ts";
import { askSpace, type RcloneControl } from "./rclone-control.ts";

/** As many connections stand ready then: rclone 1.70 and newer take a dead one back that a reader has given up. */
const AT_ONCE = 6;
const ROUNDS_AT_MOST = 512;
const ALL_MS = 2_000;

/** `kept`: so many connections it has at most. Ends after 2 s, and when rclone does not answer. Never rejects. */
export async function dropLostConnections(
  clock: Clock,
  control: RcloneControl,
  remote: string,
  kept: number,
): Promise<void> {
  const untilMs = clock.monotonicMs() + ALL_MS;
  for (let rounds = 0, served = 0; rounds < ROUNDS_AT_MOST && served <= kept; rounds++) {
    const leftMs = untilMs - clock.monotonicMs();
    if (leftMs <= 0) return;
    const asked = Array.from({ length: AT_ONCE }, () => askSpace(control, remote, leftMs));
    const answers = await Promise.all(asked);
    if (answers.includes("unreachable")) return;
    served = answers.includes("failed") ? 0 : served + AT_ONCE;
  }
}
