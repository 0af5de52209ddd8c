// Why a connection to an HTTP server failed, in words, and what a person can do about it.
import { LOCAL_NETWORK, mayBeBlocked } from "../../../../network/local-network-privacy.ts";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";

export interface ConnectReason {
  readonly text: string;
  /** Absent: the usual hint, to check the server and its address, applies. */
  readonly hint?: string;
  /** The address accepts no connections at the moment. */
  readonly isUnreachable?: true;
}

const UNRESOLVED: ConnectReason = {
  text: "its name cannot be resolved",
  hint: "check that this machine is online, and the host in `url`",
};
const NO_ROUTE: ConnectReason = { text: "there is no route to it", isUnreachable: true };
const UNTRUSTED: ConnectReason = {
  text: "its certificate is not signed by an authority that is trusted here",
  hint: "if you trust it, with the file of its authority's certificate: `NODE_EXTRA_CA_CERTS=/path/to/ca.pem mountaineer up`",
};

const NO_TLS: ConnectReason = {
  text: "the server there speaks no TLS, or no version that is supported here",
  hint: "check `url`: http:// may be meant",
};

/** Keys: codes of errors that end a connection attempt, including its TLS handshake. */
const REASONS: Readonly<Record<string, ConnectReason>> = {
  ECONNREFUSED: { text: "nothing listens there", isUnreachable: true },
  ENOTFOUND: UNRESOLVED,
  EAI_AGAIN: UNRESOLVED,
  EHOSTUNREACH: NO_ROUTE,
  ENETUNREACH: NO_ROUTE,
  ETIMEDOUT: { text: "it does not answer", isUnreachable: true },
  ERR_IP_BLOCKED: {
    text: "a server elsewhere may not lead to this machine",
    hint: "if both are yours, give them one host name, with two ports or paths",
  },
  ECONNRESET: { text: "it ended the connection at once" },
  EPROTO: NO_TLS,
  ERR_SSL: NO_TLS,
  HPE: { text: "it answers, but not with HTTP" },
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  CERT_HAS_EXPIRED: {
    text: "its certificate has expired",
    hint: "have it renewed, and check this machine's clock",
  },
  CERT_NOT_YET_VALID: { text: "its certificate is not valid yet", hint: "check this machine's clock" },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    text: "its certificate is for another name",
    hint: "check the host in `url`",
  },
};

export function connectReason(error: unknown, isBlocked = mayBeBlocked): ConnectReason {
  if (isBlocked(error)) return { ...LOCAL_NETWORK, isUnreachable: true };
  const key = systemErrorCode(error)?.replace(/^(ERR_SSL|HPE)_.*/, "$1") ?? "";
  return REASONS[key] ?? { text: errorText(error) };
}
