// Proves which server is behind an endpoint, with an SMB2 NEGOTIATE.
import { type ProbedConnection, startHostProbe } from "../../network/probe/host-probe.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { RouteEndpoint } from "../relay.ts";

export type NegotiateResult =
  /**
   * `guid`: the ServerGuid, in hex. An equal GUID does not prove that two servers are one. `connection`: the probe's
   * connection, which is closed unless it is kept.
   */
  | { readonly ok: true; readonly guid: string; readonly connection?: ProbedConnection }
  /** `refused`: there certainly is no route, or nothing listens. `silent`: any other failure. */
  | { readonly ok: false; readonly reason: "refused" | "silent"; readonly text: string };

/**
 * Never rejects. `timeoutMs` covers connect and answer. With `onGone`, the connection stays open, and `onGone` is called
 * when the server ends it or is replaced; without, the connection is closed.
 */
export type NegotiateServer = (
  endpoint: RouteEndpoint,
  timeoutMs: number,
  onGone?: () => void,
) => Promise<NegotiateResult>;

export function createNegotiateProof(clock: Clock): NegotiateServer {
  return async (endpoint, timeoutMs, onGone) => {
    const probe = startHostProbe(clock, endpoint, timeoutMs, onGone);
    const { verdict, detail, serverGuid } = await probe.finding;
    if (serverGuid !== null) return { ok: true, guid: serverGuid, connection: probe };
    probe[Symbol.dispose]();
    const what = verdict === "answers" ? "it does not say which server it is" : detail;
    const text = `${endpoint.address} port ${endpoint.port}: ${what}`;
    return { ok: false, reason: verdict === "gone" ? "refused" : "silent", text };
  };
}
