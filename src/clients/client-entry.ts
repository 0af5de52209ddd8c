// What stands in a client's file when it uses Mountaineer: a program that it starts, so that no token stands there.
import type { ConfigTable } from "../config/edit/edit-value.ts";
import type { Client, ClientName } from "./client.ts";

export const OWN_NAME = "mountaineer";

export interface OwnProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Keys that a client wants beside the program. */
const ALSO: Partial<Readonly<Record<ClientName, ConfigTable>>> = {
  "claude-code": { type: "stdio" },
  vscode: { type: "stdio" },
  zed: { source: "custom" },
};

export function ownEntry({ name }: Pick<Client, "name">, { command, args, env }: OwnProgram): ConfigTable {
  const variables = Object.keys(env).length === 0 ? {} : { env };
  return { ...ALSO[name], command, args: [...args], ...variables };
}
