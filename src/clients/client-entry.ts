// The entry for Mountaineer in a client's file: a program that the client starts, so that the file needs no token.
import { basename } from "node:path";
import { findHomeContext } from "../config/home-context.ts";
import { type JsonMembers, objectOf } from "../runtime/text/json-object.ts";
import type { OwnProgram } from "./client.ts";
import { readForeignEntry } from "./entry-keys.ts";
import { backendName } from "./imported-server.ts";

export const OWN_NAME = "mountaineer";

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
  return {
    command: isPassing ? "npx" : launcher,
    args: [
      ...(isPassing ? ["-y", "mountaineerd"] : []),
      "mcp",
      ...(configPath === null ? [] : ["--config", configPath]),
    ],
    env: home === usualHome(environment) ? {} : { MOUNTAINEER_HOME: home },
  };
}

function usualHome(environment: Own["environment"]): string {
  return findHomeContext({ ...environment, MOUNTAINEER_HOME: undefined }).home;
}

/** True for a program that starts Mountaineer for a client. */
export function isOwnEntry(command: unknown, args: readonly unknown[]): boolean {
  if (typeof command !== "string") return false;
  const names = [command, ...args].map((arg) => basename(String(arg)));
  const at = names.findIndex((name) => /^mountaineerd?(?:@[\w.-]+)?$/.test(name));
  return at !== -1 && names[at + 1] === "mcp";
}

/**
 * The name under which a client's servers have this home: that of its entry if there is one, else a free one. Another
 * home of the same user has another entry.
 */
export function ownNameIn(servers: JsonMembers, { home, environment }: Omit<Own, "launcher" | "configPath">) {
  const usual = usualHome(environment);
  const homes = Object.entries(servers).flatMap(([name, entry]) => {
    const { command, args, env } = readForeignEntry(objectOf(entry));
    const isOwn = name === OWN_NAME || isOwnEntry(command, args);
    return isOwn ? [[name, env["MOUNTAINEER_HOME"] ?? usual] as const] : [];
  });
  const [known] = homes.find(([, one]) => one === home) ?? [];
  if (known !== undefined || !Object.hasOwn(servers, OWN_NAME)) return known ?? OWN_NAME;
  const own = basename(home).replace(/^\.?(?:mountaineer)?-?/, "");
  return backendName(`${OWN_NAME}-${own || "2"}`);
}
