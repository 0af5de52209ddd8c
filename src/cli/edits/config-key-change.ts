// `config set` and `config unset`: change one key, and show its previous value.

import { realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ConfigValue } from "../../config/edit/edit-value.ts";
import { getConfigValue, type KeyValue } from "../../config/edit/effective.ts";
import { type ConfigKey, parseConfigKey, parseConfigValue, wholeTable } from "../../config/edit/key-path.ts";
import { tomlValue } from "../../config/edit/toml-value.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { entryExists } from "../../runtime/files/durable-file.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";
import { type ConfigView, callEdits, changeConfig, refuseToBeginAfresh } from "../sessions/config-session.ts";
import { showEdit } from "./edit-outcome.ts";

interface KeyEdit {
  readonly key: string;
  /** The typed text; null unsets the key. */
  readonly value: string | null;
}

/** Resolves with the exit code; rejects with `usage` and `config_key_unknown` before it reads the file. */
export async function setKey(context: CommandContext, edit: KeyEdit): Promise<number> {
  // A whole table, such as a NAS, has no value to show.
  const key = edit.value === null && wholeTable(edit.key) !== null ? null : parseConfigKey(edit.key);
  if (edit.value !== null && key !== null) parseConfigValue(edit.value, key);
  return changeConfig(context, async (call, view) => {
    await refuseToBeginAfresh(context, view);
    const before = await currentValue(view, key);
    const report = await callEdits(context, call, [edit]);
    const tree = report.changed ? await gitWorkTree(report.path) : null;
    const where = tree === null ? "" : `, in the git work tree ${printable(tree)}: commit it there`;
    const after = await currentValue(view, key);
    const name = printable(edit.key);
    if (key === null) {
      return showEdit(context, report, { done: `${name} is removed${where}`, same: `there is no ${name}` });
    }
    const now = after === null ? "" : valueSummary(after, false);
    return showEdit(context, report, {
      done: `${name} ${now}${before === null ? "" : ` (it ${valueSummary(before, true)})`}${where}`,
      same: `${name} ${now} already`,
    });
  });
}

/** The git work tree that has the file behind `path`; null: none has it. */
async function gitWorkTree(path: string): Promise<string | null> {
  const file = await realpath(path).catch(() => path);
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (await entryExists(join(folder, ".git")).catch(() => false)) return folder;
    if (folder === dirname(folder)) return null;
  }
}

/** null for a whole table, or if the file cannot be read; the edit that follows reports why. */
async function currentValue(
  { read, format, homeContext }: ConfigView,
  key: ConfigKey | null,
): Promise<KeyValue | null> {
  if (key === null) return null;
  try {
    return await getConfigValue({ bytes: (await read()) ?? new Uint8Array(), format, homeContext }, key);
  } catch (error) {
    if (error instanceof MountaineerError) return null;
    throw error;
  }
}

function valueSummary(current: KeyValue, isWas: boolean): string {
  const verb = isWas ? "was" : "is";
  if (current.source === "absent") return `${verb} not set`;
  const whence = current.source === "section" ? current.from : "default";
  return `${verb} ${printable(valueText(current.value))}${current.source === "file" ? "" : ` by ${whence}`}`;
}

// Values of the configuration as text, for printing.

/** A string without quotes, any other value as TOML. */
export function valueText(value: ConfigValue): string {
  return typeof value === "string" ? value : tomlValue(value);
}

/** JSON and a newline; integers beyond JavaScript's safe range become texts. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(
    value,
    (_, part: unknown) => {
      if (typeof part !== "bigint") return part;
      return Number.isSafeInteger(Number(part)) ? Number(part) : String(part);
    },
    2,
  );
  return `${text}\n`;
}
