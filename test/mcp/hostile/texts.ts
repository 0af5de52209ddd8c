// Texts of servers and clients that are made to hold a thread: pieces to repeat, and the places where others write.
import type { Json } from "../fixtures/scripted-server.ts";

/** Each was, or could be, costly where one character after the other is matched, decoded, normalized or copied. */
export const PIECES: readonly string[] = [
  ...[
    "(",
    "[",
    "{",
    "<",
    "\\",
    "/",
    "|",
    "*",
    "?",
    "#",
    "&",
    "=",
    "-",
    ".",
    ":",
    ";",
    ",",
    "@",
    "~",
    "$",
    "`",
  ],
  ...[" ", "\t", "\n", "\r", "\r\n", "\0", "\u001b[", '"', '\\"', "'", "a", "A", "0", "9.", "a.", "a@", "a:"],
  ...[
    "/a",
    "/%61b",
    "/..",
    "../",
    "./",
    "//",
    "%2F",
    "%25",
    "%",
    "~/",
    "$HOME/",
    "file:",
    "file:///",
    "C:\\",
  ],
  ...[
    "a\u200b",
    "\u202e",
    "\ufe0f",
    "\u{e0061}",
    "e\u0301",
    "\u0301",
    "\u1100\u1161",
    "ﷺ",
    "\u{1f468}\u200d",
  ],
  ...[
    "\ud800",
    "ß",
    "İ",
    "ſ",
    "http://",
    "http://a",
    "a://b ",
    "(http://a)",
    "<a href=",
    "<!--",
    "](",
    "![](",
  ],
  ...["{a}", "{+a}", "{/a*}", "{?a,b}", "{a:9}", "}{", "${", "${a:-", "$(", "=a", "token=", "Bearer ", "sk-"],
  ...[
    "a|a",
    "(a+)+",
    "(a|a)*",
    "a*a",
    "a{9}",
    "\\p{L}",
    "[^a]",
    "(?=a",
    "\\1",
    "(?<a>",
    ".*",
    "at a (b:1:1)\n",
  ],
  ...[
    "Error: ",
    "Traceback\n",
    "  at ",
    "```",
    "```json\n",
    "[a]\n",
    "a = ",
    "- ",
    "---\n",
    "# ",
    '{"a":',
    "[",
  ],
  ...["null,", "1e9,", '"a":1,', "eyJ", "====", "AAAA", "ab ", "a b\n", "npx ", "-y ", "--a=", "\\u0061"],
];

export function repeated(piece: string, characters: number): string {
  return piece.repeat(Math.max(1, Math.floor(characters / piece.length)));
}

/** Text after text, each `piece` with a number of its own, so that no two are the same. */
function several(piece: string, characters: number, each: number): string[] {
  const one = repeated(piece, each);
  return Array.from({ length: Math.max(1, Math.floor(characters / (one.length + 8))) }, (_, at) => one + at);
}

/** What a server gives from then on; whatever is left out is empty. */
export interface Given {
  readonly tools?: readonly Json[];
  readonly resources?: readonly Json[];
  readonly resourceTemplates?: readonly Json[];
  readonly prompts?: readonly Json[];
}

type Make<Made> = (piece: string, characters: number) => Made;

const tool = (more: Json): Json => ({ name: "t", inputSchema: { type: "object" }, ...more });
const schema = (inputSchema: Json): Given => ({
  tools: [tool({ inputSchema: { type: "object", ...inputSchema } })],
});
const named = (texts: readonly string[], of: (text: string) => unknown): Json =>
  Object.fromEntries(texts.map((text, at) => [`p${at}`, of(text)]));
const text = repeated;

/** Where a server's lists have texts. */
export const LISTS: Readonly<Record<string, Make<Given>>> = {
  "a tool's name": (piece, size) => ({ tools: [tool({ name: text(piece, size) })] }),
  "many tools' names": (piece, size) => ({ tools: several(piece, size, 40).map((name) => tool({ name })) }),
  "a tool's description": (piece, size) => ({ tools: [tool({ description: text(piece, size) })] }),
  "many descriptions": (piece, size) => ({
    tools: several(piece, size, 4_000).map((description, at) =>
      tool({ name: `t${at}`, title: description, description }),
    ),
  }),
  "annotations and _meta": (piece, size) => ({
    tools: [tool({ annotations: { title: text(piece, size / 2) }, _meta: { [text(piece, size / 2)]: 1 } })],
  }),
  "a pattern": (piece, size) => schema({ properties: { p: { type: "string", pattern: text(piece, size) } } }),
  "many patterns": (piece, size) =>
    schema({ properties: named(several(piece, size, 60), (pattern) => ({ type: "string", pattern })) }),
  patternProperties: (piece, size) =>
    schema({ patternProperties: Object.fromEntries(several(piece, size, 40).map((key) => [key, {}])) }),
  "an $id": (piece, size) => schema({ $id: `http://x/${text(piece, size)}`, properties: {} }),
  "an $id with references": (piece, size) => {
    const names = several("a", size, 8);
    return schema({
      $id: `http://x/${text(piece, 2_000)}`,
      $defs: Object.fromEntries(names.map((name) => [name, {}])),
      anyOf: names.map((name) => ({ $ref: `#/$defs/${name}` })),
    });
  },
  "$ids within $ids": (piece, size) =>
    schema({ properties: named(several(piece, size, 100), ($id) => ({ $id, $ref: `${$id}#/a` })) }),
  "chains of references": (piece, size) => {
    const names = several(piece, size, 12);
    const path = (name = ""): string =>
      `#/$defs/${encodeURIComponent(name.replaceAll("/", "~1").toWellFormed())}`;
    const $defs = Object.fromEntries(names.map((name, at) => [name, { $ref: path(names[at + 1]) }]));
    return schema({ $defs, $ref: path(names[0]) });
  },
  "references to the same deep place": (piece, size) =>
    schema({
      $defs: { a: { properties: named(several(piece, size / 2, 30), () => ({})) } },
      allOf: several("#/$defs/a/", size / 2, 100).map(($ref) => ({ $ref })),
    }),
  anchors: (piece, size) =>
    schema({ allOf: several(piece, size, 30).map(($anchor) => ({ $anchor, $ref: `#${$anchor}` })) }),
  "schemas within schemas": (_, size) => {
    let inner: Json = {};
    for (let depth = 0; depth < Math.min(size / 12, 4_000); depth++) inner = { items: inner, not: {} };
    return schema({ properties: { p: inner } });
  },
  "an output schema": (piece, size) => ({
    tools: [
      tool({
        outputSchema: { type: "object", properties: named(several(piece, size, 50), ($ref) => ({ $ref })) },
      }),
    ],
  }),
  "enums and defaults": (piece, size) =>
    schema({ properties: { p: { enum: several(piece, size / 2, 9), default: text(piece, size / 2) } } }),
  "x-mcp-header": (piece, size) =>
    schema({
      properties: named(several(piece, size, 20), (name) => ({ type: "string", "x-mcp-header": name })),
    }),
  "a resource's URI": (piece, size) => ({ resources: [{ uri: `x://${text(piece, size)}`, name: "r" }] }),
  "many URIs": (piece, size) => ({
    resources: several(piece, size, 60).map((uri, at) => ({
      uri: `x:/${uri}`,
      name: `r${at}`,
      mimeType: uri,
    })),
  }),
  "a template": (piece, size) => ({
    resourceTemplates: [{ uriTemplate: `x://${text(piece, size)}`, name: "r" }],
  }),
  "many templates": (piece, size) => ({
    resourceTemplates: several(piece, size, 60).map((uri, at) => ({
      uriTemplate: `x://{a}${uri}{+b}`,
      name: `r${at}`,
    })),
  }),
  prompts: (piece, size) => ({
    prompts: several(piece, size, 200).map((name) => ({ name, arguments: [{ name, description: name }] })),
  }),
  "pages of tools": (piece, size) => ({
    tools: several(piece, size / 2, 9).map((page, at) =>
      tool({ name: `t${at}`, _meta: { ui: { resourceUri: `ui://${page}` } } }),
    ),
    resources: several(piece, size / 2, 9).map((page) => ({ uri: `ui://${page}`, name: "page" })),
  }),
  "many small entries": (piece, size) => ({
    prompts: several(piece, size / 4, 2).map((name) => ({ name })),
    tools: several(piece, size / 2, 2).map((name) => tool({ name })),
  }),
};

const notice = (method: string, params: Json): Json => ({ jsonrpc: "2.0", method, params });
const update = (uri: string): Json => notice("notifications/resources/updated", { uri });
const log = (data: string): Json => notice("notifications/message", { level: "info", data });
/** Node has it, its types do not yet. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** Where the answer to a call has them: a result, or an error. `told` comes before the answer. */
export const ANSWERS: Readonly<Record<string, Make<Json>>> = {
  "a result's text": (piece, size) => ({ content: [{ type: "text", text: text(piece, size) }] }),
  "many texts": (piece, size) => ({
    content: several(piece, size, 30).map((one) => ({ type: "text", text: one })),
  }),
  "URIs that a result mentions": (piece, size) => ({
    content: several(piece, size, 200).map((uri, at) => ({
      type: "resource_link",
      uri: `x://${uri}`,
      name: `r${at}`,
    })),
  }),
  "an embedded resource": (piece, size) => ({
    content: [
      {
        type: "resource",
        resource: {
          uri: `x://${text(piece, 900)}`,
          mimeType: text(piece, size / 2),
          text: text(piece, size / 2),
        },
      },
    ],
  }),
  "a structured result": (piece, size) => ({
    content: [],
    structuredContent: { keys: Object.fromEntries(several(piece, size, 20).map((key) => [key, key])) },
  }),
  "a result within results": (_, size) => {
    let inner: Json = {};
    for (let depth = 0; depth < Math.min(size / 6, 3_000); depth++) inner = { a: inner };
    return { content: [], structuredContent: inner };
  },
  "very many values": (_, size) => ({
    content: [],
    structuredContent: { list: Array.from({ length: size / 2 }, () => 1) },
  }),
  "very many long numbers": (_, size) => ({
    content: [],
    structuredContent: { list: Array.from({ length: size / 20 }, () => rawJSON("1700000000123456789")) },
  }),
  "an update's URI": (piece, size) => ({ content: [], told: update(text(piece, size)) }),
  "a batch of updates": (piece, size) => ({ content: [], told: several(piece, size, 900).map(update) }),
  "a batch of logs": (piece, size) => ({ content: [], told: several(piece, size, 30).map(log) }),
  _meta: (piece, size) => ({
    content: [],
    _meta: Object.fromEntries(several(piece, size, 50).map((key) => [key, 1])),
  }),
  "an error's text": (piece, size) => ({
    error: { code: -32000, message: text(piece, size), data: { why: text(piece, size) } },
  }),
  "an error's address": (piece, size) => ({
    error: {
      code: -32042,
      message: "m",
      data: { elicitations: several(piece, size, 60).map((url) => ({ url })) },
    },
  }),
};

/** Where a request of a client has them: its method, and params. */
export const REQUESTS: Readonly<Record<string, Make<readonly [method: string, params: Json]>>> = {
  "an argument": (piece, size) => ["tools/call", { name: "give", arguments: { any: text(piece, size) } }],
  "a path": (piece, size) => ["tools/call", { name: "give", arguments: { path: `/${text(piece, size)}` } }],
  "many paths": (piece, size) => [
    "tools/call",
    { name: "give", arguments: { paths: several(piece, size, 500) } },
  ],
  "long paths": (piece, size) => [
    "tools/call",
    { name: "give", arguments: { paths: several(piece, size, 16_000) } },
  ],
  "JSON in a text": (piece, size) => [
    "tools/call",
    { name: "give", arguments: { path: JSON.stringify({ paths: several(piece, size, 50) }) } },
  ],
  "lists within lists": (_, size) => {
    let inner: unknown = "/etc";
    for (let depth = 0; depth < Math.min(size / 4, 3_000); depth++) inner = [inner];
    return ["tools/call", { name: "give", arguments: { path: inner } }];
  },
  "names of arguments": (piece, size) => [
    "tools/call",
    { name: "give", arguments: Object.fromEntries(several(piece, size, 40).map((key) => [key, key])) },
  ],
  "a call's name": (piece, size) => ["tools/call", { name: text(piece, size) }],
  "a URI to read": (piece, size) => ["resources/read", { uri: text(piece, size) }],
  "a URI by a template": (piece, size) => ["resources/read", { uri: `files://${text(piece, size)}` }],
  "a prompt's arguments": (piece, size) => [
    "prompts/get",
    { name: text(piece, 200), arguments: { path: text(piece, size) } },
  ],
  "a completion": (piece, size) => [
    "completion/complete",
    {
      ref: { type: "ref/resource", uri: `files://{+path}` },
      argument: { name: "path", value: text(piece, size) },
    },
  ],
  "a cursor": (piece, size) => ["tools/list", { cursor: text(piece, size) }],
  "a progress token": (piece, size) => [
    "tools/call",
    { name: "give", arguments: {}, _meta: { progressToken: text(piece, size) } },
  ],
  "a method": (piece, size) => [text(piece, size), {}],
  "a client's introduction": (piece, size) => [
    "initialize",
    {
      protocolVersion: text(piece, 100),
      capabilities: { experimental: Object.fromEntries(several(piece, size, 60).map((key) => [key, {}])) },
      clientInfo: { name: text(piece, size), version: text(piece, size) },
    },
  ],
};

/** What a program writes to stderr before it ends, or a server says of itself when it begins. */
export const PROGRAMS: Readonly<
  Record<string, Make<{ readonly stderr?: string; readonly instructions?: string }>>
> = {
  "one line on stderr": (piece, size) => ({ stderr: `boom\n${text(piece, size)}\n` }),
  "lines on stderr": (piece, size) => ({ stderr: `boom\n${several(piece, size, 900).join("\n")}\n` }),
  instructions: (piece, size) => ({ instructions: text(piece, size) }),
};
