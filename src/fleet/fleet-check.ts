// The doctor's questions about a fleet: what its server permits, and what expires.
import { X509Certificate } from "node:crypto";
import { headers, type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import type { FleetCheckReport } from "../api/contract/fleet.ts";
import type { FleetConfig } from "../config/snapshot.ts";
import { unlessAborted } from "../runtime/abort.ts";
import { MountaineerError, valueOr } from "../runtime/errors.ts";
import { readIfPresent } from "../runtime/files/durable-file.ts";
import { type Clock, isoTime, settlesWithin } from "../runtime/time/clock.ts";
import {
  atFirstServer,
  type ConnectionOptions,
  closeConnection,
  connectToServer,
  failureOf,
} from "./nats/connection.ts";
import { FleetConnectionError } from "./nats/fleet-connection-error.ts";
import { readSignIn, type SignInOptions } from "./nats/sign-in.ts";
import { type MachineUse, NOBODY, neededBy, type Permission, tooMuchFor } from "./permissions.ts";

interface CheckOptions extends Omit<SignInOptions, "config"> {
  readonly config: FleetConfig;
}

/** Rejects with `fleet_unreachable`, and with the signal's reason. */
export async function checkFleet(options: CheckOptions, signal: AbortSignal): Promise<FleetCheckReport> {
  const { config } = options;
  const use: MachineUse = {
    name: config.name,
    calls: [config.export, config.import].some((list) => (list ?? []).length > 0),
  };
  const { lacks, exceeds } = await probed(options, use, signal);
  return {
    lacks: [...lacks],
    exceeds: [...exceeds],
    authority_until: await validUntil(config.tlsCa),
  };
}

async function probed(options: CheckOptions, use: MachineUse, signal: AbortSignal) {
  const { clock, config } = options;
  const { name, servers } = config;
  try {
    return await atFirstServer(servers, async (server) =>
      probePermissions({ server, name, clock, use, ...(await readSignIn(options, signal)) }, signal),
    );
  } catch (error) {
    if (!(error instanceof FleetConnectionError)) throw error;
    throw new MountaineerError("fleet_unreachable", error.message, { retry: "later" });
  }
}

/** The earliest expiry of the certificates in a file; null: there is no readable one. */
async function validUntil(path: string | null): Promise<string | null> {
  const text = path === null ? null : await readIfPresent(path).catch(() => null);
  const ends = (text ?? "").match(CERTIFICATES)?.flatMap((pem) => {
    return valueOr(() => [new X509Certificate(pem).validToDate.getTime()], []);
  });
  return ends === undefined || ends.length === 0 ? null : isoTime(Math.min(...ends));
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]{1,20000}-----END CERTIFICATE-----/g;

// Tests the server's permissions over a separate connection: publishes a harmless message to each subject, and
// subscribes to each. The server reports every refusal.

const ANSWER_MS = 3_000;
/**
 * The text of the harmless messages. Every receiver ignores it: it is neither JSON nor a frame nor a key, and
 * too long for a beat.
 */
const PROBE_TEXT = `a probe of permissions, which changes nothing ${".".repeat(40)}`;

/**
 * Resolves with the permissions that the machine needs and lacks, and with the dangerous permissions that it
 * has. Rejects with a `FleetConnectionError`, and with the signal's reason.
 */
export async function probePermissions(
  options: ConnectionOptions & { readonly use: MachineUse },
  signal: AbortSignal,
) {
  const { use, clock } = options;
  const connection = await connectToServer(options, signal);
  try {
    const [needed, tooMuch] = [neededBy(use), tooMuchFor(use)];
    const refused = await unlessAborted(refusals(connection, clock, [...needed, ...tooMuch]), signal);
    const isRefused = ({ may, subject }: Permission): boolean => refused.has(`${may} ${subject}`);
    return { lacks: needed.filter(isRefused), exceeds: tooMuch.filter((one) => !isRefused(one)) };
  } catch (error) {
    signal.throwIfAborted();
    throw failureOf(error, "looking at the permissions");
  } finally {
    await closeConnection(connection, clock);
  }
}

async function refusals(
  connection: NatsConnection,
  clock: Clock,
  permissions: readonly Permission[],
): Promise<ReadonlySet<string>> {
  const refused = new Set<string>();
  const record = (error: unknown): void => {
    if (!(error instanceof PermissionViolationError)) return;
    const may: Permission["may"] = error.operation === "publish" ? "publish" : "subscribe";
    refused.add(`${may} ${error.subject}`);
  };
  const listening = (async () => {
    for await (const status of connection.status()) if (status.type === "error") record(status.error);
  })();
  listening.catch(() => {});
  const head = headers();
  // No stream has this name, so JetStream rejects the message and stores nothing.
  head.set("Nats-Expected-Stream", NOBODY);
  for (const { may, subject } of permissions) {
    if (may === "publish") connection.publish(subject, PROBE_TEXT, { headers: head });
    else connection.subscribe(subject, { callback: (error) => record(error) });
  }
  // The server processes messages in order, so it has sent every refusal before it answers the flush.
  if (await settlesWithin(clock, ANSWER_MS, connection.flush())) {
    // The library has read the refusals by now, but reports them in the next turn of the event loop.
    await clock.sleep(0);
    return refused;
  }
  throw new FleetConnectionError("checking the permissions: no answer in time");
}
