// The table of operations: the path of each operation, who may ask for it, and the shapes of its input and
// answer. Everything else about operations is derived from the table.
import {
  choice,
  count,
  described,
  flag,
  jsonObject,
  list,
  matching,
  nullable,
  object,
  optional,
  type Shape,
  strictObject,
  text,
  wellFormedText,
} from "../../runtime/shape.ts";
import { approvalsReportShape, approveReportShape, approveRequest } from "../contract/approvals.ts";
import { catalogReportShape } from "../contract/catalog.ts";
import {
  configCheckReportShape,
  configReportShape,
  editReportShape,
  historyEntryShape,
  reloadReportShape,
  syncReportShape,
} from "../contract/config.ts";
import {
  aliasReportShape,
  backendSwitchReportShape,
  callReportShape,
  clientShape,
  handOverReportShape,
  statusReportShape,
  stepReportShape,
  toolsReportShape,
  verifyReportShape,
} from "../contract/contract.ts";
import { fleetCheckShape, fleetReportShape } from "../contract/fleet.ts";
import { numbersReportShape, numbersSpan, numbersSubject, seriesShape } from "../contract/numbers.ts";
import {
  accessRequest,
  accessRequestShape,
  accountRequest,
  grantsRequest,
  peopleReportShape,
  peopleRequest,
  userChangeRequest,
  userChangeShape,
} from "../contract/people.ts";
import { answerReportShape, answerRequest, questionsReportShape } from "../contract/questions.ts";
import { auditReportShape, auditRequest, logReportShape, logRequest } from "../contract/records.ts";
import {
  approveToolsReportShape,
  approveToolsRequest,
  toolChangesReportShape,
  toolChangesRequest,
} from "../contract/tool-changes.ts";
import { connectionShape, connectRequest, knownClientsShape } from "../setup/client-connection.ts";
import { BODY_LIMIT_BYTES, operation } from "./operation.ts";
import { configEdit } from "./requests.ts";
import { SETUP_OPERATIONS } from "./setup-table.ts";

/** Room for a configuration of 512 KiB whose bytes are all escaped in JSON (`\u0000`), and for the fields around it. */
const TEXT_LIMIT_BYTES = 6 * 512 * 1024 + BODY_LIMIT_BYTES;
/** Arguments of a tool may contain a file. */
const CALL_LIMIT_BYTES = 16 * 1024 * 1024;
/** Room for thousands of names with their digests. */
const TOOLS_LIMIT_BYTES = 4 * 1024 * 1024;

/** Limit of edits or tools in one request. No panel or command needs as many. */
const MOST_EDITS = 1_000;

/** Absent or null: all. */
const names: Shape<readonly string[] | null> = described(
  "a list of names, or null for all",
  nullable(list(text)),
);
/** Answers with the result for each share. */
const onShares = (at: `POST ${string}`) =>
  operation(at, {
    input: strictObject({ shares: optional(names) }),
    output: stepReportShape,
    counts: "steps",
  });
const oneBackend = strictObject({ backend: wellFormedText });
const sha256 = matching(/^[0-9a-f]{64}$/, "a SHA-256 in small hexadecimal digits");
/** Who edits: "cli", "tui", "api"; shown in the log and in the history. */
const editSource = matching(/^[a-z][a-z0-9-]{0,31}$/, "a word of small letters");

/** Comments beside an operation state its contract. */
export const OPERATIONS = {
  /**
   * The state of the daemon, its shares, aliases and backends. Answers from memory; never waits for a mount or a
   * host.
   */
  status: operation("GET status", {
    output: statusReportShape,
  }),
  /** Check shares now and report problems; changes nothing. */
  verify: operation("POST verify", {
    /** `login`: also log in to each server once. */
    input: strictObject({ shares: optional(names), login: optional(flag) }),
    output: verifyReportShape,
    counts: "steps",
  }),
  /**
   * Check shares now, and mount, move or repair them as needed. Runs each share's cycle until no step is left that
   * can be done at once.
   */
  reconcile: onShares("POST reconcile"),
  /** Mount shares. `new_server`: let in a server that is not the recorded one, as the share's new NAS. */
  mount: operation("POST mount", {
    input: strictObject({ shares: optional(names), new_server: optional(flag) }),
    output: stepReportShape,
    counts: "steps",
  }),
  /** Wake the NAS of shares (Wake-on-LAN). */
  wake: onShares("POST wake"),
  /** Unmount shares and keep them unmounted. */
  unmount: operation("POST unmount", {
    input: strictObject({ shares: optional(names), force: optional(flag) }),
    output: stepReportShape,
    counts: "steps",
  }),
  /** Move shares to another route. `wait`: true waits until open files are closed, or the signal aborts. */
  switchRoute: operation("POST switch", {
    input: strictObject({
      shares: optional(names),
      to: choice("tb", "fallback", "auto"),
      force: optional(flag),
      wait: optional(flag),
    }),
    output: stepReportShape,
    counts: "steps",
  }),
  /**
   * Start the installed version next to the running one, and hand over to it. Resolves when the next daemon is ready
   * and takes over. Rejects with `handover_failed`; then this daemon keeps serving.
   */
  handOver: operation("POST restart", {
    output: handOverReportShape,
    counts: "config",
  }),
  /** The aliases and the state of their links. */
  aliases: operation("GET aliases", {
    output: aliasReportShape,
    counts: "places",
  }),
  /** Create, repair and remove the links of aliases. */
  reconcileAliases: operation("POST aliases/reconcile", {
    output: aliasReportShape,
    counts: "places",
  }),
  // Most operations of the gateway answer at once. They have no `counts`, because people need them most when all
  // calls hang. Operations that need a running gateway reject with `gateway_off` if none runs. An unknown name is
  // rejected with `backend_unknown` or `tool_unknown`.
  /** The tools that are published. Without a daemon, the command waits until every backend is ready or has failed. */
  tools: operation("GET tools", {
    output: toolsReportShape,
  }),
  /** Switch tools off or on, for all clients. */
  switchTools: operation("POST tools/switch", {
    /** Names as clients see them. */
    input: strictObject({ tools: list(text, MOST_EDITS), on: flag }),
    /** The tools whose state this call has changed. */
    output: object({ switched: list(text) }),
    // Switching a tool on again needs the rights to approve it.
    rightFor: ({ on }) => (on ? "with_commands" : "signed_in"),
  }),
  /** The MCP clients that are connected now. */
  clients: operation("GET clients", {
    /** In the order in which they connected. */
    output: object({ clients: list(clientShape) }),
  }),
  /** The people who may connect, their programs, and their rights by the rules that are in use. */
  people: operation("POST people", { input: peopleRequest, output: peopleReportShape }),
  /**
   * Add a user, give one a new token (the one before is accepted for an hour), or remove one. Rejects with `usage`,
   * `config_…` and `secret_unavailable`.
   */
  changeUser: operation("POST people/change", {
    right: "owner",
    input: userChangeRequest,
    output: userChangeShape,
    counts: "config",
  }),
  /** Where a user signs in to the own account, for ten minutes; or the end of that account. Rejects with `usage`. */
  userAccount: operation("POST people/account", {
    right: "owner",
    input: accountRequest,
    /** null: the account has ended. */
    output: object({ address: nullable(text) }),
  }),
  /**
   * A program's request for access, by the code that its page shows, and the owner's answer to it. Rejects with
   * `permission_denied` if no page shows the code, and with `usage` if there is no such user.
   */
  accessRequest: operation("POST people/request", {
    right: "owner",
    input: accessRequest,
    output: accessRequestShape,
  }),
  /** End programs' access, or limit it more. Rejects with `secret_unavailable`. */
  changeGrants: operation("POST people/grants", {
    rightFor: ({ to }) => (to === "keep" ? "owner" : "signed_in"),
    input: grantsRequest,
    /** The names of the programs. */
    output: object({ changed: list(text) }),
  }),
  /** The calls that wait for the owner's answer, the oldest first. */
  questions: operation("GET questions", { right: "owner", output: questionsReportShape }),
  /** Answer such a call, as it was shown. Rejects with `permission_denied` if no question has this code. */
  answer: operation("POST questions/answer", {
    right: "owner",
    input: answerRequest,
    output: answerReportShape,
  }),
  /** The MCP clients on this machine that can be connected to this gateway. */
  knownClients: operation("GET clients/known", {
    right: "with_commands",
    output: knownClientsShape,
    counts: "places",
  }),
  /**
   * Connect an MCP client to this gateway, or undo that; shows the change of its file first, and writes it once
   * agreed. Rejects with `client_unreadable`, and with `config_changed` if the change is no longer the one that was
   * agreed to.
   */
  connectClient: operation("POST clients/connect", {
    right: "with_commands",
    input: connectRequest,
    output: connectionShape,
    counts: "places",
  }),
  /** All published tools, resources and prompts, with their backends. */
  catalog: operation("GET catalog", {
    output: catalogReportShape,
  }),
  /** Call a tool. Resolves even if the tool reports an error. No policy limits the owner's calls. */
  call: operation("POST call", {
    input: strictObject({
      tool: wellFormedText,
      /** Default {}. */
      arguments: optional(jsonObject),
    }),
    output: callReportShape,
    counts: "calls",
    bodyLimitBytes: CALL_LIMIT_BYTES,
  }),
  /** Tools that have changed since they were approved. */
  toolChanges: operation("POST tools/changes", {
    input: toolChangesRequest,
    output: toolChangesReportShape,
    bodyLimitBytes: TOOLS_LIMIT_BYTES,
  }),
  /** Approve tools as they were shown. Tools that have changed since they were shown are not approved. */
  approveTools: operation("POST tools/approve", {
    right: "with_commands",
    input: approveToolsRequest,
    output: approveToolsReportShape,
    bodyLimitBytes: TOOLS_LIMIT_BYTES,
  }),
  /** Restart backends. `user`: only the instances of this user's account. */
  restart: operation("POST backends/restart", {
    input: strictObject({ backends: optional(names), user: optional(nullable(text)) }),
    /** Names of the restarted backends. The old instances serve until the new ones are ready. */
    output: object({ restarted: list(text) }),
  }),
  /**
   * Move a backend to the route `to` and keep it there (a "hold"). For the
   * preferred route, only ends an earlier hold.
   */
  switchBackend: operation("POST backends/switch", {
    /** `to`: a route's name, or `auto`, which ends a hold. */
    input: strictObject({ backend: wellFormedText, to: wellFormedText }),
    output: backendSwitchReportShape,
    counts: "steps",
  }),
  /** A backend's output on stderr. */
  logs: operation("POST backends/logs", {
    input: oneBackend,
    /** The server's output, without MCP messages, oldest first; at most 200 lines. */
    output: object({ lines: list(text) }),
  }),
  /** The audit records, newest first. Rejects with `timed_out`. */
  audit: operation("POST audit", {
    input: auditRequest,
    output: auditReportShape,
    counts: "records",
  }),
  /** Numbers of the last hour and day for each share and server. */
  numbers: operation("GET numbers", {
    output: numbersReportShape,
    counts: "records",
  }),
  /** Numbers of one share or server over a span of time. An unknown one has no numbers: each item is null. */
  series: operation("POST numbers/series", {
    input: strictObject({ of: numbersSubject, name: wellFormedText, span: numbersSpan }),
    output: seriesShape,
    counts: "records",
  }),
  // All operations of the fleet reject with `fleet_off` without a fleet, and with `fleet_unreachable` if they need its link.
  /**
   * The machines of the fleet, each with its published state. Waits until the other machines are known: seconds at
   * most.
   */
  fleet: operation("GET fleet", {
    output: fleetReportShape,
  }),
  /** Test which subjects this machine may use on the fleet's server; changes nothing. */
  fleetCheck: operation("POST fleet/check", {
    output: fleetCheckShape,
  }),
  /** The daemon's log, newest first. Rejects with `timed_out` when the disk does not answer. */
  daemonLog: operation("POST log", {
    input: logRequest,
    output: logReportShape,
    counts: "records",
  }),
  /** The results of the configuration's latest changes. */
  sync: operation("GET sync", {
    output: syncReportShape,
  }),
  /**
   * Read the configuration file again and apply it. Resolves when the configuration runs. A rejected file is a
   * result, not an error.
   */
  reload: operation("POST reload", {
    /** `secrets`: does not read the file, and restarts only what uses a secret that has changed. */
    input: strictObject({ dry_run: optional(flag), secrets: optional(flag) }),
    output: reloadReportShape,
    counts: "config",
  }),
  /** The current configuration file. */
  config: operation("GET config", {
    output: configReportShape,
    counts: "config",
  }),
  /**
   * Change keys of the configuration, save and apply it. Rejects with `config_changed` if the file is
   * not the expected one, and with `commands_refused` if the change needs the right to run commands. A caller with
   * that right approves the change by making it.
   */
  edit: operation("POST config/edit", {
    input: strictObject({
      /** Applied in order. */
      edits: described(
        `a list of at most ${MOST_EDITS} { key, value }, each value a text or null, { add, entry } or ` +
          "{ remove, name } of shares, aliases or backends",
        list(configEdit, MOST_EDITS),
      ),
      /** SHA-256 of the content that the edits are for; absent: any content. */
      expected_sha256: optional(sha256),
      source: editSource,
    }),
    output: editReportShape,
    counts: "config",
  }),
  /** Replace the text of the configuration and apply it. */
  editText: operation("PUT config/text", {
    input: strictObject({ text: wellFormedText, expected_sha256: sha256, source: editSource }),
    output: editReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
  }),
  /**
   * Check a text as the configuration; writes nothing. Compares the text with the running configuration. Errors are
   * a result, not an error.
   */
  checkConfig: operation("POST config/check", {
    input: strictObject({ text: wellFormedText }),
    output: configCheckReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
  }),
  /** The changes that wait for approval. */
  approvals: operation("GET config/approvals", {
    output: approvalsReportShape,
  }),
  /**
   * Approve entries as they were shown. Rejects with `entry_unknown`, `config_changed` (the entry has changed since
   * it was shown) and `secret_unavailable`.
   */
  approve: operation("POST config/approve", {
    right: "with_commands",
    input: approveRequest,
    output: approveReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
    // Only a person at the machine may loosen the approval mode.
    rightFor: ({ loosen }) => (loosen === true ? "socket" : "signed_in"),
  }),
  /** The accepted configurations. */
  history: operation("GET config/history", {
    /** Newest first. */
    output: object({ entries: list(historyEntryShape) }),
    counts: "config",
  }),
  /** The text of an accepted configuration. */
  historyText: operation("GET config/history/", {
    input: strictObject({ n: count }),
    output: text,
    counts: "config",
  }),
  /** Restore an accepted configuration. */
  rollback: operation("POST config/rollback", {
    input: strictObject({
      /** Default 1. */
      n: optional(count),
      /** SHA-256 of entry `n` when it was listed; rejects with `config_changed` if `n` is another entry now. */
      sha256: optional(sha256),
      /** SHA-256 of the file that the caller has seen; rejects with `config_changed` if the file has changed. */
      expected_sha256: optional(sha256),
    }),
    output: editReportShape,
    counts: "config",
  }),
  ...SETUP_OPERATIONS,
};
