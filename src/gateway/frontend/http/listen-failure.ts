// Why the gateway cannot listen at its address, and which key to change.
import { errorText, MountaineerError, systemErrorCode } from "../../../runtime/errors.ts";
import { findPortHolder } from "./port-holder.ts";

interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** The home of the daemon that runs as process `pid`; null: another program. */
  readonly homeOf?: (pid: number) => Promise<string | null>;
}

const OTHER_ADDRESS = "set another [server].port or [server].host";
const NO_NAME = [
  "host",
  "the name is not known",
  "set [server].host to 127.0.0.1, or to a name that resolves",
] as const;
const NO_ADDRESS = "set [server].host to an address of this machine";

/** By errno: the key to change, the reason, and the hint. */
const LISTEN_FAILURES: Readonly<Record<string, readonly [string, string, string]>> = {
  EACCES: ["port", "the system does not allow it", "set a [server].port of 1024 or more"],
  EADDRNOTAVAIL: ["host", "no interface has that address", NO_ADDRESS],
  ENOTFOUND: NO_NAME,
  EAI_AGAIN: NO_NAME,
};

/** The error `listen_failed`. It names the process that listens there already, if it is known. */
export async function listenFailed(
  error: unknown,
  { host, port, homeOf }: ListenAddress,
): Promise<MountaineerError> {
  const address = `${inBrackets(host)}:${port}`;
  const failed = (key: string, why: string, hint: string): MountaineerError =>
    new MountaineerError("listen_failed", `[server].${key}: cannot listen at ${address}: ${why}`, {
      hint,
      cause: error,
      retry: "later",
    });
  const code = systemErrorCode(error);
  if (code === "EADDRINUSE") {
    const holder = await findPortHolder(port);
    const home = holder === null ? null : ((await homeOf?.(holder.pid)) ?? null);
    return holder === null
      ? failed("port", "it is taken", "stop what listens there, or set another [server].port")
      : failed(
          "port",
          `it is taken by ${home === null ? holder.command : `another Mountaineer, of ${home}`} (pid ${holder.pid})`,
          `stop process ${holder.pid}, or set another [server].port`,
        );
  }
  return failed(...(LISTEN_FAILURES[code ?? ""] ?? ["port", errorText(error), OTHER_ADDRESS]));
}

/** Only an IPv6 address has a colon. */
export function inBrackets(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
