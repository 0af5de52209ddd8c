// Owns what holds for every key: the file's value, or the default, and which of the two it is.
import { parseReference } from "../secrets/reference.ts";
import { indexedPath, valueAt } from "./edit-meaning.ts";
import type { ConfigTable, ConfigValue } from "./edit-value.ts";
import { fileText, textValues } from "./file-values.ts";
import type { ConfigKey } from "./key-path.ts";
import type { ConfigPlace } from "./locate.ts";
import type { KeyPath } from "./mistakes.ts";
import { SECTIONS, type SectionDoc } from "./schema.ts";
import type { ConfigFormat } from "./snapshot.ts";
import { tomlKey, tomlValue } from "./toml-value.ts";

/** A file to look into. */
export interface ConfigSource {
  readonly bytes: Uint8Array;
  readonly format: ConfigFormat;
  readonly place: ConfigPlace;
}

/** What holds for one key. */
export type KeyValue =
  | { readonly source: "file" | "default"; readonly value: ConfigValue }
  /** The file says nothing; `rule` says what holds then, in words. */
  | { readonly source: "absent"; readonly rule: string | null };

function plain(value: unknown): ConfigValue | null {
  if (Array.isArray(value)) return value.map((part) => plain(part) ?? "");
  if (value instanceof Date) return value.toISOString();
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return value;
    case "object": {
      if (value === null) return null;
      return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part) ?? ""]));
    }
    default:
      return null;
  }
}

function defaultValue(
  section: SectionDoc,
  key: string,
  share: unknown,
  place: ConfigPlace,
): ConfigValue | null {
  if (section.name === "global" && key === "mount_root") return place.defaultMountRoot;
  if (section.name === "shares" && key === "username") return place.userName;
  if (section.name === "shares" && key === "share_name") return plain(valueAt(share, ["name"]));
  const checked = section.keySchema(key).safeParse(undefined);
  return checked.success ? plain(checked.data) : null;
}

function keyValue(
  file: unknown,
  at: KeyPath,
  section: SectionDoc,
  key: string,
  place: ConfigPlace,
): KeyValue {
  const written = plain(valueAt(file, [...at, key]));
  if (written !== null) {
    // A file with a password in it is refused, but may be asked about all the same.
    const isSecret = key === "password" && (typeof written !== "string" || parseReference(written) === null);
    return { source: "file", value: isSecret ? "(hidden)" : written };
  }
  const value = defaultValue(section, key, valueAt(file, at), place);
  if (value !== null) return { source: "default", value };
  return { source: "absent", rule: section.keyDoc(key).absent };
}

/**
 * What holds for one key: its value in the file, else the default. Rejects with `config_invalid` (a mistake of syntax)
 * and `share_unknown`. Whether the value is a valid one is not looked at.
 */
export async function getConfigValue(
  source: ConfigSource,
  { path, section, key }: ConfigKey,
): Promise<KeyValue> {
  const file = await textValues(fileText(source.bytes), source.format);
  return keyValue(file, indexedPath(file, path).slice(0, -1), section, key, source.place);
}

interface EffectiveBlock {
  readonly section: SectionDoc;
  readonly keys: readonly (readonly [key: string, value: KeyValue])[];
}

async function blocksOf({ bytes, format, place }: ConfigSource): Promise<EffectiveBlock[]> {
  const file = await textValues(fileText(bytes), format);
  const blocks: EffectiveBlock[] = [];
  const block = (section: SectionDoc, at: KeyPath): void => {
    const keys = section.keys.map((key) => [key, keyValue(file, at, section, key, place)] as const);
    blocks.push({ section, keys });
  };
  for (const section of SECTIONS) {
    const held = valueAt(file, [section.name]);
    if (section.name === "shares") {
      const count = Array.isArray(held) ? held.length : 0;
      for (let index = 0; index < count; index += 1) block(section, ["shares", index]);
    } else if (section.name !== "server" || (held !== undefined && held !== null))
      block(section, [section.name]);
  }
  return blocks;
}

/** Everything that holds, as TOML; what the file does not say is marked as a default. Rejects with `config_invalid`. */
export async function effectiveText(source: ConfigSource): Promise<string> {
  const blocks = await blocksOf(source);
  const texts = blocks.map(({ section, keys }) => {
    const lines = keys.flatMap(([key, value]) => {
      if (value.source === "absent") return value.rule === null ? [] : [`# ${tomlKey(key)}: ${value.rule}`];
      return [
        `${tomlKey(key)} = ${tomlValue(value.value)}${value.source === "default" ? "  # default" : ""}`,
      ];
    });
    return `${[section.header, ...lines].join("\n")}\n`;
  });
  return texts.join("\n");
}

/** The same as plain data: `{ global: {…}, sync: {…}, shares: [{…}] }`; keys that are absent are left out. */
export async function effectiveData(source: ConfigSource): Promise<ConfigTable> {
  const data: Record<string, ConfigValue> = {};
  const shares: ConfigValue[] = [];
  for (const { section, keys } of await blocksOf(source)) {
    const held = keys.flatMap(([key, value]) =>
      value.source === "absent" ? [] : [[key, value.value] as const],
    );
    if (section.name === "shares") shares.push(Object.fromEntries(held));
    else data[section.name] = Object.fromEntries(held);
  }
  return { ...data, shares };
}
