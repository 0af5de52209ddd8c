// The possible results of probing a host.
import type { RouteDevice } from "../link-kind.ts";

/**
 * `answers`: SMB2 NEGOTIATE was answered. `gone`: the host certainly does not answer (no route, link down, or
 * connection refused). `silent`: not certain, because of a time-out, a peer that does not speak SMB, or a name
 * without an address.
 */
export type ProbeVerdict = "answers" | "gone" | "silent";

export type ProbeReason =
  | "negotiated"
  | "link_down"
  | "no_route"
  | "refused"
  | "connect_timeout"
  | "smb_timeout"
  | "closed"
  | "not_smb"
  | "smb1_only"
  | "unresolved"
  | "denied"
  /** This machine had no descriptor or port to probe with, which says nothing about the host. */
  | "local_error";

export interface ProbeResult {
  readonly verdict: ProbeVerdict;
  readonly reason: ProbeReason;
  /** True when TCP connected, whatever came after. */
  readonly tcpAnswered: boolean;
  /** The address that was probed; null if the name has none. */
  readonly address: string | null;
  /**
   * The interface by which the probe left: the one whose subnet contains the host, or the configured one. null: the
   * system's routes decided.
   */
  readonly interfaceName: string | null;
  /** The ServerGuid of the NEGOTIATE answer, 32 hex digits; null unless the server answers with one. */
  readonly serverGuid: string | null;
  /** True: macOS keeps this program from the host, and another program was asked in its place. */
  readonly blocked?: true;
  /** One line for people: "10.0.0.2:445: connection refused". */
  readonly text: string;
  /** `text` without the address and hints, where it has them: "connection refused". */
  readonly detail?: string;
  readonly tookMs: number;
  /** The link that leads to the host; absent: not known. */
  readonly link?: RouteDevice;
}

export interface ProbeTarget {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The configured interface; null picks the one whose subnet holds the host. */
  readonly interfaceName: string | null;
}

export interface ProbeRequest {
  /** Monotonic ms; a result is shared only if its probe was sent at this time or later. */
  readonly notBeforeMs: number;
  /** Limit for the connect and the NEGOTIATE together. */
  readonly timeoutMs: number;
}

/** Probes hosts for SMB; equal requests at one time share one probe. Never rejects. */
export interface HostProber {
  probe(target: ProbeTarget, request: ProbeRequest): Promise<ProbeResult>;
  /** Call on a network change: interfaces are read and names resolved again. */
  networkChanged(): void;
}
