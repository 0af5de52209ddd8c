// The table of what can be asked of the daemon. Types, the client's calls and the server's dispatch follow from it.

import { objectOf } from "../runtime/text/json-object.ts";
import { approvalsReportShape, approveReportShape, approveRequest } from "./approval-contract.ts";
import {
  aliasReportShape,
  backendLogsReportShape,
  backendSwitchReportShape,
  callReportShape,
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
  syncReportShape,
  toolsReportShape,
  verifyReportShape,
} from "./contract.ts";
import type {
  ConfigControl,
  DaemonControl,
  GatewayControl,
  HandoverControl,
  PlaceControl,
} from "./control.ts";
import { gatewayOff } from "./gateway-names.ts";
import {
  backendRequest,
  backendSwitchRequest,
  backendsRequest,
  callRequest,
  editRequest,
  editTextRequest,
  foldersRequest,
  type RequestShape,
  readRequest,
  reloadRequest,
  rollbackRequest,
  sharesRequest,
  switchRequest,
  unmountRequest,
} from "./requests.ts";
import { count, type Shape, strictObject, type TypeOf, text } from "./shape.ts";
import {
  approveToolsReportShape,
  approveToolsRequest,
  toolChangesReportShape,
  toolChangesRequest,
} from "./tool-changes-contract.ts";

const BODY_LIMIT_BYTES = 64 * 1024;
/** The largest configuration (512 KiB), each byte of it at its longest in JSON (`\u0000`), and the fields around it. */
const TEXT_LIMIT_BYTES = 6 * 512 * 1024 + BODY_LIMIT_BYTES;
/** A tool may be given a file's content. */
const CALL_LIMIT_BYTES = 16 * 1024 * 1024;
/** Thousands of names, each with its digest. */
const TOOLS_LIMIT_BYTES = 4 * 1024 * 1024;

/** Whom an operation asks. */
export interface Served {
  readonly control: DaemonControl;
  /** null serves nothing about the configuration. */
  readonly config: ConfigControl | null;
  /** null refuses all that is about the gateway with `gateway_off`. */
  readonly gateway: GatewayControl | null;
  /** Absent serves nothing about places. */
  readonly places?: PlaceControl | undefined;
  /** Absent serves no handover. */
  readonly handover?: HandoverControl | undefined;
}

/** Kinds of requests under way: of each a number of its own, so that none holds up the others. */
export type CountedKind = "steps" | "config" | "calls" | "places";

type Part = keyof Served;
type Method = "GET" | "POST" | "PUT";

/** What one operation is. The output of `historyText` alone is a text, and answered as one. */
interface Definition<P extends Part, Input, Output> {
  readonly part: P;
  /** Method, and path after the prefix. A slash at its end is followed by a number, the input's `n`. */
  readonly at: `${Method} ${string}`;
  /** Absent: the body is ignored, whatever it is. */
  readonly input?: RequestShape<Input>;
  readonly output: Shape<Output>;
  /** Which kind of requests under way it counts among. Absent: it is answered at once, whatever is under way. */
  readonly counts?: CountedKind;
  readonly bodyLimitBytes?: number;
  readonly perform: (
    part: NonNullable<Served[P]>,
    input: Input,
    signal: AbortSignal,
  ) => Output | Promise<Output>;
}

/** Reads the body first, so that a bad one is refused before anything is begun. Throws `protocol` and `gateway_off`. */
type Prepare = (body: string, served: Served) => (signal: AbortSignal) => unknown;

function operation<P extends Part, Input, Output>(definition: Definition<P, Input, Output>) {
  const {
    part: name,
    at,
    input,
    output,
    counts = null,
    bodyLimitBytes = BODY_LIMIT_BYTES,
    perform,
  } = definition;
  const [method = "", path = ""] = at.split(" ");
  const prepare: Prepare = (body, served) => {
    const part = served[name];
    if (part === null || part === undefined) throw gatewayOff();
    const request = input === undefined ? (null as Input) : readRequest(body, input);
    return (signal) => perform(part, request, signal);
  };
  return { part: name, method, path, output, counts, bodyLimitBytes, perform, prepare };
}

const steps = async (results: Promise<readonly StepResult[]>) => ({ results: await results });

/** By the name of the client's call. */
export const OPERATIONS = {
  status: operation({
    part: "control",
    at: "GET status",
    output: statusReportShape,
    perform: (control) => control.status(),
  }),
  verify: operation({
    part: "control",
    at: "POST verify",
    input: sharesRequest,
    output: verifyReportShape,
    counts: "steps",
    perform: (control, { shares = null }, signal) => control.verify(shares, signal),
  }),
  reconcile: operation({
    part: "control",
    at: "POST reconcile",
    input: sharesRequest,
    output: stepReportShape,
    counts: "steps",
    perform: (control, { shares = null }, signal) => steps(control.reconcile(shares, signal)),
  }),
  mount: operation({
    part: "control",
    at: "POST mount",
    input: sharesRequest,
    output: stepReportShape,
    counts: "steps",
    perform: (control, { shares = null }, signal) => steps(control.mount(shares, signal)),
  }),
  unmount: operation({
    part: "control",
    at: "POST unmount",
    input: unmountRequest,
    output: stepReportShape,
    counts: "steps",
    perform: (control, { shares = null, force = false }, signal) =>
      steps(control.unmount(shares, { force }, signal)),
  }),
  switchRoute: operation({
    part: "control",
    at: "POST switch",
    input: switchRequest,
    output: stepReportShape,
    counts: "steps",
    perform: (control, { shares = null, to, force = false, wait = false }, signal) =>
      steps(control.switchRoute(shares, { to, force, wait }, signal)),
  }),
  handOver: operation({
    part: "handover",
    at: "POST restart",
    output: handOverReportShape,
    counts: "config",
    perform: (handover, _, signal) => handover.begin(signal),
  }),
  aliases: operation({
    part: "places",
    at: "GET aliases",
    output: aliasReportShape,
    counts: "places",
    perform: (places, _, signal) => places.aliases(signal),
  }),
  reconcileAliases: operation({
    part: "places",
    at: "POST aliases/reconcile",
    output: aliasReportShape,
    counts: "places",
    perform: (places, _, signal) => places.reconcileAliases(signal),
  }),
  folders: operation({
    part: "places",
    at: "POST folders",
    input: foldersRequest,
    output: foldersReportShape,
    counts: "places",
    perform: (places, request, signal) => places.folders(request, signal),
  }),
  // Only calls are counted: everything else answers at once, and is needed most when all calls hang.
  tools: operation({
    part: "gateway",
    at: "GET tools",
    output: toolsReportShape,
    perform: (gateway, _, signal) => gateway.tools(signal),
  }),
  call: operation({
    part: "gateway",
    at: "POST call",
    input: callRequest,
    output: callReportShape,
    counts: "calls",
    bodyLimitBytes: CALL_LIMIT_BYTES,
    perform: (gateway, request, signal) => gateway.call(request, signal),
  }),
  toolChanges: operation({
    part: "gateway",
    at: "POST tools/changes",
    input: toolChangesRequest,
    output: toolChangesReportShape,
    bodyLimitBytes: TOOLS_LIMIT_BYTES,
    perform: (gateway, request, signal) => gateway.toolChanges(request, signal),
  }),
  approveTools: operation({
    part: "gateway",
    at: "POST tools/approve",
    input: approveToolsRequest,
    output: approveToolsReportShape,
    bodyLimitBytes: TOOLS_LIMIT_BYTES,
    perform: (gateway, request, signal) => gateway.approveTools(request, signal),
  }),
  restart: operation({
    part: "gateway",
    at: "POST backends/restart",
    input: backendsRequest,
    output: restartReportShape,
    perform: (gateway, { backends = null }, signal) => gateway.restart(backends, signal),
  }),
  switchBackend: operation({
    part: "gateway",
    at: "POST backends/switch",
    input: backendSwitchRequest,
    output: backendSwitchReportShape,
    counts: "steps",
    perform: (gateway, request, signal) => gateway.switchRoute(request, signal),
  }),
  logs: operation({
    part: "gateway",
    at: "POST backends/logs",
    input: backendRequest,
    output: backendLogsReportShape,
    perform: (gateway, { backend }, signal) => gateway.logs(backend, signal),
  }),
  sync: operation({
    part: "config",
    at: "GET sync",
    output: syncReportShape,
    perform: (config) => config.sync(),
  }),
  reload: operation({
    part: "config",
    at: "POST reload",
    input: reloadRequest,
    output: reloadReportShape,
    counts: "config",
    perform: (config, request, signal) => config.reload(request, signal),
  }),
  config: operation({
    part: "config",
    at: "GET config",
    output: configReportShape,
    counts: "config",
    perform: (config, _, signal) => config.config(signal),
  }),
  edit: operation({
    part: "config",
    at: "POST config/edit",
    input: editRequest,
    output: editReportShape,
    counts: "config",
    perform: (config, request, signal) => config.edit(request, signal),
  }),
  editText: operation({
    part: "config",
    at: "PUT config/text",
    input: editTextRequest,
    output: editReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
    perform: (config, request, signal) => config.editText(request, signal),
  }),
  approvals: operation({
    part: "config",
    at: "GET config/approvals",
    output: approvalsReportShape,
    perform: (config) => config.approvals(),
  }),
  approve: operation({
    part: "config",
    at: "POST config/approve",
    input: approveRequest,
    output: approveReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
    perform: (config, request, signal) => config.approve(request, signal),
  }),
  history: operation({
    part: "config",
    at: "GET config/history",
    output: historyReportShape,
    counts: "config",
    perform: (config, _, signal) => config.history(signal),
  }),
  historyText: operation({
    part: "config",
    at: "GET config/history/",
    input: strictObject({ n: count }),
    output: text,
    counts: "config",
    perform: (config, { n }, signal) => config.historyText(n, signal),
  }),
  rollback: operation({
    part: "config",
    at: "POST config/rollback",
    input: rollbackRequest,
    output: editReportShape,
    counts: "config",
    perform: (config, request, signal) => config.rollback(request, signal),
  }),
};

type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
export type InputOf<Name extends OperationName> = Parameters<Operations[Name]["perform"]>[1];
export type OutputOf<Name extends OperationName> = TypeOf<Operations[Name]["output"]>;

/** What a request asks for, once its path is known. */
export interface AskedOperation
  extends Pick<Operations[OperationName], "method" | "counts" | "bodyLimitBytes"> {
  prepare(body: string): (signal: AbortSignal) => unknown;
}

/** The operation at a path (without its query); null when nothing is served there. */
export function findOperation(path: string, served: Served): AskedOperation | null {
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
    prepare: (body) => found.prepare(n === undefined ? body : `{"n":${Number(n)}}`, served),
  };
}

/** Where a client asks for an operation. */
export function requestPath(name: OperationName, input: object | null): string {
  const { path } = OPERATIONS[name];
  return `${MANAGE_PREFIX}/${path}${path.endsWith("/") ? objectOf(input)["n"] : ""}`;
}
