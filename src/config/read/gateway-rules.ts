// The rules between keys of the gateway's sections. They read the file's values right or wrong.
import { isCredentialHeader } from "../values/backend-names.ts";
import { isLoopback } from "../values/host.ts";
import { type Finding, type KeyPath, namesHint, pathText, quoted } from "../values/mistakes.ts";
import { expandPath, isWithin, parsePath } from "../values/paths.ts";
import { isLiteral, parseSecretText } from "../values/secret-text.ts";
import { backendAuthFindings } from "./backend-auth.ts";
import { incomingAuthFindings } from "./incoming-auth-rules.ts";
import { asTable, has, isOnShare, missing, type RulePlace, surplus, type Table, wrong } from "./tables.ts";

const STDIO_KEYS = ["command", "args", "env", "cwd"] as const;
const HTTP_KEYS = ["url", "headers", "auth"] as const;

function connectionFindings(backend: Table, at: KeyPath): Finding[] {
  const { type } = backend;
  const isHttp = type === "streamable-http" || (type !== "stdio" && has(backend, "url"));
  if (!has(backend, "command") && !has(backend, "url") && type !== "stdio" && type !== "streamable-http") {
    const hint = "a backend is a program that is started here, or an address";
    return [missing([...at, "command"], "`command` or `url`", hint)];
  }
  const findings: Finding[] = [];
  const needed = isHttp ? "url" : "command";
  const kind = isHttp ? "streamable-http" : "stdio";
  if (!has(backend, needed)) {
    const expected = isHttp ? "the address of the server" : "the program to start";
    const hint = `type \`${kind}\` needs \`${needed}\``;
    findings.push(missing([...at, needed], expected, hint));
  }
  for (const key of isHttp ? STDIO_KEYS : HTTP_KEYS) {
    if (!has(backend, key)) continue;
    const found = has(backend, "type")
      ? `\`${key}\` with type \`${kind}\``
      : `\`${key}\` beside \`${isHttp ? "url" : "command"}\``;
    const partner = isHttp ? "`command`, a program started here" : "`url`, an address";
    const isTheOther = key === "url" || key === "command";
    const hint = isTheOther ? "a backend has either `command` or `url`" : `it goes with ${partner}`;
    findings.push(surplus([...at, key], found, hint));
  }
  return findings;
}

function headerFindings(headers: Table, at: KeyPath): Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    const path = [...at, name];
    const first = seen.get(name.toLowerCase());
    if (first === undefined) seen.set(name.toLowerCase(), name);
    else {
      const found = `the header ${quoted(first)} again (letter case does not count)`;
      findings.push({ path, at: "key", found, expected: "each header once", hint: null });
    }
    const reading = typeof value === "string" && isCredentialHeader(name) ? parseSecretText(value) : null;
    if (reading?.ok !== true || !isLiteral(reading.value)) continue;
    const hint =
      "no secrets in config: `mountaineer secret set NAME` keeps it, `${secret:NAME}` stands for it here";
    const expected = "a reference, such as `Bearer ${VARIABLE}` or `Bearer ${secret:NAME}`";
    findings.push(wrong(path, "credentials in the file", expected, hint));
  }
  return findings;
}

function overrideFindings(overrides: Table, at: KeyPath): Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, string>();
  for (const [tool, override] of Object.entries(overrides)) {
    const name = asTable(override)?.["name"];
    if (typeof name !== "string") continue;
    const first = seen.get(name);
    if (first === undefined) {
      seen.set(name, tool);
      continue;
    }
    const found = `${quoted(name)}, the name that ${quoted(first)} gets`;
    findings.push(wrong([...at, tool, "name"], found, "another name"));
  }
  return findings;
}

function backendFindings(backends: Table, place: RulePlace): Finding[] {
  return Object.entries(backends).flatMap(([name, entry]) => {
    const backend = asTable(entry);
    if (backend === null) return [];
    const at: KeyPath = ["backends", name];
    const overrides = asTable(backend["tool_overrides"]);
    const routes: readonly unknown[] = Array.isArray(backend["routes"]) ? backend["routes"] : [];
    return [
      ...(routes.length === 0 ? serverFindings(backend, at, place) : routesFindings(backend, at, place)),
      ...foldersFindings(backend, at),
      ...overrideFindings(overrides ?? {}, [...at, "tool_overrides"]),
    ];
  });
}

/** The folders are paths of this machine, so the server must run here. */
function foldersFindings(backend: Table, at: KeyPath): Finding[] {
  if (!has(backend, "folders")) return [];
  const routes: readonly unknown[] = Array.isArray(backend["routes"]) ? backend["routes"] : [];
  const servers = [backend, ...routes.map(asTable)];
  const isElsewhere = servers.some(
    (one) => one?.["url"] !== undefined || one?.["type"] === "streamable-http",
  );
  if (!isElsewhere) return [];
  const hint =
    "a server that is elsewhere has files of its own: say what it may be asked with [[authorization.policies]]";
  return [surplus([...at, "folders"], "`folders` beside `url`", hint)];
}

/** Mistakes in how one server is reached: of a backend, or of one of its routes. */
function serverFindings(table: Table, at: KeyPath, place: RulePlace): Finding[] {
  const headers = asTable(table["headers"]);
  return [
    ...connectionFindings(table, at),
    ...sandboxFindings(table, at, place),
    ...headerFindings(headers ?? {}, [...at, "headers"]),
    ...backendAuthFindings(table, at),
  ];
}

/** More routes than any server needs. */
const MOST_ROUTES = 8;

function routesFindings(backend: Table, at: KeyPath, place: RulePlace): Finding[] {
  const routes: readonly unknown[] = Array.isArray(backend["routes"]) ? backend["routes"] : [];
  const findings: Finding[] = [];
  for (const key of ["type", ...STDIO_KEYS, ...HTTP_KEYS, "sandbox"]) {
    if (!has(backend, key)) continue;
    const hint = "each route has its own; make this the first one";
    findings.push(surplus([...at, key], `\`${key}\` beside \`routes\``, hint));
  }
  if (backend["replace"] === "stop-first") {
    const found = "`stop-first` with `routes`";
    const hint = "a better route is made ready beside the one in use";
    findings.push(wrong([...at, "replace"], found, "`overlap`", hint));
  }
  if (routes.length > MOST_ROUTES) {
    findings.push(wrong([...at, "routes", MOST_ROUTES], "one more", `at most ${MOST_ROUTES} routes`));
  }
  const names = new Map<string, number>();
  for (const [index, entry] of routes.slice(0, MOST_ROUTES).entries()) {
    const route = asTable(entry);
    if (route === null) continue;
    const path = [...at, "routes", index];
    findings.push(...serverFindings(route, path, place));
    const name = typeof route["name"] === "string" ? route["name"] : `${index + 1}`;
    const first = names.get(name);
    names.set(name, index);
    if (first === undefined) continue;
    const found = `${quoted(name)}, the name of ${pathText([...at, "routes", first])}`;
    findings.push(wrong([...path, "name"], found, "another name"));
  }
  return findings;
}

function orderFindings(order: unknown, backends: Table): Finding[] {
  if (!Array.isArray(order)) return [];
  const known = Object.keys(backends);
  const names = new Set(known);
  const seen = new Set<string>();
  const findings: Finding[] = [];
  for (const [index, name] of order.entries()) {
    if (typeof name !== "string") continue;
    const path = ["conflict_resolution", "order", index];
    const found = quoted(name);
    if (!names.has(name)) {
      const hint = findings.length < 20 ? namesHint(name, known, "no backend is configured") : null;
      const expected = "the name of a backend";
      findings.push({ path, at: "value", found, expected, hint, restsOnAbsence: true });
    } else if (seen.has(name)) {
      findings.push(wrong(path, `${found} again`, "each name once"));
    }
    seen.add(name);
  }
  return findings;
}

/** The daemon writes the audit itself, and must never wait for a share. */
function auditFindings(file: Table, place: RulePlace): Finding[] {
  const text = asTable(file["audit"])?.["path"];
  if (typeof text !== "string" || !parsePath(text).ok) return [];
  const path = expandPath(text, place.userHome);
  const at = ["audit", "path"];
  if (isOnShare(path, file, place)) {
    const hint = "a share that hangs would hold up every call";
    return [wrong(at, "a file on a share", "a file that is not on a share", hint)];
  }
  if (/(?:^~|\/|\/\.\.?)$/.test(text)) return [wrong(at, "a folder", "a file", "add the name of a file")];
  if (isWithin(path, place.home) && !path.endsWith(".jsonl")) {
    const hint = "what Mountaineer keeps there must not be overwritten";
    return [wrong(at, "a file among Mountaineer's own", "a name that ends in `.jsonl`", hint)];
  }
  return [];
}

/** All mistakes between keys of the gateway's sections. */
export function gatewayFindings(file: Table, place: RulePlace): Finding[] {
  const backends = asTable(file["backends"]) ?? {};
  return [
    ...backendFindings(backends, place),
    ...orderFindings(asTable(file["conflict_resolution"])?.["order"], backends),
    ...incomingAuthFindings(file, place),
    ...telemetryFindings(file),
    ...auditFindings(file, place),
    ...fewerToolsFindings(file),
  ];
}

/** Anyone who reads `/metrics` learns what is served, and how much: beyond this machine it takes a token. */
function telemetryFindings(file: Table): Finding[] {
  const telemetry = asTable(file["telemetry"]) ?? {};
  const server = asTable(file["server"]) ?? {};
  if (telemetry["prometheus"] !== true || typeof telemetry["metrics_token"] === "string") return [];
  const { host, public_url: publicUrl } = server;
  const isReachable = (typeof host === "string" && !isLoopback(host)) || typeof publicUrl === "string";
  if (!isReachable) return [];
  const hint =
    'others than this machine reach `/metrics`: mountaineer secret set metrics, then `metrics_token = "secret:metrics"`';
  return [missing(["telemetry", "metrics_token"], "a token, by reference", hint)];
}

/** The system's folders that every sandbox shows, read-only. */
const SYSTEM_FOLDERS = ["/usr", "/etc", "/opt", "/nix", "/bin", "/sbin", "/lib", "/tmp"];

/** Of one backend's table; `at` leads to it. */
function sandboxFindings(backend: Table, at: KeyPath, place: RulePlace): Finding[] {
  const sandbox = asTable(backend["sandbox"]);
  if (sandbox === null) return [];
  const path = [...at, "sandbox"];
  if (backend["url"] !== undefined || backend["type"] === "streamable-http") {
    const hint = "a server that is elsewhere runs nothing here";
    return [surplus(path, "`sandbox` beside `url`", hint)];
  }
  if (place.hasSandbox === false) {
    const hint =
      "bubblewrap needs Linux's namespaces, and macOS has nothing of the kind that could be relied on";
    return [surplus(path, "`sandbox` on macOS", hint)];
  }
  const findings: Finding[] = [];
  const shown: string[] = [];
  for (const key of ["read", "write"]) {
    const paths: readonly unknown[] = Array.isArray(sandbox[key]) ? sandbox[key] : [];
    for (const [index, text] of paths.entries()) {
      if (typeof text !== "string" || !parsePath(text).ok) continue;
      const folder = expandPath(text, place.userHome);
      shown.push(folder);
      if (!isWithin(folder, place.home)) continue;
      const found = "a path in Mountaineer's own folder";
      const hint = "no sandbox shows it: the configuration and the secrets are there";
      findings.push(wrong([...path, key, index], found, "another path", hint));
    }
  }
  const { cwd } = backend;
  if (typeof cwd === "string" && parsePath(cwd).ok) {
    const folder = expandPath(cwd, place.userHome);
    const isShown =
      folder === place.userHome || [...shown, ...SYSTEM_FOLDERS].some((each) => isWithin(folder, each));
    if (!isShown) {
      const found = "a folder that its sandbox does not show";
      const hint = "name it in `sandbox.read` or `sandbox.write`";
      const expected = "a folder in the sandbox";
      findings.push(wrong([...at, "cwd"], found, expected, hint));
    }
  }
  return findings;
}

/** Names that do not exist, and tables without any effect. */
function fewerToolsFindings(file: Table): readonly Finding[] {
  const backends = Object.keys(asTable(file["backends"]) ?? {});
  const groups = asTable(file["groups"]) ?? {};
  const findings: Finding[] = [];
  for (const [name, entry] of Object.entries(groups)) {
    const group = asTable(entry);
    if (group === null) continue;
    if (group["tools"] === undefined && group["backends"] === undefined) {
      findings.push({
        path: ["groups", name],
        at: "value",
        found: "neither `tools` nor `backends`",
        expected: "one of them, or both",
        hint: `\`tools = ["*"]\` is everything`,
      });
    }
    findings.push(...unknownNames(group["backends"], ["groups", name, "backends"], backends, "backend"));
  }
  const profiles = Array.isArray(file["profiles"]) ? file["profiles"] : [];
  for (const [index, entry] of profiles.entries()) {
    const wanted = asTable(entry)?.["groups"];
    findings.push(...unknownNames(wanted, ["profiles", index, "groups"], Object.keys(groups), "group"));
  }
  return findings;
}

/** So many mistakes of one list are reported. */
const MOST_REPORTED = 20;

function unknownNames(
  names: unknown,
  at: readonly (string | number)[],
  known: readonly string[],
  kind: "backend" | "group",
): Finding[] {
  if (!Array.isArray(names)) return [];
  const unknown = [...names.entries()].flatMap(([index, name]: [number, unknown]) =>
    typeof name === "string" && !known.includes(name) ? [{ index, name }] : [],
  );
  return unknown.slice(0, MOST_REPORTED).map(({ index, name }) => {
    const hint = namesHint(name, known, `no ${kind} is configured`);
    return {
      path: [...at, index],
      at: "value",
      found: quoted(name),
      expected: `the name of a ${kind}`,
      hint,
      restsOnAbsence: true,
    };
  });
}
