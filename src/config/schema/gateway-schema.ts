// The keys of the gateway's sections: backends, name conflicts, authorization, audit.
import { VARIABLE_NAME_FORM } from "../../runtime/text/name-forms.ts";
import { REFERENCE_FORM, STORED_FORM } from "../../secrets/reference.ts";
import {
  parseHeaderName,
  parsePublishedToolName,
  parseRouteName,
  parseServerToolName,
  parseVariableName,
  TOOL_NAME_EXPECTED,
} from "../values/backend-names.ts";
import {
  isHeaderText,
  isVariableText,
  parseArgument,
  parseDescription,
  parseProgram,
  parseSeparator,
} from "../values/backend-values.ts";
import { LISTEN_ADDRESS_EXPECTED, parseAllowedHost, parseListenAddress } from "../values/host.ts";
import { describeKind } from "../values/mistakes.ts";
import { parseRequirement, REQUIREMENT_EXPECTED } from "../values/requirement.ts";
import { backendAuthKeys } from "./backend-auth-schema.ts";
import { publicUrlKey } from "./incoming-auth-schema.ts";
import { choiceKey, defaulted, numberKey, optional, required, toggleKey } from "./schema-keys.ts";
import { listOf, named, open, optionalTable, orAbsent, table } from "./tables.ts";
import { pinKey } from "./trust-schema.ts";
import { choice, globs, label, list, path, secretText, text, toggle, url } from "./value-types.ts";

const SANDBOX_KINDS = ["bubblewrap"] as const;

const folders = list(path, { type: "list of paths" });

export const sandboxKeys = {
  kind: required("runs", choice(SANDBOX_KINDS), {
    meaning: "What keeps the program apart: `bubblewrap`, on Linux, by namespaces of its own.",
    example: '"bubblewrap"',
  }),
  read: defaulted("runs", folders, [], {
    absent: "none",
    meaning: "Folders and files that it may read, besides the system's own (`/usr`, `/etc`, `/opt`).",
    example: '["~/projects"]',
  }),
  write: defaulted("runs", folders, [], {
    absent: "none",
    meaning: "Folders and files that it may read and write.",
    example: '["~/.npm"]',
  }),
  network: toggleKey(
    "runs",
    false,
    "Let it use the network; `npx` and `uvx` need that to download a server. Without it not even this machine is reached.",
  ),
};

/** What may become of a backend whose data is gone. */
const UNAVAILABLE_CHOICES = ["hide", "stop", "error"] as const;

const requiresKeys = {
  requires: defaulted("free", list(text("plain", parseRequirement)), [], {
    type: "list of shares",
    expected: `a list of ${REQUIREMENT_EXPECTED}`,
    absent: "none",
    meaning:
      "Shares that the server works on, by name, or with a folder in them. It is not started before they are there.",
    example: '["CORE:/dev/projects"]',
  }),
  unavailable_after_secs: numberKey("free", {
    min: 0,
    max: 3600,
    absent: 5,
    unit: "seconds",
    meaning:
      "How long a required share may be away before `when_unavailable` applies; calls that come meanwhile wait.",
  }),
  when_unavailable: choiceKey("free", UNAVAILABLE_CHOICES, "hide", {
    meaning:
      "While a required share is away: `hide` takes what the server offers out of the lists, `stop` ends the server, too, `error` leaves the lists as they are. Calls get an error that names the share.",
  }),
};

export const managementKeys = {
  enabled: optional("runs", toggle, {
    absent: "true where `host` is this machine alone",
    meaning:
      "Serve the management API and the page at the same address. Nothing is shown to anybody without a token or a link of `mountaineer open`.",
    example: "true",
  }),
  allow_commands: toggleKey(
    "runs",
    false,
    "Let everybody who is signed in there change what runs on this machine (commands, arguments, environment), where credentials are sent (addresses, headers, hosts of shares) and who may do what, and approve what waits. Without it that takes `mountaineer` on this machine.",
  ),
  allowed_hosts: defaulted("runs", list(text("plain", parseAllowedHost)), [], {
    absent: "none",
    meaning:
      "Names besides this machine's own addresses that requests may ask for, where a proxy stands before it.",
    example: '["nas.example.com"]',
  }),
};

export const serverKeys = {
  host: defaulted("access", text("plain", parseListenAddress), "127.0.0.1", {
    type: "host",
    expected: LISTEN_ADDRESS_EXPECTED,
    absent: '"127.0.0.1"',
    meaning:
      "The address to listen on. One beyond this machine needs `[incoming_auth]` with a type other than `anonymous`.",
    example: '"127.0.0.1"',
  }),
  port: numberKey("free", {
    min: 1,
    max: 65_535,
    whole: true,
    absent: 9000,
    unit: null,
    meaning: "The TCP port to listen on.",
  }),
  public_url: publicUrlKey,
  body_limit_mb: numberKey("free", {
    min: 1,
    max: 1024,
    absent: 64,
    unit: "MiB",
    meaning: "The largest request that is read; a larger one is refused by an error that names this key.",
  }),
  drain_timeout: numberKey("free", {
    min: 0,
    max: 3600,
    absent: 30,
    unit: "seconds",
    meaning: "How long calls on a removed or replaced backend may go on before they end with an error.",
  }),
  management: optionalTable(
    "The management API and the page in a browser, at the gateway's address. Every key has a default.",
    managementKeys,
  ),
};

/** How a backend may be reached. */
const BACKEND_TYPES = ["stdio", "streamable-http"] as const;

const SECRET_EXPECTED = `a text, in which \`${REFERENCE_FORM}\` names an environment variable and \`\${${STORED_FORM}}\` a secret`;

/** The keys of a filter for `what` of a server, which goes by `names`. */
function filterOf(what: string, names: string, allowed: string, denied: string) {
  return {
    allow: optional("access", globs, {
      absent: "all",
      meaning: `The ${what} that are published, by patterns over ${names}; \`*\` stands for anything.`,
      example: allowed,
    }),
    deny: defaulted("access", globs, [], {
      absent: "none",
      meaning: `The ${what} that are not, even where \`allow\` has them.`,
      example: denied,
    }),
  };
}

const OWN_NAMES = "the server's own names";
export const filterKeys = {
  tools: filterOf("tools", OWN_NAMES, '["read_*", "search"]', '["delete_*"]'),
  resources: filterOf("resources", "their addresses", '["file:///srv/*"]', '["file:///srv/private/*"]'),
  prompts: filterOf("prompts", OWN_NAMES, '["review*"]', '["draft_*"]'),
};

const timeoutsKeys = {
  init: numberKey("free", {
    min: 0.1,
    max: 600,
    absent: 15,
    unit: "seconds",
    meaning:
      "How long the server has to answer `initialize`, from its first output on, or from 60 s after its start, as `npx` may download it first; a server at a `url` from the start on.",
  }),
  cap_fetch: numberKey("free", {
    min: 0.1,
    max: 600,
    absent: 10,
    unit: "seconds",
    meaning: "How long each of its lists may take to read.",
  }),
  call: numberKey("free", {
    min: 0.1,
    max: 86_400,
    absent: 60,
    unit: "seconds",
    meaning: "How long a call may take; each word of progress starts it anew.",
  }),
};

export const toolOverrideKeys = {
  name: optional("guards", text("plain", parsePublishedToolName), {
    absent: "as the server says",
    expected: TOOL_NAME_EXPECTED,
    meaning: "What clients call the tool.",
    example: '"find"',
  }),
  description: optional("guards", text("plain", parseDescription), {
    absent: "as the server says",
    meaning: "The description that clients get.",
    example: '"Finds files by their names."',
  }),
};

const variableKey = required("runs", secretText(isVariableText, SECRET_EXPECTED), {
  absent: "none",
  meaning: `An environment variable of the server, by its name. \`${REFERENCE_FORM}\` anywhere in the text stands for a variable of the \`mountaineer\` process, \`\${${STORED_FORM}}\` for a secret that \`mountaineer secret set\` keeps, \`$\${\` for \`\${\` itself.`,
  example: `"\${FILES_TOKEN}"`,
});

const headerKey = required("sends", secretText(isHeaderText, SECRET_EXPECTED), {
  absent: "none",
  meaning: `A header of every request, by its name. \`${REFERENCE_FORM}\` anywhere in the text stands for a variable of the \`mountaineer\` process, \`\${${STORED_FORM}}\` for a secret that \`mountaineer secret set\` keeps; \`Authorization\` takes nothing else for its secret.`,
  example: `"Bearer \${SEARCH_TOKEN}"`,
});

/** The keys of how one server is reached: of a backend, or of one of its routes. */
const programKeys = {
  command: optional("runs", text("program", parseProgram, { describe: describeKind }), {
    absent: "required for `stdio`",
    meaning: "The program, started as it is, never through a shell.",
    example: '"npx"',
  }),
  args: optional("runs", list(text("arguments", parseArgument, { describe: describeKind })), {
    absent: "none",
    meaning: "Its arguments, one text each, passed on as they are.",
    example: '["-y", "@modelcontextprotocol/server-filesystem", "/srv/files"]',
  }),
  cwd: optional("runs", path, {
    absent: "your home folder",
    meaning: "The folder it is started in.",
    example: '"~/projects"',
  }),
  url: optional("sends", url, {
    absent: "required for `streamable-http`",
    meaning: "The server's address.",
    example: '"https://mcp.example.com/mcp"',
  }),
};

/** The documentation of the tables of a backend or route. */
interface ConnectionTexts {
  readonly env: string;
  readonly headers: string;
  readonly auth: string;
  readonly sandbox: string;
}

function connectionTables({ env, headers, auth, sandbox }: ConnectionTexts) {
  return {
    env: orAbsent(open(env, parseVariableName, variableKey, { pattern: `^${VARIABLE_NAME_FORM}$` })),
    headers: orAbsent(open(headers, parseHeaderName, headerKey)),
    auth: orAbsent(table(auth, backendAuthKeys)),
    sandbox: orAbsent(table(sandbox, sandboxKeys)),
  };
}

const routeKeys = {
  name: optional("runs", text("plain", parseRouteName), {
    absent: "its place, from `1` on",
    meaning: "What `status` and `switch --backend` call the route.",
    example: '"lan"',
  }),
  ...programKeys,
  ...connectionTables({
    env: "Environment variables of the program of this route.",
    headers: "Headers of every request over this route.",
    auth: "How the gateway signs in over this route. A person signs in over the first route alone.",
    sandbox: "Keeps the program of this route apart.",
  }),
};

export const backendKeys = {
  type: optional("runs", choice(BACKEND_TYPES), {
    absent: "`stdio` with `command`, `streamable-http` with `url`",
    meaning: "How the server is reached: a program that is started here, or an address.",
    example: '"stdio"',
  }),
  ...programKeys,
  enabled: toggleKey(
    "runs",
    true,
    "When false, the server is not started, and none of its tools, resources and prompts are published.",
  ),
  group: optional("free", label, {
    absent: "none",
    meaning: "A name under which several are shown together.",
    example: '"work"',
  }),
  instances: choiceKey("free", ["shared", "per-client"], "shared", {
    meaning: "Whether all clients share one instance, or each session has one of its own.",
  }),
  folders: optional("access", list(path), {
    type: "list of paths",
    absent: "paths may lie anywhere",
    meaning:
      "The only folders that a path in a call may lie in, links followed. For a program on this machine, which is then started in the first of them where `cwd` names none. It is no sandbox: what the program does by itself is not seen.",
    example: '["/srv/pub"]',
  }),
  pin: pinKey,
  ...requiresKeys,
  replace: choiceKey("free", ["overlap", "stop-first"], "overlap", {
    meaning:
      "When it changes: `overlap` starts the new one beside the old one, `stop-first` is for servers that cannot run twice.",
  }),
  protocol: choiceKey("free", ["auto", "2026-07-28"], "auto", {
    meaning:
      "The version of MCP spoken with it. `auto`: a program that speaks both gets 2025-11-25, in which its tools can ask questions; a server at an address gets each client's own version. `2026-07-28`: only that one.",
  }),
  ...connectionTables({
    env: "Environment variables of the server, besides the few that every program needs. For `stdio`.",
    headers: "Headers of every request to the server. For `streamable-http`.",
    auth: "How the gateway signs in to the server by OAuth. For `streamable-http`; without it a server that asks for a login is signed in to with `mountaineer backends login NAME`, as with every key's default.",
    sandbox:
      "Keeps the program apart from your files, from the network and from other programs. For `stdio` on Linux; never started without it.",
  }),
  routes: listOf(
    "routes",
    table(
      "One block per way to the server, in order of preference, instead of the backend's own `command` or `url`: a program here, an address in your network, one elsewhere. The first that works serves.",
      routeKeys,
    ),
  ),
  timeouts: table("How long the gateway waits for the server.", timeoutsKeys),
  filters: table("What of the server is published.", {
    tools: table("Which of its tools are published.", filterKeys.tools),
    resources: table("Which of its resources are published.", filterKeys.resources),
    prompts: table("Which of its prompts are published.", filterKeys.prompts),
  }),
  tool_overrides: named(
    "tools",
    parseServerToolName,
    table(
      "One block per tool that gets another name or description, under the server's own name for it.",
      toolOverrideKeys,
    ),
  ),
};

export const conflictKeys = {
  strategy: choiceKey("access", ["first-wins", "prefix", "priority", "error"], "first-wins", {
    meaning:
      "When two backends offer a tool or prompt of the same name: `first-wins` the one that had it first, else the file's order, `priority` the `order` below, and the other one's gets its backend's name before it, for good; `prefix` puts the backend's name before every name; `error` publishes the first and tells of the other.",
  }),
  separator: defaulted("access", text("plain", parseSeparator), "_", {
    absent: '"_"',
    meaning:
      "What stands between a backend's name and the rest, where names have their backend's before them.",
    example: '"_"',
  }),
  order: defaulted("access", list(text("plain", (name) => ({ ok: true, value: name }))), [], {
    type: "list of backends",
    absent: "none",
    meaning: "Names of backends, the first wins; those that are not named follow in the file's order.",
    example: "[]",
  }),
  longest_name: numberKey("access", {
    min: 24,
    max: 128,
    whole: true,
    absent: 46,
    unit: "characters",
    meaning:
      "The longest published name of a tool. Clients put a prefix before it, as `mcp__mountaineer__`, and many allow 64 in all. A longer name is cut and ends in a hash of the whole one.",
  }),
};

const REDACTED = ["*password*", "*passwd*", "*token*", "*secret*", "*api_key*", "*apikey*", "authorization"];

export const auditKeys = {
  enabled: toggleKey("guards", true, "When false, nothing is written."),
  path: optional("guards", path, {
    absent: "`audit.jsonl` in Mountaineer's home",
    meaning: "The file; rotated ones stand beside it. Not on a share, where writing could hang.",
    example: '"~/.mountaineer/audit.jsonl"',
  }),
  max_size_mb: numberKey("guards", {
    min: 1,
    max: 10_240,
    absent: 10,
    unit: "MiB",
    meaning: "How large the file grows before it is set aside.",
  }),
  keep: numberKey("guards", {
    min: 0,
    max: 1000,
    whole: true,
    absent: 5,
    unit: null,
    meaning: "How many of those that were set aside are kept.",
  }),
  arguments: toggleKey("guards", false, "Write the arguments of calls, too."),
  redact: defaulted("guards", globs, REDACTED, {
    absent: `[${REDACTED.map((glob) => `"${glob}"`).join(", ")}]`,
    meaning: "Patterns over names of arguments whose values are never written.",
    example: '["*password*", "*token*", "*secret*"]',
  }),
};
