// Shares, aliases and backends in the configuration file: looked up by name, added and removed.
import type { EditReport } from "../../api/contract/config.ts";
import { nameUnknown } from "../../api/operations/name-selection.ts";
import type { ConfigEditWire } from "../../api/operations/requests.ts";
import { parseConfig } from "../../config/read/load.ts";
import type { AliasConfig, MountaineerConfig, ShareConfig } from "../../config/snapshot.ts";
import { mistakesError, refusalError } from "../../config/values/mistakes.ts";
import { nameKey } from "../../config/values/names.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { CommandContext, Terminal } from "../input/command.ts";
import { type ConfigView, callEdits, changeConfig, refuseToBeginAfresh } from "./config-session.ts";

/** The file's configuration; a missing file counts as empty. Rejects with `config_invalid`. */
export async function readMembers({ read, path, homeContext }: ConfigView): Promise<MountaineerConfig> {
  const loaded = await parseConfig((await read()) ?? new Uint8Array(), path, homeContext);
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
  return loaded.snapshot.config;
}

/** The share of that name in any letter case. Throws `share_unknown` with a suggestion. */
export function findShare({ shares }: MountaineerConfig, name: string): ShareConfig {
  return find(shares, name, "share");
}

/** The alias of that name in any letter case. Throws `alias_unknown` with a suggestion. */
export function findAlias({ aliases }: MountaineerConfig, name: string): AliasConfig {
  return find(aliases, name, "alias");
}

function find<Named extends { readonly name: string }>(
  all: readonly Named[],
  wanted: string,
  noun: "share" | "alias",
): Named {
  const found = all.find(({ name }) => nameKey(name) === nameKey(wanted));
  if (found !== undefined) return found;
  const names = all.map(({ name }) => name);
  const none = `no ${noun} is configured yet`;
  throw nameUnknown(wanted, names, { code: `${noun}_unknown`, noun, known: "configured", none });
}

/**
 * Makes the edits that `editsFor` returns for the present configuration; without edits, nothing changes. If the
 * daemon could not apply the saved file, prints a note, and `runs` is false. Rejects with `config_…`; nothing is
 * written then.
 */
export function editMembers(
  context: CommandContext,
  editsFor: (config: MountaineerConfig) => readonly ConfigEditWire[] | Promise<readonly ConfigEditWire[]>,
) {
  return changeConfig(context, async (call, view) => {
    await refuseToBeginAfresh(context, view);
    const { daemon } = view;
    const edits = [...(await editsFor(await readMembers(view)))];
    if (edits.length === 0) return { changed: false, runs: true, daemon };
    const report = await callEdits(context, call, edits);
    return { changed: report.changed, runs: requireSaved(context, report), daemon };
  });
}

/**
 * True if the edit succeeded; false, with a note, if the file is saved but the daemon could not apply it.
 * Throws `config_invalid` if nothing was written.
 */
function requireSaved(context: Terminal, report: EditReport): boolean {
  const { errors, reload } = report;
  if (errors.length > 0) throw refusalError(errors);
  if (reload !== null && reload.errors.length > 0) throw mistakesError(reload.errors);
  return notifyUnlessApplied(context, report);
}

/** Returns false and prints a note if the file is saved but the daemon could not apply it. */
export function notifyUnlessApplied(
  { notify }: Pick<CommandContext, "notify">,
  { reload }: Pick<EditReport, "reload">,
): boolean {
  const failure = reload?.failure ?? null;
  if (failure !== null) notify(`the file is saved, but the daemon could not apply it: ${printable(failure)}`);
  return failure === null;
}
