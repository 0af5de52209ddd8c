// Owns the contract's shapes for zod: what a client accepts from whatever answers on the socket. Unknown keys pass,
// so that a newer daemon may say more; unknown values of known keys do not.
import * as z from "zod/mini";
import { ERROR_CODES, type ErrorCode } from "../../runtime/errors.ts";
import type {
  AliasReport,
  AliasStatus,
  BackendLogsReport,
  BackendLogsRequest,
  BackendStatus,
  BackendsRequest,
  CallReport,
  CallRequest,
  Condition,
  DaemonNote,
  ErrorBody,
  FoldersReport,
  FoldersRequest,
  GatewayStatus,
  GlobalStatus,
  OpenFileHolder,
  RestartReport,
  ShareRequest,
  ShareStatus,
  StatusReport,
  StepReport,
  StepResult,
  SwitchRequest,
  ToolEntry,
  ToolsReport,
  UnmountRequest,
  VerifyFinding,
  VerifyReport,
} from "../contract.ts";

const text = z.string();
const textOrNull = z.nullable(z.string());
const routeName = z.enum(["tb", "fallback"]);
const routeOrNone = z.enum(["tb", "fallback", "none"]);

export const openFileHolderSchema = z.object({ pid: z.number(), command: text, path: text });

export const conditionSchema = z.object({
  code: text,
  severity: z.enum(["info", "warning", "error"]),
  title: text,
  hint: textOrNull,
  since: text,
  holders: z.exactOptional(z.array(openFileHolderSchema)),
});

const carriedStatusSchema = z.object({
  port: z.number(),
  phase: z.enum(["carrying", "waiting", "unconfirmed", "refusing"]),
  connections: z.number(),
  connections_in_all: z.number(),
  bytes_to_server: z.number(),
  bytes_from_server: z.number(),
  longest_wait_ms: z.number(),
  moves: z.number(),
});

export const shareStatusSchema = z.object({
  name: text,
  active_interface: routeOrNone,
  mount_state: z.enum(["mounted", "unmounted", "error"]),
  mount_path: text,
  stable_path: text,
  tb_host: textOrNull,
  fb_host: textOrNull,
  tb_reachable: z.boolean(),
  fb_reachable: z.boolean(),
  mount_alive: z.boolean(),
  tb_recovery_pending: z.boolean(),
  held: z.nullable(z.enum(["fallback", "unmounted"])),
  last_error: textOrNull,
  last_switch_at: textOrNull,
  tb_reachable_since: textOrNull,
  tb_healthy_since: textOrNull,
  carried: z.exactOptional(carriedStatusSchema),
  conditions: z.array(conditionSchema),
});

export const globalStatusSchema = z.object({
  version: text,
  pid: z.nullable(z.number()),
  started_at: textOrNull,
  config_path: text,
  home: text,
  check_interval_secs: z.number(),
  auto_failback: z.boolean(),
  auto_failback_stable_secs: z.number(),
  lsof_recheck: z.boolean(),
  network_events: z.enum(["rtnetlink", "scdynamicstore", "scutil", "polling", "off"]),
  conditions: z.array(conditionSchema),
});

export const gatewayStatusSchema = z.object({
  url: textOrNull,
  sessions: z.number(),
  in_flight: z.number(),
  tools: z.number(),
  resources: z.number(),
  resource_templates: z.number(),
  prompts: z.number(),
  conditions: z.array(conditionSchema),
});

export const backendStatusSchema = z.object({
  name: text,
  group: textOrNull,
  type: z.enum(["stdio", "streamable-http"]),
  enabled: z.boolean(),
  phase: z.enum(["Pending", "Initializing", "Ready", "Degraded", "Failed", "ShuttingDown"]),
  reason: textOrNull,
  since: text,
  pid: z.nullable(z.number()),
  server: z.nullable(z.object({ name: text, version: text })),
  protocol_version: textOrNull,
  instances: z.number(),
  in_flight: z.number(),
  draining: z.number(),
  restarts: z.number(),
  retry_at: textOrNull,
  last_error: textOrNull,
  tools: z.number(),
  resources: z.number(),
  prompts: z.number(),
  withheld_tools: z.exactOptional(z.number()),
  conditions: z.array(conditionSchema),
});

export const aliasStatusSchema = z.object({
  name: text,
  share: text,
  target_subpath: text,
  path: text,
  target: text,
  link: z.enum(["right", "missing", "taken", "blocked"]),
  detail: textOrNull,
});

export const aliasReportSchema = z.object({ aliases: z.array(aliasStatusSchema) });

export const foldersReportSchema = z.object({
  share: text,
  subpath: text,
  path: text,
  folders: z.array(text),
  truncated: z.boolean(),
});

export const statusReportSchema = z.object({
  global: globalStatusSchema,
  shares: z.array(shareStatusSchema),
  aliases: z.exactOptional(z.array(aliasStatusSchema)),
  gateway: z.exactOptional(gatewayStatusSchema),
  backends: z.exactOptional(z.array(backendStatusSchema)),
});

const jsonObject = z.record(text, z.unknown());

export const toolEntrySchema = z.object({
  name: text,
  backend: text,
  original_name: text,
  description: textOrNull,
  input_schema: jsonObject,
});

export const toolsReportSchema = z.object({ tools: z.array(toolEntrySchema) });

export const callReportSchema = z.object({
  result: z.nullable(jsonObject),
  error: z.nullable(z.object({ code: z.number(), message: text, data: z.exactOptional(z.unknown()) })),
});

export const restartReportSchema = z.object({ restarted: z.array(text) });

export const backendLogsReportSchema = z.object({ lines: z.array(text) });

export const verifyFindingSchema = z.object({
  share: textOrNull,
  severity: z.enum(["warning", "error"]),
  code: text,
  text,
  hint: textOrNull,
});

export const verifyReportSchema = z.object({
  ok: z.boolean(),
  findings: z.array(verifyFindingSchema),
  looked_at: z.optional(z.object({ shares: z.number(), backends: z.number() })),
});

export const stepResultSchema = z.object({
  share: text,
  result: z.enum(["mounted", "unmounted", "switched", "skipped", "busy", "pending", "failed"]),
  active_interface: routeOrNone,
  detail: text,
  hint: textOrNull,
  holders: z.array(openFileHolderSchema),
  unsent: z.array(text),
});

export const stepReportSchema = z.object({ results: z.array(stepResultSchema) });

const names = z.exactOptional(z.nullable(z.array(text)));

// Requests are strict: an option that the daemon does not know must not be ignored.
export const shareRequestSchema = z.strictObject({ shares: names });
export const unmountRequestSchema = z.strictObject({ shares: names, force: z.exactOptional(z.boolean()) });
export const foldersRequestSchema = z.strictObject({ share: text, subpath: z.exactOptional(text) });
export const switchRequestSchema = z.strictObject({
  shares: names,
  to: z.enum([...routeName.options, "auto"]),
  force: z.exactOptional(z.boolean()),
  wait: z.exactOptional(z.boolean()),
});

const wellFormed = text.check(z.refine((value) => value.isWellFormed()));

export const callRequestSchema = z.strictObject({ tool: wellFormed, arguments: z.exactOptional(jsonObject) });
export const backendsRequestSchema = z.strictObject({ backends: names });
export const backendLogsRequestSchema = z.strictObject({ backend: wellFormed });

const errorCode = z.custom<ErrorCode>(
  (value) => typeof value === "string" && Object.hasOwn(ERROR_CODES, value),
);

export const errorBodySchema = z.object({
  error: z.object({ code: errorCode, message: text, hint: textOrNull }),
});

export const daemonNoteSchema = z.object({
  pid: z.number(),
  socket: text,
  mcp_socket: z.exactOptional(text),
  version: text,
  started_at: text,
});

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Flat<T> = T extends (infer Item)[]
  ? Flat<Item>[]
  : T extends object
    ? { [Key in keyof T]: Flat<T[Key]> }
    : T;
/** Whether a schema's output is the contract's shape. */
export type Agrees<Schema extends z.core.$ZodType, Contract> = Same<Flat<z.output<Schema>>, Flat<Contract>>;

/** Fails to compile when a schema and its interface in contract.ts say different things. */
export type ContractAgreement = [
  Agreed<Agrees<typeof openFileHolderSchema, OpenFileHolder>>,
  Agreed<Agrees<typeof conditionSchema, Condition>>,
  Agreed<Agrees<typeof shareStatusSchema, ShareStatus>>,
  Agreed<Agrees<typeof globalStatusSchema, GlobalStatus>>,
  Agreed<Agrees<typeof gatewayStatusSchema, GatewayStatus>>,
  Agreed<Agrees<typeof backendStatusSchema, BackendStatus>>,
  Agreed<Agrees<typeof statusReportSchema, StatusReport>>,
  Agreed<Agrees<typeof aliasStatusSchema, AliasStatus>>,
  Agreed<Agrees<typeof aliasReportSchema, AliasReport>>,
  Agreed<Agrees<typeof foldersReportSchema, FoldersReport>>,
  Agreed<Agrees<typeof foldersRequestSchema, FoldersRequest>>,
  Agreed<Agrees<typeof toolEntrySchema, ToolEntry>>,
  Agreed<Agrees<typeof toolsReportSchema, ToolsReport>>,
  Agreed<Agrees<typeof callReportSchema, CallReport>>,
  Agreed<Agrees<typeof restartReportSchema, RestartReport>>,
  Agreed<Agrees<typeof backendLogsReportSchema, BackendLogsReport>>,
  Agreed<Agrees<typeof callRequestSchema, CallRequest>>,
  Agreed<Agrees<typeof backendsRequestSchema, BackendsRequest>>,
  Agreed<Agrees<typeof backendLogsRequestSchema, BackendLogsRequest>>,
  Agreed<Agrees<typeof verifyFindingSchema, VerifyFinding>>,
  Agreed<Agrees<typeof verifyReportSchema, VerifyReport>>,
  Agreed<Agrees<typeof stepResultSchema, StepResult>>,
  Agreed<Agrees<typeof stepReportSchema, StepReport>>,
  Agreed<Agrees<typeof shareRequestSchema, ShareRequest>>,
  Agreed<Agrees<typeof unmountRequestSchema, UnmountRequest>>,
  Agreed<Agrees<typeof switchRequestSchema, SwitchRequest>>,
  Agreed<Agrees<typeof errorBodySchema, ErrorBody>>,
  Agreed<Agrees<typeof daemonNoteSchema, DaemonNote>>,
];
/** Compiles only for what agrees. */
export type Agreed<T extends true> = T;
