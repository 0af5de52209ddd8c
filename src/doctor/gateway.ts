// Checks the gateway: its port, users and management API, and the backends' programs, folders and secrets.

import { stat } from "node:fs/promises";
import { delimiter } from "node:path";
import type { BackendStatus, StatusReport } from "../api/contract/contract.ts";
import type { DoctorFinding } from "../api/doctor-report.ts";
import type { CallOperation } from "../api/operations/operations.ts";
import { findMcpAddress, hasNoPath } from "../api/setup/mcp-address.ts";
import { shownCommand } from "../config/shown-values.ts";
import { type BackendConfig, SERVER_DEFAULT, type ServerConfig } from "../config/snapshot.ts";
import { isLoopback } from "../config/values/host.ts";
import { wantsGateway } from "../daemon/compose/gateway-config.ts";
import { listMonitors } from "../daemon/compose/monitor-processes.ts";
import { missingSecrets } from "../daemon/control/gateway-status.ts";
import { findPortHolder } from "../gateway/frontend/http/port-holder.ts";
import { GATEWAY_CONDITIONS } from "../gateway/serving/condition-rows.ts";
import { whyNotListen } from "../runtime/http/why-not-listen.ts";
import { findCommand, findProgram } from "../runtime/process/find-program.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import { resolveReference } from "../secrets/reference.ts";
import { type DoctorContext, findingsOf, ofCondition } from "./context.ts";

const finding = findingsOf("gateway");
const STATUS_DEADLINE_MS = 4_000;

/** The code of a name in the configuration that no server has; its text begins with the key. */
const UNMATCHED = "rule_matches_nothing";

/** The phases of a backend that nothing has tried to start yet. */
const UNTRIED: readonly BackendStatus["phase"][] = ["Pending", "Asleep"];

export interface GatewayContext
  extends Pick<DoctorContext, "snapshot" | "environment" | "values" | "signal"> {
  readonly daemon: { readonly call: CallOperation<"status"> } | null;
}

export async function examineGateway(context: GatewayContext): Promise<DoctorFinding[]> {
  return examineSettings(context, await statusOf(context), true);
}

/** Finds what would prevent a start, without sending anything to a network. */
export async function foreseeGateway(context: GatewayContext): Promise<DoctorFinding[]> {
  const status = await statusOf(context);
  const unmatched = (status?.gateway?.conditions ?? []).filter(({ code }) => code === UNMATCHED);
  return [
    ...(await examineSettings(context, status, false)),
    ...unmatched.map((one) => ofCondition("gateway", { ...one, severity: "warning" })),
  ];
}

async function examineSettings(
  context: GatewayContext,
  status: StatusReport | null,
  mayConnect: boolean,
): Promise<DoctorFinding[]> {
  const config = context.snapshot?.config;
  if (config === undefined || !wantsGateway(config)) return [];
  const enabled = config.backends.filter((backend) => backend.enabled);
  // What a daemon has started, or tried to, its own conditions are about.
  const isTried = (name: string): boolean =>
    status?.backends?.some((one) => one.name === name && !UNTRIED.includes(one.phase)) === true;
  const ofBackends = await Promise.all(
    enabled.map((backend) =>
      isTried(backend.name)
        ? addressFindings(backend, mayConnect, context.signal)
        : backendFindings(context, backend, mayConnect),
    ),
  );
  return [
    ...ofBackends.flat(),
    ...userFindings(context, status !== null),
    ...managementFindings(config.server),
    ...(await portFindings(context, status)),
  ];
}

async function backendFindings(
  context: GatewayContext,
  backend: BackendConfig,
  mayConnect: boolean,
): Promise<DoctorFinding[]> {
  const { name, connection } = backend;
  const subject = name;
  const found = missingSecrets(backend, context.values).map((one) => ofCondition("gateway", one, name));
  if (connection.type !== "stdio")
    return [...found, ...(await addressFindings(backend, mayConnect, context.signal))];
  const { command, cwd, sandbox, cwdIsClients = false } = connection;
  const folders = (context.environment["PATH"] ?? "").split(delimiter);
  if (sandbox !== undefined && (await findProgram("bwrap", folders)) === null) {
    const text = `server ${name}: bubblewrap, which its sandbox needs, is not installed`;
    const hint = "install it (Debian: apt install bubblewrap); the server is never started without it";
    found.push(finding("error", "backend_sandbox", text, { subject, hint }));
  }
  if (!cwdIsClients && !(await isFolder(cwd))) {
    const text = `server ${name}: its folder ${cwd} does not exist`;
    found.push(
      finding("error", "backend_folder", text, { subject, hint: "create the folder, or correct cwd" }),
    );
  }
  const program = await findCommand(
    command,
    cwdIsClients ? (context.environment["HOME"] ?? "/") : cwd,
    context.environment["PATH"] ?? "",
  );
  if (program === null) {
    const text = `server ${name}: its program ${shownCommand(command, "log")} is not found`;
    const hint = /\s/.test(command)
      ? "command is only the program: put its arguments into args, one text each"
      : "install it, or write its full path; a service has the PATH of the shell that started it";
    found.push(finding("error", "backend_program", text, { subject, hint }));
  } else found.push(finding("ok", "backend", `server ${name} starts ${program}`, { subject }));
  return found;
}

/** Findings for addresses without a path: most servers answer at `/mcp` or `/sse`. */
async function addressFindings(
  { name, connection }: BackendConfig,
  mayConnect: boolean,
  signal: AbortSignal,
): Promise<DoctorFinding[]> {
  if (connection.type === "stdio" || !hasNoPath(connection.url)) return [];
  const { url } = connection;
  const answering = mayConnect ? await findMcpAddress(url, signal) : null;
  if (answering === url) return [];
  const text = `server ${name}: its address has no path, and most servers take one: /mcp, or /sse`;
  const hint =
    answering === null
      ? shellCommand`mountaineer backends edit ${name} --url ${new URL("/mcp", url).href}`
      : `a server answers there: ${shellCommand`mountaineer backends edit ${name} --url ${answering}`}`;
  return [finding("warning", "backend_url", text, { subject: name, hint })];
}

/** Checks the management API: without TLS, its token can be read on the network. */
function managementFindings(server: ServerConfig | null): DoctorFinding[] {
  if (server === null || server.management.enabled !== true || isLoopback(server.host)) return [];
  const text = `the management API listens at ${server.host} without TLS: its token can be read on the network`;
  const hint =
    "set [server].host to 127.0.0.1 and reach it through a proxy with TLS or ssh -L; or unset [server.management].enabled";
  const lets = server.management.allowCommands ? "; anyone who reads it may run commands here" : "";
  return [finding("warning", "management_open", `${text}${lets}`, { hint })];
}

/** If `hasDaemon`, its own condition names the tokens that are missing. */
function userFindings({ snapshot, values }: GatewayContext, hasDaemon: boolean): DoctorFinding[] {
  const auth = snapshot?.config.incomingAuth;
  if (auth === undefined) return [];
  if (auth.type === "anonymous") {
    const text = "no token is needed: anyone on this machine may use everything that is served";
    return [finding("info", "auth_open", text, { hint: "mountaineer init --add --token makes one" })];
  }
  if (hasDaemon) return [];
  const missing = auth.users.flatMap(({ token }) => {
    const resolved = resolveReference(token, values);
    return resolved.ok ? [] : [resolved.missing];
  });
  return missing.length === 0 ? [] : [ofCondition("gateway", GATEWAY_CONDITIONS.auth_token_missing(missing))];
}

/** null: no daemon answers. */
async function statusOf({ daemon, signal }: GatewayContext): Promise<StatusReport | null> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(STATUS_DEADLINE_MS)]);
  return (await daemon?.call("status", null, deadline).catch(() => null)) ?? null;
}

/** Checks whether the gateway's port is free, or the daemon's own. A daemon that cannot listen says why in a condition. */
async function portFindings(
  { snapshot }: GatewayContext,
  status: StatusReport | null,
): Promise<DoctorFinding[]> {
  const { host, port } = snapshot?.config.server ?? SERVER_DEFAULT;
  const url = status?.gateway?.url ?? null;
  if (status !== null && url === null) return [];
  if (url !== null && URL.parse(url)?.port === String(port))
    return [finding("ok", "gateway", `the daemon serves ${url}`)];
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const refused = await whyNotListen(host, port);
  if (refused === null) return [finding("ok", "port", `${address} is free for the gateway`)];
  if (refused !== "EADDRINUSE") {
    const hint =
      refused === "EACCES"
        ? "ports below 1024 are for root: choose another [server].port"
        : "correct [server].host: it is an address of this machine";
    const text = `the gateway cannot listen at ${address}: ${refused}`;
    return [finding("error", "listen_denied", text, { hint })];
  }
  const holder = await findPortHolder(port);
  const monitor = (await listMonitors()).find(({ pid }) => pid === holder?.pid);
  const program = monitor === undefined ? holder?.command : `another Mountaineer, of ${monitor.home},`;
  const who = holder === null ? "another program" : `${program} (pid ${holder.pid})`;
  const hint = "end it, or choose another [server].port";
  return [finding("error", "port_taken", `${who} listens at ${address} already`, { hint })];
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
