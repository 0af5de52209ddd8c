// The keys of the gateway's sections: backends, name conflicts, authorization, audit.
import * as z from "zod";
import { REFERENCE_FORM, type SecretReference, STORED_FORM } from "../../secrets/reference.ts";
import {
  parseBackendName,
  parseHeaderName,
  parsePublishedToolName,
  parseRouteName,
  parseServerToolName,
  parseVariableName,
  TOOL_NAME_EXPECTED,
} from "../backend-names.ts";
import {
  isHeaderText,
  isVariableText,
  parseArgument,
  parseDescription,
  parseGlob,
  parseLabel,
  parseProgram,
  parseSeparator,
  parseServerUrl,
  URL_EXPECTED,
} from "../backend-values.ts";
import { LISTEN_ADDRESS_EXPECTED, parseAllowedHost, parseListenAddress } from "../host.ts";
import { describeKind } from "../mistakes.ts";
import { parsePath } from "../paths.ts";
import { parseSecretText } from "../secret-text.ts";
import { backendAuthSchema } from "./backend-auth-schema.ts";
import { publicUrlKey } from "./incoming-auth-schema.ts";
import { requiresKeys } from "./requires-schema.ts";
import { sandboxSchema } from "./sandbox-schema.ts";
import {
  choiceDoc,
  choiceKey,
  document,
  listDoc,
  numberKey,
  pathKey,
  readText,
  refuse,
  textDoc,
  toggleKey,
} from "./schema-keys.ts";
import { pinKey } from "./trust-schema.ts";

export const managementSchema = z.strictObject({
  enabled: document(z.boolean().optional(), {
    type: "true or false",
    unit: null,
    absent: "true where `host` is this machine alone",
    meaning:
      "Serve the management API and the page at the same address. Nothing is shown to anybody without a token or a link of `mountaineer open`.",
    expected: "true or false",
    example: "true",
    choices: null,
    isSecret: false,
  }),
  allow_commands: toggleKey(
    false,
    "Let whoever is signed in there change what runs on this machine (commands, arguments, environment), where credentials are sent (addresses, headers, hosts of shares) and who may do what, and approve what waits. Without it that takes `mountaineer` on this machine.",
  ),
  allowed_hosts: document(
    z.array(readText(parseAllowedHost)).default([]),
    listDoc({
      absent: "none",
      meaning:
        "Names besides this machine's own addresses that requests may ask for, where a proxy stands before it.",
      example: '["nas.example.com"]',
    }),
  ),
});

export const serverSchema = z.strictObject({
  host: document(
    readText(parseListenAddress).default("127.0.0.1"),
    textDoc({
      type: "host",
      expected: LISTEN_ADDRESS_EXPECTED,
      absent: '"127.0.0.1"',
      meaning:
        "The address to listen on. One beyond this machine needs `[incoming_auth]` with a type other than `anonymous`.",
      example: '"127.0.0.1"',
    }),
  ),
  port: numberKey({
    min: 1,
    max: 65_535,
    whole: true,
    absent: 9000,
    unit: null,
    meaning: "The TCP port to listen on.",
  }),
  public_url: publicUrlKey,
  body_limit_mb: numberKey({
    min: 1,
    max: 1024,
    absent: 64,
    unit: "MiB",
    meaning: "The largest request that is read; a larger one is refused by an error that names this key.",
  }),
  drain_timeout: numberKey({
    min: 0,
    max: 3600,
    absent: 30,
    unit: "seconds",
    meaning: "How long calls on a removed or replaced backend may go on before they end with an error.",
  }),
  management: managementSchema.prefault({}),
});

/** How a backend may be reached. */
const BACKEND_TYPES = ["stdio", "streamable-http"] as const;

const SECRET_EXPECTED = `a text, in which \`${REFERENCE_FORM}\` names an environment variable and \`\${${STORED_FORM}}\` a secret`;

function secretTextSchema(isAllowed: (text: string) => boolean) {
  return z.string().transform((text, context) => {
    // Never says what was found: most such texts are secrets.
    const found = describeKind(text);
    const reading = parseSecretText(text);
    if (!reading.ok) {
      const { expected, hint } = reading;
      return refuse(context, null, { found: "`${` without a name and `}`", expected, hint });
    }
    // Annotated, so that the inferred type of a key allows both kinds of parts.
    const parts: readonly (string | SecretReference)[] = reading.value;
    if (isAllowed(text)) return parts;
    const expected = "a text without control characters";
    return refuse(context, null, { found, expected, hint: null });
  });
}

function listOf(item: z.ZodType<string, string>) {
  return z.array(item);
}

const globs = listOf(readText(parseGlob));

const filterShapes = {
  tools: filter("tools", "the server's own names", '["read_*", "search"]', '["delete_*"]'),
  resources: filter("resources", "their addresses", '["file:///srv/*"]', '["file:///srv/private/*"]'),
  prompts: filter("prompts", "the server's own names", '["review*"]', '["draft_*"]'),
};

function filter(what: string, names: string, allowed: string, denied: string) {
  return z.strictObject({
    allow: document(
      globs.optional(),
      listDoc({
        type: "list of patterns",
        absent: "all",
        meaning: `The ${what} that are published, by patterns over ${names}; \`*\` stands for anything.`,
        example: allowed,
      }),
    ),
    deny: document(
      globs.default([]),
      listDoc({
        type: "list of patterns",
        absent: "none",
        meaning: `The ${what} that are not, even where \`allow\` has them.`,
        example: denied,
      }),
    ),
  });
}

export const timeoutsSchema = z.strictObject({
  init: numberKey({
    min: 0.1,
    max: 600,
    absent: 15,
    unit: "seconds",
    meaning:
      "How long the server has to answer `initialize`, from its first output on, or from 60 s after its start, as `npx` may download it first; a server at a `url` from the start on.",
  }),
  cap_fetch: numberKey({
    min: 0.1,
    max: 600,
    absent: 10,
    unit: "seconds",
    meaning: "How long each of its lists may take to read.",
  }),
  call: numberKey({
    min: 0.1,
    max: 86_400,
    absent: 60,
    unit: "seconds",
    meaning: "How long a call may take; each word of progress starts it anew.",
  }),
});

export const toolOverrideSchema = z.strictObject({
  name: document(
    readText(parsePublishedToolName).optional(),
    textDoc({
      absent: "as the server says",
      expected: TOOL_NAME_EXPECTED,
      meaning: "What clients call the tool.",
      example: '"find"',
    }),
  ),
  description: document(
    readText(parseDescription).optional(),
    textDoc({
      absent: "as the server says",
      meaning: "What clients are told that it does.",
      example: '"Finds files by their names."',
    }),
  ),
});

/** The value of one variable in `env`. */
export const variableSchema = document(
  secretTextSchema(isVariableText),
  textDoc({
    expected: SECRET_EXPECTED,
    absent: "none",
    meaning: `An environment variable of the server, by its name. \`${REFERENCE_FORM}\` anywhere in the text stands for a variable of the \`mountaineer\` process, \`\${${STORED_FORM}}\` for a secret that \`mountaineer secret set\` keeps, \`$\${\` for \`\${\` itself.`,
    example: `"\${FILES_TOKEN}"`,
    isSecret: true,
  }),
);

/** The value of one header in `headers`. */
export const headerSchema = document(
  secretTextSchema(isHeaderText),
  textDoc({
    expected: SECRET_EXPECTED,
    absent: "none",
    meaning: `A header of every request, by its name. \`${REFERENCE_FORM}\` anywhere in the text stands for a variable of the \`mountaineer\` process, \`\${${STORED_FORM}}\` for a secret that \`mountaineer secret set\` keeps; \`Authorization\` takes nothing else for its secret.`,
    example: `"Bearer \${SEARCH_TOKEN}"`,
    isSecret: true,
  }),
);

/** How one server is reached: a backend's own, or that of one of its routes. */
const programKeys = {
  command: document(
    readText(parseProgram, describeKind).optional(),
    textDoc({
      absent: "required for `stdio`",
      meaning: "The program, started as it is, never through a shell.",
      example: '"npx"',
    }),
  ),
  args: document(
    listOf(readText(parseArgument, describeKind)).optional(),
    listDoc({
      absent: "none",
      meaning: "Its arguments, one text each, passed on as they are.",
      example: '["-y", "@modelcontextprotocol/server-filesystem", "/srv/files"]',
      isSecret: true,
    }),
  ),
  cwd: pathKey({
    absent: "your home folder",
    meaning: "The folder it is started in.",
    example: '"~/projects"',
  }),
};

const addressKeys = {
  url: document(
    readText(parseServerUrl, describeKind).optional(),
    textDoc({
      type: "address",
      absent: "required for `streamable-http`",
      expected: URL_EXPECTED,
      meaning: "The server's address.",
      example: '"https://mcp.example.com/mcp"',
      isSecret: true,
    }),
  ),
};

const connectionTables = {
  env: z
    .record(readText(parseVariableName).meta({ pattern: "^[A-Za-z_][A-Za-z0-9_]*$" }), variableSchema)
    .optional(),
  headers: z.record(readText(parseHeaderName), headerSchema).optional(),
  auth: backendAuthSchema.optional(),
  sandbox: sandboxSchema.optional(),
};

export const routeSchema = z.strictObject({
  name: document(
    readText(parseRouteName).optional(),
    textDoc({
      absent: "its place, from `1` on",
      meaning: "What `status` and `switch --backend` call the route.",
      example: '"lan"',
    }),
  ),
  ...programKeys,
  ...addressKeys,
  ...connectionTables,
});

export const backendSchema = z.strictObject({
  type: document(
    z.enum(BACKEND_TYPES).optional(),
    choiceDoc({
      choices: BACKEND_TYPES,
      absent: "`stdio` with `command`, `streamable-http` with `url`",
      meaning: "How the server is reached: a program that is started here, or an address.",
      example: '"stdio"',
    }),
  ),
  ...programKeys,
  ...addressKeys,
  enabled: toggleKey(
    true,
    "When false, the server is not started, and none of its tools, resources and prompts are published.",
  ),
  group: document(
    readText(parseLabel).optional(),
    textDoc({ absent: "none", meaning: "A name under which several are shown together.", example: '"work"' }),
  ),
  instances: choiceKey(["shared", "per-client"], "shared", {
    meaning: "Whether all clients share one instance, or each session has one of its own.",
  }),
  folders: document(
    z.array(readText(parsePath)).optional(),
    listDoc({
      type: "list of paths",
      absent: "paths may lie anywhere",
      meaning:
        "The only folders that a path in a call may lie in, links followed. For a program on this machine, which is then started in the first of them where `cwd` names none. It is no sandbox: what the program does by itself is not seen.",
      example: '["/srv/pub"]',
    }),
  ),
  pin: pinKey,
  ...requiresKeys,
  replace: choiceKey(["overlap", "stop-first"], "overlap", {
    meaning:
      "When it changes: `overlap` starts the new one beside the old one, `stop-first` is for servers that cannot run twice.",
  }),
  protocol: choiceKey(["auto", "2026-07-28"], "auto", {
    meaning:
      "The version of MCP spoken with it. `auto`: a program that speaks both gets 2025-11-25, in which its tools can ask questions; a server at an address gets each client's own version. `2026-07-28`: only that one.",
  }),
  ...connectionTables,
  routes: z.array(routeSchema).default([]),
  timeouts: timeoutsSchema.prefault({}),
  filters: z
    .strictObject({
      tools: filterShapes.tools.prefault({}),
      resources: filterShapes.resources.prefault({}),
      prompts: filterShapes.prompts.prefault({}),
    })
    .prefault({}),
  tool_overrides: z.record(readText(parseServerToolName), toolOverrideSchema).default({}),
});

export const filterSchemas = filterShapes;

// What editors check while one types; the reading of names says more.
const backendName = readText(parseBackendName).meta({ pattern: "^[A-Za-z][A-Za-z0-9_-]{0,63}$" });

export const backendsSchema = z.record(backendName, backendSchema);

export const conflictSchema = z.strictObject({
  strategy: choiceKey(["first-wins", "prefix", "priority", "error"], "first-wins", {
    meaning:
      "When two backends offer the same name: `first-wins` the file's order, `priority` the `order` below; `prefix` puts the backend's name before every name; `error` publishes the first and tells of the other.",
  }),
  separator: document(
    readText(parseSeparator).default("_"),
    textDoc({
      absent: '"_"',
      meaning: "Strategy `prefix`: what stands between the backend's name and the rest.",
      example: '"_"',
    }),
  ),
  order: document(
    listOf(z.string()).default([]),
    listDoc({
      type: "list of backends",
      absent: "none",
      meaning: "Names of backends, the first wins; those that are not named follow in the file's order.",
      example: "[]",
    }),
  ),
  longest_name: numberKey({
    min: 24,
    max: 128,
    whole: true,
    absent: 46,
    unit: "characters",
    meaning:
      "The longest published name of a tool. Clients put a prefix before it, as `mcp__mountaineer__`, and many allow 64 in all. A longer name is cut and ends in a hash of the whole one.",
  }),
});

const REDACTED = ["*password*", "*passwd*", "*token*", "*secret*", "*api_key*", "*apikey*", "authorization"];

export const auditSchema = z.strictObject({
  enabled: toggleKey(true, "When false, nothing is written."),
  path: pathKey({
    absent: "`audit.jsonl` in Mountaineer's home",
    meaning: "The file; rotated ones stand beside it. Not on a share, where writing could hang.",
    example: '"~/.mountaineer/audit.jsonl"',
  }),
  max_size_mb: numberKey({
    min: 1,
    max: 10_240,
    absent: 10,
    unit: "MiB",
    meaning: "How large the file grows before it is set aside.",
  }),
  keep: numberKey({
    min: 0,
    max: 1000,
    whole: true,
    absent: 5,
    unit: null,
    meaning: "How many of those that were set aside are kept.",
  }),
  arguments: toggleKey(false, "Write the arguments of calls, too."),
  redact: document(
    globs.default(REDACTED),
    listDoc({
      type: "list of patterns",
      absent: `[${REDACTED.map((glob) => `"${glob}"`).join(", ")}]`,
      meaning: "Patterns over names of arguments whose values are never written.",
      example: '["*password*", "*token*", "*secret*"]',
    }),
  ),
});
