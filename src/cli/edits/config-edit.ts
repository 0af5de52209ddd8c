// `config edit`: opens a private copy in the editor, checks it before it is saved, and never loses it.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { isSameFile } from "../../api/client/same-config.ts";
import { starterText } from "../../config/edit/starter.ts";
import { parseConfig } from "../../config/read/load.ts";
import { refusalError } from "../../config/values/mistakes.ts";
import { MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";
import { type ConfigView, changeConfig, viewConfig } from "../sessions/config-session.ts";
import { decodedText } from "../sessions/config-text.ts";
import { FAILED_EXIT } from "../views/results-view.ts";
import { paintFor } from "../views/terminal-style.ts";
import { tellEdit } from "./edit-outcome.ts";
import { runEditor } from "./editor.ts";

/** What is edited: where it goes, what was there, and the copy that the editor has. */
interface Draft {
  readonly view: Pick<ConfigView, "path" | "place">;
  readonly seenSha256: string;
  readonly begun: Uint8Array;
  readonly copyPath: string;
}

/**
 * Resolves with the exit code. Rejects with `program_unavailable` (no such editor), `config_invalid` and
 * `config_changed`; what was typed is then left where stderr says.
 */
export async function editConfigFile(context: CommandContext): Promise<number> {
  const draft = await viewConfig(context, begin);
  try {
    const bytes = await edited(context, draft);
    if (bytes === "gone") {
      context.note("the editor removed its copy: nothing was changed");
      await discard(draft);
      return FAILED_EXIT;
    }
    if (bytes === null) {
      context.print(`${paintFor(context.stdoutStyle).symbols.skip} nothing was changed\n`);
      await discard(draft);
      return 0;
    }
    const exitCode = await land(context, draft, bytes);
    await discard(draft);
    return exitCode;
  } catch (error) {
    await keepOrDiscard(context, draft);
    throw error;
  }
}

async function begin(view: ConfigView): Promise<Draft> {
  const { path, place } = view;
  const found = await view.read();
  const begun = found ?? new TextEncoder().encode(await firstText(view));
  // Of its own, and closed to others: a password may be typed here before it is refused.
  const folder = await mkdtemp(join(tmpdir(), "mountaineer-edit-"));
  const copyPath = join(folder, basename(path));
  await writeFile(copyPath, begun, { mode: 0o600 });
  return { view: { path, place }, seenSha256: sha256Of(found), begun, copyPath };
}

/** What there is to edit where there is no file: what runs, else the starter. */
async function firstText({ daemon, format, historyText }: ConfigView): Promise<string> {
  if (daemon !== null) return historyText(0);
  return format === "toml" ? starterText() : "";
}

/** The copy once it is a valid configuration; null when it is what it was, "gone" when the editor removed it. */
async function edited(context: CommandContext, draft: Draft): Promise<Uint8Array | null | "gone"> {
  const { view, begun, copyPath } = draft;
  for (;;) {
    await runEditor(copyPath, context);
    const bytes = await readCopy(copyPath);
    if (bytes === "gone") return bytes;
    if (Buffer.compare(bytes, begun) === 0) return null;
    const loaded = await parseConfig(bytes, view.path, view.place);
    if (loaded.ok) return bytes;
    const error = refusalError(loaded.mistakes);
    if (context.ask === null) throw error;
    for (const line of error.message.split("\n")) context.note(harmless(line));
    if (/^n/i.test(await context.ask("Edit again? [Y/n] "))) throw error;
  }
}

async function readCopy(path: string): Promise<Uint8Array | "gone"> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return "gone";
    throw error;
  }
}

async function land(
  context: CommandContext,
  { view, seenSha256 }: Draft,
  bytes: Uint8Array,
): Promise<number> {
  return changeConfig(context, "config edit", async (editor, now) => {
    // A daemon that was started, or ended, meanwhile may use another file.
    if (!(await isSameFile(now.path, view.path))) {
      throw new MountaineerError("config_changed", `the configuration is ${now.path} now, not ${view.path}`);
    }
    const report = await editor.replace(decodedText(bytes), seenSha256);
    return tellEdit(context, report, {
      json: false,
      done: `${now.path} is changed`,
      same: "the file said so already",
    });
  });
}

async function keepOrDiscard(context: CommandContext, draft: Draft): Promise<void> {
  const bytes = await readFile(draft.copyPath).catch(() => null);
  if (bytes === null || Buffer.compare(bytes, draft.begun) === 0) await discard(draft);
  else context.note(`what you wrote is kept in ${draft.copyPath}`);
}

async function discard({ copyPath }: Draft): Promise<void> {
  await rm(dirname(copyPath), { recursive: true, force: true });
}
