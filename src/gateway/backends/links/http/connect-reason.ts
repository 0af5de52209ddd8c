// Why a connection to an HTTP server failed, in words, and what a person can do about it. Pure.
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";

export interface ConnectReason {
  readonly text: string;
  /** Absent: the server, or its address, is to be looked at. */
  readonly hint?: string;
  /** The address takes no connections now. */
  readonly isAway?: true;
}

/** Of an error before the connection was there, that of TLS included. */
export function connectReason(error: unknown): ConnectReason {
  switch (systemErrorCode(error)) {
    case "ECONNREFUSED":
      return { text: "nothing listens there", isAway: true };
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return { text: "its name cannot be resolved" };
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return { text: "there is no route to it", isAway: true };
    case "ETIMEDOUT":
      return { text: "it does not answer", isAway: true };
    case "ECONNRESET":
      return { text: "it ended the connection at once" };
    case "EPROTO":
      return {
        text: "what listens there speaks no TLS, or none that is spoken here",
        hint: "check `url`: http:// may be meant",
      };
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return {
        text: "its certificate is signed by nobody who is trusted here",
        hint: "if you trust it, name the file of its authority's certificate in NODE_EXTRA_CA_CERTS, in the daemon's environment",
      };
    case "CERT_HAS_EXPIRED":
      return { text: "its certificate has expired", hint: "have it renewed, and check this machine's clock" };
    case "CERT_NOT_YET_VALID":
      return { text: "its certificate is not valid yet", hint: "check this machine's clock" };
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return { text: "its certificate is for another name", hint: "check the host in `url`" };
    default:
      return { text: errorText(error) };
  }
}
