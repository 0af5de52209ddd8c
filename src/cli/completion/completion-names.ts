// Looks up live names for completion: quickly, silently, and from nothing that may block.
import { connectToDaemon } from "../../api/client/client.ts";
import { fullName } from "../../api/tool-changes-contract.ts";
import { findPlace, locateConfig } from "../../config/locate.ts";
import { readConfigBytes } from "../../config/read/load.ts";
import { parseToml } from "../../config/read/toml-text.ts";
import { storedNamesIn } from "../../config/secret-names.ts";
import { AUTO_ROUTE } from "../../config/values/backend-names.ts";
import { type JsonMembers, objectOf } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import type { Candidate, LiveKind } from "./completion-request.ts";

interface NamePlace extends Pick<CommandContext, "home" | "configPath" | "signal"> {
  /** What else the line says: its share or backend, and the typed part of the name. */
  readonly share: string | null;
  readonly backend: string | null;
  readonly typed: string;
  readonly clock: Clock;
}

type LiveNames = (place: NamePlace) => Promise<readonly Candidate[]>;

/** Resolves once everything that look-ups need is loaded. The result looks names up, as far as they can be found. */
export async function loadLiveNames(kind: LiveKind): Promise<LiveNames> {
  switch (kind) {
    case "shares":
      return async (place) => named((await configTable(place))["shares"], "share");
    case "aliases":
      return async (place) => named((await configTable(place))["aliases"], "alias");
    case "backends":
      return async (place) =>
        Object.keys(objectOf((await configTable(place))["backends"])).map((value) => ({
          value,
          description: "backend",
        }));
    case "routes":
      return routeNames;
    case "tools":
      return toolNames;
    case "changed-tools":
      return changedToolNames;
    case "off-tools":
      return offToolNames;
    case "folders":
      return folderNames;
    case "secrets": {
      const { loadSecretNames } = await import("../in-process/open.ts");
      const keptNames = await loadSecretNames();
      return (place) => secretNames(place, keptNames);
    }
    case "keys": {
      const [schema, values] = await Promise.all([
        import("../../config/schema/schema.ts"),
        import("../../config/edit/toml-value.ts"),
      ]);
      return (place) => configKeys(place, schema, values);
    }
  }
}

function named(list: unknown, description: string): Candidate[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    const { name } = objectOf(entry) as { name?: unknown };
    return typeof name === "string" ? [{ value: name, description }] : [];
  });
}

/** As far as it can be read, even with mistakes. */
async function configTable({ home, configPath }: NamePlace): Promise<JsonMembers> {
  try {
    const { path, format } = await locateConfig(
      findPlace({ ...process.env, MOUNTAINEER_HOME: home }),
      configPath,
    );
    const text = Buffer.from(await readConfigBytes(path)).toString("utf8");
    if (format === "toml") return objectOf(parseToml(text).value);
    const { parseYaml } = await import("../../config/read/yaml-text.ts");
    return objectOf((await parseYaml(text)).value);
  } catch (error) {
    if (error instanceof Error) return {};
    throw error;
  }
}

/** Of the backend that the line names; those without a name go by their place. */
async function routeNames(place: NamePlace): Promise<readonly Candidate[]> {
  const { routes } = objectOf(objectOf((await configTable(place))["backends"])[place.backend ?? ""]);
  const list: readonly unknown[] = Array.isArray(routes) ? routes : [];
  const names = list.map((route, index) => {
    const { name, command } = objectOf(route);
    return {
      value: typeof name === "string" ? name : String(index + 1),
      description: typeof command === "string" ? command : "route",
    };
  });
  return [...names, { value: AUTO_ROUTE, description: "let the rules decide again" }];
}

async function toolNames({ home, clock, signal }: NamePlace): Promise<readonly Candidate[]> {
  const daemon = await connectToDaemon(home, { clock });
  const report = await daemon?.ask("tools", null, signal);
  return (report?.tools ?? []).map(({ name, description }) => ({
    value: name,
    description: description?.split("\n")[0] ?? "",
  }));
}

async function offToolNames({ home, clock, signal }: NamePlace): Promise<readonly Candidate[]> {
  const { off = [] } = (await (await connectToDaemon(home, { clock }))?.ask("tools", null, signal)) ?? {};
  return off.map(({ name, backend }) => ({ value: name, description: `of ${backend}, switched off` }));
}

/** With their backend and kind where two have one of that name. */
async function changedToolNames({ home, clock, signal }: NamePlace): Promise<readonly Candidate[]> {
  const daemon = await connectToDaemon(home, { clock });
  const { changes } = (await daemon?.ask("toolChanges", { tools: null }, signal)) ?? { changes: [] };
  const names = changes.map(({ tool }) => tool);
  return changes.map((change) => {
    const { backend, tool, kind } = change;
    const isAlone = names.indexOf(tool) === names.lastIndexOf(tool);
    return { value: isAlone ? tool : fullName(change), description: `${kind}, of ${backend}` };
  });
}

/** Those in the folder that is typed already. Only of a daemon: without one, looking would begin with the hosts. */
async function folderNames({ home, share, typed, clock, signal }: NamePlace): Promise<readonly Candidate[]> {
  // A path on the share has no slash in front.
  if (share === null || typed.startsWith("/")) return [];
  const above = typed.slice(0, typed.lastIndexOf("/") + 1);
  const daemon = await connectToDaemon(home, { clock });
  const report = await daemon?.ask("folders", { share, subpath: above.replace(/\/$/, "") }, signal);
  return (report?.folders ?? []).map((name) => ({ value: `${above}${name}/`, description: "" }));
}

async function secretNames(
  place: NamePlace,
  keptNames: (home: string) => Promise<readonly string[]>,
): Promise<readonly Candidate[]> {
  const [kept, text] = await Promise.all([
    // A file that cannot be read has no names.
    keptNames(place.home).catch((): readonly string[] => []),
    configTable(place),
  ]);
  const missing = storedNamesIn(JSON.stringify(text)).filter((name) => !kept.includes(name));
  return [
    ...kept.map((value) => ({ value, description: "kept" })),
    ...[...new Set(missing)].map((value) => ({ value, description: "not kept yet" })),
  ];
}

async function configKeys(
  place: NamePlace,
  { SECTIONS, ANY_NAME, ANY_PLACE }: typeof import("../../config/schema/schema.ts"),
  { tomlKey }: typeof import("../../config/edit/toml-value.ts"),
): Promise<readonly Candidate[]> {
  const table = await configTable(place);
  const shares = named(table["shares"], "").map(({ value }) => value);
  const backends = Object.keys(objectOf(table["backends"]));
  return SECTIONS.flatMap(({ pattern, keys, keyDoc }) => {
    const [top = "", member, ...deeper] = pattern;
    if (deeper.includes(ANY_NAME) || deeper.includes(ANY_PLACE)) return [];
    const isMembers = member === ANY_NAME || member === ANY_PLACE;
    const members = top === "shares" ? shares : top === "backends" ? backends : [];
    const heads = isMembers
      ? members.map((name) => [top, tomlKey(name), ...deeper])
      : [pattern.filter((part) => part !== ANY_PLACE)];
    if (!isMembers && pattern.some((part) => part === ANY_NAME || part === ANY_PLACE)) return [];
    return heads.flatMap((head) =>
      keys.map((key) => ({ value: [...head, key].join("."), description: keyDoc(key).meaning })),
    );
  });
}
