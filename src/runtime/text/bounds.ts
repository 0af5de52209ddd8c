// The bounds of texts that others write, each with what happens beyond it. docs/reference/security.md shows them.

export interface Bound {
  /** Who writes it. */
  readonly by: "server" | "client" | "file" | "network";
  readonly what: string;
  readonly most: number;
  readonly unit: "bytes" | "characters" | "";
  readonly beyond: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;

function by(writer: Bound["by"]) {
  return (what: string, most: number, unit: Bound["unit"], beyond: string): Bound => ({
    by: writer,
    what,
    most,
    unit,
    beyond,
  });
}

const [server, client, file, network] = [by("server"), by("client"), by("file"), by("network")];

export const TEXT_BOUNDS = {
  message: server("one message", 64 * MIB, "bytes", "the server is restarted"),
  notice: server("one message that is not a result", 4 * MIB, "bytes", "refused"),
  values: server("values in one message that is read, above 64 KiB", 100_000, "", "refused"),
  pages: server("pages of one list", 1_000, "", "the last list serves"),
  tools: server("tools", 3_000, "", "the first serve, with a condition"),
  resources: server("resources", 5_000, "", "the first serve, with a condition"),
  prompts: server("prompts or templates, each", 1_000, "", "the first serve, with a condition"),
  list: server("all entries of one list, as JSON", 16 * MIB, "characters", "the last list serves"),
  entry: server("one entry of a list, as JSON", MIB, "characters", "withheld"),
  unseen: server("unseen characters in all entries of a list", 100_000, "", "withheld"),
  references: server("references (`$ref`) in the schemas of a tool", 10_000, "", "withheld"),
  classes: server("classes of Unicode in patterns of a list", 20_000, "", "withheld"),
  pattern: server("one pattern of a schema", 1_000, "characters", "left out"),
  schemaIds: server("`$id` in a schema with references", 1_000, "", "withheld"),
  schemaId: server("`$id` or `$ref` of a schema", 2_000, "characters", "left out"),
  toolName: server("a tool's name", 46, "characters", "published cut, with a digest"),
  template: server("a URI template", 1_024, "characters", "listed, not read"),
  instructions: server("instructions", 64 * KIB, "characters", "refused, with a condition"),
  published: server("instructions of all servers, as published", 64 * KIB, "characters", "cut"),
  mention: server("a URI in a result", 1_024, "characters", "not remembered"),
  broadcast: server(
    "a log message or update for several clients",
    64 * KIB,
    "characters",
    "dropped, or its URI",
  ),
  updated: server("the URI of an update of a folder's resource", 1_024, "characters", "not looked up"),
  question: server("a question to a client", MIB, "characters", "the call fails"),
  logLine: server("one line on stderr", 64 * KIB, "bytes", "dropped"),
  serverLine: server("one line of a server's log, from anywhere", 64 * KIB, "characters", "cut"),
  exitLine: server("a line that may explain a program's end", 1_000, "characters", "cut"),
  oddLine: server("a line with more than one message on it", MIB, "characters", "not looked into"),
  error: server("a server's error, in a message", 2_000, "characters", "cut"),
  loginAnswer: network("an answer of an authorization server", 512 * KIB, "bytes", "refused"),
  keys: network("a key set", 256 * KIB, "bytes", "refused"),
  registryAnswer: network("an answer of the registry", MIB, "bytes", "refused"),
  subscriptions: client("subscribed resources of a principal at one server", 1_000, "", "refused"),
  uri: client("a URI that is in no list", 8_192, "characters", "answered as unknown"),
  introduction: client("capabilities, and `clientInfo`", 64 * KIB, "characters", "refused, and left out"),
  requestId: client("an id or progress token of 2026-07-28", 1_024, "characters", "refused"),
  policyText: client("a text that a policy checks", 16 * KIB, "characters", "denied"),
  pathText: client(
    "a text that may be a path for `folders`",
    32 * KIB,
    "characters",
    "refused if it has `..`",
  ),
  jsonText: client("JSON in a text, for `folders`", 256 * KIB, "characters", "refused"),
  inFlight: client(
    "arguments and unread answers of over 64 KiB",
    256 * MIB,
    "bytes",
    "calls are refused, answers read later; a principal has a quarter",
  ),
  texts: client("texts that policies and `folders` check in one call", 10_000, "", "refused"),
  parts: client("parts of paths in these texts", 50_000, "", "refused"),
  query: client("a query of `find_tool`", 1_000, "characters", "cut"),
  pasted: file("pasted servers", 256 * KIB, "bytes", "refused"),
  shownName: file("a name next to a value that is shown", 200, "characters", "the value is hidden"),
} as const satisfies Readonly<Record<string, Bound>>;
