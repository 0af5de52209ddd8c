// What a service manager runs for a home: the program, its arguments and its environment.

import { delimiter, isAbsolute } from "node:path";
import { findHomeContext } from "../../config/home-context.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { CommandContext } from "../input/command.ts";
import { launcherPath } from "../input/launcher-path.ts";

export type ServiceDefinition = ReturnType<typeof serviceDefinition>;

type Environment = Readonly<Record<string, string | undefined>>;

/** The service that runs the daemon of this home, with the launcher of the running package. */
export function serviceDefinition(
  { home, configPath }: Pick<CommandContext, "home" | "configPath">,
  environment: Environment,
) {
  const { userHome, home: usualHome } = findHomeContext({ HOME: environment["HOME"] });
  const isUsual = home === usualHome;
  return {
    /**
     * "mountaineer"; for a home that is not at the default path, followed by a digest of its path, so that
     * both services can be installed.
     */
    name: isUsual ? "mountaineer" : `mountaineer-${shortDigest(home)}`,
    userHome,
    /** Absolute. */
    home,
    /** Absolute. */
    program: launcherPath(),
    args: [...(configPath === null ? [] : ["--config", configPath]), "monitor"],
    /** Holds no secrets: every user can read a service's definition. */
    environment: {
      PATH: servicePath(environment["PATH"] ?? ""),
      ...networkVariables(environment),
      ...(isUsual ? {} : { MOUNTAINEER_HOME: home }),
    },
  };
}

const PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].flatMap((name) => [name, name.toLowerCase()]);

/** The shell's proxies, and whose certificates it trusts. */
function networkVariables(environment: Environment): Record<string, string> {
  const withheld = withheldProxies(environment);
  const set = [...PROXIES, "NODE_EXTRA_CA_CERTS"].flatMap((name) => {
    const value = environment[name] ?? "";
    return value === "" || withheld.includes(name) || /\p{Cc}/u.test(value) ? [] : [[name, value] as const];
  });
  return Object.fromEntries(set);
}

/** The variables that name a proxy with a user: everybody could read its password in the service's definition. */
export function withheldProxies(environment: Environment): readonly string[] {
  return PROXIES.filter((name) => environment[name]?.includes("@") === true);
}

/** The shell's PATH for a service: absolute folders, each once, without the folders of npm projects. */
export function servicePath(path: string): string {
  const folders = path.split(delimiter).filter((folder) => {
    return isAbsolute(folder) && !folder.endsWith("/node_modules/.bin") && !/[\p{Cc}]/u.test(folder);
  });
  const kept = [...new Set(folders)];
  return kept.length === 0 ? "/usr/local/bin:/usr/bin:/bin" : kept.join(delimiter);
}

function shortDigest(text: string): string {
  return sha256Of(text).slice(0, 8);
}
