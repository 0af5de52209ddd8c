// The table of operations: for each one its path, who may ask for it, and the shapes of its input and answer. All else follows.
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
} from "../runtime/shape.ts";
import { SECRET_NAME } from "../runtime/text/name-forms.ts";
import { approvalsReportShape, approveReportShape, approveRequest } from "./approval-contract.ts";
import { loginReportShape } from "./backend-sign-in.ts";
import { catalogReportShape } from "./catalog-contract.ts";
import { connectionShape, connectRequest, knownClientsShape } from "./client-connection.ts";
import {
  aliasReportShape,
  backendSwitchReportShape,
  callReportShape,
  clientShape,
  configCheckReportShape,
  configReportShape,
  editReportShape,
  foldersReportShape,
  handOverReportShape,
  historyEntryShape,
  reloadReportShape,
  statusReportShape,
  stepReportShape,
  syncReportShape,
  toolsReportShape,
  unsentServerShape,
  verifyReportShape,
} from "./contract.ts";
import { pairRequest, pairVerdictShape, shareNamesRequest, shareNamesShape } from "./first-meeting.ts";
import {
  fleetCheckShape,
  fleetLayerEntryShape,
  fleetLayerReportShape,
  fleetReportShape,
} from "./fleet-contract.ts";
import { foundServerShape } from "./found-server.ts";
import { secretChangeShape, secretListShape } from "./home-secrets.ts";
import { BODY_LIMIT_BYTES, operation } from "./operation.ts";
import { auditReportShape, auditRequest, logReportShape, logRequest } from "./records-contract.ts";
import { registryListShape, registryServerRequest, registryServerShape } from "./registry-contract.ts";
import { configEdit } from "./requests.ts";
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

/** Far more than a panel or a command edits at once. */
const MOST_EDITS = 1_000;

/** Absent or null means all of them. */
const names: Shape<readonly string[] | null> = described(
  "a list of names, or null for all",
  nullable(list(text)),
);
const someShares = strictObject({ shares: optional(names) });
const oneBackend = strictObject({ backend: wellFormedText });
const sha256 = matching(/^[0-9a-f]{64}$/, "a SHA-256 in small hexadecimal digits");
/** Who edits: "cli", "tui", "api"; shown in the log and in the history. */
const editSource = matching(/^[a-z][a-z0-9-]{0,31}$/, "a word of small letters");
const secretName = matching(SECRET_NAME.form, SECRET_NAME.expected);

/** What one is asked with and answers is declared here alone; `Control` performs it. */
export const OPERATIONS = {
  /** What is known now; never waits for a mount or a host. */
  status: operation("GET status", {
    says: "How the daemon, its shares, aliases and backends are",
    output: statusReportShape,
  }),
  verify: operation("POST verify", {
    says: "Look at shares afresh and say what is wrong; nothing is changed",
    /** `logon`: log in to each server once, too. */
    input: strictObject({ shares: optional(names), logon: optional(flag) }),
    output: verifyReportShape,
    counts: "steps",
  }),
  /** One cycle of each share, until it has nothing more to do at once. */
  reconcile: operation("POST reconcile", {
    says: "Bring shares to where they should be, now",
    input: someShares,
    output: stepReportShape,
    counts: "steps",
  }),
  mount: operation("POST mount", {
    says: "Mount shares",
    input: someShares,
    output: stepReportShape,
    counts: "steps",
  }),
  wake: operation("POST wake", {
    says: "Wake the NAS of shares (Wake-on-LAN)",
    input: someShares,
    output: stepReportShape,
    counts: "steps",
  }),
  unmount: operation("POST unmount", {
    says: "Unmount shares, and keep them so",
    input: strictObject({ shares: optional(names), force: optional(flag) }),
    output: stepReportShape,
    counts: "steps",
  }),
  /** `wait`: until open files close, or the signal aborts. */
  switchRoute: operation("POST switch", {
    says: "Move shares to another route",
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
   * What waits for which server, and where; after a person's word: how it is then. Rejects with `usage` where that cannot be
   * done, also because files are open.
   */
  unsent: operation("POST unsent", {
    says: "Files that are not on their server yet, and a person's word about them",
    input: strictObject({
      /** Absent or null: all of them. */
      share: optional(nullable(text)),
      /** The id of the server that files wait for; needed where there are several. */
      server: optional(nullable(text)),
      what: choice("show", "send_here", "set_aside"),
    }),
    output: object({ servers: list(unsentServerShape) }),
    counts: "steps",
  }),
  /** Resolves when the next daemon is ready, and takes over. Rejects with `handover_failed`, and all is as before. */
  handOver: operation("POST restart", {
    says: "Start the installed program beside the running one and hand over to it",
    output: handOverReportShape,
    counts: "config",
  }),
  aliases: operation("GET aliases", {
    says: "Look at every alias",
    output: aliasReportShape,
    counts: "places",
  }),
  reconcileAliases: operation("POST aliases/reconcile", {
    says: "Make, mend and remove the links of aliases",
    output: aliasReportShape,
    counts: "places",
  }),
  /**
   * Within a deadline. Rejects with `share_unknown`, `share_unavailable` (not mounted, or no answer), `path_unknown` (no folder
   * there, or it lies outside the share), `permission_denied` and `usage` (a path that leads out).
   */
  folders: operation("POST folders", {
    says: "The folders in a folder of a share",
    input: strictObject({
      share: text,
      /** From the share's root; absent or "" is the root itself. */
      subpath: optional(text),
    }),
    output: foldersReportShape,
    counts: "places",
  }),
  // Of the gateway only calls are counted: everything else answers at once, and is needed most when all calls hang. Without a
  // gateway all but `audit` reject with `gateway_off`, and unknown names with `backend_unknown` or `tool_unknown`.
  /** In a command: once every backend is ready or has failed. */
  tools: operation("GET tools", {
    says: "The tools that are published",
    output: toolsReportShape,
  }),
  switchTools: operation("POST tools/switch", {
    says: "Switch tools off or on, for all clients",
    /** By the names that clients use. */
    input: strictObject({ tools: list(text, MOST_EDITS), on: flag }),
    /** The tools that were not in that state already. */
    output: object({ switched: list(text) }),
    // What a person has switched off comes back by the word of one who may approve it.
    reachFor: ({ on }) => (on ? "with_commands" : "signed_in"),
  }),
  clients: operation("GET clients", {
    says: "The MCP clients that are connected now",
    /** In the order in which they connected. */
    output: object({ clients: list(clientShape) }),
  }),
  knownClients: operation("GET clients/known", {
    says: "The programs of this machine that can be made to use this gateway",
    reach: "with_commands",
    output: knownClientsShape,
    counts: "places",
  }),
  /** Rejects with `client_unreadable`, and with `config_changed` where its file would get something else than was agreed to. */
  connectClient: operation("POST clients/connect", {
    says: "What a program's file gets so that it uses this gateway, or is put back; written once that was agreed to",
    reach: "with_commands",
    input: connectRequest,
    output: connectionShape,
    counts: "places",
  }),
  catalog: operation("GET catalog", {
    says: "All that is published, with its backends",
    output: catalogReportShape,
  }),
  /** A tool's error is an answer; the owner may call whatever is published. */
  call: operation("POST call", {
    says: "Call a tool",
    input: strictObject({
      tool: wellFormedText,
      /** Default {}. */
      arguments: optional(jsonObject),
    }),
    output: callReportShape,
    counts: "calls",
    bodyLimitBytes: CALL_LIMIT_BYTES,
  }),
  toolChanges: operation("POST tools/changes", {
    says: "Tools that are not as they were approved",
    input: toolChangesRequest,
    output: toolChangesReportShape,
    bodyLimitBytes: TOOLS_LIMIT_BYTES,
  }),
  /** What is another by now is left. */
  approveTools: operation("POST tools/approve", {
    says: "Approve tools as they were shown",
    reach: "with_commands",
    input: approveToolsRequest,
    output: approveToolsReportShape,
    bodyLimitBytes: TOOLS_LIMIT_BYTES,
  }),
  restart: operation("POST backends/restart", {
    says: "Start backends anew",
    input: strictObject({ backends: optional(names) }),
    /** Names of those that are started anew; they serve until the new ones are ready. */
    output: object({ restarted: list(text) }),
  }),
  /** Holds it on that route unless it is the first. */
  switchBackend: operation("POST backends/switch", {
    says: "Serve a backend over another route",
    /** `to` is a route's name, or `auto`: as the rules say. */
    input: strictObject({ backend: wellFormedText, to: wellFormedText }),
    output: backendSwitchReportShape,
    counts: "steps",
  }),
  logs: operation("POST backends/logs", {
    says: "What a backend has written to its log",
    input: oneBackend,
    /** What the server wrote beside the protocol, oldest first; at most 200 lines. */
    output: object({ lines: list(text) }),
  }),
  /** Rejects with `timed_out`. */
  audit: operation("POST audit", {
    says: "What was called, the newest first",
    input: auditRequest,
    output: auditReportShape,
    counts: "records",
  }),
  timeline: operation("GET timeline", {
    says: "The last day of shares and backends",
    output: timelineReportShape,
    counts: "records",
  }),
  // Of the fleet all reject with `fleet_off` where none is configured, and what needs its link with `fleet_unreachable`.
  /** Once it is known which machines are there: within seconds, mostly at once. */
  fleet: operation("GET fleet", {
    says: "The machines of the fleet, and what each tells of itself",
    output: fleetReportShape,
  }),
  fleetLayer: operation("GET fleet/config", {
    says: "The configuration that all machines of the fleet have in common",
    output: fleetLayerReportShape,
    counts: "config",
  }),
  fleetLayerHistory: operation("GET fleet/config/history", {
    says: "Its revisions that are kept",
    /** Newest first. */
    output: object({ entries: list(fleetLayerEntryShape) }),
    counts: "config",
  }),
  /** Rejects with `history_unknown`, too. */
  fleetLayerText: operation("GET fleet/config/history/", {
    says: "The text of one of them",
    input: strictObject({ n: count }),
    output: object({ text }),
    counts: "config",
  }),
  /**
   * Rejects with `config_changed` when another one was first, `usage` for one that this machine would not believe, and
   * `permission_denied`.
   */
  putFleetLayer: operation("PUT fleet/config/text", {
    says: "Put one that the operator's key has signed in its place",
    reach: "socket",
    input: strictObject({
      /** As the operator's key has signed it. */
      document: wellFormedText,
      /** The sequence of the newest that was seen; 0: there was none. */
      expected_sequence: count,
    }),
    output: object({ revision: count }),
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
  }),
  fleetCheck: operation("POST fleet/check", {
    says: "What the fleet's server permits to this machine, tried with words that change nothing",
    output: fleetCheckShape,
  }),
  /** Rejects with `timed_out` when the disk does not answer. */
  daemonLog: operation("POST log", {
    says: "The daemon's own log, the newest first",
    input: logRequest,
    output: logReportShape,
    counts: "records",
  }),
  sync: operation("GET sync", {
    says: "What became of changes of the configuration",
    output: syncReportShape,
  }),
  /** Resolves at commit. A rejected file is a value, not an error. */
  reload: operation("POST reload", {
    says: "Read the configuration file again and apply it",
    /** `secrets`: only what refers to one that has another value now; the file is not read. */
    input: strictObject({ dry_run: optional(flag), secrets: optional(flag) }),
    output: reloadReportShape,
    counts: "config",
  }),
  config: operation("GET config", {
    says: "The configuration file as it stands",
    output: configReportShape,
    counts: "config",
  }),
  /**
   * Applies itself at once. Rejects with `config_changed` when the file is not what was expected, and with `commands_refused`
   * when it would change what runs and the asker's rights do not reach so far. Whoever has those approves what they change.
   */
  edit: operation("POST config/edit", {
    says: "Change keys of the configuration and apply it",
    input: strictObject({
      /** In order. */
      edits: described(
        `a list of at most ${MOST_EDITS} { key, value }, each value a text or null, { add, entry } or ` +
          "{ remove, name } of shares, aliases or backends",
        list(configEdit, MOST_EDITS),
      ),
      /** The content that was edited; another one underneath is refused. Absent: whatever is there. */
      expected_sha256: optional(sha256),
      source: editSource,
    }),
    output: editReportShape,
    counts: "config",
  }),
  editText: operation("PUT config/text", {
    says: "Replace the text of the configuration and apply it",
    input: strictObject({ text: wellFormedText, expected_sha256: sha256, source: editSource }),
    output: editReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
  }),
  /** Held against what runs; mistakes are a value. */
  checkConfig: operation("POST config/check", {
    says: "What a text would do as the configuration; nothing is written",
    input: strictObject({ text: wellFormedText }),
    output: configCheckReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
  }),
  approvals: operation("GET config/approvals", {
    says: "What waits for approval",
    output: approvalsReportShape,
  }),
  /** Rejects with `entry_unknown`, `config_changed` (something else waits than was shown) and `secret_unavailable`. */
  approve: operation("POST config/approve", {
    says: "Approve entries as they were shown",
    reach: "with_commands",
    input: approveRequest,
    output: approveReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
    // Whoever loosens that sits at the machine.
    reachFor: ({ loosen }) => (loosen === true ? "socket" : "signed_in"),
  }),
  history: operation("GET config/history", {
    says: "The contents of the configuration that were accepted",
    /** Newest first. */
    output: object({ entries: list(historyEntryShape) }),
    counts: "config",
  }),
  historyText: operation("GET config/history/", {
    says: "The text of one of them",
    input: strictObject({ n: count }),
    output: text,
    counts: "config",
  }),
  rollback: operation("POST config/rollback", {
    says: "Go back to one of them",
    input: strictObject({
      /** Default 1. */
      n: optional(count),
      /** Hash of the entry that was number `n` when listed; `config_changed` if `n` is another entry now. */
      sha256: optional(sha256),
      /** Of the file that was seen; `config_changed` when it is another one by now. */
      expected_sha256: optional(sha256),
    }),
    output: editReportShape,
    counts: "config",
  }),
  /** Takes two seconds. */
  discover: operation("POST shares/discover", {
    says: "Servers of SMB shares that this machine hears or knows; nothing is scanned",
    reach: "with_commands",
    output: object({ servers: list(foundServerShape) }),
    counts: "places",
  }),
  shareNames: operation("POST shares/names", {
    says: "Which shares a server has, asked with a login, never as a guest",
    reach: "with_commands",
    input: shareNamesRequest,
    output: shareNamesShape,
    counts: "places",
  }),
  shareNetworks: operation("POST shares/networks", {
    says: "The networks that these servers are on now, as `only_on` has them",
    reach: "with_commands",
    input: strictObject({ hosts: list(text) }),
    /** null: the networks cannot be found out. */
    output: object({ networks: nullable(list(text)) }),
    counts: "places",
  }),
  pairServers: operation("POST shares/pair", {
    says: "Whether another address leads to the same server",
    reach: "with_commands",
    input: pairRequest,
    output: pairVerdictShape,
    counts: "places",
  }),
  /** Rejects with `registry_failed`. */
  searchRegistry: operation("POST registry/search", {
    says: "MCP servers of the registry by a part of their names",
    reach: "with_commands",
    input: strictObject({ query: text }),
    output: registryListShape,
    counts: "records",
  }),
  /** Likewise. */
  registryServer: operation("POST registry/server", {
    says: "What a server of the registry wants, and what would run",
    reach: "with_commands",
    input: registryServerRequest,
    output: registryServerShape,
    counts: "records",
  }),
  mcpAddress: operation("POST backends/address", {
    says: "Where an MCP server answers whose address has no path; neither headers nor credentials are sent",
    reach: "with_commands",
    input: strictObject({ url: text }),
    /** null: the address has a path already, or nothing answers. */
    output: object({ url: nullable(text) }),
    counts: "places",
  }),
  /** One that was begun before for this backend ends. Rejects as `awaitLogin` does. */
  beginLogin: operation("POST backends/login", {
    says: "Begin a sign-in to a backend's server: the address to open in a browser of this machine",
    reach: "with_commands",
    input: oneBackend,
    /** The page where the person signs in. */
    output: object({ address: text }),
    counts: "places",
  }),
  /** Within ten minutes; the backend is started anew then. Rejects with `sign_in_failed` and `secret_unavailable`. */
  awaitLogin: operation("POST backends/login/end", {
    says: "Wait until the person has signed in to a backend's server",
    reach: "with_commands",
    input: oneBackend,
    output: loginReportShape,
    counts: "calls",
  }),
  secrets: operation("GET secrets", {
    says: "Names of the secrets that are kept or wanted; no value is read",
    output: secretListShape,
    counts: "config",
  }),
  /** Servers that use it get it at once. */
  setSecret: operation("POST secrets/set", {
    says: "Keep a secret, in the place of one of that name",
    reach: "with_commands",
    input: strictObject({
      name: secretName,
      value: matching(/^[^\r\n\0]{1,65536}$/, "a text of one line"),
    }),
    output: secretChangeShape,
    counts: "config",
    bodyLimitBytes: 2 * BODY_LIMIT_BYTES,
  }),
  removeSecret: operation("POST secrets/remove", {
    says: "Forget a secret",
    reach: "with_commands",
    input: strictObject({ name: secretName }),
    output: secretChangeShape,
    counts: "config",
  }),
  /** Good for a minute, once. Without a gateway the page gets an address of its own. Rejects with `gateway_off` where it may not be served. */
  openPage: operation("POST access/link", {
    says: "A link that signs one browser in",
    reach: "socket",
    output: object({
      /** `http://127.0.0.1:9000/#CODE`: a browser never sends the part behind `#`. */
      url: text,
      expires_at: text,
    }),
  }),
  /** Lets the tab of the page that shows this code change what runs, for 15 minutes. Rejects with `permission_denied`. */
  grantOwner: operation("POST access/owner", {
    says: "Let one tab of the page change what runs, for 15 minutes",
    reach: "socket",
    /** The code as the person types it. */
    input: strictObject({ code: text }),
    /** When the tab's right ends. */
    output: object({ until: text }),
  }),
  /** The one before opens nothing any more. Rejects with `home_unwritable`, as forgetting one does. */
  makeToken: operation("POST access/token", {
    says: "A new token for the management API",
    reach: "socket",
    output: object({
      /** The only time that the token is shown: the daemon keeps its hash alone. */
      token: text,
      /** True if there was a token before, which is no longer valid. */
      replaced: flag,
    }),
  }),
  forgetToken: operation("POST access/token/forget", {
    says: "Let no token in any more",
    reach: "socket",
    /** False: there was no token. */
    output: object({ forgotten: flag }),
  }),
};
