// The table of what can be asked of the daemon. Types, the client's calls and the server's dispatch follow from it.

import { objectOf } from "../runtime/text/json-object.ts";
import {
  forgottenTokenShape,
  OWNERS_RIGHTS,
  pageLinkShape,
  type Rights,
  serverTokenShape,
} from "./access-contract.ts";
import { approvalsReportShape, approveReportShape, approveRequest } from "./approval-contract.ts";
import { catalogReportShape } from "./catalog-contract.ts";
import {
  aliasReportShape,
  backendLogsReportShape,
  backendSwitchReportShape,
  callReportShape,
  clientsReportShape,
  configCheckReportShape,
  configReportShape,
  editReportShape,
  foldersReportShape,
  handOverReportShape,
  historyReportShape,
  MANAGE_PREFIX,
  reloadReportShape,
  restartReportShape,
  type StepResult,
  statusReportShape,
  stepReportShape,
  switchToolsReportShape,
  syncReportShape,
  toolsReportShape,
  unsentReportShape,
  verifyReportShape,
} from "./contract.ts";
import {
  fleetCheckShape,
  fleetLayerHistoryShape,
  fleetLayerPutShape,
  fleetLayerReportShape,
  fleetLayerRequest,
  fleetLayerTextShape,
  fleetReportShape,
} from "./fleet-contract.ts";
import { BODY_LIMIT_BYTES, operation, requireReach, type Served } from "./operation.ts";
import { auditReportShape, auditRequest, logReportShape, logRequest } from "./records-contract.ts";
import {
  backendRequest,
  backendSwitchRequest,
  backendsRequest,
  callRequest,
  checkConfigRequest,
  editRequest,
  editTextRequest,
  foldersRequest,
  reloadRequest,
  rollbackRequest,
  sharesRequest,
  switchRequest,
  switchToolsRequest,
  unmountRequest,
  unsentRequest,
} from "./requests.ts";
import { count, strictObject, type TypeOf, text } from "./shape.ts";
import { timelineReportShape } from "./timeline-contract.ts";
import {
  approveToolsReportShape,
  approveToolsRequest,
  toolChangesReportShape,
  toolChangesRequest,
} from "./tool-changes-contract.ts";

/** The largest configuration (512 KiB), each byte of it at its longest in JSON (`\u0000`), and the fields around it. */
const TEXT_LIMIT_BYTES = 6 * 512 * 1024 + BODY_LIMIT_BYTES;
/** A tool may be given a file's content. */
const CALL_LIMIT_BYTES = 16 * 1024 * 1024;
/** Thousands of names, each with its digest. */
const TOOLS_LIMIT_BYTES = 4 * 1024 * 1024;

const steps = async (results: Promise<readonly StepResult[]>) => ({ results: await results });

/** By the name of the client's call. */
export const OPERATIONS = {
  status: operation({
    part: "control",
    at: "GET status",
    says: "How the daemon, its shares, aliases and backends are",
    output: statusReportShape,
    perform: (control) => control.status(),
  }),
  verify: operation({
    part: "control",
    at: "POST verify",
    says: "Look at shares afresh and say what is wrong; nothing is changed",
    input: sharesRequest,
    output: verifyReportShape,
    counts: "steps",
    perform: (control, { shares = null }, signal) => control.verify(shares, signal),
  }),
  reconcile: operation({
    part: "control",
    at: "POST reconcile",
    says: "Bring shares to where they should be, now",
    input: sharesRequest,
    output: stepReportShape,
    counts: "steps",
    perform: (control, { shares = null }, signal) => steps(control.reconcile(shares, signal)),
  }),
  mount: operation({
    part: "control",
    at: "POST mount",
    says: "Mount shares",
    input: sharesRequest,
    output: stepReportShape,
    counts: "steps",
    perform: (control, { shares = null }, signal) => steps(control.mount(shares, signal)),
  }),
  unmount: operation({
    part: "control",
    at: "POST unmount",
    says: "Unmount shares, and keep them so",
    input: unmountRequest,
    output: stepReportShape,
    counts: "steps",
    perform: (control, { shares = null, force = false }, signal) =>
      steps(control.unmount(shares, { force }, signal)),
  }),
  switchRoute: operation({
    part: "control",
    at: "POST switch",
    says: "Move shares to another route",
    input: switchRequest,
    output: stepReportShape,
    counts: "steps",
    perform: (control, { shares = null, to, force = false, wait = false }, signal) =>
      steps(control.switchRoute(shares, { to, force, wait }, signal)),
  }),
  unsent: operation({
    part: "control",
    at: "POST unsent",
    says: "Files that are not on their server yet, and a person's word about them",
    input: unsentRequest,
    output: unsentReportShape,
    counts: "steps",
    perform: (control, request, signal) => control.unsent(request, signal),
  }),
  handOver: operation({
    part: "handover",
    at: "POST restart",
    says: "Start the installed program beside the running one and hand over to it",
    output: handOverReportShape,
    counts: "config",
    perform: (handover, _, signal) => handover.begin(signal),
  }),
  aliases: operation({
    part: "places",
    at: "GET aliases",
    says: "Look at every alias",
    output: aliasReportShape,
    counts: "places",
    perform: (places, _, signal) => places.aliases(signal),
  }),
  reconcileAliases: operation({
    part: "places",
    at: "POST aliases/reconcile",
    says: "Make, mend and remove the links of aliases",
    output: aliasReportShape,
    counts: "places",
    perform: (places, _, signal) => places.reconcileAliases(signal),
  }),
  folders: operation({
    part: "places",
    at: "POST folders",
    says: "The folders in a folder of a share",
    input: foldersRequest,
    output: foldersReportShape,
    counts: "places",
    perform: (places, request, signal) => places.folders(request, signal),
  }),
  // Only calls are counted: everything else answers at once, and is needed most when all calls hang.
  tools: operation({
    part: "gateway",
    at: "GET tools",
    says: "The tools that are published",
    output: toolsReportShape,
    perform: (gateway, _, signal) => gateway.tools(signal),
  }),
  switchTools: operation({
    part: "gateway",
    at: "POST tools/switch",
    says: "Switch tools off or on, for all clients",
    input: switchToolsRequest,
    output: switchToolsReportShape,
    perform(gateway, request, signal, rights) {
      // What a person has switched off comes back by the word of one who may approve it.
      if (request.on) requireReach("with_commands", rights);
      return gateway.switchTools(request, signal);
    },
  }),
  clients: operation({
    part: "gateway",
    at: "GET clients",
    says: "The MCP clients that are connected now",
    output: clientsReportShape,
    perform: (gateway, _, signal) => gateway.clients(signal),
  }),
  catalog: operation({
    part: "gateway",
    at: "GET catalog",
    says: "All that is published, with its backends",
    output: catalogReportShape,
    perform: (gateway, _, signal) => gateway.catalog(signal),
  }),
  call: operation({
    part: "gateway",
    at: "POST call",
    says: "Call a tool",
    input: callRequest,
    output: callReportShape,
    counts: "calls",
    bodyLimitBytes: CALL_LIMIT_BYTES,
    perform: (gateway, request, signal) => gateway.call(request, signal),
  }),
  toolChanges: operation({
    part: "gateway",
    at: "POST tools/changes",
    says: "Tools that are not as they were approved",
    input: toolChangesRequest,
    output: toolChangesReportShape,
    bodyLimitBytes: TOOLS_LIMIT_BYTES,
    perform: (gateway, request, signal) => gateway.toolChanges(request, signal),
  }),
  approveTools: operation({
    part: "gateway",
    at: "POST tools/approve",
    says: "Approve tools as they were shown",
    reach: "with_commands",
    input: approveToolsRequest,
    output: approveToolsReportShape,
    bodyLimitBytes: TOOLS_LIMIT_BYTES,
    perform: (gateway, request, signal) => gateway.approveTools(request, signal),
  }),
  restart: operation({
    part: "gateway",
    at: "POST backends/restart",
    says: "Start backends anew",
    input: backendsRequest,
    output: restartReportShape,
    perform: (gateway, { backends = null }, signal) => gateway.restart(backends, signal),
  }),
  switchBackend: operation({
    part: "gateway",
    at: "POST backends/switch",
    says: "Serve a backend over another route",
    input: backendSwitchRequest,
    output: backendSwitchReportShape,
    counts: "steps",
    perform: (gateway, request, signal) => gateway.switchRoute(request, signal),
  }),
  logs: operation({
    part: "gateway",
    at: "POST backends/logs",
    says: "What a backend has written to its log",
    input: backendRequest,
    output: backendLogsReportShape,
    perform: (gateway, { backend }, signal) => gateway.logs(backend, signal),
  }),
  audit: operation({
    part: "gateway",
    at: "POST audit",
    says: "What was called, the newest first",
    input: auditRequest,
    output: auditReportShape,
    counts: "records",
    perform: (gateway, request, signal) => gateway.audit(request, signal),
  }),
  timeline: operation({
    part: "timeline",
    at: "GET timeline",
    says: "The last day of shares and backends",
    output: timelineReportShape,
    counts: "records",
    perform: (timeline) => timeline.timeline(),
  }),
  fleet: operation({
    part: "fleet",
    at: "GET fleet",
    says: "The machines of the fleet, and what each tells of itself",
    output: fleetReportShape,
    perform: (fleet) => fleet.fleet(),
  }),
  fleetLayer: operation({
    part: "fleet",
    at: "GET fleet/config",
    says: "The configuration that all machines of the fleet have in common",
    output: fleetLayerReportShape,
    counts: "config",
    perform: (fleet, _, signal) => fleet.layer(signal),
  }),
  fleetLayerHistory: operation({
    part: "fleet",
    at: "GET fleet/config/history",
    says: "Its revisions that are kept",
    output: fleetLayerHistoryShape,
    counts: "config",
    perform: (fleet, _, signal) => fleet.layerHistory(signal),
  }),
  fleetLayerText: operation({
    part: "fleet",
    at: "GET fleet/config/history/",
    says: "The text of one of them",
    input: strictObject({ n: count }),
    output: fleetLayerTextShape,
    counts: "config",
    perform: (fleet, { n }, signal) => fleet.layerText(n, signal),
  }),
  putFleetLayer: operation({
    part: "fleet",
    at: "PUT fleet/config/text",
    says: "Put one that the operator's key has signed in its place",
    reach: "socket",
    input: fleetLayerRequest,
    output: fleetLayerPutShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
    perform: (fleet, request, signal) => fleet.putLayer(request, signal),
  }),
  fleetCheck: operation({
    part: "fleet",
    at: "POST fleet/check",
    says: "What the fleet's server permits to this machine, tried with words that change nothing",
    output: fleetCheckShape,
    perform: (fleet, _, signal) => fleet.check(signal),
  }),
  daemonLog: operation({
    part: "log",
    at: "POST log",
    says: "The daemon's own log, the newest first",
    input: logRequest,
    output: logReportShape,
    counts: "records",
    perform: (log, request, signal) => log.log(request, signal),
  }),
  sync: operation({
    part: "config",
    at: "GET sync",
    says: "What became of changes of the configuration",
    output: syncReportShape,
    perform: (config) => config.sync(),
  }),
  reload: operation({
    part: "config",
    at: "POST reload",
    says: "Read the configuration file again and apply it",
    input: reloadRequest,
    output: reloadReportShape,
    counts: "config",
    perform: (config, request, signal) => config.reload(request, signal),
  }),
  config: operation({
    part: "config",
    at: "GET config",
    says: "The configuration file as it stands",
    output: configReportShape,
    counts: "config",
    perform: (config, _, signal) => config.config(signal),
  }),
  edit: operation({
    part: "config",
    at: "POST config/edit",
    says: "Change keys of the configuration and apply it",
    input: editRequest,
    output: editReportShape,
    counts: "config",
    perform: (config, request, signal, rights) => config.edit(request, signal, rights),
  }),
  editText: operation({
    part: "config",
    at: "PUT config/text",
    says: "Replace the text of the configuration and apply it",
    input: editTextRequest,
    output: editReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
    perform: (config, request, signal, rights) => config.editText(request, signal, rights),
  }),
  checkConfig: operation({
    part: "config",
    at: "POST config/check",
    says: "What a text would do as the configuration; nothing is written",
    input: checkConfigRequest,
    output: configCheckReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
    perform: (config, request, signal) => config.check(request, signal),
  }),
  approvals: operation({
    part: "config",
    at: "GET config/approvals",
    says: "What waits for approval",
    output: approvalsReportShape,
    perform: (config) => config.approvals(),
  }),
  approve: operation({
    part: "config",
    at: "POST config/approve",
    says: "Approve entries as they were shown",
    reach: "with_commands",
    input: approveRequest,
    output: approveReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
    perform(config, request, signal, rights) {
      // Whoever loosens that sits at the machine.
      if (request.loosen === true) requireReach("socket", rights);
      return config.approve(request, signal);
    },
  }),
  history: operation({
    part: "config",
    at: "GET config/history",
    says: "The contents of the configuration that were accepted",
    output: historyReportShape,
    counts: "config",
    perform: (config, _, signal) => config.history(signal),
  }),
  historyText: operation({
    part: "config",
    at: "GET config/history/",
    says: "The text of one of them",
    input: strictObject({ n: count }),
    output: text,
    counts: "config",
    perform: (config, { n }, signal) => config.historyText(n, signal),
  }),
  rollback: operation({
    part: "config",
    at: "POST config/rollback",
    says: "Go back to one of them",
    input: rollbackRequest,
    output: editReportShape,
    counts: "config",
    perform: (config, request, signal, rights) => config.rollback(request, signal, rights),
  }),
  openPage: operation({
    part: "access",
    at: "POST access/link",
    says: "A link that signs one browser in",
    reach: "socket",
    output: pageLinkShape,
    perform: (access) => access.openPage(),
  }),
  makeToken: operation({
    part: "access",
    at: "POST access/token",
    says: "A new token for the management API",
    reach: "socket",
    output: serverTokenShape,
    perform: (access) => access.makeToken(),
  }),
  forgetToken: operation({
    part: "access",
    at: "POST access/token/forget",
    says: "Let no token in any more",
    reach: "socket",
    output: forgottenTokenShape,
    perform: (access) => access.forgetToken(),
  }),
};

type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
export type InputOf<Name extends OperationName> = Parameters<Operations[Name]["perform"]>[1];
export type OutputOf<Name extends OperationName> = TypeOf<Operations[Name]["output"]>;

/** What a request asks for, once its path is known. */
export interface AskedOperation
  extends Pick<Operations[OperationName], "method" | "counts" | "bodyLimitBytes" | "input"> {
  prepare(body: string): (signal: AbortSignal) => unknown;
}

/** The operation at a path (without its query); null when nothing is served there. */
export function findOperation(
  path: string,
  served: Served,
  rights: Rights = OWNERS_RIGHTS,
): AskedOperation | null {
  if (!path.startsWith(`${MANAGE_PREFIX}/`)) return null;
  const name = path.slice(MANAGE_PREFIX.length + 1);
  const [, base = name, n] = /^(.+\/)(\d{1,9})$/.exec(name) ?? [];
  const found = Object.values(OPERATIONS).find(
    (each) => each.path === base && each.path.endsWith("/") === (n !== undefined),
  );
  if (found === undefined) return null;
  // Operations of the gateway are found even when none runs, so that they can be refused with a reason.
  if (found.part !== "gateway" && (served[found.part] ?? null) === null) return null;
  return {
    ...found,
    prepare: (body) => found.prepare(n === undefined ? body : `{"n":${Number(n)}}`, served, rights),
  };
}

/** Where a client asks for an operation. */
export function requestPath(name: OperationName, input: object | null): string {
  const { path } = OPERATIONS[name];
  return `${MANAGE_PREFIX}/${path}${path.endsWith("/") ? objectOf(input)["n"] : ""}`;
}
