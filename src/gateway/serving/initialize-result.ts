// The gateway's own result of `initialize`. Backends come and go while a session lasts, so the result declares what
// any backend may have.

import { memoized } from "../../runtime/memo.ts";
import { TEXT_BOUNDS } from "../../runtime/text/bounds.ts";
import { stripInvisible } from "../../runtime/text/invisible-characters.ts";
import type { BackendInitializeResult } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { isJsonObject, type JsonObject, jsonLength } from "../json-rpc.ts";
import { isOfSpecification, methodsOf } from "../middleware/routing.ts";
import {
  APPS_EXTENSION,
  declaresTasks,
  LATEST_VERSION,
  MODERN_VERSION,
  type SpokenVersion,
  TASKS_EXTENSION,
} from "../protocol.ts";

export function gatewayInfo(version: string): JsonObject {
  return { name: "mountaineer", title: "Mountaineer", version };
}

/** A server's result of `initialize`, with the instructions as they were approved. */
export interface IntroducedServer extends BackendInitializeResult {
  readonly instructions: string | null;
}

export interface Published {
  readonly catalog: Catalog;
  /** True: there is only one backend. */
  readonly passesAll: boolean;
  /** The backend that gets the methods of an extension. */
  readonly extensions?: ReadonlyMap<string, string>;
  readonly introduction?: string | null;
}

export function gatewayInitializeResult(
  version: string,
  servers: readonly IntroducedServer[],
  { catalog, passesAll, extensions: passed = new Map(), introduction = null }: Published,
  spoken: SpokenVersion = LATEST_VERSION,
): JsonObject {
  const parts = [introduction, joinInstructions(servers, catalog)].filter((part) => part !== null);
  const instructions = parts.length === 0 ? null : parts.join("\n\n");
  const extensions = extensionsOf(servers, passed, spoken);
  // Experimental messages and `_meta` do not say which of several servers they mean.
  const experimental = passesAll ? servers[0]?.capabilities["experimental"] : undefined;
  const others = otherCapabilities(servers, passed);
  const hasTasks = spoken !== MODERN_VERSION;
  const tasks = hasTasks
    ? servers.find(({ capabilities }) => capabilities["tasks"] !== undefined)
    : undefined;
  return {
    capabilities: {
      ...others,
      tools: { listChanged: true },
      resources: { subscribe: true, listChanged: true },
      prompts: { listChanged: true },
      logging: {},
      completions: {},
      ...(tasks === undefined ? {} : { tasks: tasks.capabilities["tasks"] }),
      ...(extensions === null ? {} : { extensions }),
      ...(isJsonObject(experimental) ? { experimental } : {}),
    },
    serverInfo: gatewayInfo(version),
    ...(instructions === null ? {} : { instructions }),
  };
}

/** Extensions that need nothing of the gateway: they only add members to lists and results. */
const SHARED_EXTENSIONS: ReadonlySet<string> = new Set([APPS_EXTENSION]);

/** Of all capabilities that are passed on unread, as JSON, characters. */
const MOST_PASSED = 64 * 1024;

/** Capabilities of the specification, of which the gateway declares its own. */
const KNOWN_CAPABILITIES: ReadonlySet<string> = new Set(
  "tools resources prompts logging completions tasks extensions experimental".split(" "),
);

/** Capabilities of other servers that the gateway does not know, each as its first server declares it. */
function otherCapabilities(
  servers: readonly BackendInitializeResult[],
  owners: ReadonlyMap<string, string>,
): JsonObject {
  const passed: [string, unknown][] = [];
  let remaining = MOST_PASSED;
  for (const { backend, capabilities } of servers) {
    for (const [name, length] of unknownCapabilities(capabilities)) {
      if (owners.get(name) !== backend || length > remaining) continue;
      remaining -= length;
      passed.push([name, capabilities[name]]);
    }
  }
  return Object.fromEntries(passed);
}

/** With their lengths. A longer one counts as not declared. */
const unknownCapabilities = memoized((capabilities: JsonObject): readonly (readonly [string, number])[] =>
  Object.entries(capabilities)
    .filter(([name]) => !KNOWN_CAPABILITIES.has(name) && !isOfSpecification(name))
    .map(([name, value]) => [name, jsonLength({ [name]: value })] as const)
    .filter(([, length]) => length <= MOST_PASSED),
);

/**
 * The backend whose server declares an extension with methods, or a capability that the gateway does not know; of two that
 * declare it, the first.
 */
export function extensionBackendsOf(
  servers: readonly BackendInitializeResult[],
): ReadonlyMap<string, string> {
  return new Map(declaredExtensions(servers).toReversed());
}

/** The extensions with methods and the unknown capabilities, each with a backend whose server declares it. */
export function declaredExtensions(servers: readonly BackendInitializeResult[]) {
  const all = servers.flatMap(({ backend, capabilities }) => {
    const { extensions } = capabilities;
    const names = [
      ...unknownCapabilities(capabilities).map(([name]) => name),
      ...Object.keys(isJsonObject(extensions) ? extensions : {}),
    ];
    return names.map((name) => [name, backend] as const);
  });
  return all.filter(([name]) => !OWN_EXTENSIONS.has(name));
}

/** The gateway answers their methods for all servers together, or they have none. */
const OWN_EXTENSIONS: ReadonlySet<string> = new Set([...SHARED_EXTENSIONS, TASKS_EXTENSION]);

function extensionsOf(
  servers: readonly BackendInitializeResult[],
  owners: ReadonlyMap<string, string>,
  spoken: SpokenVersion,
) {
  const declared = servers.flatMap(({ backend, capabilities: { extensions } }) =>
    Object.entries(isJsonObject(extensions) ? extensions : {}).map(
      ([name, settings]) => [name, settings, backend] as const,
    ),
  );
  // Where a capability of this name has the methods, the extension is not declared.
  const isServedBy = (name: string, backend: string): boolean =>
    owners.get(name) === backend && (owners.get(methodsOf(name)) ?? backend) === backend;
  const passed: [string, unknown][] = declared
    .filter(([name, , backend]) => SHARED_EXTENSIONS.has(name) || isServedBy(name, backend))
    .map(([name, settings]) => [name, settings]);
  // Tasks work only between client and server of 2026-07-28.
  const isModern = ({ protocolVersion }: BackendInitializeResult): boolean =>
    protocolVersion === MODERN_VERSION;
  const hasTasks = servers.some((server) => isModern(server) && declaresTasks(server.capabilities));
  if (spoken === MODERN_VERSION && hasTasks) passed.push([TASKS_EXTENSION, {}]);
  return passed.length === 0 ? null : Object.fromEntries(passed);
}

export function tasksListedBy(servers: readonly BackendInitializeResult[]): readonly string[] {
  return servers.flatMap(({ backend, capabilities: { tasks } }) =>
    isJsonObject(tasks) && tasks["list"] !== undefined ? [backend] : [],
  );
}

/**
 * Joins the servers' instructions, in which tools get their published names. With several servers, each text follows
 * its backend's name, and the longest ones are cut.
 */
function joinInstructions(servers: readonly IntroducedServer[], catalog: Catalog): string | null {
  const texts = servers.flatMap(({ backend, instructions }) => {
    const text = publishedInstructions(instructions ?? "", backend, catalog);
    return text === "" ? [] : [{ backend, text }];
  });
  const [first] = texts;
  if (first === undefined) return null;
  let left: number = TEXT_BOUNDS.published.most;
  const shares = new Map<string, number>();
  for (const [at, { backend, text }] of texts.toSorted((a, b) => a.text.length - b.text.length).entries()) {
    const share = Math.min(text.length, Math.floor(left / (texts.length - at)));
    shares.set(backend, share);
    left -= share;
  }
  const cut = texts.map(({ backend, text }) => {
    const share = shares.get(backend) ?? 0;
    const shown = share < text.length ? `${text.slice(0, share).toWellFormed()}…` : text;
    return texts.length === 1 ? shown : `${backend}:\n${shown}`;
  });
  return cut.join("\n\n");
}

// Replaces tool names in a server's instructions by the published names. A name is replaced if it is in backticks or
// cannot be a plain word; a list at the end explains the other names.

const MOST_LISTED = 20;

/** Published instructions, by backend and original text. They are kept, because many clients get the same text. */
const textsOf = memoized((_: Catalog) => new Map<string, string>());

function publishedInstructions(instructions: string, backend: string, catalog: Catalog): string {
  const texts = textsOf(catalog);
  const key = `${backend}\n${instructions}`;
  let text = texts.get(key);
  if (text === undefined) {
    text = renamed(stripInvisible(instructions), renamedEntries(catalog.tools, backend));
    texts.set(key, text);
  }
  return text;
}

/** Maps each of the server's own names to the published name, where the two differ. */
function renamedEntries(entries: Catalog["tools"], backend: string): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { name, originalName, backend: of } of entries.values())
    if (of === backend && name !== originalName) names.set(originalName, name);
  return names;
}

function renamed(instructions: string, names: ReadonlyMap<string, string>): string {
  if (names.size === 0) return instructions;
  const left = new Set<string>();
  // Finds whole words that can be tool names. In backticks, arguments in parentheses may follow the name.
  const text = instructions.replace(
    /`([^`\s(]+)(\([^`]*)?`|(?<![\p{L}\p{N}_.-])[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*/gu,
    (token: string, quoted?: string, call?: string) => {
      const name = quoted ?? token;
      const published = names.get(name);
      if (published === undefined) return token;
      if (quoted !== undefined) return `\`${published}${call ?? ""}\``;
      // A name such as `read` or `Search` may also be a plain word of the sentence.
      if (/^\p{L}\p{Ll}*$/u.test(name)) {
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
