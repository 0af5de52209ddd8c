// What to say of a connection that the system's privacy may have blocked, which macOS does silently.
import { readInterfaces } from "./interfaces.ts";
import { isBlockedLike } from "./local-network-privacy-darwin.ts";

/** All parts that connect say the same. Which programs macOS exempts is not documented, so the hint is a list to try. */
export const LOCAL_NETWORK = {
  text: "there is no route to it, or macOS keeps this program from the local network",
  hint: "if other programs reach it, try in this order: allow mountaineer, node or service-keeper.sh in System Settings → Privacy & Security → Local Network; mountaineer down, then mountaineer up; mountaineer down, then mountaineer monitor in Terminal; restart this Mac",
} as const;

export const LOCAL_NETWORK_LINE = `${LOCAL_NETWORK.text}; ${LOCAL_NETWORK.hint}`;

/** Whether the system may have blocked the connection that ended with `error`, as Node reports it. */
export function mayBeBlocked(error: unknown): boolean {
  return process.platform === "darwin" && isBlockedLike(error, () => readInterfaces(0));
}
