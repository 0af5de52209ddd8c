// The table of what can be asked of the daemon. Types, the client's calls and the server's dispatch follow from it.

import { count, strictObject, type TypeOf, text } from "../runtime/shape.ts";
import { objectOf } from "../runtime/text/json-object.ts";
import {
  forgottenTokenShape,
  OWNERS_RIGHTS,
  ownerRightShape,
  pageLinkShape,
  type Rights,
  serverTokenShape,
} from "./access-contract.ts";
import { approvalsReportShape, approveReportShape, approveRequest } from "./approval-contract.ts";
import { loginBegunShape, loginReportShape } from "./backend-sign-in.ts";
import { catalogReportShape } from "./catalog-contract.ts";
import { connectionShape, connectRequest, knownClientsShape } from "./client-connection.ts";
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
  statusReportShape,
  stepReportShape,
  switchToolsReportShape,
  syncReportShape,
  toolsReportShape,
  unsentReportShape,
  verifyReportShape,
} from "./contract.ts";
import {
  networksRequest,
  networksShape,
  pairRequest,
  pairVerdictShape,
  shareNamesRequest,
  shareNamesShape,
} from "./first-meeting.ts";
import {
  fleetCheckShape,
  fleetLayerHistoryShape,
  fleetLayerPutShape,
  fleetLayerReportShape,
  fleetLayerRequest,
  fleetLayerTextShape,
  fleetReportShape,
} from "./fleet-contract.ts";
import { foundServersShape } from "./found-server.ts";
import { secretChangeShape, secretListShape, secretRequest, setSecretRequest } from "./home-secrets.ts";
import { mcpAddressRequest, mcpAddressShape } from "./mcp-address.ts";
import { BODY_LIMIT_BYTES, type Operation, operation, requireReach } from "./operation.ts";
import { auditReportShape, auditRequest, logReportShape, logRequest } from "./records-contract.ts";
import {
  registryListShape,
  registryServerRequest,
  registryServerShape,
  searchRegistryRequest,
} from "./registry-contract.ts";
import {
  backendRequest,
  backendSwitchRequest,
  backendsRequest,
  callRequest,
  checkConfigRequest,
  editRequest,
  editTextRequest,
  foldersRequest,
  ownerCodeRequest,
  readRequest,
  reloadRequest,
  rollbackRequest,
  sharesRequest,
  switchRequest,
  switchToolsRequest,
  unmountRequest,
  unsentRequest,
  verifyRequest,
} from "./requests.ts";
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

/** What one is asked with and answers is declared here alone; `Control` performs it. */
export const OPERATIONS = {
  /** What is known now; never waits for a mount or a host. */
  status: operation("GET status", {
    says: "How the daemon, its shares, aliases and backends are",
    output: statusReportShape,
  }),
  verify: operation("POST verify", {
    says: "Look at shares afresh and say what is wrong; nothing is changed",
    input: verifyRequest,
    output: verifyReportShape,
    counts: "steps",
  }),
  /** One cycle of each share, until it has nothing more to do at once. */
  reconcile: operation("POST reconcile", {
    says: "Bring shares to where they should be, now",
    input: sharesRequest,
    output: stepReportShape,
    counts: "steps",
  }),
  mount: operation("POST mount", {
    says: "Mount shares",
    input: sharesRequest,
    output: stepReportShape,
    counts: "steps",
  }),
  wake: operation("POST wake", {
    says: "Wake the NAS of shares (Wake-on-LAN)",
    input: sharesRequest,
    output: stepReportShape,
    counts: "steps",
  }),
  unmount: operation("POST unmount", {
    says: "Unmount shares, and keep them so",
    input: unmountRequest,
    output: stepReportShape,
    counts: "steps",
  }),
  /** `wait`: until open files close, or the signal aborts. */
  switchRoute: operation("POST switch", {
    says: "Move shares to another route",
    input: switchRequest,
    output: stepReportShape,
    counts: "steps",
  }),
  /**
   * What waits for which server, and where; after a person's word: how it is then. Rejects with `usage` where that cannot be
   * done, also because files are open.
   */
  unsent: operation("POST unsent", {
    says: "Files that are not on their server yet, and a person's word about them",
    input: unsentRequest,
    output: unsentReportShape,
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
    input: foldersRequest,
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
    input: switchToolsRequest,
    output: switchToolsReportShape,
    // What a person has switched off comes back by the word of one who may approve it.
    reachFor: ({ on }) => (on ? "with_commands" : "signed_in"),
  }),
  clients: operation("GET clients", {
    says: "The MCP clients that are connected now",
    output: clientsReportShape,
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
    input: callRequest,
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
    input: backendsRequest,
    output: restartReportShape,
  }),
  /** Holds it on that route unless it is the first. */
  switchBackend: operation("POST backends/switch", {
    says: "Serve a backend over another route",
    input: backendSwitchRequest,
    output: backendSwitchReportShape,
    counts: "steps",
  }),
  logs: operation("POST backends/logs", {
    says: "What a backend has written to its log",
    input: backendRequest,
    output: backendLogsReportShape,
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
    output: fleetLayerHistoryShape,
    counts: "config",
  }),
  /** Rejects with `history_unknown`, too. */
  fleetLayerText: operation("GET fleet/config/history/", {
    says: "The text of one of them",
    input: strictObject({ n: count }),
    output: fleetLayerTextShape,
    counts: "config",
  }),
  /**
   * Rejects with `config_changed` when another one was first, `usage` for one that this machine would not believe, and
   * `permission_denied`.
   */
  putFleetLayer: operation("PUT fleet/config/text", {
    says: "Put one that the operator's key has signed in its place",
    reach: "socket",
    input: fleetLayerRequest,
    output: fleetLayerPutShape,
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
    input: reloadRequest,
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
    input: editRequest,
    output: editReportShape,
    counts: "config",
  }),
  editText: operation("PUT config/text", {
    says: "Replace the text of the configuration and apply it",
    input: editTextRequest,
    output: editReportShape,
    counts: "config",
    bodyLimitBytes: TEXT_LIMIT_BYTES,
  }),
  /** Held against what runs; mistakes are a value. */
  checkConfig: operation("POST config/check", {
    says: "What a text would do as the configuration; nothing is written",
    input: checkConfigRequest,
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
    output: historyReportShape,
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
    input: rollbackRequest,
    output: editReportShape,
    counts: "config",
  }),
  /** Takes two seconds. */
  discover: operation("POST shares/discover", {
    says: "Servers of SMB shares that this machine hears or knows; nothing is scanned",
    reach: "with_commands",
    output: foundServersShape,
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
    input: networksRequest,
    output: networksShape,
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
    input: searchRegistryRequest,
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
    input: mcpAddressRequest,
    output: mcpAddressShape,
    counts: "places",
  }),
  /** One that was begun before for this backend ends. Rejects as `awaitLogin` does. */
  beginLogin: operation("POST backends/login", {
    says: "Begin a sign-in to a backend's server: the address to open in a browser of this machine",
    reach: "with_commands",
    input: backendRequest,
    output: loginBegunShape,
    counts: "places",
  }),
  /** Within ten minutes; the backend is started anew then. Rejects with `sign_in_failed` and `secret_unavailable`. */
  awaitLogin: operation("POST backends/login/end", {
    says: "Wait until the person has signed in to a backend's server",
    reach: "with_commands",
    input: backendRequest,
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
    input: setSecretRequest,
    output: secretChangeShape,
    counts: "config",
    bodyLimitBytes: 2 * BODY_LIMIT_BYTES,
  }),
  removeSecret: operation("POST secrets/remove", {
    says: "Forget a secret",
    reach: "with_commands",
    input: secretRequest,
    output: secretChangeShape,
    counts: "config",
  }),
  /** Good for a minute, once. Without a gateway the page gets an address of its own. Rejects with `gateway_off` where it may not be served. */
  openPage: operation("POST access/link", {
    says: "A link that signs one browser in",
    reach: "socket",
    output: pageLinkShape,
  }),
  /** Lets the tab of the page that shows this code change what runs, for 15 minutes. Rejects with `permission_denied`. */
  grantOwner: operation("POST access/owner", {
    says: "Let one tab of the page change what runs, for 15 minutes",
    reach: "socket",
    input: ownerCodeRequest,
    output: ownerRightShape,
  }),
  /** The one before opens nothing any more. Rejects with `home_unwritable`, as forgetting one does. */
  makeToken: operation("POST access/token", {
    says: "A new token for the management API",
    reach: "socket",
    output: serverTokenShape,
  }),
  forgetToken: operation("POST access/token/forget", {
    says: "Let no token in any more",
    reach: "socket",
    output: forgottenTokenShape,
  }),
};

type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;
/** Null: it is asked with nothing. */
export type InputOf<Name extends OperationName> = TypeOf<NonNullable<Operations[Name]["input"]>>;
export type OutputOf<Name extends OperationName> = TypeOf<Operations[Name]["output"]>;

/** All that a daemon performs. Parts of it, and the engine run once in a command, have some operations each. */
export type Control = {
  readonly [Name in OperationName]: (
    input: InputOf<Name>,
    signal: AbortSignal,
    rights?: Rights,
  ) => OutputOf<Name> | Promise<OutputOf<Name>>;
};

/** Asks a daemon, or the engine in this process, for one of these operations. */
export type Ask<Names extends OperationName = OperationName> = <Name extends Names>(
  name: Name,
  input: InputOf<Name>,
  signal: AbortSignal,
) => Promise<OutputOf<Name>>;

/** What is asked is performed here, as for the owner. */
export function askOf<Names extends OperationName>(control: Pick<Control, Names>): Ask<Names> {
  return async (name, input, signal) => control[name](input, signal, OWNERS_RIGHTS);
}

const TABLE: { readonly [Name in OperationName]: Operation<InputOf<Name>, OutputOf<Name>> } = OPERATIONS;
export const OPERATION_NAMES: readonly OperationName[] = Object.keys(OPERATIONS).filter(
  (name): name is OperationName => name in OPERATIONS,
);

/** What a request asks for, once its path is known. */
export interface AskedOperation
  extends Pick<Operations[OperationName], "method" | "counts" | "bodyLimitBytes"> {
  /**
   * Reads the body first, so that a bad one is refused before anything is begun. Throws `protocol`, `commands_refused` and
   * `owner_only`.
   */
  prepare(body: string): (signal: AbortSignal) => unknown;
}

/** The operation at a path (without its query); null when nothing is served there. */
export function findOperation(
  path: string,
  control: Partial<Control>,
  rights: Rights = OWNERS_RIGHTS,
): AskedOperation | null {
  if (!path.startsWith(`${MANAGE_PREFIX}/`)) return null;
  const asked = path.slice(MANAGE_PREFIX.length + 1);
  const [, base = asked, n] = /^(.+\/)(\d{1,9})$/.exec(asked) ?? [];
  const name = OPERATION_NAMES.find((each) => OPERATIONS[each].path === base);
  if (name === undefined || base.endsWith("/") !== (n !== undefined)) return null;
  return prepared(name, control, rights, n === undefined ? null : `{"n":${Number(n)}}`);
}

/** `inPath`: the input, where the path says it. */
function prepared<Name extends OperationName>(
  name: Name,
  control: { readonly [Each in OperationName]?: Control[Each] },
  rights: Rights,
  inPath: string | null,
): AskedOperation | null {
  const perform: Control[Name] | undefined = control[name];
  if (perform === undefined) return null;
  const { input, reach, reachFor, ...asked } = TABLE[name];
  return {
    ...asked,
    prepare(body) {
      requireReach(reach, rights);
      const request = readRequest(inPath ?? body, input);
      requireReach(reachFor(request), rights);
      return (signal) => perform(request, signal, rights);
    },
  };
}

/** Where a client asks for an operation. */
export function requestPath(name: OperationName, input: object | null): string {
  const { path } = OPERATIONS[name];
  return `${MANAGE_PREFIX}/${path}${path.endsWith("/") ? objectOf(input)["n"] : ""}`;
}
