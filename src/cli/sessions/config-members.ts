// The names of the shares or aliases in the configuration file, read before a command adds or removes one.
import type { EditReport } from "../../api/contract.ts";
import { nameUnknown } from "../../api/name-selection.ts";
import { parseConfig } from "../../config/read/load.ts";
import type { AliasConfig, MountaineerConfig, ShareConfig } from "../../config/snapshot.ts";
import { mistakesError, refusalError } from "../../config/values/mistakes.ts";
import { nameKey } from "../../config/values/names.ts";
import type { CommandContext } from "../input/command.ts";
import type { ConfigView } from "./config-session.ts";

/** The configuration that the file holds now; an absent file is an empty one. Rejects with `config_invalid`. */
export async function readMembers({ read, path, place }: ConfigView): Promise<MountaineerConfig> {
  const loaded = await parseConfig((await read()) ?? new Uint8Array(), path, place);
  if (!loaded.ok) throw mistakesError(loaded.mistakes);
  return loaded.snapshot.config;
}

/** The share of that name, whatever its letter case. Throws `share_unknown`, with what may have been meant. */
export function findShare({ shares }: MountaineerConfig, name: string): ShareConfig {
  return find(shares, name, "share");
}

/** The alias of that name, likewise. Throws `alias_unknown`. */
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
 * False when the file holds it but it does not run: then says so. Throws `config_invalid` when the result would not be
 * a configuration; nothing was written then.
 */
export function tellSaved({ note }: CommandContext, { errors, reload }: EditReport): boolean {
  if (errors.length > 0) throw refusalError(errors);
  if (reload === null) return true;
  if (reload.errors.length > 0) throw mistakesError(reload.errors);
  if (reload.failure === null) return true;
  note(`it is saved, but does not run: ${reload.failure}`);
  return false;
}
