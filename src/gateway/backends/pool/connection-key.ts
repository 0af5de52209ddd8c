// Resolves a connection: the values that its references stand for, and one key that tells connections apart.
import type {
  BackendAuthConfig,
  BackendConfig,
  HttpConnection,
  SecretText,
} from "../../../config/snapshot.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
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
    }
  | {
      readonly type: "streamable-http";
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly auth?: ResolvedAuth;
    };

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
  connection: BackendConfig["connection"],
  environment: Environment,
): ConnectionOutcome {
  if (connection.type !== "stdio") return resolveHttp(connection, environment);
  const record = resolveSecrets(connection.env, environment);
  return record.ok ? outcomeOf({ ...connection, env: record.values }, record.secrets) : record;
}

function resolveHttp({ auth, ...plain }: HttpConnection, environment: Environment): ConnectionOutcome {
  const headers = resolveSecrets(plain.headers, environment);
  const given = resolveSecrets(authTexts(auth), environment);
  if (!headers.ok || !given.ok) {
    const missing = [headers, given].flatMap((record) => (record.ok ? [] : record.missing));
    return { ok: false, missing: [...new Set(missing)] };
  }
  const connection = { ...plain, headers: headers.values };
  if (auth === undefined) return outcomeOf(connection, headers.secrets);
  const { clientSecret = null, privateKey = null } = given.values;
  const secrets = [...headers.secrets, ...given.secrets];
  return outcomeOf({ ...connection, auth: { ...auth, clientSecret, privateKey } }, secrets);
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
  return { ok: true, connection, key: connectionKey(connection), secrets };
}

/** The order of variables and of headers means nothing; that of arguments does. */
function connectionKey(connection: ResolvedConnection): string {
  const parts =
    connection.type === "stdio"
      ? [connection.type, connection.command, connection.args, sorted(connection.env), connection.cwd]
      : [
          connection.type,
          connection.url,
          sorted(connection.headers),
          ...(connection.auth === undefined ? [] : [connection.auth]),
        ];
  return sha256Of(JSON.stringify(parts));
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
