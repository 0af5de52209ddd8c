// Parses `WWW-Authenticate`, the header in which a server says why it refuses a request. Pure.

export type BearerChallenge = ReturnType<typeof ofParameters>;

const LONGEST_HEADER = 16 * 1024;
const LONGEST_VALUE = 2_048;
const MOST_SCOPES = 64;
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;
const SCHEME = /^[\s,]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?=[\s,]|$)/;
const PARAMETER =
  /^[\s,]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+\-./:^_`|~0-9A-Za-z]+))/;
const TOKEN68 = /^\s+[A-Za-z0-9\-._~+/]+=*(?=\s*(?:,|$))/;

export function bearerChallenge(header: string | null): BearerChallenge | null {
  let rest = (header ?? "").slice(0, LONGEST_HEADER);
  for (;;) {
    const scheme = SCHEME.exec(rest);
    if (scheme === null) return null;
    rest = rest.slice(scheme[0].length);
    const token = TOKEN68.exec(rest);
    if (token !== null) rest = rest.slice(token[0].length);
    const parameters = new Map<string, string>();
    for (let found = PARAMETER.exec(rest); found !== null; found = PARAMETER.exec(rest)) {
      rest = rest.slice(found[0].length);
      const value = found[2]?.replace(/\\(.)/g, "$1") ?? found[3] ?? "";
      parameters.set((found[1] ?? "").toLowerCase(), value.slice(0, LONGEST_VALUE));
    }
    if (scheme[1]?.toLowerCase() === "bearer") return ofParameters(parameters);
  }
}

function ofParameters(parameters: ReadonlyMap<string, string>) {
  const scope = parameters.get("scope");
  return {
    /** Unchecked address of the server's metadata (RFC 9728). */
    resourceMetadata: parameters.get("resource_metadata") ?? null,
    scopes: scope === undefined ? null : scopeList(scope),
    /** The error code, such as `invalid_token` or `insufficient_scope`. */
    error: parameters.get("error") ?? null,
  };
}

/** Leaves out invalid scopes and repetitions. */
export function scopeList(text: string): readonly string[] {
  const scopes = text.split(" ").filter((scope) => SCOPE.test(scope));
  return [...new Set(scopes)].slice(0, MOST_SCOPES);
}
