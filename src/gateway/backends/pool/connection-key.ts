// Puts secrets into a connection, and computes the key that is equal for equal connections.
import { literalValues } from "../../../config/literal-secrets.ts";
import { GIVEN_TO_ALL } from "../../../config/reachable-paths.ts";
import { shownArguments, shownCommand, shownSecretText } from "../../../config/shown-values.ts";
import type {
  BackendAuthConfig,
  FleetConnection,
  HttpConnection,
  SandboxConfig,
  ServedBackend,
  StdioConnection,
} from "../../../config/snapshot.ts";
import { type SecretText, storedParts } from "../../../config/values/secret-text.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { resolveReference, type SecretReference } from "../../../secrets/reference.ts";
import type { ResolvedAuth } from "../transports/transport-authorization.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Contains secrets: must never be logged or shown. */
export type ResolvedConnection =
  | {
      readonly type: "stdio";
      readonly command: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string;
      /** Present: the program starts in its client's folder, in or below one of these. */
      readonly clientFolders?: readonly string[];
      /** Absent: the instance has no client, and starts in `cwd`. */
      readonly clientFolder?: string;
      readonly session?: true;
      readonly package?: string;
      readonly sandbox?: SandboxConfig;
      readonly protocol?: StdioConnection["protocol"];
      readonly shown: () => ShownProgram;
    }
  | {
      readonly type: "streamable-http";
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly auth?: ResolvedAuth;
      readonly protocol?: HttpConnection["protocol"];
    }
  | FleetConnection;

/** The program as logs show it: references as written, and `(hidden)` for possible secrets. */
type ShownProgram = ReturnType<typeof shownProgram>;

export type ConnectionOutcome =
  | {
      readonly ok: true;
      readonly connection: ResolvedConnection;
      /** A hash, which reveals no secret. A connection with an equal key needs no new instance. */
      readonly key: string;
      /** Must not appear in logs. */
      readonly secrets: readonly string[];
    }
  | MissingSecrets;

interface MissingSecrets {
  readonly ok: false;
  readonly missing: readonly string[];
}

interface ResolvedRecord {
  readonly ok: true;
  readonly values: Readonly<Record<string, string>>;
  /** Must not appear in logs. */
  readonly secrets: readonly string[];
}

export function resolveConnection(
  connection: ServedBackend["connection"],
  environment: Environment,
): ConnectionOutcome {
  if (connection.type === "fleet") return outcomeOf(connection, []);
  return connection.type === "stdio"
    ? resolveProgram(connection, environment)
    : resolveServer(connection, environment);
}

function resolveProgram(connection: StdioConnection, environment: Environment): ConnectionOutcome {
  const env = resolveSecrets(connection.env, environment);
  const args = resolveSecrets(Object.fromEntries(connection.args.map(storedParts).entries()), environment);
  if (!env.ok || !args.ok) return missingIn(env, args);
  const secrets = [...env.secrets, ...args.secrets];
  // It makes no difference whether the file names `cwd` or leaves it out.
  const { cwdGiven: _, cwdIsClients: _clients, stored: _stored, ...plain } = connection;
  const resolved = { ...plain, args: Object.values(args.values), env: env.values };
  const shown = (): ShownProgram => shownProgram(connection, secrets);
  return outcomeOf({ ...resolved, shown }, [...secrets, ...literalValues(connection)], resolved);
}

function resolveServer(connection: HttpConnection, environment: Environment): ConnectionOutcome {
  const { auth, stored: _, ...plain } = connection;
  const address = resolveSecrets({ url: storedParts(plain.url) }, environment);
  const headers = resolveSecrets(plain.headers, environment);
  const given = resolveSecrets(authTexts(auth), environment);
  if (!address.ok || !headers.ok || !given.ok) return missingIn(address, headers, given);
  const secrets = [address, headers, given].flatMap((record) => record.secrets);
  secrets.push(...literalValues(connection), ...address.secrets.map((one) => encodeURI(one.toWellFormed())));
  const { url = "" } = address.values;
  const resolved = { ...plain, url, headers: headers.values };
  if (auth === undefined) return outcomeOf(resolved, secrets);
  const { clientSecret = null, privateKey = null } = given.values;
  return outcomeOf({ ...resolved, auth: { ...auth, clientSecret, privateKey } }, secrets);
}

function missingIn(...records: readonly (ResolvedRecord | MissingSecrets)[]): MissingSecrets {
  const missing = records.flatMap((record) => (record.ok ? [] : record.missing));
  return { ok: false, missing: [...new Set(missing)] };
}

function authTexts(auth: BackendAuthConfig | undefined): Readonly<Record<string, SecretText>> {
  const { clientSecret = null, privateKey = null } = auth ?? {};
  const text = (reference: SecretReference): SecretText => [reference];
  return {
    ...(clientSecret === null ? {} : { clientSecret: text(clientSecret) }),
    ...(privateKey === null ? {} : { privateKey: text(privateKey) }),
  };
}

/** `keyed`: what the key is computed from. */
function outcomeOf(
  connection: ResolvedConnection,
  secrets: readonly string[],
  keyed: object = connection,
): ConnectionOutcome {
  const key = sha256Of(JSON.stringify(keyed, sortedKeys));
  return { ok: true, connection, key, secrets: [...new Set(secrets)] };
}

/** Sorts variables and headers, whose order makes no difference. */
function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** Also redacts resolved values: an argument may equal a secret. */
function shownProgram({ command, args, env }: StdioConnection, secrets: readonly string[]) {
  const redaction = createRedaction();
  for (const secret of secrets) redaction.redact(secret);
  const texts = Object.entries(env).map(([name, text]) => `${name}=${shownSecretText(name, text, "log")}`);
  return {
    command: redaction.clean(shownCommand(command, "log")),
    args: shownArguments(command, args, "log").map(redaction.clean),
    /** `NAME=VALUE`. */
    env: texts.map(redaction.clean),
  };
}

export function resolveSecrets(
  texts: Readonly<Record<string, SecretText>>,
  environment: Environment,
): ResolvedRecord | MissingSecrets {
  const missing = new Set<string>();
  const secrets = new Set<string>();
  // A variable may be called `__proto__`.
  const values: Record<string, string> = Object.create(null);
  for (const [name, text] of Object.entries(texts)) {
    let value = "";
    for (const part of text) {
      if (typeof part === "string") {
        value += part;
        continue;
      }
      const found = resolveReference(part, environment);
      if (!found.ok) missing.add(found.missing);
      else {
        value += found.value;
        const isKnown = part.kind === "environment" && GIVEN_TO_ALL.has(part.variable);
        if (found.value !== "" && !isKnown) secrets.add(found.value);
      }
    }
    values[name] = value;
  }
  return missing.size > 0
    ? { ok: false, missing: [...missing] }
    : { ok: true, values, secrets: [...secrets] };
}
