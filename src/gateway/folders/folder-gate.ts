// Refuses calls with paths outside the folders that a backend's section allows, before they reach the server.

import { posix } from "node:path";
import { routesOf } from "../../config/backend-routes.ts";
import type { ServedBackend } from "../../config/snapshot.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { isRawNumber } from "../../runtime/text/exact-json.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { safeLine } from "../../runtime/text/safe-line.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { turnGiver } from "../../runtime/time/turns.ts";
import type { PoolCall } from "../backends/policy/backend-pool-contract.ts";
import { type CallTexts, textsOfCall } from "../catalog/call-texts.ts";
import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import { errorReply, INVALID_PARAMS, isJsonObject, type JsonObject, type Reply } from "../json-rpc.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";
import { namedPaths } from "./named-paths.ts";
import { type PathBases, type Reading, readingsOf } from "./path-readings.ts";

/**
 * Where a path leads after its links are followed. If the end of the path does not exist, `at` contains that end
 * unchanged.
 */
type ResolvedPath = { readonly at: string; readonly exists: boolean } | { readonly unclear: string };

/**
 * Resolves with the places in the order of the paths; null: the places are not known within `waitMs`, for instance
 * because a mount hangs. Never rejects.
 */
export type ResolvePaths = (
  paths: readonly string[],
  waitMs: number,
) => Promise<readonly ResolvedPath[] | null>;

interface FolderGateOptions {
  readonly backends: readonly ServedBackend[];
  /** To expand `~`. */
  readonly userHome: string;
  readonly resolvePaths: ResolvePaths;
  readonly clock: Clock;
  /** Its input schemas tell the types of arguments. */
  readonly catalog: () => Pick<Catalog, "tools">;
}

const RESOLVE_MS = 2_000;
const LONGEST_LABEL = 100;
const LONGEST_SHOWN = 200;

/** The members of params that may contain paths, by method. */
const CHECKED_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  "tools/call": ["arguments"],
  "prompts/get": ["arguments"],
  "completion/complete": ["argument", "context"],
  "resources/read": ["uri"],
  "resources/subscribe": ["uri"],
  // Of an extension (io.modelcontextprotocol/skills), which passes as it is.
  "skills/get": ["uri"],
};

/** Backends without `folders` are not checked. */
export function withFolders(
  pool: RoutingServices["pool"],
  options: FolderGateOptions,
): RoutingServices["pool"] {
  const gates = new Map(
    options.backends.flatMap((backend) => {
      const { name, folders = null } = backend;
      return folders === null ? [] : [[name, gateOf(backend, folders, options)] as const];
    }),
  );
  if (gates.size === 0) return pool;
  const refusal = async (backend: string, method: string, params: JsonObject | undefined) =>
    (await gates.get(backend)?.(method, params)) ?? null;
  return {
    ...pool,
    call: async (backend, call: PoolCall) =>
      (await refusal(backend, call.method, call.params)) ?? pool.call(backend, call),
    subscribe: async (backend, uri, client) =>
      (await refusal(backend, "resources/subscribe", { uri })) ?? pool.subscribe(backend, uri, client),
  };
}

type Gate = (method: string, params: JsonObject | undefined) => Promise<Reply | null>;

function gateOf(
  backend: ServedBackend,
  folders: readonly string[],
  { userHome, resolvePaths, catalog, clock }: FolderGateOptions,
): Gate {
  const folderOf = ({ connection }: { readonly connection: ServedBackend["connection"] }): string =>
    connection.type === "stdio" ? connection.cwd : userHome;
  const cwd = folderOf(backend);
  const others = [...new Set([...routesOf(backend).map(folderOf), ...namedPaths(backend)])];
  const bases: PathBases = { cwd, others, userHome };
  return async (method, params) => {
    const members = CHECKED_MEMBERS[method];
    if (members === undefined || params === undefined) return null;
    // Looked up at most once for each call: there may be thousands of tools and texts.
    let found: CatalogEntry | null | undefined;
    const tool = (): CatalogEntry | null => {
      const isCalled = ({ originalName, backend: owner }: CatalogEntry): boolean =>
        originalName === params["name"] && owner === backend.name;
      if (found === undefined) found = catalog().tools.values().find(isCalled) ?? null;
      return found;
    };
    const texts = textsOf(params, members, tool);
    const parts = { folders, bases, resolvePaths, clock, budget: textsOfCall(params["arguments"]) };
    const fault = typeof texts === "string" ? texts : await faultOf(texts, parts);
    if (fault === null) return null;
    const allowed = folders.length === 0 ? "no path at all" : `only paths in ${folders.join(", ")}`;
    const text = `Not run: ${fault}. Server ${backend.name} may be given ${allowed} (\`folders\` in its section): name the whole path of what you mean.`;
    const isCall = method === "tools/call" && params["task"] === undefined;
    return isCall
      ? { result: { content: [{ type: "text", text }], isError: true } }
      : errorReply(INVALID_PARAMS, text);
  };
}

interface CheckedText {
  /** The text's place in the params, for messages. */
  readonly label: string;
  readonly text: string;
  /** True: the argument's name says that it is a path, so even a plain word counts as a path. */
  readonly isNamedPath: boolean;
}

const PATH_NAMES =
  /^(?:(?:file|dir|folder|full)?path|file|(?:file|path|dir)name|dir|directory|folder|source|destination)s?$/i;

/** Whether an argument is a path by its name, judged by the last word, as in `file_path`, `outputDir` and `file2`. */
function namesPath(key: string): boolean {
  const parts = key.split(/[^A-Za-z]+|(?<=[a-z])(?=[A-Z])/).filter((part) => part !== "");
  return PATH_NAMES.test(parts.at(-1) ?? "");
}

/**
 * Collects the texts of the params that must be checked, or says why there are too many. `tool`: the called tool; null:
 * unknown.
 */
function textsOf(
  params: JsonObject,
  members: readonly string[],
  tool: () => CatalogEntry | null,
): readonly CheckedText[] | string {
  const texts: CheckedText[] = [];
  interface RemainingText extends Omit<CheckedText, "text"> {
    readonly value: unknown;
    /** The argument's name, if the value is a whole argument. */
    readonly name?: string;
  }
  const left: RemainingText[] = members.map((label) => ({ label, value: params[label], isNamedPath: false }));
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { label, value, isNamedPath, name } = next;
    if (texts.length + left.length >= TEXT_BOUNDS.texts.most)
      return `it has more than ${TEXT_BOUNDS.texts.most} texts, and not all of them can be checked`;
    const below = (step: string): string => (label.length > LONGEST_LABEL ? label : `${label}${step}`);
    if (typeof value === "string") {
      texts.push({ label, text: value, isNamedPath });
      // Some clients send lists and objects as JSON text, which servers parse.
      const isRead =
        /^\s*[[{]/.test(value) && (isNamedPath || (name !== undefined && takesParts(tool(), name)));
      if (isRead && value.length > TEXT_BOUNDS.jsonText.most)
        return `${shown({ label, text: value })} is too long to be checked`;
      if (isRead) left.push({ label, value: partsIn(value), isNamedPath });
    } else if (Array.isArray(value))
      value.forEach((part: unknown, at) => {
        left.push({ label: below(`[${at}]`), value: part, isNamedPath });
      });
    else if (isJsonObject(value) && !isRawNumber(value)) {
      for (const [key, part] of Object.entries(value)) {
        // A name with other characters than a plain word may be a path.
        if (/[^\w\s-]/.test(key)) texts.push({ label: `a name in ${label}`, text: key, isNamedPath: false });
        const isArgument = label === "arguments";
        left.push({
          label: below(`.${key}`),
          value: part,
          isNamedPath: namesPath(key),
          ...(isArgument ? { name: key } : {}),
        });
      }
    }
  }
  return texts;
}

/** True if the argument may be a list or an object, also if the schema does not say. */
function takesParts(tool: CatalogEntry | null, argument: string): boolean {
  const schema = tool?.definition["inputSchema"];
  const properties = isJsonObject(schema) ? schema["properties"] : undefined;
  const isMore = (property: unknown): boolean => {
    if (!isJsonObject(property)) return true;
    const { type, anyOf, oneOf } = property;
    const either = anyOf ?? oneOf;
    if (type === undefined) return !Array.isArray(either) || either.some(isMore);
    return [type].flat().some((one) => one === "array" || one === "object");
  };
  return isMore(isJsonObject(properties) ? properties[argument] : undefined);
}

/**
 * Returns the parsed text. For invalid JSON, returns the quoted strings in the text, because a server in Python may
 * still parse a text with words such as `True`.
 */
function partsIn(text: string): unknown {
  const quoted = text.match(/"(?:[^"\\]|\\.)*(?:"|\\?$)/gs) ?? [];
  for (const json of [text, `[${quoted.join(",")}]`]) {
    try {
      return parseJson(json);
    } catch {}
  }
  return null;
}

interface CheckParts extends Pick<FolderGateOptions, "resolvePaths" | "clock"> {
  readonly budget: CallTexts;
  readonly folders: readonly string[];
  readonly bases: PathBases;
}

/** Why the call is refused; null: it is not refused. */
async function faultOf(
  texts: readonly CheckedText[],
  { budget, folders, bases, resolvePaths, clock }: CheckParts,
): Promise<string | null> {
  const read: { readonly checked: CheckedText; readonly reading: Reading }[] = [];
  const paths = new Set(folders);
  let parts = 0;
  const othersFirst = turnGiver(clock);
  for (const checked of texts) {
    const turn = othersFirst();
    if (turn !== null) await turn;
    if (!budget.count(checked.text)) return budget.excess;
    const readings = readingsOf(checked.text, bases, checked.isNamedPath);
    if ("unclear" in readings) return `${shown(checked)}: ${readings.unclear}`;
    for (const reading of readings) {
      read.push({ checked, reading });
      for (const path of [reading.at, reading.onlyIf]) {
        if (path === null || paths.has(path)) continue;
        paths.add(path);
        parts += path.split("/").length;
      }
    }
    if (parts > TEXT_BOUNDS.parts.most) return "it may have more paths than can be checked";
  }
  if (read.length === 0) return null;
  const requested = [...paths];
  const found = await resolvePaths(requested, RESOLVE_MS);
  if (found === null) return "its paths could not be resolved in time; try again";
  const byPath = new Map(requested.map((path, at) => [path, found[at] ?? { unclear: "no answer" }]));
  const tops = folders.flatMap((folder) => {
    const resolved = byPath.get(folder);
    return resolved !== undefined && "at" in resolved ? [resolved.at] : [];
  });
  for (const { checked, reading } of read) {
    const condition = reading.onlyIf === null ? null : byPath.get(reading.onlyIf);
    if (condition && "exists" in condition && !condition.exists) continue;
    const resolved = byPath.get(reading.at) ?? { unclear: "no answer" };
    if ("unclear" in resolved) return `${shown(checked)} cannot be resolved (${resolved.unclear})`;
    if (!tops.some((top) => isIn(resolved.at, top))) return `${shown(checked)} leads out of its folders`;
  }
  return null;
}

function isIn(path: string, folder: string): boolean {
  const plain = posix.normalize(path);
  return plain === folder || plain.startsWith(folder === "/" ? folder : `${folder}/`);
}

function shown({ label, text }: Pick<CheckedText, "label" | "text">): string {
  return `${safeLine(label, LONGEST_LABEL)} ${JSON.stringify(safeLine(text, LONGEST_SHOWN))}`;
}
