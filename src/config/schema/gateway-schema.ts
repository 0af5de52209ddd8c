// The keys of the gateway's sections: backends, name conflicts, authorization, audit.
import { isObject } from "../../runtime/text/json-object.ts";
import {
  parseHeaderName,
  parsePackage,
  parsePublishedToolName,
  parseRouteName,
  parseServerToolName,
  TOOL_NAME_EXPECTED,
} from "../values/backend-names.ts";
import {
  isHeaderText,
  parseArgument,
  parseDescription,
  parseLabel,
  parseProgram,
} from "../values/backend-values.ts";
import { LISTEN_ADDRESS_EXPECTED, parseAllowedHost, parseListenAddress } from "../values/host.ts";
import { describeKind, describeValue } from "../values/mistakes.ts";
import {
  parseRequirement,
  REQUIREMENT_EXPECTED,
  ROUTES_BY_NAME,
  type ShareRequirement,
} from "../values/requirement.ts";

import { backendAuthKeys } from "./backend-auth-schema.ts";
import {
  defaultableTimeouts,
  leftToDefaults,
  SECRET_EXPECTED,
  variables,
} from "./backend-defaults-schema.ts";
import { allowedOriginsKey, publicUrlKey } from "./incoming-auth-schema.ts";
import { choiceKey, defaulted, numberKey, optional, required, toggleKey } from "./schema-keys.ts";
import { listOf, named, open, optionalTable, orAbsent, table } from "./tables.ts";
import { pinKey } from "./trust-schema.ts";
import {
  choice,
  globs,
  label,
  list,
  literal,
  path,
  reference,
  secretText,
  text,
  toggle,
  url,
  type Value,
  workingFolder,
} from "./value-types.ts";

const SANDBOX_KINDS = ["bubblewrap"] as const;

const folders = list(path, { type: "list of paths" });

export const sandboxKeys = {
  kind: required("runs", choice(SANDBOX_KINDS), {
    meaning: "The kind of sandbox.",
    example: '"bubblewrap"',
  }),
  read: defaulted("runs", folders, [], {
    absent: "none",
    meaning: "What it may read, besides `/usr`, `/etc` and `/opt`.",
    example: '["~/projects"]',
  }),
  write: defaulted("runs", folders, [], {
    absent: "none",
    meaning: "What it may read and write.",
    example: '["~/.npm"]',
  }),
  network: toggleKey("runs", false, "Let it use the network, as `npx` and `uvx` need to download."),
};

/** The ways to treat a backend whose required share is missing. */
const UNAVAILABLE_CHOICES = ["hide", "stop", "error"] as const;

const requiredText = text("plain", parseRequirement);

/** The name of a share, perhaps with a folder; or a table with that and a route. */
const requirement: Value<ShareRequirement> = {
  ...requiredText,
  json: {
    anyOf: [
      requiredText.json,
      {
        type: "object",
        properties: { share: requiredText.json, route: { enum: Object.keys(ROUTES_BY_NAME) } },
        required: ["share", "route"],
        additionalProperties: false,
      },
    ],
  },
  read(value, refuse, at = []) {
    if (!isObject(value)) return requiredText.read(value, refuse, at);
    const { share, route, ...others } = value;
    const expected = `a table such as \`{ share = "CORE", route = "thunderbolt" }\`; routes: ${Object.keys(ROUTES_BY_NAME).join(", ")}`;
    const on =
      typeof route === "string" && Object.hasOwn(ROUTES_BY_NAME, route) ? ROUTES_BY_NAME[route] : undefined;
    if (on === undefined || Object.keys(others).length > 0)
      return refuse({ found: describeValue(value), expected, hint: null }, at);
    const whole = requiredText.read(share, refuse, [...at, "share"]);
    return whole && { ...whole, route: on };
  },
};

const requiresKeys = {
  requires: defaulted("free", list(requirement), [], {
    type: "list of shares",
    expected: `a list of ${REQUIREMENT_EXPECTED}`,
    absent: "none",
    meaning:
      'Shares, or folders in them, that must be mounted; `{ share = "CORE", route = "thunderbolt" }`: on that route.',
    example: '["CORE:/dev/projects"]',
  }),
  unavailable_after_secs: numberKey("free", {
    min: 0,
    max: 3600,
    absent: 5,
    unit: "seconds",
    meaning: "How long calls wait for a required share before `when_unavailable` applies.",
  }),
  when_unavailable: choiceKey("free", UNAVAILABLE_CHOICES, "hide", {
    meaning:
      "While a required share is away: `hide` empties its lists, `stop` also stops it, `error` keeps the lists. Calls fail.",
  }),
};

export const managementKeys = {
  enabled: optional("runs", toggle, {
    absent: "true where `host` is only this machine",
    meaning: "Serve the management API and the page.",
    example: "true",
  }),
  allow_commands: toggleKey(
    "runs",
    false,
    "Let everybody who is signed in change what runs, and approve changes.",
  ),
  allowed_hosts: defaulted("runs", list(text("plain", parseAllowedHost)), [], {
    absent: "none",
    meaning: "Further host names for requests, if a proxy is in front.",
    example: '["nas.example.com"]',
  }),
};

export const serverKeys = {
  host: defaulted("access", text("plain", parseListenAddress), "127.0.0.1", {
    type: "host",
    expected: LISTEN_ADDRESS_EXPECTED,
    absent: '"127.0.0.1"',
    meaning: "The address to listen on. One beyond this machine needs `[incoming_auth]`.",
    example: '"127.0.0.1"',
  }),
  port: numberKey("access", {
    min: 1,
    max: 65_535,
    whole: true,
    absent: 9000,
    unit: null,
    meaning: "The TCP port to listen on.",
  }),
  public_url: publicUrlKey,
  allowed_origins: allowedOriginsKey,
  session_key: optional("access", list(reference), {
    type: "list of references",
    expected: 'a list of references, such as `["secret:session-key"]`',
    absent: "the home's own key",
    meaning:
      "Keys of session ids, which gateways share that continue each other's sessions. The first seals new ids.",
    example: '["secret:session-key"]',
  }),
  body_limit_mb: numberKey("free", {
    min: 1,
    max: 1024,
    absent: 64,
    unit: "MiB",
    meaning: "The largest accepted request.",
  }),
  drain_timeout: numberKey("free", {
    min: 0,
    max: 3600,
    absent: 30,
    unit: "seconds",
    meaning: "How long calls on a removed or replaced server may continue.",
  }),
  management: optionalTable("The management API and the page, at the gateway's address.", managementKeys),
};

const BACKEND_TYPES = ["stdio", "streamable-http"] as const;

export const filterKeys = {
  allow: optional("access", globs, {
    absent: "all",
    meaning: "Patterns over the server's own names, or the addresses of its resources.",
    example: '["read_*", "search"]',
  }),
  deny: defaulted("access", globs, [], {
    absent: "none",
    meaning: "What to leave out, even if `allow` matches it.",
    example: '["delete_*"]',
  }),
};

export const toolOverrideKeys = {
  name: optional("guards", text("plain", parsePublishedToolName), {
    absent: "as the server says",
    expected: TOOL_NAME_EXPECTED,
    meaning: "The tool's name for clients.",
    example: '"find"',
  }),
  description: optional("guards", text("plain", parseDescription), {
    absent: "as the server says",
    meaning: "The tool's description for clients.",
    example: '"Finds files by their names."',
  }),
  arguments: orAbsent(
    open(
      "Arguments that every call of the tool gets; clients do not see them, and may give them no other value.",
      parseLabel,
      required("access", literal, {
        absent: "none",
        meaning: "The argument's value: a text, number, boolean, list or table. No reference, no secret.",
        example: '"acme/site"',
      }),
    ),
  ),
};

const headerKey = required("sends", secretText(isHeaderText, SECRET_EXPECTED), {
  absent: "none",
  meaning:
    "A header of every request; may hold `${VARIABLE}` and `${secret:NAME}`. Credentials in `Authorization` must be one.",
  example: `"Bearer \${SEARCH_TOKEN}"`,
});

/** The keys of a connection, for a backend or one of its routes. */
const programKeys = {
  command: optional("runs", text("program", parseProgram, { describe: describeKind }), {
    absent: "required for `stdio`",
    meaning: "The program, started directly, never through a shell.",
    example: '"npx"',
  }),
  args: optional("runs", list(text("arguments", parseArgument, { describe: describeKind })), {
    absent: "none",
    meaning:
      "Its arguments. `${secret:NAME}` is a stored secret, which other users can read here: prefer `env`.",
    example: '["-y", "@modelcontextprotocol/server-filesystem", "/srv/files"]',
  }),
  cwd: optional("runs", workingFolder, {
    absent: "your home folder",
    meaning:
      'The folder it is started in. `"client"`: the client\'s folder (`${client:cwd}` in `args`), with `instances = "per-client"` and below `[trust].client_folders`.',
    example: '"~/projects"',
  }),
  package: optional("runs", text("plain", parsePackage), {
    absent: "none",
    meaning:
      "Its plugin or bundle, as `import` writes it. `${package}` stands for its folder; a bundle must be unchanged.",
    example: '"claude-code:db-tools@market"',
  }),
  session: optional("runs", toggle, {
    absent: "false",
    meaning:
      "Give it your desktop session's `DISPLAY`, `WAYLAND_DISPLAY`, `XAUTHORITY`, `DBUS_SESSION_BUS_ADDRESS` and `SSH_AUTH_SOCK`.",
    example: "true",
  }),
  url: optional("sends", url, {
    absent: "required for `streamable-http`",
    meaning: "The server's address. `${secret:NAME}` may be in its path or query.",
    example: '"https://mcp.example.com/mcp"',
  }),
};

interface ConnectionTexts {
  readonly env: string;
  readonly headers: string;
  readonly auth: string;
  readonly sandbox: string;
}

function connectionTables({ env, headers, auth, sandbox }: ConnectionTexts) {
  return {
    env: variables(env),
    headers: orAbsent(open(headers, parseHeaderName, headerKey)),
    auth: orAbsent(table(auth, backendAuthKeys)),
    sandbox: orAbsent(table(sandbox, sandboxKeys)),
  };
}

const routeKeys = {
  name: optional("runs", text("plain", parseRouteName), {
    absent: "its position, from `1`",
    meaning: "The route's name in `status` and `switch --backend`.",
    example: '"lan"',
  }),
  ...programKeys,
  ...connectionTables({
    env: "Environment variables of the program of this route.",
    headers: "Headers of every request over this route.",
    auth: "How the gateway signs in over this route. A person signs in over the first route only.",
    sandbox: "Isolates the program of this route.",
  }),
};

export const backendKeys = {
  type: optional("runs", choice(BACKEND_TYPES), {
    absent: "`stdio` with `command`, `streamable-http` with `url`",
    meaning: "How to reach the server: a program started here, or an address.",
    example: '"stdio"',
  }),
  ...programKeys,
  enabled: toggleKey("runs", true, "When false, it is not started and publishes nothing."),
  group: optional("free", label, {
    absent: "none",
    meaning: "A heading in lists.",
    example: '"work"',
  }),
  ...leftToDefaults,
  folders: optional("access", list(path), {
    type: "list of paths",
    absent: "paths may lie anywhere",
    meaning:
      "The only folders that paths in calls may lead to, links followed. Without `cwd` the program starts in the first.",
    example: '["/srv/pub"]',
  }),
  pin: pinKey,
  accounts: optional("access", choice(["one", "each"]), {
    absent: '`"one"`',
    meaning: "`each`: an instance and a sign-in for each user, or `${user:NAME}` in `env` and `headers`.",
    example: '"one"',
  }),
  ...requiresKeys,
  replace: choiceKey("free", ["overlap", "stop-first"], "overlap", {
    meaning: "How to replace a running instance; `stop-first`: for servers that cannot run twice.",
  }),
  protocol: choiceKey("free", ["auto", "2026-07-28"], "auto", {
    meaning: "The MCP version to use; `auto` finds it.",
  }),
  ...connectionTables({
    env: "Variables of the program. For `stdio`.",
    headers: "Headers of every request to the server. For `streamable-http`.",
    auth: "How the gateway signs in to the server by OAuth. For `streamable-http`.",
    sandbox: "Isolates the program from your files, the network and other programs. For `stdio` on Linux.",
  }),
  routes: listOf(
    "routes",
    table(
      "One block per route to the server, in order of preference, in place of `command` or `url`.",
      routeKeys,
    ),
  ),
  timeouts: defaultableTimeouts,
  filters: table("What of the server is published.", {
    tools: table("Which of its tools are published.", filterKeys),
    resources: table("Which of its resources are published.", filterKeys),
    prompts: table("Which of its prompts are published.", filterKeys),
  }),
  tool_overrides: named(
    "tools",
    parseServerToolName,
    table(
      "One block per tool with another name, another description or set arguments, under the server's own name for it.",
      toolOverrideKeys,
    ),
  ),
};

export const conflictKeys = {
  strategy: choiceKey("access", ["first-wins", "prefix", "error"], "first-wins", {
    meaning:
      "`first-wins`: the later name gets its server's name in front. `prefix`: every name does. `error`: the later one is not published.",
  }),
};

/** Names of arguments that most servers mean alike. */
export const REDACTED: readonly string[] = [
  "*password*",
  "*passwd*",
  "*token*",
  "*secret*",
  "*api_key*",
  "*apikey*",
  "authorization",
];

export const auditKeys = {
  enabled: toggleKey("guards", true, "When false, nothing is written."),
  path: optional("guards", path, {
    absent: "`audit.jsonl` in Mountaineer's home",
    meaning: "The file, not on a share; rotated files are next to it.",
    example: '"~/.mountaineer/audit.jsonl"',
  }),
  max_size_mb: numberKey("guards", {
    min: 1,
    max: 10_240,
    absent: 10,
    unit: "MiB",
    meaning: "Size at which the file is rotated.",
  }),
  keep: numberKey("guards", {
    min: 0,
    max: 1000,
    whole: true,
    absent: 5,
    unit: null,
    meaning: "How many rotated files to keep.",
  }),
  arguments: toggleKey("guards", false, "Also write the arguments of calls."),
  redact: defaulted("guards", globs, REDACTED, {
    absent: `[${REDACTED.map((glob) => `"${glob}"`).join(", ")}]`,
    meaning: "Patterns over names of arguments whose values are never written.",
    example: '["*password*", "*token*", "*secret*"]',
  }),
};
