// Looks up existing names for completion. The look-ups are quick, print nothing, and wait for nothing that
// may hang.
import { connectToDaemon } from "../../api/client/client.ts";
import { fullName } from "../../api/contract/tool-changes.ts";
import { findHomeContext, locateConfig } from "../../config/home-context.ts";
import { readConfigIfPresent } from "../../config/read/config-bytes.ts";
import { parseToml } from "../../config/read/toml-text.ts";
import { storedNamesIn } from "../../config/secret-names.ts";
import { AUTO_ROUTE } from "../../config/values/backend-names.ts";
import { type JsonMembers, objectOf } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { CommandContext, LiveKind } from "../input/command.ts";
import type { Candidate } from "./completion-request.ts";

interface NameContext extends Pick<CommandContext, "home" | "configPath" | "signal"> {
  /**
   * The share and the backend that the command line names (null: none), and the part of the name that is
   * typed already.
   */
  readonly share: string | null;
  readonly backend: string | null;
  readonly typed: string;
  readonly clock: Clock;
}

type LiveNames = (context: NameContext) => Promise<readonly Candidate[]>;

/**
 * How to look up the names of each kind. The kinds `secrets` and `keys` are not here, because they need code that is
 * loaded on demand.
 */
const LOOKUPS: Readonly<Record<Exclude<LiveKind, "secrets" | "keys">, LiveNames>> = {
  shares: async (context) => named((await configTable(context))["shares"], "share"),
  aliases: async (context) => named((await configTable(context))["aliases"], "alias"),
  backends: async (context) => backendsIn(await configTable(context)),
  "shares-and-backends": async (context) => {
    const table = await configTable(context);
    return [...named(table["shares"], "share"), ...backendsIn(table)];
  },
  routes: routeNames,
  tools: toolNames,
  "changed-tools": changedToolNames,
  "off-tools": offToolNames,
  folders: folderNames,
};

export async function loadLiveNames(kind: LiveKind): Promise<LiveNames> {
  if (kind === "secrets") {
    const { loadSecretNames } = await import("../in-process/open.ts");
    const storedNames = await loadSecretNames();
    return (context) => secretNames(context, storedNames);
  }
  if (kind !== "keys") return LOOKUPS[kind];
  const [schema, values] = await Promise.all([
    import("../../config/schema/schema.ts"),
    import("../../config/edit/toml-value.ts"),
  ]);
  return (context) => configKeys(context, schema, values);
}

function backendsIn(table: JsonMembers): Candidate[] {
  return Object.keys(objectOf(table["backends"])).map((value) => ({ value, description: "server" }));
}

function named(list: unknown, description: string): Candidate[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    const { name } = objectOf(entry) as { name?: unknown };
    return typeof name === "string" ? [{ value: name, description }] : [];
  });
}

/** The configuration as plain data, even with errors; {} if the file cannot be read. */
async function configTable({ home, configPath }: NameContext): Promise<JsonMembers> {
  try {
    const { path, format } = await locateConfig(
      findHomeContext({ ...process.env, MOUNTAINEER_HOME: home }),
      configPath,
    );
    const text = Buffer.from((await readConfigIfPresent(path)) ?? "").toString("utf8");
    if (format === "toml") return objectOf(parseToml(text).value);
    const { parseYaml } = await import("../../config/read/yaml-text.ts");
    return objectOf((await parseYaml(text)).value);
  } catch (error) {
    if (error instanceof Error) return {};
    throw error;
  }
}

/** Routes of the named backend; a route without a name is offered by its position. */
async function routeNames(context: NameContext): Promise<readonly Candidate[]> {
  const { routes } = objectOf(objectOf((await configTable(context))["backends"])[context.backend ?? ""]);
  const list: readonly unknown[] = Array.isArray(routes) ? routes : [];
  const names = list.map((route, index) => {
    const { name, command } = objectOf(route);
    return {
      value: typeof name === "string" ? name : String(index + 1),
      description: typeof command === "string" ? command : "route",
    };
  });
  return [...names, { value: AUTO_ROUTE, description: "back to automatic" }];
}

async function toolNames({ home, clock, signal }: NameContext): Promise<readonly Candidate[]> {
  const report = await (await connectToDaemon(home, { clock }))?.call("tools", null, signal);
  return (report?.tools ?? []).map(({ name, description }) => ({
    value: name,
    description: description?.split("\n")[0] ?? "",
  }));
}

async function offToolNames({ home, clock, signal }: NameContext): Promise<readonly Candidate[]> {
  const { off = [] } = (await (await connectToDaemon(home, { clock }))?.call("tools", null, signal)) ?? {};
  return off.map(({ name, backend }) => ({ value: name, description: `of ${backend}, switched off` }));
}

/** Tools that wait for approval; if several have the same name, each is offered with its backend and kind. */
async function changedToolNames({ home, clock, signal }: NameContext): Promise<readonly Candidate[]> {
  const daemon = await connectToDaemon(home, { clock });
  const { changes } = (await daemon?.call("toolChanges", { tools: null }, signal)) ?? { changes: [] };
  const names = changes.map(({ tool }) => tool);
  return changes.map((change) => {
    const { backend, tool, kind } = change;
    const isUnique = names.indexOf(tool) === names.lastIndexOf(tool);
    return { value: isUnique ? tool : fullName(change), description: `${kind}, of ${backend}` };
  });
}

/**
 * The subfolders of the typed folder. Only a daemon is asked: an engine in this process would first probe the
 * hosts.
 */
async function folderNames({
  home,
  share,
  typed,
  clock,
  signal,
}: NameContext): Promise<readonly Candidate[]> {
  // Paths on a share do not begin with a slash.
  if (share === null || typed.startsWith("/")) return [];
  const above = typed.slice(0, typed.lastIndexOf("/") + 1);
  const daemon = await connectToDaemon(home, { clock });
  const report = await daemon?.call("folders", { share, subpath: above.replace(/\/$/, "") }, signal);
  return (report?.folders ?? []).map((name) => ({ value: `${above}${name}/`, description: "" }));
}

async function secretNames(
  context: NameContext,
  storedNames: (home: string) => Promise<readonly string[]>,
): Promise<readonly Candidate[]> {
  const [stored, text] = await Promise.all([
    // An unreadable store completes nothing.
    storedNames(context.home).catch((): readonly string[] => []),
    configTable(context),
  ]);
  const missing = storedNamesIn(JSON.stringify(text)).filter((name) => !stored.includes(name));
  return [
    ...stored.map((value) => ({ value, description: "stored" })),
    ...[...new Set(missing)].map((value) => ({ value, description: "not stored yet" })),
  ];
}

async function configKeys(
  context: NameContext,
  { SECTIONS, ANY_NAME, ANY_INDEX }: typeof import("../../config/schema/schema.ts"),
  { tomlKey }: typeof import("../../config/edit/toml-value.ts"),
): Promise<readonly Candidate[]> {
  const table = await configTable(context);
  const shares = named(table["shares"], "").map(({ value }) => value);
  const backends = Object.keys(objectOf(table["backends"]));
  return SECTIONS.flatMap(({ pattern, keys, keyDoc }) => {
    const [top = "", member, ...deeper] = pattern;
    if (deeper.includes(ANY_NAME) || deeper.includes(ANY_INDEX)) return [];
    const isMembers = member === ANY_NAME || member === ANY_INDEX;
    const members = top === "shares" ? shares : top === "backends" ? backends : [];
    const heads = isMembers ? members.map((name) => [top, tomlKey(name), ...deeper]) : [pattern];
    return heads.flatMap((head) =>
      keys.map((key) => ({ value: [...head, key].join("."), description: keyDoc(key).meaning })),
    );
  });
}
