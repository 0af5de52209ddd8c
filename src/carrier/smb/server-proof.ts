// Asks a server over a route with an SMB2 NEGOTIATE: does it answer, and which server is it?
import { startHostProbe } from "../../network/probe/host-probe.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteEndpoint } from "../carrier.ts";

export type ServerProof =
  /** `guid`: the ServerGuid, in hex. It alone does not prove that two servers are one. */
  | { readonly ok: true; readonly guid: string }
  /** `refused`: certain at once, as no route or nobody listening. `silent`: anything else. */
  | { readonly ok: false; readonly reason: "refused" | "silent"; readonly text: string };

export type ProveServer = (endpoint: RouteEndpoint, timeoutMs: number) => Promise<ServerProof>;

/** `timeoutMs` covers connect and answer. Never rejects; the socket is always ended. */
export function createServerProof(clock: Clock): ProveServer {
  return async (endpoint, timeoutMs) => {
    const { verdict, detail, serverGuid } = await startHostProbe(clock, endpoint, timeoutMs).finding;
    if (serverGuid !== null) return { ok: true, guid: serverGuid };
    const what = verdict === "answers" ? "it does not say which server it is" : detail;
    const text = `${endpoint.address} port ${endpoint.port}: ${what}`;
    return { ok: false, reason: verdict === "gone" ? "refused" : "silent", text };
  };
}
