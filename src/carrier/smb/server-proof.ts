// Asks a server over a route with an SMB2 NEGOTIATE: does it answer, and which server is it?
import { type KeptConnection, startHostProbe } from "../../network/probe/host-probe.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteEndpoint } from "../carrier.ts";

export type ServerProof =
  /**
   * `guid`: the ServerGuid, in hex. It alone does not prove that two servers are one. `connection`: the probe's
   * connection, if it is kept.
   */
  | { readonly ok: true; readonly guid: string; readonly connection?: KeptConnection }
  /** `refused`: certain at once, because there is no route or nobody listens. `silent`: anything else. */
  | { readonly ok: false; readonly reason: "refused" | "silent"; readonly text: string };

/**
 * `timeoutMs` covers connect and answer. Never rejects. With `onGone` the connection is kept, and `onGone` is called
 * when its server ends or is replaced; without it, the connection is always ended.
 */
export type ProveServer = (
  endpoint: RouteEndpoint,
  timeoutMs: number,
  onGone?: () => void,
) => Promise<ServerProof>;

export function createServerProof(clock: Clock): ProveServer {
  return async (endpoint, timeoutMs, onGone) => {
    const probe = startHostProbe(clock, endpoint, timeoutMs, onGone);
    const { verdict, detail, serverGuid } = await probe.finding;
    if (serverGuid !== null)
      return onGone === undefined
        ? { ok: true, guid: serverGuid }
        : { ok: true, guid: serverGuid, connection: probe };
    probe[Symbol.dispose]();
    const what = verdict === "answers" ? "it does not say which server it is" : detail;
    const text = `${endpoint.address} port ${endpoint.port}: ${what}`;
    return { ok: false, reason: verdict === "gone" ? "refused" : "silent", text };
  };
}
