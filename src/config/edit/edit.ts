// Edits a configuration in place: one value changes, every other byte stays.
import { MountaineerError } from "../../runtime/errors.ts";
import { fileText, parseText, textValues } from "../read/file-values.ts";
import type { ConfigFormat } from "../snapshot.ts";
import { valueAt } from "../values/table.ts";
import {
  type ConfigEdit,
  difference,
  type EditStep,
  editStep,
  firstDifference,
  meantBy,
} from "./edit-meaning.ts";
import { assertWritable, keyName } from "./edit-value.ts";
import { applySplices, type Splice } from "./splice.ts";
import { proposeToml } from "./toml-edit.ts";
import { proposeYaml } from "./yaml-edit.ts";

interface EditRequest {
  readonly bytes: Uint8Array;
  readonly format: ConfigFormat;
  /** The edits, applied in this order, each to the result of the previous one. */
  readonly edits: readonly ConfigEdit[];
}

/** The reason why an edited text does not have the intended meaning; null if it has. */
async function problemOf(
  after: string,
  format: ConfigFormat,
  meant: unknown,
  step: EditStep,
): Promise<string | null> {
  const { value, syntax } = await parseText(after, format);
  if (syntax.length > 0) return "the result is not a readable file";
  const at = difference(value, meant, step);
  if (at === null) return null;
  return at.length === 0
    ? "the file would have another meaning"
    : `${keyName(at)} would have the wrong value`;
}

function assertValid(edit: ConfigEdit): void {
  if (edit.kind === "set") assertWritable(edit.value);
  if (edit.kind === "add") assertWritable(edit.entry);
  if (edit.kind === "add-backend") assertWritable({ [edit.name]: edit.backend });
  if (edit.kind === "set" || edit.kind === "unset") {
    for (const segment of edit.keyPath) if (typeof segment === "string") assertWritable(segment);
    if (edit.keyPath.length === 0) throw new MountaineerError("usage", "an edit needs a key");
  }
}

function isDone(file: unknown, step: EditStep): boolean {
  if (step.kind === "append" || step.kind === "add-table") return false;
  const actual = valueAt(file, step.path);
  if (step.kind === "remove") return actual === undefined;
  return actual !== undefined && firstDifference(actual, step.value) === null;
}

/**
 * Makes the edits. Pure: reads no file, and equal input gives equal bytes. The result parses to exactly the
 * intended values; otherwise nothing is changed. Rejects with `share_unknown`, `alias_unknown`, `usage` (a
 * value that no file can hold), `config_invalid` (the text cannot be parsed, with the place) and
 * `config_uneditable` (the notation does not allow the change: for example, an alias uses the value
 * elsewhere). `parseConfig` checks whether the result is a valid configuration. `changed` is false if the file already
 * has the values; `changes`: for each edit that changed something, the ranges it replaced, in UTF-16 units of the text
 * before it.
 */
export async function editConfig({ bytes, format, edits }: EditRequest) {
  let text = fileText(bytes);
  const encoder = new TextEncoder();
  // Decoding removes only a byte order mark, so a shorter text means that there was one.
  const mark = encoder.encode(text).length < bytes.length ? "\ufeff" : "";
  let file = await textValues(text, format);
  const changes: (readonly Splice[])[] = [];
  for (const edit of edits) {
    assertValid(edit);
    const step = editStep(file, edit);
    if (isDone(file, step)) continue;
    const meant = meantBy(file, step);
    const made = await firstAsMeant(text, format, step, meant);
    changes.push(made.splices);
    text = made.text;
    file = await textValues(text, format);
  }
  if (changes.length === 0) return { bytes, changed: false, changes };
  return { bytes: encoder.encode(mark + text), changed: true, changes };
}

async function firstAsMeant(
  text: string,
  format: ConfigFormat,
  step: EditStep,
  meant: unknown,
): Promise<{ readonly text: string; readonly splices: readonly Splice[] }> {
  const proposals = format === "toml" ? await proposeToml(text, step) : await proposeYaml(text, step);
  let why: string | null = null;
  for (const splices of proposals) {
    const after = applySplices(text, splices);
    const wrong = await problemOf(after, format, meant, step);
    if (wrong === null) return { text: after, splices };
    why ??= wrong;
  }
  const isAdded = step.kind === "append" || step.kind === "add-table";
  const member = step.path[0] === "aliases" ? "an alias" : "a share";
  const what = `${step.kind === "append" ? member : keyName(step.path)} cannot be ${isAdded ? "added" : "changed"}`;
  throw new MountaineerError("config_uneditable", `${what} in place: ${why ?? "there is no place for it"}`, {
    hint: "change it in an editor",
  });
}
