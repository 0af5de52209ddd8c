// The health of everything together.
import { backendWords } from "../../api/words/backend-words.ts";
import { shareWords } from "../../api/words/share-words.ts";
import { type Tone, troublesOf } from "../../api/words/words.ts";
import type { MenuState } from "./menu.ts";
import type { MenuWorld } from "./world.ts";

export function stateOfWorld({ connection, status, sync }: MenuWorld): MenuState {
  if (status === null || connection.kind === "absent") return "down";
  const { global, shares, gateway, backends = [] } = status;
  const served = backends.filter(({ enabled }) => enabled);
  const states = [
    ...shares.map((share) => stateOf(shareWords(share).tone, share.tb_recovery_pending)),
    ...served.map((each) =>
      stateOf(backendWords(each).tone, (each.routes?.recovery_pending ?? null) !== null),
    ),
  ];
  if (states.length > 0 && states.every((state) => state === "down")) return "down";
  if (states.includes("tb_ready")) return "tb_ready";
  const isWrong =
    connection.kind === "silent" ||
    states.some((state) => state !== "healthy") ||
    troublesOf(global.conditions).length > 0 ||
    (gateway !== undefined && troublesOf(gateway.conditions).length > 0) ||
    (sync !== null && (sync.last_error !== null || sync.watching === "stopped"));
  return isWrong ? "degraded" : "healthy";
}

/** `isReady`: a better route is back, and waits. */
function stateOf(tone: Tone, isReady: boolean): MenuState {
  if (tone === "bad") return "down";
  if (isReady) return "tb_ready";
  return tone === "warning" ? "degraded" : "healthy";
}
