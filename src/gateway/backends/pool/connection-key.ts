// Owns what tells two connections apart: the values that references stand for, and one key over all of them.

import type { BackendConfig } from "../../../config/snapshot.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { type Environment, resolveSecretRecord } from "./secret-values.ts";

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
  /** Variables that are not set, each once. */
  | { readonly ok: false; readonly missing: readonly string[] };

/** Puts the values of the secrets in; tells all that are missing at once. */
export function resolveConnection(
  connection: BackendConfig["connection"],
  environment: Environment,
): ConnectionOutcome {
  const record = resolveSecretRecord(
    connection.type === "stdio" ? connection.env : connection.headers,
    environment,
  );
  if (!record.ok) return record;
  const { values, secrets } = record;
  const resolved: ResolvedConnection =
    connection.type === "stdio" ? { ...connection, env: values } : { ...connection, headers: values };
  return { ok: true, connection: resolved, key: connectionKey(resolved), secrets };
}

/** The order of variables and of headers means nothing; that of arguments does. */
function connectionKey(connection: ResolvedConnection): string {
  const parts =
    connection.type === "stdio"
      ? [connection.type, connection.command, connection.args, sorted(connection.env), connection.cwd]
      : [connection.type, connection.url, sorted(connection.headers)];
  return sha256Of(JSON.stringify(parts));
}

function sorted(values: Readonly<Record<string, string>>): readonly (readonly [string, string])[] {
  return Object.entries(values).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
