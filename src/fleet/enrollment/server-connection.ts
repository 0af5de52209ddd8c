// Connections to the fleet's server for single requests, and the retrieval of its authority by a fingerprint.
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectSecurely, type DetailedPeerCertificate } from "node:tls";
import type { NatsConnection } from "@nats-io/transport-node";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import { fingerprintOf, userSeed } from "../keys/nkey.ts";
import { connectToServer } from "../nats/connection.ts";
import { SignInRefused } from "../nats/fleet-connection-error.ts";
import { certificatePem } from "./certificate.ts";
import { splitAddress } from "./join-code.ts";

const CONNECT_TIMEOUT_MS = 8_000;
const REFUSED_AGAIN_MS = 300;
const LONGEST_GREETING = 64 * 1024;

export interface ServerConnectionOptions {
  readonly address: string;
  /** PEM. */
  readonly authority: string;
  /** The 32 bytes of the user's seed. */
  readonly seed: Uint8Array;
  readonly inbox: string;
}

export type ServerConnection = NonNullable<Awaited<ReturnType<typeof openOnce>>>;

/** Resolves with null if the server does not know the user. Rejects with `fleet_unreachable`. */
export async function openServerConnection(
  options: ServerConnectionOptions,
  signal: AbortSignal,
): Promise<ServerConnection | null> {
  const connection = await openOnce(options, signal);
  if (connection !== null) return connection;
  // A server that reloads its configuration refuses users who are signing in.
  await systemClock.sleep(REFUSED_AGAIN_MS, signal);
  return openOnce(options, signal);
}

async function openOnce(options: ServerConnectionOptions, signal: AbortSignal) {
  const { address, authority, seed, inbox } = options;
  const credentials = { kind: "nkey", seed: userSeed(seed) } as const;
  const target = {
    server: `tls://${address}`,
    name: "fleet",
    inbox,
    credentials,
    authority,
    clock: systemClock,
  };
  let connection: NatsConnection;
  try {
    connection = await connectToServer(target, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SignInRefused) return null;
    throw unreachable(address, error);
  }
  return {
    /**
     * Sends a request and resolves with the answer; null: the subject has no subscriber. Rejects with
     * `timed_out`.
     */
    async request(subject: string, question: string, withinMs: number): Promise<string | null> {
      try {
        return (
          await unlessAborted(connection.request(subject, question, { timeout: withinMs }), signal)
        ).string();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof Error && /no responders/i.test(error.message)) return null;
        const message = `the other machine does not answer: ${errorText(error)}`;
        throw new MountaineerError("timed_out", message, { cause: error, retry: "later" });
      }
    },
    /**
     * Answers each request on this subject with the text that `answer` resolves with. Resolves when the
     * server has the subscription.
     */
    async serve(subject: string, answer: (question: string) => Promise<string>): Promise<void> {
      connection.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null) return;
          answer(message.string()).then(
            (text) => void message.respond(text),
            () => {},
          );
        },
      });
      await unlessAborted(connection.flush(), signal);
    },
    /** Resolves when all messages have reached the server. */
    flush: (): Promise<void> => unlessAborted(connection.flush(), signal),
    async [Symbol.asyncDispose]() {
      await connection.close();
    },
  };
}

/**
 * Resolves with the authority of the server at `address`, as PEM, if the authority has this fingerprint. Only a TLS
 * handshake is sent. Rejects with `fleet_unreachable`, and with `join_refused` for another server.
 */
export async function fetchAuthority(
  address: string,
  fingerprint: Uint8Array,
  signal: AbortSignal,
): Promise<string> {
  const { host, port } = splitAddress(address);
  const socket = connectPlain({ host, port, signal });
  // Limit for the whole exchange. A socket timeout would not end an exchange with a server that sends one
  // letter a second.
  const late = setTimeout(() => socket.destroy(new Error("it gives no answer")), CONNECT_TIMEOUT_MS);
  try {
    await greeting(socket);
    const found = await presented(socket, fingerprint);
    if (found !== null) return certificatePem(found);
  } catch (error) {
    signal.throwIfAborted();
    throw unreachable(address, error);
  } finally {
    clearTimeout(late);
    socket.destroy();
  }
  const message = `another server answers at ${address}: its certificate is not the one that the code names`;
  throw new MountaineerError("join_refused", message, {
    hint: "nothing was sent to it. Is the code of this fleet, and is the network between the machines trusted?",
  });
}

/** Waits for the line that a NATS server sends before TLS begins. */
function greeting(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = "";
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("it hung up")));
    const onData = (piece: Buffer): void => {
      received += piece.toString("latin1");
      if (!received.startsWith("INFO ".slice(0, received.length)) || received.length > LONGEST_GREETING) {
        reject(new Error("the program that answers there is not a NATS server"));
      } else if (received.includes("\n")) {
        socket.off("data", onData);
        socket.pause();
        resolve();
      }
    };
    socket.on("data", onData);
  });
}

/** Returns the certificate with this fingerprint from those that the server shows; null if none has it. */
function presented(socket: Socket, fingerprint: Uint8Array): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    // Node's own check of the certificate is off, because the loop below checks the fingerprint. Nothing is sent that
    // a wrong server could use.
    const secure = connectSecurely({ socket, rejectUnauthorized: false }, () => {
      const visited = new Set<DetailedPeerCertificate>();
      let shown: DetailedPeerCertificate | undefined = secure.getPeerCertificate(true);
      while (shown?.raw !== undefined && !visited.has(shown)) {
        visited.add(shown);
        if (fingerprintOf(shown.raw).equals(fingerprint)) {
          resolve(shown.raw);
          return;
        }
        shown = shown.issuerCertificate;
      }
      resolve(null);
    });
    secure.once("error", reject);
    secure.once("close", () => reject(new Error("it hung up")));
  });
}

function unreachable(address: string, error: unknown): MountaineerError {
  const message = `the fleet's server at ${address} cannot be reached: ${errorText(error)}`;
  return new MountaineerError("fleet_unreachable", message, {
    cause: error,
    hint: "check that the machine runs and that no firewall blocks the connection",
    retry: "later",
  });
}
