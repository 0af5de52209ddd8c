// The doctor's questions about a fleet: what its server permits, which operator key is current, and what expires.
import { X509Certificate } from "node:crypto";
import { headers, type NatsConnection, PermissionViolationError } from "@nats-io/transport-node";
import type { FleetCheckReport } from "../../api/fleet-contract.ts";
import type { FleetConfig } from "../../config/snapshot.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { readIfPresent } from "../../runtime/files/durable-file.ts";
import { type Clock, isoTime, settledWithin } from "../../runtime/time/clock.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { certificatesIn } from "../layer/authority.ts";
import { handoversTo } from "../layer/handovers.ts";
import { readTrust } from "../layer/operator-trust.ts";
import {
  atFirstServer,
  type ConnectionOptions,
  closeConnection,
  connectToServer,
  failureOf,
} from "../nats/connection.ts";
import { LinkFailure } from "../nats/link-failure.ts";
import { readSignIn, type SignInOptions } from "../nats/sign-in.ts";
import {
  askSubject,
  BUCKET,
  beatSubject,
  callSubject,
  inboxOf,
  keySubject,
  LAYER_NEWS,
  LAYER_STREAM,
  LAYER_SUBJECT,
  offerSubject,
  rollCallSubject,
  STREAM,
} from "../nats/subjects.ts";
import { certificatePaths, readFleet } from "./fleet-folder.ts";
import { nextName, readMembership } from "./membership.ts";
import { OPERATOR_SECRET } from "./operator-key.ts";

interface CheckOptions extends Omit<SignInOptions, "config"> {
  readonly home: string;
  readonly config: FleetConfig;
}

/** Rejects with `fleet_unreachable`, and as the signal says. */
export async function checkFleet(options: CheckOptions, signal: AbortSignal): Promise<FleetCheckReport> {
  const { home, clock, config } = options;
  const membership = await readMembership(home);
  // Only names are listed, so no keyring is opened.
  const secrets = await openSecretStore({ home, clock, environment: {}, keyring: null }).list();
  const isKept = (secret: string | null): boolean =>
    secret !== null && secrets.some(({ name }) => name === secret);
  const operatorSecret = membership === null ? OPERATOR_SECRET : membership.operatorSecret;
  const { credentials } = config;
  const ownSecret = credentials.kind === "stored" ? credentials.name : null;
  const pending = [ownSecret, operatorSecret].filter((name) => name !== null && isKept(nextName(name)));
  const use: MachineUse = {
    name: config.name,
    calls: [config.export, config.import].some((list) => (list ?? []).length > 0),
    sessions: (config.sessions ?? []).length > 0,
    signs: isKept(operatorSecret),
    asksForKeys: membership !== null,
  };
  const { lacks, exceeds } = await probed(options, use, signal);
  return {
    lacks: [...lacks],
    exceeds: [...exceeds],
    operator: config.operator === null ? null : await operatorOf(home, config.operator),
    pending: pending.map((name) => (name === ownSecret ? "machine" : "operator")),
    authority_until: await validUntil(config.tlsCa),
    server_until: await serverUntil(home),
  };
}

async function probed(options: CheckOptions, use: MachineUse, signal: AbortSignal): Promise<Probed> {
  const { clock, config } = options;
  const { name, servers } = config;
  try {
    return await atFirstServer(servers, async (server) =>
      probePermissions({ server, name, clock, use, ...(await readSignIn(options, signal)) }, signal),
    );
  } catch (error) {
    if (!(error instanceof LinkFailure)) throw error;
    throw new MountaineerError("fleet_unreachable", error.message, { retry: "later" });
  }
}

async function operatorOf(home: string, line: string): Promise<FleetCheckReport["operator"]> {
  const { operator, handovers } = await readTrust(home, line);
  const last = operator === line ? null : (handoversTo(operator, handovers).at(-1) ?? null);
  return { line, current: operator, number: last?.number ?? null, since: last?.time ?? null };
}

async function serverUntil(home: string): Promise<string | null> {
  const record = await readFleet(home);
  return record === null ? null : validUntil(certificatePaths(home, record.certificates).authority);
}

/** The latest expiry of the certificates in a file; null: there is no readable one. */
async function validUntil(path: string | null): Promise<string | null> {
  const text = path === null ? null : await readIfPresent(path).catch(() => null);
  const ends = certificatesIn(text ?? "").flatMap((pem) => {
    try {
      return [new X509Certificate(pem).validToDate.getTime()];
    } catch {
      return [];
    }
  });
  return ends.length === 0 ? null : isoTime(Math.max(...ends));
}

// Tests the server's permissions over a separate connection: a harmless message to each subject, and a subscription to
// each. The server reports every refusal.

const ANSWER_MS = 3_000;
/** Not JSON, no frame, no key, and longer than a beat, so every receiver ignores it. */
const WORDS = `a probe of permissions, which changes nothing ${".".repeat(40)}`;

interface Probed {
  /** Needed, and refused. */
  readonly lacks: readonly Permission[];
  /** Permitted, and dangerous. */
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
  // JetStream rejects a message that expects another stream, and no stream has this name.
  head.set("Nats-Expected-Stream", NOBODY);
  for (const { may, subject } of permissions) {
    if (may === "publish") connection.publish(subject, WORDS, { headers: head });
    else connection.subscribe(subject, { callback: (error) => note(error) });
  }
  // The server works in order: it has sent every refusal before it answers the flush.
  if (await settledWithin(clock, ANSWER_MS, connection.flush())) {
    // The library reports refusals that it has read in the next turn of the event loop.
    await clock.sleep(0);
    return refused;
  }
  throw new LinkFailure("looking at the permissions: no answer in time");
}

// The permissions that a machine needs, and those that it must not have, as docs/fleet.md lists them.

interface Permission {
  readonly may: "publish" | "subscribe";
  /** Where a machine uses many subjects of a kind, one of them. */
  readonly subject: string;
  /** What the machine does with the permission, or, for a dangerous one, could do. */
  readonly purpose: string;
}

interface MachineUse {
  readonly name: string;
  /** The machine exports or imports backends. */
  readonly calls: boolean;
  /** The machine shares its clients' sessions. */
  readonly sessions: boolean;
  /** The machine signs the common configuration. */
  readonly signs: boolean;
  /** The machine joined by a code, so it replaces its key by a request. */
  readonly asksForKeys: boolean;
}

/** A name that no machine has. */
export const NOBODY = "mountaineer-permission-probe";

/** In the order of the table in docs/fleet.md. */
export function neededBy({ name, calls, sessions, signs, asksForKeys }: MachineUse): readonly Permission[] {
  const publish = (purpose: string, ...subjects: readonly string[]): Permission[] =>
    subjects.map((subject) => ({ may: "publish", subject, purpose }));
  const subscribe = (purpose: string, ...subjects: readonly string[]): Permission[] =>
    subjects.map((subject) => ({ may: "subscribe", subject, purpose }));
  const lending = "export and import";
  const streams = calls ? (sessions ? `${lending}, and sessions` : lending) : "sessions";
  const reading = "reading what others tell";
  const config = "reading the fleet's configuration";
  const writing = "writing the fleet's configuration";
  return [
    ...publish("telling what it is", `$KV.${BUCKET}.${name}`),
    ...publish("showing that it is there", beatSubject(name)),
    ...publish("asking who is there", rollCallSubject(name)),
    ...(calls ? publish(lending, offerSubject(name), askSubject(name)) : []),
    ...(calls || sessions ? publish(streams, callSubject(name, NOBODY)) : []),
    ...(asksForKeys ? publish("exchanging its key", keySubject(name)) : []),
    ...publish("finding the bucket", "$JS.API.INFO", `$JS.API.STREAM.INFO.${STREAM}`),
    ...publish(
      reading,
      `$JS.API.CONSUMER.CREATE.${STREAM}.${NOBODY}`,
      `$JS.API.CONSUMER.INFO.${STREAM}.${NOBODY}`,
      `$JS.API.CONSUMER.DELETE.${STREAM}.${NOBODY}`,
      `$JS.FC.${STREAM}.${NOBODY}`,
    ),
    ...publish(config, `$JS.API.STREAM.MSG.GET.${LAYER_STREAM}`),
    ...(signs ? publish(writing, `$JS.API.STREAM.INFO.${LAYER_STREAM}`, LAYER_SUBJECT, LAYER_NEWS) : []),
    ...subscribe("answers", `${inboxOf(name)}.>`),
    ...subscribe("who is there", beatSubject("*")),
    ...subscribe("who asks for that", rollCallSubject("*")),
    ...(calls ? subscribe(lending, offerSubject("*"), askSubject("*")) : []),
    ...(calls || sessions ? subscribe(streams, callSubject("*", name)) : []),
    ...subscribe("news of the fleet's configuration", LAYER_NEWS),
  ];
}

/** Permissions to forge messages of other machines, or to read messages for them. */
function tooMuchFor({ name, signs }: MachineUse): readonly Permission[] {
  const lies = "write under the names of others";
  return [
    { may: "publish", subject: `$KV.${BUCKET}.${NOBODY}`, purpose: lies },
    { may: "publish", subject: beatSubject(NOBODY), purpose: lies },
    { may: "publish", subject: offerSubject(NOBODY), purpose: "offer tools in the names of others" },
    { may: "publish", subject: callSubject(NOBODY, name), purpose: "call in the names of others" },
    { may: "subscribe", subject: `${inboxOf(NOBODY)}.>`, purpose: "hear answers to others" },
    { may: "subscribe", subject: callSubject("*", NOBODY), purpose: "hear calls to others" },
    ...(signs
      ? []
      : [
          {
            may: "publish",
            subject: LAYER_SUBJECT,
            purpose: "write where the fleet's configuration stands",
          } as const,
        ]),
  ];
}
