// Resolves a connection: the values that its references stand for, and one key that tells connections apart.

import { literalValues } from "../../../config/literal-secrets.ts";
import { shownArguments, shownSecretText, shownText } from "../../../config/shown-values.ts";
import type {
  BackendAuthConfig,
  FleetConnection,
  HttpConnection,
  SandboxConfig,
  ServedBackend,
  StdioConnection,
} from "../../../config/snapshot.ts";
import type { SecretText } from "../../../config/values/secret-text.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { resolveReference, type SecretReference } from "../../../secrets/reference.ts";
import type { ResolvedAuth } from "../links/link-authorization.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A connection with the values of its secrets; never logged, never kept where it could be shown. */
export type ResolvedConnection =
  | {
      readonly type: "stdio";
      readonly command: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string;
      readonly sandbox?: SandboxConfig;
      readonly protocol?: StdioConnection["protocol"];
      readonly shown: ShownProgram;
    }
  | {
      readonly type: "streamable-http";
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly auth?: ResolvedAuth;
      readonly protocol?: HttpConnection["protocol"];
    }
  | FleetConnection;

/** A program as logs may name it: references as they are written, `(hidden)` for what may be a secret. */
type ShownProgram = ReturnType<typeof shownProgram>;

export type ConnectionOutcome =
  | {
      readonly ok: true;
      readonly connection: ResolvedConnection;
      /** Equal for connections that need no new instance; tells nothing of the secrets. */
      readonly key: string;
      /** What must appear in no log. */
      readonly secrets: readonly string[];
    }
  | MissingSecrets;

/** Variables that are not set, each once, in order. */
interface MissingSecrets {
  readonly ok: false;
  readonly missing: readonly string[];
}

interface ResolvedRecord {
  readonly ok: true;
  readonly values: Readonly<Record<string, string>>;
  /** The values that came from references: never to be shown or logged. */
  readonly secrets: readonly string[];
}

/** Puts the values of the secrets in; tells all that are missing at once. */
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
  const record = resolveSecrets(connection.env, environment);
  if (!record.ok) return record;
  const { values, secrets } = record;
  const resolved = { ...connection, env: values, shown: shownProgram(connection, secrets) };
  return outcomeOf(resolved, [...secrets, ...literalValues(connection)]);
}

function resolveServer(connection: HttpConnection, environment: Environment): ConnectionOutcome {
  const { auth, ...plain } = connection;
  const headers = resolveSecrets(plain.headers, environment);
  const given = resolveSecrets(authTexts(auth), environment);
  if (!headers.ok || !given.ok) {
    const missing = [headers, given].flatMap((record) => (record.ok ? [] : record.missing));
    return { ok: false, missing: [...new Set(missing)] };
  }
  const secrets = [...headers.secrets, ...given.secrets, ...literalValues(connection)];
  const resolved = { ...plain, headers: headers.values };
  if (auth === undefined) return outcomeOf(resolved, secrets);
  const { clientSecret = null, privateKey = null } = given.values;
  return outcomeOf({ ...resolved, auth: { ...auth, clientSecret, privateKey } }, secrets);
}

function authTexts(auth: BackendAuthConfig | undefined): Readonly<Record<string, SecretText>> {
  const { clientSecret = null, privateKey = null } = auth ?? {};
  const text = (reference: SecretReference): SecretText => [reference];
  return {
    ...(clientSecret === null ? {} : { clientSecret: text(clientSecret) }),
    ...(privateKey === null ? {} : { privateKey: text(privateKey) }),
  };
}

function outcomeOf(connection: ResolvedConnection, secrets: readonly string[]): ConnectionOutcome {
  return { ok: true, connection, key: connectionKey(connection), secrets: [...new Set(secrets)] };
}

/** An argument may happen to be what a reference stands for. */
function shownProgram({ command, args, env }: StdioConnection, secrets: readonly string[]) {
  const redaction = createRedaction();
  for (const secret of secrets) redaction.redact(secret);
  const texts = Object.entries(env).map(([name, text]) => `${name}=${shownSecretText(name, text, "log")}`);
  return {
    command: redaction.clean(shownText(command, "log")),
    args: shownArguments(command, args, "log").map(redaction.clean),
    /** `NAME=VALUE`. */
    env: texts.map(redaction.clean),
  };
}

/** The order of variables and of headers means nothing; that of arguments does. */
function connectionKey(connection: ResolvedConnection): string {
  if (connection.type === "fleet") {
    const { type, machine, backend, instance } = connection;
    return sha256Of(JSON.stringify([type, machine, backend, instance]));
  }
  const parts =
    connection.type === "stdio"
      ? [
          connection.type,
          connection.command,
          connection.args,
          sorted(connection.env),
          connection.cwd,
          connection.sandbox,
        ]
      : [
          connection.type,
          connection.url,
          sorted(connection.headers),
          ...(connection.auth === undefined ? [] : [connection.auth]),
        ];
  return sha256Of(
    JSON.stringify(connection.protocol === undefined ? parts : [...parts, connection.protocol]),
  );
}

function sorted(values: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  return Object.entries(values).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** Environment variables or headers, each reference replaced by its value. Only the caller may show or keep it. */
export function resolveSecrets(
  texts: Readonly<Record<string, SecretText>>,
  environment: Environment,
): ResolvedRecord | MissingSecrets {
  const missing = new Set<string>();
  const secrets = new Set<string>();
  // Without a prototype, so that a variable may be called `__proto__`.
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
        if (found.value !== "") secrets.add(found.value);
      }
    }
    values[name] = value;
  }
  return missing.size > 0
    ? { ok: false, missing: [...missing] }
    : { ok: true, values, secrets: [...secrets] };
}
