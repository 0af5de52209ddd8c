// The rules between keys of the gateway's sections. They read the file's values right or wrong.
import { isCredentialHeader } from "../values/backend-names.ts";
import {
  type Finding,
  type KeyPath,
  MISTAKE_LIMIT,
  namesHint,
  pathText,
  quoted,
} from "../values/mistakes.ts";
import { expandPath, isWithin, parsePath } from "../values/paths.ts";
import { isLiteral, parseSecretText } from "../values/secret-text.ts";
import { backendAuthFindings } from "./backend-auth.ts";
import { fewerToolsFindings } from "./fewer-tools.ts";
import { incomingAuthFindings } from "./incoming-auth-rules.ts";
import { sandboxFindings } from "./sandbox-rules.ts";
import { asTable, has, isOnShare, missing, type RulePlace, surplus, type Table, wrong } from "./tables.ts";
import { telemetryFindings } from "./telemetry-rules.ts";

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
    findings.push({
      path: [...at, key],
      at: "key",
      found: `\`${key}\` beside \`routes\``,
      expected: `no \`${key}\``,
      hint,
    });
  }
  if (backend["replace"] === "stop-first") {
    const found = "`stop-first` with `routes`";
    const hint = "a better route is made ready beside the one in use";
    findings.push({ path: [...at, "replace"], at: "value", found, expected: "`overlap`", hint });
  }
  if (routes.length > MOST_ROUTES) {
    const expected = `at most ${MOST_ROUTES} routes`;
    findings.push({
      path: [...at, "routes", MOST_ROUTES],
      at: "value",
      found: "one more",
      expected,
      hint: null,
    });
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
    if (findings.length >= MISTAKE_LIMIT) break;
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
