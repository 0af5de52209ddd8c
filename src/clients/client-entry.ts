// The entry for Mountaineer in a client's file: a program that the client starts, so that the file needs no token.
import type { ConfigTable } from "../config/edit/edit-value.ts";
import { findPlace } from "../config/locate.ts";
import type { Client, ClientName } from "./client.ts";

export const OWN_NAME = "mountaineer";

export interface OwnProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Members that an entry for Mountaineer needs besides command, arguments and variables. */
const ALSO: Partial<Readonly<Record<ClientName, ConfigTable>>> = {
  "claude-code": { type: "stdio" },
  vscode: { type: "stdio" },
  zed: { source: "custom" },
};

export function ownEntry({ name }: Pick<Client, "name">, { command, args, env }: OwnProgram): ConfigTable {
  const variables = Object.keys(env).length === 0 ? {} : { env };
  return { ...ALSO[name], command, args: [...args], ...variables };
}

interface Own {
  readonly launcher: string;
  readonly home: string;
  /** The file that `--config` names, absolute; null: the home's own. */
  readonly configPath: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * How a client starts this program: by its absolute path, because graphical clients do not see a shell's
 * PATH.
 */
export function ownProgram({ launcher, home, configPath, environment }: Own): OwnProgram {
  // A launcher in `_npx` does not last: npx removes its folder after some time.
  const isPassing = launcher.includes("/_npx/");
  const usual = findPlace({ ...environment, MOUNTAINEER_HOME: undefined }).home;
  return {
    command: isPassing ? "npx" : launcher,
    args: [
      ...(isPassing ? ["-y", "mountaineerd"] : []),
      "mcp",
      ...(configPath === null ? [] : ["--config", configPath]),
    ],
    env: home === usual ? {} : { MOUNTAINEER_HOME: home },
  };
}
