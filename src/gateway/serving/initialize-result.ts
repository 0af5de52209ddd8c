// The gateway's own result of `initialize`. Backends come and go within a session, so it declares what any of them may
// offer.

import { withoutUnseen } from "../../runtime/text/unseen-characters.ts";
import type { BackendInitializeResult } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { isJsonObject, type JsonObject } from "../json-rpc.ts";
import {
  declaresTasks,
  LATEST_VERSION,
  MODERN_VERSION,
  SKILLS_EXTENSION,
  type SpokenVersion,
  TASKS_EXTENSION,
} from "../protocol.ts";

export function gatewayInfo(version: string): JsonObject {
  return { name: "mountaineer", title: "Mountaineer", version };
}

/** A server, with what it may tell models of itself. */
export interface IntroducedServer extends BackendInitializeResult {
  readonly instructions: string | null;
}

export interface Published {
  readonly catalog: Catalog;
  /** As `ServingSet` has it. */
  readonly passesAll: boolean;
  /** What the gateway itself has to say; absent: nothing. */
  readonly introduction?: string | null;
}

export function gatewayInitializeResult(
  version: string,
  servers: readonly IntroducedServer[],
  { catalog, passesAll, introduction = null }: Published,
  spoken: SpokenVersion = LATEST_VERSION,
): JsonObject {
  const told = joinInstructions(servers, catalog);
  const instructions =
    introduction === null || told === null ? (introduction ?? told) : `${introduction}\n\n${told}`;
  const extensions = extensionsOf(servers, passesAll, spoken);
  const hasTasks = spoken !== MODERN_VERSION;
  const tasks = hasTasks
    ? servers.find(({ capabilities }) => capabilities["tasks"] !== undefined)
    : undefined;
  return {
    capabilities: {
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      prompts: { listChanged: true },
      logging: {},
      completions: {},
      ...(tasks === undefined ? {} : { tasks: tasks.capabilities["tasks"] }),
      ...(extensions === null ? {} : { extensions }),
    },
    serverInfo: gatewayInfo(version),
    ...(instructions === null ? {} : { instructions }),
  };
}

/** Extensions that are only members of lists and results, which pass as they are. */
const SHARED_EXTENSIONS: ReadonlySet<string> = new Set(["io.modelcontextprotocol/ui"]);

/** A sole server's methods pass, and so its extensions; of several, those that need none. */
function extensionsOf(
  servers: readonly BackendInitializeResult[],
  isSole: boolean,
  spoken: SpokenVersion,
): JsonObject | null {
  const declared = servers.flatMap(({ capabilities: { extensions } }) =>
    isJsonObject(extensions) ? Object.entries(extensions) : [],
  );
  const passes = (name: string): boolean =>
    SHARED_EXTENSIONS.has(name) || (isSole && name !== TASKS_EXTENSION && name !== SKILLS_EXTENSION);
  const passed = declared.filter(([name]) => passes(name));
  // Answered here, for all servers together.
  if (declared.some(([name, settings]) => name === SKILLS_EXTENSION && isJsonObject(settings)))
    passed.push([SKILLS_EXTENSION, directoriesReadBy(servers).length > 0 ? { directoryRead: true } : {}]);
  // Only between two of this version; requests about a task find the server that has it.
  const isModern = ({ protocolVersion }: BackendInitializeResult): boolean =>
    protocolVersion === MODERN_VERSION;
  const hasTasks = servers.some((server) => isModern(server) && declaresTasks(server.capabilities));
  if (spoken === MODERN_VERSION && hasTasks) passed.push([TASKS_EXTENSION, {}]);
  return passed.length === 0 ? null : Object.fromEntries(passed);
}

/** Those whose servers list what is in a folder. */
export function directoriesReadBy(servers: readonly BackendInitializeResult[]): readonly string[] {
  return servers.flatMap(({ backend, capabilities: { extensions } }) => {
    const skills = isJsonObject(extensions) ? extensions[SKILLS_EXTENSION] : undefined;
    return isJsonObject(skills) && skills["directoryRead"] === true ? [backend] : [];
  });
}

/** Those whose servers can list their tasks. */
export function tasksListedBy(servers: readonly BackendInitializeResult[]): readonly string[] {
  return servers.flatMap(({ backend, capabilities: { tasks } }) =>
    isJsonObject(tasks) && tasks["list"] !== undefined ? [backend] : [],
  );
}

/** One server's words, with its tools' published names; of several, each under the name of its backend. */
function joinInstructions(servers: readonly IntroducedServer[], catalog: Catalog): string | null {
  const told = servers.flatMap(({ backend, instructions }) => {
    const seen = withoutUnseen(instructions ?? "");
    return seen === "" ? [] : [{ backend, instructions: publishedInstructions(seen, backend, catalog) }];
  });
  const [first] = told;
  if (first === undefined) return null;
  if (told.length === 1) return first.instructions;
  return told.map(({ backend, instructions }) => `${backend}:\n${instructions}`).join("\n\n");
}

// A server's instructions, naming its tools as clients see them. Only what cannot be anything else is replaced: a name in
// backticks, or one that is no plain word. Whatever else may be meant follows as a list.

/** Names that are told at the end; a server may have thousands. */
const MOST_LISTED = 20;

// One catalog serves many clients.
const known = new WeakMap<Catalog, Map<string, string>>();

function publishedInstructions(instructions: string, backend: string, catalog: Catalog): string {
  let texts = known.get(catalog);
  if (texts === undefined) {
    texts = new Map();
    known.set(catalog, texts);
  }
  const key = `${backend}\n${instructions}`;
  let text = texts.get(key);
  if (text === undefined) {
    text = withPublishedSkills(renamed(instructions, renamedTools(backend, catalog)), backend, catalog);
    texts.set(key, text);
  }
  return text;
}

/** By the server's own name; only those that clients know by another one. */
function renamedTools(backend: string, { tools }: Catalog): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { name, originalName, backend: of } of tools.values()) {
    if (of === backend && name !== originalName) names.set(originalName, name);
  }
  return names;
}

/** Names skills by the URIs under which clients read them. */
function withPublishedSkills(text: string, backend: string, { skills }: Catalog): string {
  const uris = new Map<string, string>();
  for (const { name, originalName, backend: of } of skills.values())
    if (of === backend && name !== originalName) uris.set(originalName, name);
  if (uris.size === 0) return text;
  return text.replace(/[a-z][a-z\d+.-]*:\/\/[^\s`"'<>()]+?\/SKILL\.md/gi, (uri) => uris.get(uri) ?? uri);
}

function renamed(instructions: string, names: ReadonlyMap<string, string>): string {
  if (names.size === 0) return instructions;
  const left = new Set<string>();
  // Whole tokens, as names of tools are written; in backticks also what stands before a parenthesis.
  const text = instructions.replace(
    /`([^`\s(]+)(\([^`]*)?`|(?<![\p{L}\p{N}_.-])[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*/gu,
    (token: string, quoted?: string, call?: string) => {
      const name = quoted ?? token;
      const published = names.get(name);
      if (published === undefined) return token;
      if (quoted !== undefined) return `\`${published}${call ?? ""}\``;
      if (isPlainWord(name)) {
        left.add(name);
        return token;
      }
      return published;
    },
  );
  if (left.size === 0) return text;
  const listed = [...left].slice(0, MOST_LISTED).map((name) => `\`${name}\` is \`${names.get(name)}\``);
  const more = left.size > MOST_LISTED ? `, and ${left.size - MOST_LISTED} more` : "";
  return `${text}\n\n(Names of tools here: ${listed.join(", ")}${more}.)`;
}

/** It may be a word of the sentence: `read`, `Search`. */
function isPlainWord(name: string): boolean {
  return /^\p{L}\p{Ll}*$/u.test(name);
}
