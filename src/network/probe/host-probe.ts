// One probe of one address: TCP connect and SMB2 NEGOTIATE within one deadline.
import { randomFillSync } from "node:crypto";
import { Socket, type TcpSocketConnectOpts } from "node:net";
import { systemErrorCode } from "../../runtime/errors.ts";
import { resetSocket } from "../../runtime/reset-socket.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { LOCAL_NETWORK_LINE, mayBeBlocked } from "../local-network-privacy.ts";
import type { ProbeReason, ProbeResult } from "./probe-result.ts";
import {
  buildNegotiateRequest,
  buildSmb1Negotiate,
  CLIENT_GUID_BYTES,
  createNegotiateReader,
} from "./smb-negotiate.ts";

export interface ProbeEndpoint {
  /** An IP address; a link-local IPv6 one with its zone. */
  readonly address: string;
  readonly port: number;
  readonly localAddress: string | null;
}

export interface EndpointFinding
  extends Pick<ProbeResult, "verdict" | "reason" | "tcpAnswered" | "serverGuid"> {
  /** What happened, without the address: "connection refused". */
  readonly detail: string;
}

export interface RunningProbe extends Disposable {
  /**
   * What the probe finds; never rejects. Disposing the probe closes its socket at once, and resolves a
   * pending finding as silent.
   */
  readonly finding: Promise<EndpointFinding>;
}

type Meaning = Pick<EndpointFinding, "verdict" | "reason" | "detail">;

const NO_ROUTE: Meaning = { verdict: "gone", reason: "no_route", detail: "no route to it" };
const LOCAL_WANT: Meaning = {
  verdict: "silent",
  reason: "local_error",
  detail: "this machine had no socket or port left to ask with",
};

/**
 * The meaning of errors before the connection is established: `gone` only if that is certain, `silent` if the error says
 * nothing about the host.
 */
const CONNECT_ERRORS: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: { verdict: "gone", reason: "refused", detail: "connection refused" },
  ENETUNREACH: NO_ROUTE,
  EHOSTUNREACH: NO_ROUTE,
  EHOSTDOWN: NO_ROUTE,
  EADDRNOTAVAIL: NO_ROUTE,
  EAFNOSUPPORT: NO_ROUTE,
  // The address is link-local and lacks its interface.
  EINVAL: NO_ROUTE,
  ENETDOWN: { verdict: "gone", reason: "link_down", detail: "the link is down" },
  ENODEV: { verdict: "gone", reason: "link_down", detail: "the interface is gone" },
  ETIMEDOUT: { verdict: "silent", reason: "connect_timeout", detail: "no answer to the connection" },
  ECONNRESET: { verdict: "silent", reason: "closed", detail: "the connection was closed" },
  ECONNABORTED: { verdict: "silent", reason: "closed", detail: "the connection was closed" },
  EPIPE: { verdict: "silent", reason: "closed", detail: "the connection was closed" },
  EACCES: { verdict: "silent", reason: "denied", detail: "this machine does not allow the connection" },
  EPERM: { verdict: "silent", reason: "denied", detail: "this machine does not allow the connection" },
  EMFILE: LOCAL_WANT,
  ENFILE: LOCAL_WANT,
  ENOBUFS: LOCAL_WANT,
  ENOMEM: LOCAL_WANT,
  EADDRINUSE: LOCAL_WANT,
};

/** The bind failed because the interface has lost its address since the snapshot. */
const LOST_LOCAL_ADDRESS: Meaning = {
  verdict: "gone",
  reason: "link_down",
  detail: "the interface lost its address",
};

/** `connected`: the error came after TCP was established. Exported for its test. */
export function meaningOfError(
  error: unknown,
  connected: boolean,
  isBlocked = mayBeBlocked,
): EndpointFinding {
  const code = systemErrorCode(error) ?? "";
  if (connected) {
    // The verdict is never `gone`, because the host was there a moment ago.
    const detail = code === "ETIMEDOUT" ? "the connection went silent" : "it closed the connection unasked";
    return { verdict: "silent", reason: "closed", tcpAnswered: true, detail, serverGuid: null };
  }
  const atBind = error instanceof Error && "syscall" in error && error.syscall === "bind";
  const meaning =
    atBind && code === "EADDRNOTAVAIL"
      ? LOST_LOCAL_ADDRESS
      : (CONNECT_ERRORS[code] ?? {
          verdict: "silent",
          reason: "local_error",
          detail: `the connection failed with ${code === "" ? String(error) : code}`,
        });
  const blocked = isBlocked(error) ? { detail: LOCAL_NETWORK_LINE } : {};
  return { ...meaning, ...blocked, tcpAnswered: false, serverGuid: null };
}

const DISPOSED: EndpointFinding = {
  verdict: "silent",
  reason: "connect_timeout",
  tcpAnswered: false,
  detail: "the probe was ended early",
  serverGuid: null,
};

export function connectOptions({ address, port, localAddress }: ProbeEndpoint): TcpSocketConnectOpts {
  return { host: address, port, ...(localAddress === null ? {} : { localAddress }) };
}

/** Large enough for a whole answer in one read, because unread bytes would make the close a reset. */
const READ_BUFFER_BYTES = 2048;

/**
 * `timeoutMs` covers connect and NEGOTIATE together. `isSmb1`: asks in SMB 1, to find out why a server closed the
 * connection at NEGOTIATE of SMB 2.
 */
export function startHostProbe(
  clock: Clock,
  endpoint: ProbeEndpoint,
  timeoutMs: number,
  isSmb1 = false,
): RunningProbe {
  const { promise, resolve } = Promise.withResolvers<EndpointFinding>();
  let connected = false;
  let ended = false;
  let smb1: RunningProbe | null = null;

  const end = (finding: EndpointFinding): void => {
    if (ended) return;
    if (connected && !isSmb1 && smb1 === null && finding.reason === "closed") {
      socket.removeAllListeners("close");
      smb1 = startHostProbe(clock, endpoint, timeoutMs, true);
      void smb1.finding.then((second) => end(second.reason === "smb1_only" ? second : finding));
      return;
    }
    ended = true;
    smb1?.[Symbol.dispose]();
    deadline[Symbol.dispose]();
    // A reset leaves no TIME_WAIT. With thousands of them, each bind would scan milliseconds for a free port.
    resetSocket(socket);
    resolve(finding);
  };
  const endSilent = (reason: ProbeReason, detail: string): void =>
    end({ verdict: "silent", reason, tcpAnswered: connected, detail, serverGuid: null });

  const late = (): void => {
    if (connected)
      endSilent("smb_timeout", `it took the connection but did not speak SMB within ${timeoutMs} ms`);
    else endSilent("connect_timeout", `no answer to the connection within ${timeoutMs} ms`);
  };
  // `setImmediate` lets reads come first. Timers run before reads, and after a stall of this process an answer may be
  // waiting to be read.
  const deadline = clock.setTimer(timeoutMs, () => void setImmediate(late));

  const reader = createNegotiateReader();
  const socket = new Socket({
    onread: {
      buffer: Buffer.allocUnsafe(READ_BUFFER_BYTES),
      callback(length, buffer) {
        const answer = reader.push(buffer.subarray(0, length));
        if (answer.kind === "negotiated") {
          const { serverGuid } = answer;
          end({
            verdict: "answers",
            reason: "negotiated",
            tcpAnswered: true,
            detail: "answered",
            serverGuid,
          });
        } else if (answer.kind === "not_smb") {
          endSilent(answer.reason, `it does not speak SMB 2: ${answer.detail}`);
        }
        return true;
      },
    },
  });
  socket.on("connect", () => {
    connected = true;
    const clientGuid = randomFillSync(new Uint8Array(CLIENT_GUID_BYTES));
    socket.write(isSmb1 ? buildSmb1Negotiate() : buildNegotiateRequest(clientGuid));
  });
  socket.on("error", (error) => end(meaningOfError(error, connected)));
  socket.on("close", () => endSilent("closed", "it closed the connection unasked"));
  try {
    socket.connect(connectOptions(endpoint));
  } catch (error) {
    end(meaningOfError(error, false));
  }
  return { finding: promise, [Symbol.dispose]: () => end(DISPOSED) };
}
