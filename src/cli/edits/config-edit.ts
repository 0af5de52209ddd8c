// `config edit`: opens a private copy in the editor, and checks the copy before it replaces the file. A refused copy is kept.

import { basename } from "node:path";
import { isSameFile } from "../../api/client/same-config.ts";
import { starterText, writeNamedSchema } from "../../config/edit/starter.ts";
import { decodedText } from "../../config/read/config-bytes.ts";
import { parseConfig } from "../../config/read/load.ts";
import { refusalError } from "../../config/values/mistakes.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { type EditedCopy, openEditedCopy } from "../../runtime/process/editor.ts";
import { paintFor } from "../../runtime/text/paint.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { CommandContext, Signals, Terminal } from "../input/command.ts";
import { isYes } from "../input/confirm.ts";
import { type ConfigView, changeConfig, viewConfig } from "../sessions/config-session.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { showEdit } from "./edit-outcome.ts";

type Draft = Awaited<ReturnType<typeof begin>>;

/**
 * Resolves with the exit code. Rejects with `program_unavailable` (no such editor), `config_invalid` and
 * `config_changed`; a note on stderr then says where the edited copy is kept.
 */
export async function editConfigFile(context: CommandContext): Promise<number> {
  const draft = await viewConfig(context, (view) => begin(view, context.signal));
  try {
    const bytes = await edited(context, draft);
    if (bytes === "gone") {
      context.notify("the editor left no text: nothing was changed");
      await draft.copy.discard();
      return FAILED_EXIT;
    }
    if (bytes === null) {
      context.print(`${paintFor(context.stdoutStyle).symbols.skip} nothing was changed\n`);
      await draft.copy.discard();
      return 0;
    }
    const exitCode = await saveText(context, draft, bytes);
    await draft.copy.discard();
    return exitCode;
  } catch (error) {
    const copyPath = await draft.copy.keepWritten();
    if (copyPath !== null) context.notify(`what you wrote is kept in ${copyPath}`);
    throw error;
  }
}

async function begin(view: ConfigView, signal: AbortSignal) {
  const { path, homeContext } = view;
  const found = await view.read();
  const begun = found ?? new TextEncoder().encode(await firstText(view, signal));
  const copy = await openEditedCopy(basename(path), begun);
  return { view: { path, homeContext }, baseSha256: sha256Of(found), begun, copy };
}

/**
 * The text to edit if there is no file: the running configuration; without a daemon, the commented starter
 * file for TOML, and nothing for other formats.
 */
async function firstText({ daemon, format }: ConfigView, signal: AbortSignal): Promise<string> {
  if (daemon !== null) return daemon.call("historyText", { n: 0 }, signal);
  return format === "toml" ? starterText() : "";
}

/**
 * Returns the copy as soon as it is valid; null if the copy is unchanged, "gone" if the editor removed or emptied it.
 */
async function edited(context: Terminal & Signals, draft: Draft): Promise<Uint8Array | null | "gone"> {
  const { view, begun, copy } = draft;
  for (;;) {
    const bytes = await editedCopy(context, copy);
    if (bytes !== null && Buffer.compare(bytes, begun) === 0) return null;
    // Does not accept an emptied copy, which would be a valid configuration without shares and backends.
    if (bytes === null || decodedText(bytes).trim() === "") return "gone";
    const loaded = await parseConfig(bytes, view.path, view.homeContext);
    if (loaded.ok) return bytes;
    const error = refusalError(loaded.mistakes);
    if (context.prompt === null) throw error;
    for (const line of error.message.split("\n")) context.notify(printable(line));
    if (!(await isYes(context.prompt, "Edit again?", "yes"))) throw error;
  }
}

/** While the editor runs, Ctrl-C goes to it and does not end this command. */
async function editedCopy(context: Terminal & Signals, copy: EditedCopy): Promise<Uint8Array | null> {
  using _interrupts = context.yieldInterrupts();
  return await copy.edit(context.signal);
}

async function saveText(
  context: CommandContext,
  { view, baseSha256 }: Draft,
  bytes: Uint8Array,
): Promise<number> {
  return changeConfig(context, async (call, now) => {
    // If a daemon has started or ended during the edit, another file may be in use now.
    if (!(await isSameFile(now.path, view.path))) {
      throw new MountaineerError("config_changed", `the configuration is ${now.path} now, not ${view.path}`);
    }
    const text = decodedText(bytes);
    const report = await call(
      "editText",
      { text, expected_sha256: baseSha256, source: "cli" },
      context.signal,
    );
    if (report.changed && context.remote === null) await writeNamedSchema(now.path, text);
    return showEdit(context, report, {
      done: `${now.path} is changed`,
      same: "no change: the file says so already",
    });
  });
}
