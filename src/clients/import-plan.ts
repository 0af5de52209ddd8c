// Decides which servers of clients' files become backends: each once, under an unused name.
import { isDeepStrictEqual } from "node:util";
import { type ConfigTable, isTableValue } from "../config/edit/edit-value.ts";
import { storedNamesIn } from "../config/secret-names.ts";
import { objectOf } from "../runtime/text/json-object.ts";
import { SECRET_NAME_FORM } from "../runtime/text/name-forms.ts";
import { isOwnEntry } from "./client-entry.ts";
import { backendName, type ImportedServer } from "./imported-server.ts";

/** The servers of one file, in its order. */
export interface FoundFile {
  readonly path: string;
  /** The client's title, or the name of a file that the user gave. */
  readonly title: string;
  /** True: the file is in the current folder, so anybody may have written it. */
  readonly isOfFolder: boolean;
  readonly servers: readonly ImportedServer[];
  /** Entries that do not become servers, and why. */
  readonly empty: readonly { readonly name: string; readonly why: string }[];
  /** A bundle that was unpacked: to be moved when it is imported, else removed. */
  readonly unpacked?: { readonly from: string; readonly to: string };
  /** Servers that the file keeps for other folders, by name; they are not in `servers`. */
  readonly elsewhere: readonly { readonly folder: string; readonly servers: readonly string[] }[];
}

export interface PlannedBackend extends ImportedServer {
  readonly title: string;
}

interface ImportPlan {
  /** Names of entries that start this gateway, or are its address. */
  readonly own: readonly string[];
  readonly added: readonly PlannedBackend[];
  /** Servers that are in the configuration already, or were found twice, each with the equal one's name here. */
  readonly twins: readonly { readonly name: string; readonly as: string }[];
  /**
   * Their names here, where the client's file also has a secret. That secret may differ from the stored one.
   */
  readonly unsure: readonly string[];
}

/**
 * Plans which servers of the files to import, without those that are Mountaineer. `backends`: the configuration's
 * tables of backends, by name. `common`: the variables that every backend has already. `isOwnAddress`: whether the gateway
 * itself answers there.
 */
export function planImport(
  files: readonly FoundFile[],
  backends: Readonly<Record<string, unknown>>,
  common: Readonly<Record<string, unknown>> = {},
  isOwnAddress: (url: string) => boolean = () => false,
): ImportPlan {
  const own: string[] = [];
  const added: PlannedBackend[] = [];
  const twins: { name: string; as: string }[] = [];
  const unsure: string[] = [];
  const taken = new Map<string, KnownServer>(
    Object.entries(backends).map(([name, table]) => [
      name,
      { name, table: withVariables(objectOf(table), common), secrets: null, incomplete: null },
    ]),
  );
  for (const { title, servers } of files) {
    for (const server of servers) {
      const { command, args = [], url } = server.table;
      if (
        isOwnEntry(command, Array.isArray(args) ? args : []) ||
        (typeof url === "string" && isOwnAddress(url))
      ) {
        own.push(server.name);
        continue;
      }
      const whole = { ...server, table: withVariables(server.table, common) };
      const known = taken.get(server.name);
      const twin = [...(known === undefined ? [] : [[server.name, known] as const]), ...taken].find(
        ([, one]) => isSameServer(one, whole, title),
      );
      if (twin !== undefined) {
        const [name, known] = twin;
        const at = added.findIndex((one) => one.name === name);
        const off = added[at];
        if (off?.isOff === true && !server.isOff) {
          const remark = `switched off in ${off.title}, used in ${title}: on here`;
          const table = withoutVariables(server.table, common);
          added[at] = { ...server, table, name, title, remarks: [...server.remarks, remark] };
        }
        twins.push({ name: server.name, as: name });
        if (known.secrets === null && server.secrets.size > 0) unsure.push(name);
        continue;
      }
      const name = freeName(server.name, title, taken);
      taken.set(name, whole);
      added.push({ ...server, table: withoutVariables(server.table, common), name, title });
    }
  }
  return { own: [...new Set(own)], added, twins, unsure: [...new Set(unsure)] };
}

/** The table of a program with the variables that it has in common with the others; its own ones win. */
function withVariables(
  table: Readonly<Record<string, unknown>>,
  common: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return table["command"] === undefined ? table : { ...table, env: { ...common, ...objectOf(table["env"]) } };
}

/** The table without those of its variables that every backend has with the same value. */
function withoutVariables(table: ConfigTable, common: Readonly<Record<string, unknown>>): ConfigTable {
  const { env, ...others } = table;
  if (env === undefined || !isTableValue(env)) return table;
  const own = Object.entries(env).filter(([name, value]) => common[name] !== value);
  return own.length === 0 ? others : { ...others, env: Object.fromEntries(own) };
}

interface KnownServer {
  readonly name: string;
  readonly table: Readonly<Record<string, unknown>>;
  /** The values of the secrets that the section refers to, by name; null: only the daemon may read them. */
  readonly secrets: ReadonlyMap<string, string> | null;
  /** As in `ImportedServer`; null also for a section of the configuration, of which it is not known. */
  readonly incomplete: ImportedServer["incomplete"];
}

/**
 * True if both servers have the same program or address, variables and headers. Secrets that cannot be read count as
 * equal only if `one` is named like `other`, or as the import names `other` when that name is taken (`title`: the
 * title of the file of `other`).
 */
export function isSameServer(one: KnownServer, other: KnownServer, title: string): boolean {
  const rest = one.name.startsWith(`${other.name}-`) ? one.name.slice(other.name.length) : null;
  const isOneName = namesFor(other.name, title).includes(one.name) || (rest !== null && /^-\d+$/.test(rest));
  const isSame = (left: unknown, right: unknown): boolean => {
    if (typeof left !== "string" || typeof right !== "string") return isDeepStrictEqual(left, right);
    const texts = [filled(one, left), filled(other, right)];
    if (!texts.includes(null)) return texts[0] === texts[1];
    return isOneName && left.replace(STORED, "") === right.replace(STORED, "");
  };
  // Arguments are compared as a table by their numbers.
  const isSameTable = (key: string): boolean => {
    const [left, right] = [one, other].map(({ table }) => objectOf({ ...Object(table[key] ?? {}) }));
    return Object.keys({ ...left, ...right }).every((name) => isSame(left?.[name], right?.[name]));
  };
  // What restricts `other` must hold for `one`. A person may restrict a section of the configuration further.
  const isStanding = one.secrets === null;
  const isAsStrict = ["filters", "sandbox"].every(
    (key) =>
      (isStanding && other.table[key] === undefined) || isDeepStrictEqual(one.table[key], other.table[key]),
  );
  // Nothing says what was left out of a section.
  const isSameRest = isStanding
    ? other.incomplete === null || isOneName
    : isDeepStrictEqual(one.incomplete, other.incomplete);
  return (
    isAsStrict &&
    isSameRest &&
    ["command", "cwd", "url"].every((key) => isSame(one.table[key] ?? null, other.table[key] ?? null)) &&
    ["args", "env", "headers"].every(isSameTable)
  );
}

const STORED = new RegExp(`\\$\\{secret:${SECRET_NAME_FORM}\\}|^secret:${SECRET_NAME_FORM}$`, "g");

/** The text with its secrets filled in; null: one of them cannot be read. */
function filled({ secrets }: KnownServer, text: string): string | null {
  const values = [...text.matchAll(STORED)].map(([found]) => secrets?.get(storedNamesIn(found)[0] ?? ""));
  if (values.includes(undefined)) return null;
  let at = 0;
  return text.replace(STORED, () => values[at++] ?? "");
}

function namesFor(name: string, title: string): readonly string[] {
  return [name, backendName(`${name}-${title.toLowerCase()}`)];
}

function freeName(name: string, title: string, taken: ReadonlyMap<string, KnownServer>): string {
  const free = namesFor(name, title).find((candidate) => !taken.has(candidate));
  if (free !== undefined) return free;
  for (let count = 2; ; count++) {
    const candidate = `${name}-${count}`;
    if (!taken.has(candidate)) return candidate;
  }
}
