// The rules between keys of the gateway's sections. They read the file's unchecked values.
import { isLiteralSecret } from "../literal-secrets.ts";
import { isSecretName } from "../shown-values.ts";
import { isCredentialHeader } from "../values/backend-names.ts";
import { fillsReferences, foreignReference } from "../values/foreign-reference.ts";
import { isLoopback } from "../values/host.ts";
import { type Finding, type KeyPath, namesHint, pathText, quoted } from "../values/mistakes.ts";
import { isWithin } from "../values/paths.ts";
import { isLiteral, parseSecretText } from "../values/secret-text.ts";
import { accountFindings } from "./account-rules.ts";
import { backendAuthFindings } from "./backend-auth.ts";
import { backendDefaultsFindings } from "./backend-defaults-rules.ts";
import { clientFolderFindings } from "./client-folder-rules.ts";
import { incomingAuthFindings } from "./incoming-auth-rules.ts";
import {
  asTable,
  has,
  indexedTables,
  invalidValue,
  isOnShare,
  listIn,
  missingKey,
  pathOf,
  type RuleContext,
  repeatFindings,
  type Table,
  unexpectedKey,
  unmatched,
} from "./tables.ts";

const STDIO_KEYS = ["command", "args", "env", "cwd", "package", "session"] as const;
const HTTP_KEYS = ["url", "headers", "auth"] as const;

function connectionFindings(backend: Table, at: KeyPath): Finding[] {
  const { type } = backend;
  const isHttp = type === "streamable-http" || (type !== "stdio" && has(backend, "url"));
  if (!has(backend, "command") && !has(backend, "url") && type !== "stdio" && type !== "streamable-http") {
    const hint = "a server is a program that is started here, or an address";
    return [missingKey([...at, "command"], "`command` or `url`", hint)];
  }
  const findings: Finding[] = [];
  const needed = isHttp ? "url" : "command";
  const kind = isHttp ? "streamable-http" : "stdio";
  if (!has(backend, needed)) {
    const expected = isHttp ? "the address of the server" : "the program to start";
    const hint = `type \`${kind}\` needs \`${needed}\``;
    findings.push(missingKey([...at, needed], expected, hint));
  }
  for (const key of isHttp ? STDIO_KEYS : HTTP_KEYS) {
    if (!has(backend, key)) continue;
    const found = has(backend, "type")
      ? `\`${key}\` with type \`${kind}\``
      : `\`${key}\` beside \`${isHttp ? "url" : "command"}\``;
    const partner = isHttp ? "`command`, a program started here" : "`url`, an address";
    const isTheOther = key === "url" || key === "command";
    const hint = isTheOther ? "a server has either `command` or `url`" : `it goes with ${partner}`;
    findings.push(unexpectedKey([...at, key], found, hint));
  }
  return findings;
}

function headerFindings(headers: Table, at: KeyPath): Finding[] {
  const entries = Object.entries(headers);
  const repeated = repeatFindings(
    entries,
    ([name]) => name.toLowerCase(),
    ([name], [first]) => {
      const found = `the header ${quoted(first)} again (letter case does not count)`;
      return { path: [...at, name], at: "key", found, expected: "each header once", hint: null };
    },
  );
  const literal = entries.flatMap(([name, value]) => {
    const reading = typeof value === "string" && isCredentialHeader(name) ? parseSecretText(value) : null;
    if (reading?.ok !== true || !isLiteral(reading.value)) return [];
    const hint =
      "no secrets in config: `mountaineer secret set NAME` keeps it, `${secret:NAME}` stands for it here";
    const expected = "a reference, such as `Bearer ${VARIABLE}` or `Bearer ${secret:NAME}`";
    const found = foreignReference(String(value)) ?? "credentials in the file";
    return [invalidValue([...at, name], found, expected, hint)];
  });
  return [...repeated, ...literal];
}

/** References of other tools in place of secrets: the program would get them as they are written. */
function variableFindings({ command, args, env }: Table, at: KeyPath): Finding[] {
  if (fillsReferences(String(command), Array.isArray(args) ? args : [])) return [];
  return Object.entries(asTable(env) ?? {}).flatMap(([name, value]) => {
    const found = typeof value === "string" && isSecretName(name) ? foreignReference(value) : null;
    const hint = "`mountaineer secret set NAME` keeps what it stands for";
    return found === null ? [] : [invalidValue([...at, "env", name], found, "`secret:NAME`", hint)];
  });
}

function overrideFindings(overrides: Table, at: KeyPath): Finding[] {
  const named = Object.entries(overrides).map(([tool, one]) => ({ tool, name: asTable(one)?.["name"] }));
  const repeated = repeatFindings(
    named,
    ({ name }) => name,
    ({ tool, name }, first) => {
      const found = `${quoted(String(name))}, the name that ${quoted(first.tool)} gets`;
      return invalidValue([...at, tool, "name"], found, "another name");
    },
  );
  const secrets = Object.entries(overrides).flatMap(([tool, one]) =>
    secretFindings(asTable(one)?.["arguments"], [...at, tool, "arguments"]),
  );
  return [...repeated, ...secrets];
}

/** Values of set arguments are shown to everybody who may see the tool. */
function secretFindings(value: unknown, at: KeyPath): Finding[] {
  if (typeof value !== "string")
    return typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([name, part]) => secretFindings(part, [...at, name]))
      : [];
  if (!isLiteralSecret(String(at.at(-1)), value)) return [];
  const hint = "give the server its secret in `env` or `headers`";
  return [invalidValue(at, "what looks like a secret", "a value that everybody may see", hint)];
}

function backendFindings(file: Table, context: RuleContext): Finding[] {
  const backends = asTable(file["backends"]) ?? {};
  const common = asTable(file["backend_defaults"]);
  const hasSessionKey = has(asTable(file["server"]) ?? {}, "session_key");
  return Object.entries(backends).flatMap(([name, entry]) => {
    const backend = asTable(entry);
    if (backend === null) return [];
    const at: KeyPath = ["backends", name];
    const overrides = asTable(backend["tool_overrides"]);
    const hasRoutes = listIn(backend, "routes").length > 0;
    const servers = hasRoutes
      ? indexedTables(listIn(backend, "routes")).map(
          ([index, one]) => [one, [...at, "routes", index]] as const,
        )
      : [[backend, at] as const];
    return [
      ...accountFindings(backend, at, servers, hasSessionKey),
      ...servers.flatMap(([server, path]) => clientFolderFindings(server, path, backend, common)),
      ...(hasRoutes ? routesFindings(backend, at, context) : serverFindings(backend, at, context)),
      ...foldersFindings(backend, at),
      ...overrideFindings(overrides ?? {}, [...at, "tool_overrides"]),
    ];
  });
}

/** Whether the server is reached at a URL, so that this machine runs no program for it. */
function isElsewhere(server: Table | null): boolean {
  return server?.["url"] !== undefined || server?.["type"] === "streamable-http";
}

/** The folders are paths of this machine, so the server must run here. */
function foldersFindings(backend: Table, at: KeyPath): Finding[] {
  if (!has(backend, "folders")) return [];
  const servers = [backend, ...listIn(backend, "routes").map(asTable)];
  if (!servers.some(isElsewhere)) return [];
  const hint =
    "a server on another machine has its own files: limit what it may be asked with [[authorization.policies]]";
  return [unexpectedKey([...at, "folders"], "`folders` with `url`", hint)];
}

/** Errors in the connection of a backend, or of one of its routes. */
function serverFindings(table: Table, at: KeyPath, context: RuleContext): Finding[] {
  const headers = asTable(table["headers"]);
  return [
    ...connectionFindings(table, at),
    ...sandboxFindings(table, at, context),
    ...headerFindings(headers ?? {}, [...at, "headers"]),
    ...variableFindings(table, at),
    ...backendAuthFindings(table, at),
  ];
}

/** Maximum number of routes of a backend; no server needs more. */
const MOST_ROUTES = 8;

function routesFindings(backend: Table, at: KeyPath, context: RuleContext): Finding[] {
  const routes = listIn(backend, "routes");
  const findings: Finding[] = [];
  for (const key of ["type", ...STDIO_KEYS, ...HTTP_KEYS, "sandbox"]) {
    if (!has(backend, key)) continue;
    const hint = "each route has its own; make this the first one";
    findings.push(unexpectedKey([...at, key], `\`${key}\` beside \`routes\``, hint));
  }
  if (backend["replace"] === "stop-first") {
    const found = "`stop-first` with `routes`";
    const hint = "a better route is started while the current one still runs";
    findings.push(invalidValue([...at, "replace"], found, "`overlap`", hint));
  }
  if (routes.length > MOST_ROUTES) {
    findings.push(invalidValue([...at, "routes", MOST_ROUTES], "one more", `at most ${MOST_ROUTES} routes`));
  }
  const tables = indexedTables(routes.slice(0, MOST_ROUTES));
  for (const [index, route] of tables) {
    findings.push(...serverFindings(route, [...at, "routes", index], context));
  }
  const nameOf = ([index, { name }]: (typeof tables)[number]): string =>
    typeof name === "string" ? name : `${index + 1}`;
  const repeated = repeatFindings(tables, nameOf, (route, [first]) => {
    const found = `${quoted(nameOf(route))}, the name of ${pathText([...at, "routes", first])}`;
    return invalidValue([...at, "routes", route[0], "name"], found, "another name");
  });
  return [...findings, ...repeated];
}

/**
 * Errors in the path of the audit's file. The daemon writes this file itself, so it must not be on a share,
 * which may hang.
 */
function auditFindings(file: Table, context: RuleContext): Finding[] {
  const text = asTable(file["audit"])?.["path"];
  const path = pathOf(text, context);
  if (path === null) return [];
  const at = ["audit", "path"];
  if (isOnShare(path, file, context)) {
    const hint = "a share that hangs would hold up every call";
    return [invalidValue(at, "a file on a share", "a file that is not on a share", hint)];
  }
  if (/(?:^~|\/|\/\.\.?)$/.test(String(text)))
    return [invalidValue(at, "a folder", "a file", "add the name of a file")];
  if (isWithin(path, context.home) && !path.endsWith(".jsonl")) {
    const hint = "what Mountaineer keeps there must not be overwritten";
    return [invalidValue(at, "a file among Mountaineer's own", "a name that ends in `.jsonl`", hint)];
  }
  return [];
}

/** Returns the errors in how keys of the gateway's sections are combined. */
export function gatewayFindings(file: Table, context: RuleContext): Finding[] {
  return [
    ...backendFindings(file, context),
    ...backendDefaultsFindings(file),
    ...incomingAuthFindings(file, context),
    ...telemetryFindings(file),
    ...auditFindings(file, context),
    ...fewerToolsFindings(file),
  ];
}

/**
 * `/metrics` shows the names of backends and the use of their tools, so serving it to other machines without
 * a token is an error.
 */
function telemetryFindings(file: Table): Finding[] {
  const telemetry = asTable(file["telemetry"]) ?? {};
  const server = asTable(file["server"]) ?? {};
  if (telemetry["prometheus"] !== true || typeof telemetry["metrics_token"] === "string") return [];
  const { host, public_url: publicUrl } = server;
  const isReachable = (typeof host === "string" && !isLoopback(host)) || typeof publicUrl === "string";
  if (!isReachable) return [];
  const hint =
    'other machines can reach `/metrics`: mountaineer secret set metrics, then `metrics_token = "secret:metrics"`';
  return [missingKey(["telemetry", "metrics_token"], "a token, by reference", hint)];
}

/** The system's folders that every sandbox shows, read-only. */
const SYSTEM_FOLDERS = ["/usr", "/etc", "/opt", "/nix", "/bin", "/sbin", "/lib", "/tmp"];

/** Errors in the sandbox of a backend or route. `at`: the path of the backend's or route's table. */
function sandboxFindings(backend: Table, at: KeyPath, context: RuleContext): Finding[] {
  const sandbox = asTable(backend["sandbox"]);
  if (sandbox === null) return [];
  const path = [...at, "sandbox"];
  if (isElsewhere(backend)) {
    const hint = "a server that is elsewhere runs nothing here";
    return [unexpectedKey(path, "`sandbox` beside `url`", hint)];
  }
  if (context.hasSandbox === false) {
    const hint =
      "bubblewrap needs Linux's namespaces, and macOS has nothing of the kind that could be relied on";
    return [unexpectedKey(path, "`sandbox` on macOS", hint)];
  }
  const findings: Finding[] = [];
  const shown: string[] = [];
  for (const key of ["read", "write"]) {
    for (const [index, text] of listIn(sandbox, key).entries()) {
      const folder = pathOf(text, context);
      if (folder === null) continue;
      shown.push(folder);
      if (!isWithin(folder, context.home)) continue;
      const found = "a path in Mountaineer's own folder";
      const hint = "no sandbox shows it: the configuration and the secrets are there";
      findings.push(invalidValue([...path, key, index], found, "another path", hint));
    }
  }
  const cwd = pathOf(backend["cwd"], context);
  if (cwd === null || cwd === context.userHome) return findings;
  if ([...shown, ...SYSTEM_FOLDERS].some((each) => isWithin(cwd, each))) return findings;
  const found = "a folder that its sandbox does not show";
  const hint = "name it in `sandbox.read` or `sandbox.write`";
  return [...findings, invalidValue([...at, "cwd"], found, "a folder in the sandbox", hint)];
}

/** Errors of groups, profiles and the optimizer: names that do not exist, and tables without effect. */
function fewerToolsFindings(file: Table): readonly Finding[] {
  const backends = Object.keys(asTable(file["backends"]) ?? {});
  const groups = asTable(file["groups"]) ?? {};
  const ofGroups = Object.entries(groups).flatMap(([name, entry]) => {
    const group = asTable(entry);
    if (group === null) return [];
    const path = ["groups", name];
    const hint = '`tools = ["*"]` is everything';
    const found = "neither `tools` nor `backends`";
    const isEmpty = group["tools"] === undefined && group["backends"] === undefined;
    return [
      ...(isEmpty ? [invalidValue(path, found, "one of them, or both", hint)] : []),
      ...(name === "connect"
        ? [invalidValue(path, "`connect`", "another name", "users sign in to servers at that path")]
        : []),
      ...unknownNames(listIn(group, "backends"), [...path, "backends"], backends, "server"),
    ];
  });
  const ofProfiles = indexedTables(listIn(file, "profiles")).flatMap(([index, profile]) =>
    unknownNames(listIn(profile, "groups"), ["profiles", index, "groups"], Object.keys(groups), "group"),
  );
  return [...ofGroups, ...ofProfiles];
}

/** Maximum number of unknown names that are reported for one list. */
const MOST_REPORTED = 20;

function unknownNames(
  names: readonly unknown[],
  at: KeyPath,
  known: readonly string[],
  kind: "server" | "group",
): Finding[] {
  const unknown = [...names.entries()].flatMap(([index, name]) =>
    typeof name === "string" && !known.includes(name) ? [{ index, name }] : [],
  );
  return unknown.slice(0, MOST_REPORTED).map(({ index, name }) => {
    const hint = namesHint(name, known, `no ${kind} is configured`);
    return unmatched([...at, index], quoted(name), `the name of a ${kind}`, hint);
  });
}
