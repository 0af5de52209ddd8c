// Uses up the connections that rclone keeps and that are dead: it takes the oldest without a look, and whatever it takes a
// dead one for fails. A question that reaches the server has come after all of them. It is asked beside the mount, where
// programs that wait for the server would hold it up.
import type { Clock } from "../../runtime/clock.ts";
import { askSpace, type RcloneControl } from "./rclone-control.ts";

/** rclone keeps as many as were in use at once. */
const TRIES_AT_MOST = 512;
const ALL_MS = 2_000;

/** Ends when none is left, when rclone does not answer, or after 2 s. Never rejects. */
export async function dropLostConnections(
  clock: Clock,
  control: RcloneControl,
  remote: string,
): Promise<void> {
  const untilMs = clock.monotonicMs() + ALL_MS;
  for (let tries = 0; tries < TRIES_AT_MOST; tries++) {
    const leftMs = untilMs - clock.monotonicMs();
    if (leftMs <= 0 || (await askSpace(control, remote, leftMs)) !== "failed") return;
  }
}
