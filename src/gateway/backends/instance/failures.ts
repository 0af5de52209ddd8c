// Error texts of an instance: on one line, bounded, and with the backend's name.
import { safeLine } from "../../../runtime/text/safe-line.ts";
import { BACKEND_UNAVAILABLE, errorReply, type RpcError } from "../../json-rpc.ts";
import { type TransportFailure, transportFailure } from "../transports/backend-transport.ts";

const LONGEST_TEXT = 300;

export function oneLine(text: string): string {
  return safeLine(text, LONGEST_TEXT);
}

export function unavailable(backend: string, failure: TransportFailure): { readonly error: RpcError } {
  return errorReply(BACKEND_UNAVAILABLE, `server ${backend}: ${oneLine(failure.message)}`);
}

/** Formats a duration such as `0.5 s`. */
export function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

export function noAnswer(method: string, timeoutMs: number): TransportFailure {
  return transportFailure("unreachable", `no answer to ${method} within ${seconds(timeoutMs)}`);
}

const SILENT =
  "The server has written nothing. `npx` and `uvx` wait like this if they cannot reach their registry: servers do not inherit HTTPS_PROXY, NODE_EXTRA_CA_CERTS or SSL_CERT_FILE from the shell. Set what it has: `mountaineer config set backend_defaults.env.NODE_EXTRA_CA_CERTS /path/to/ca.pem`.";

export function notInitialized(backend: string, timeoutMs: number, isSilent: boolean): TransportFailure {
  const { kind, message } = noAnswer("initialize", timeoutMs);
  if (isSilent) return { kind, message, hint: SILENT };
  const hint = `If it needs longer to start, raise \`timeouts.init\` of server ${backend} (${seconds(timeoutMs)} now).`;
  return { kind, message, hint };
}

export function errorAnswer(method: string, error: RpcError): TransportFailure {
  return transportFailure(
    "protocol",
    `${method} was answered with error ${error.code}: ${oneLine(error.message)}`,
  );
}

/** Ignores digits, because they may be a counter or a time. */
export function isSameFailure(one: string, other: string): boolean {
  const withoutDigits = (text: string): string => text.replace(/\d+/g, "0");
  return one === other || withoutDigits(one) === withoutDigits(other);
}
