// Asks a server what it permits to this machine, over a connection of its own: each subject is tried with words that nobody
// takes up, and what the server refuses, it says.
import { headers, type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import { unlessAborted } from "../runtime/abort.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { settledWithin } from "../runtime/time/clock.ts";
import { LinkFailure } from "./link-failure.ts";
import { type ConnectionOptions, closeConnection, connectToServer, failureOf } from "./nats-session.ts";
import { type MachineUse, NOBODY, neededBy, type Permission, tooMuchFor } from "./permissions.ts";

const ANSWER_MS = 3_000;
/** No JSON, no frame, no key, and longer than a sign of life: whoever hears it lets it go by. */
const WORDS = `a probe of permissions, which changes nothing ${".".repeat(40)}`;
export interface Probed {
  /** What it needs, and may not. */
  readonly lacks: readonly Permission[];
  /** What it may, and should not. */
  readonly exceeds: readonly Permission[];
}

/** Rejects with a `LinkFailure`, and as the signal says. */
export async function probePermissions(
  options: ConnectionOptions & { readonly use: MachineUse },
  signal: AbortSignal,
): Promise<Probed> {
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
  const note = (error: unknown): void => {
    if (!(error instanceof PermissionViolationError)) return;
    const may: Permission["may"] = error.operation === "publish" ? "publish" : "subscribe";
    refused.add(`${may} ${error.subject}`);
  };
  const listening = (async () => {
    for await (const status of connection.status()) if (status.type === "error") note(status.error);
  })();
  listening.catch(() => {});
  const head = headers();
  // JetStream stores nothing that is meant for another stream, and there is none of that name.
  head.set("Nats-Expected-Stream", NOBODY);
  for (const { may, subject } of permissions) {
    if (may === "publish") connection.publish(subject, WORDS, { headers: head });
    else connection.subscribe(subject, { callback: (error) => note(error) });
  }
  // The server takes what comes in its order: what it refuses of that, it has said before it answers.
  if (await settledWithin(clock, ANSWER_MS, connection.flush())) {
    // What the library has read is told in the next turn.
    await clock.sleep(0);
    return refused;
  }
  throw new LinkFailure("looking at the permissions: no answer in time");
}
