// The file to attach to a bug report: the doctor's findings, versions, configuration, state and the end of the log. It never
// contains secrets, and contains names and addresses only on request.
import { open, readFile } from "node:fs/promises";
import { arch, platform, release, userInfo } from "node:os";
import { join } from "node:path";
import type { DoctorReport, ReportOptions } from "../api/doctor-report.ts";
import { routesOf } from "../config/backend-routes.ts";
import { reportedConfig, unreportedValues } from "../config/edit/report-config.ts";
import { findHomeContext, locateConfig } from "../config/home-context.ts";
import { parseConfig } from "../config/read/load.ts";
import { secretUses } from "../config/read/secret-uses.ts";
import { SECTIONS } from "../config/schema/schema.ts";
import { shownText } from "../config/shown-values.ts";
import type { MountaineerConfig } from "../config/snapshot.ts";
import { logFilePath } from "../daemon/compose/log-settings.ts";
import { homeSecrets } from "../daemon/compose/stored-secrets.ts";
import { createMountProgram } from "../mount-program/mount-program.ts";
import { errorText, recoverFrom, valueOr } from "../runtime/errors.ts";
import { noopLogger } from "../runtime/log/log.ts";
import { createRedaction } from "../runtime/log/log-redaction.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { resolveReference, storedKey } from "../secrets/reference.ts";
import { openSecretStore } from "../secrets/secret-store.ts";

interface ReportRequest {
  readonly home: string;
  readonly configPath: string | null;
  readonly report: DoctorReport;
  readonly options: ReportOptions;
  readonly signal: AbortSignal;
}

const LOG_END_BYTES = 64 * 1024;
const VERSION_DEADLINE_MS = 3_000;
const PROGRAMS: readonly (readonly [string, string])[] = [
  ["fusermount3", "--version"],
  ["lsof", "-v"],
];

export async function reportText({
  home,
  configPath,
  report,
  options,
  signal,
}: ReportRequest): Promise<string> {
  const environment = process.env;
  const homeContext = findHomeContext({ ...environment, MOUNTAINEER_HOME: home });
  const located = await locateConfig(homeContext, configPath).catch(() => null);
  const config = located === null ? null : await readEnd(located.path, 1024 * 1024);
  const logPath = logFilePath({ home, userHome: homeContext.userHome, environment });
  const loaded =
    config === null || located === null
      ? null
      : await parseConfig(Buffer.from(config), located.path, homeContext).catch(() => null);
  const known = loaded?.ok === true ? loaded.snapshot : null;
  const versions = await Promise.all(
    [[(await createMountProgram(home).find()) ?? "mountaineer-fs", "version"] as const, ...PROGRAMS].map(
      ([program, option]) => versionOf(program, option, signal),
    ),
  );
  const sections = {
    machine: [
      `mountaineer ${report.version}, Node ${process.versions.node}`,
      `${platform()} ${release()} ${arch()}`,
      ...versions,
    ].join("\n"),
    findings: withoutTokens(
      report.findings.map(({ severity, code, text }) => `${severity.padEnd(7)} ${code}: ${text}`).join("\n"),
    ),
    // A file with errors is left out, because a password could be anywhere in it.
    configuration:
      known === null
        ? "not shown: it cannot be read, or has errors"
        : await reportedConfig(Buffer.from(config ?? ""), known.format),
    "state.json": withoutTokens((await readEnd(join(home, "state.json"), LOG_END_BYTES)) ?? "there is none"),
    "the end of the log": withoutTokens((await readEnd(logPath, LOG_END_BYTES)) ?? "there is none"),
  };
  const text = Object.entries(sections)
    .map(([title, content]) => `## ${title}\n\n${content.trimEnd()}\n`)
    .join("\n");
  const redaction = createRedaction();
  for (const value of await valuesInFile(home, signal)) redaction.redact(value);
  if (known !== null) {
    const secrets = homeSecrets({ home, environment, clock: systemClock, logger: noopLogger });
    await secrets.bind(known, signal);
    for (const { reference } of secretUses(known.config)) {
      const resolved = resolveReference(reference, secrets.values);
      if (resolved.ok) redaction.redact(resolved.value);
    }
    for (const [key, value] of Object.entries(secrets.values))
      if (key.startsWith(storedKey("user:"))) redaction.redact(value ?? "");
    for (const value of unreportedValues(known.config.backends).filter(isDistinct)) redaction.redact(value);
  }
  const clean = redaction.clean(text);
  return options.withNames ? clean : withoutNames(clean, known?.config ?? null, homeContext.userHome);
}

/** Without what looks like a secret: servers write their own into their errors, and the configuration does not know these. */
function withoutTokens(text: string): string {
  return text
    .split("\n")
    .map((line) => shownText(line, "log"))
    .join("\n");
}

/** False for short values and numbers: these are not secrets, and replacing them would damage other words. */
function isDistinct(value: string): boolean {
  return value.length >= 4 && !/^\d{1,5}$/.test(value);
}

/** All secrets in the home's secrets file, even those that the configuration does not refer to. */
async function valuesInFile(home: string, signal: AbortSignal): Promise<readonly string[]> {
  const store = openSecretStore({ home, clock: systemClock, environment: process.env });
  const limits = { deadlineMs: VERSION_DEADLINE_MS, signal };
  const listed = await store.list().catch(recoverFrom("secret_unavailable", []));
  const inFile = listed.filter((secret) => secret.kept === "file");
  const values = await Promise.all(
    inFile.map(({ name }) => store.get(name, limits).catch(recoverFrom("secret_unavailable", null))),
  );
  return values.filter((value) => value !== null);
}

const IPV4 = /\b(?:\d{1,3}\.){3}\d{1,3}\b/g;
const IPV6 =
  /(?<![\w:.-])(?:(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?=[0-9a-f:]*::)[0-9a-f:]{3,39})(?:%\w+)?(?![\w:])/gi;
const MAC = /\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/gi;

/**
 * Replaces each name and address by a substitute that is the same everywhere, so that the report stays
 * readable.
 */
export function withoutNames(text: string, config: MountaineerConfig | null, userHome: string): string {
  const labels = new Map<string, string>();
  const counts = new Map<string, number>();
  const labelFor = (found: string, kind: string): string => {
    const known = labels.get(found.toLowerCase());
    if (known !== undefined) return known;
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    const label = `${kind}-${count}`;
    labels.set(found.toLowerCase(), label);
    return label;
  };
  // Values that the file's keys know, such as `type = "local"`, are not replaced.
  const choices = SECTIONS.flatMap(({ keys, keyDoc }) => keys.flatMap((key) => keyDoc(key).choices ?? []));
  const names = new Map<string, string>();
  const name = (found: string | null, kind: string): void => {
    // Replacing shorter names would damage other words.
    if (found !== null && found.length > 2 && !choices.includes(found) && !names.has(found))
      names.set(found, kind);
  };
  for (const share of config?.shares ?? []) {
    for (const { host } of Object.values(share.routes)) {
      if (host !== null && !isAddress(host)) name(host, "host");
    }
    name(share.username, "user");
  }
  const auth = config?.incomingAuth;
  if (auth !== undefined && auth.type !== "anonymous") {
    for (const user of auth.users) name(user.name, "user");
  }
  for (const host of hostsOfAddresses(config)) name(host, "host");
  const login = valueOr(() => userInfo().username, null);
  name(login, "user");
  let clean = text.replaceAll(userHome, "~");
  for (const [found, kind] of [...names].sort(([a], [b]) => b.length - a.length)) {
    const pattern = new RegExp(
      `(?<![\\w-])${found.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")}(?![\\w-])`,
      "gi",
    );
    clean = clean.replace(pattern, labelFor(found, kind));
  }
  return clean
    .replace(MAC, (found) => labelFor(found, "mac"))
    .replace(IPV6, (found) =>
      /[0-9a-f]/i.test(found) && found !== "::1" ? labelFor(found, "address") : found,
    )
    .replace(IPV4, (found) => (isPlain(found) ? found : labelFor(found, "address")));
}

function isAddress(text: string): boolean {
  return /^[\d.]+$/.test(text) || text.includes(":");
}

function isPlain(address: string): boolean {
  return address.startsWith("127.") || address === "0.0.0.0" || address.startsWith("255.");
}

async function versionOf(program: string, option: string, signal: AbortSignal): Promise<string> {
  try {
    const limits = { deadlineMs: VERSION_DEADLINE_MS, signal };
    const { stdout, stderr } = await runCommand(program, [option], limits);
    const lines = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
    return `${program}: ${lines.find((line) => /\d\.\d|"version"/.test(line))?.trim() ?? "no version"}`;
  } catch (error) {
    signal.throwIfAborted();
    return errorText(error);
  }
}

function hostsOfAddresses(config: MountaineerConfig | null): string[] {
  const routes = (config?.backends ?? []).flatMap((backend) => routesOf(backend));
  const auth = config?.incomingAuth;
  const tokens = auth !== undefined && "tokens" in auth ? auth.tokens : null;
  const keys = tokens?.keys.kind === "address" ? [tokens.keys.url] : [];
  const addresses = [
    ...routes.flatMap(({ connection }) => (connection.type === "stdio" ? [] : connection.url)),
    config?.telemetry?.endpoint ?? "",
    ...(config?.fleet?.servers ?? []),
    config?.server?.publicUrl ?? "",
    tokens?.issuer ?? "",
    ...keys,
    ...(tokens?.audience ?? []),
  ];
  return addresses
    .flatMap((address) => URL.parse(address)?.hostname ?? [])
    .filter((host) => !isAddress(host));
}

/** The last whole lines of a file, up to `limit` bytes; null if the file cannot be read. */
async function readEnd(path: string, limit: number): Promise<string | null> {
  try {
    const bytes = await readFileEnd(path, limit);
    const text = bytes.toString("utf8");
    return bytes.length < limit ? text : text.slice(text.indexOf("\n") + 1);
  } catch {
    return null;
  }
}

async function readFileEnd(path: string, limit: number): Promise<Buffer> {
  await using file = await open(path, "r");
  const { size } = await file.stat();
  if (size <= limit) return readFile(path);
  const buffer = Buffer.alloc(limit);
  const { bytesRead } = await file.read(buffer, 0, limit, size - limit);
  return buffer.subarray(0, bytesRead);
}
