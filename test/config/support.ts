// Shared by the tests of this folder: a machine to configure, and checking a text.

import type { HomeContext } from "../../src/config/home-context.ts";
import { parseConfig } from "../../src/config/read/load.ts";
import type { ConfigSnapshot } from "../../src/config/snapshot.ts";
import type { ConfigMistake } from "../../src/config/values/mistakes.ts";
import { describeMistakes } from "../../src/config/values/mistakes.ts";

export const PLACE: HomeContext = {
  home: "/home/ann/.mountaineer",
  userHome: "/home/ann",
  userName: "ann",
  defaultMountRoot: "/home/ann/.mountaineer/volumes",
};

export const SHARE = `[[shares]]
name = "CORE"
thunderbolt_host = "10.10.10.1"
fallback_host = "nas.local"
`;

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The snapshot of a text that must be right. */
export async function accepted(
  text: string,
  file = "config.toml",
  context: HomeContext = PLACE,
): Promise<ConfigSnapshot> {
  const loaded = await parseConfig(bytes(text), file, context);
  if (!loaded.ok) throw new Error(`unexpected mistakes\n${describeMistakes(loaded.mistakes)}`);
  return loaded.snapshot;
}

/** The mistakes of a text that must be wrong. */
export async function refused(
  text: string | Uint8Array,
  file = "config.toml",
): Promise<readonly ConfigMistake[]> {
  const loaded = await parseConfig(typeof text === "string" ? bytes(text) : text, file, PLACE);
  if (loaded.ok) throw new Error("accepted what should be refused");
  return loaded.mistakes;
}

/** `line:column path`, the part of a mistake that says where. */
export function where({ line, column, path }: ConfigMistake): string {
  return `${line}:${column} ${path}`;
}
