// What a service manager runs for a home: the program, its arguments and its environment.

import { realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, isAbsolute } from "node:path";
import { findHomeContext } from "../../config/home-context.ts";
import { isUsualHome } from "../../config/values/paths.ts";
import { MountaineerError, valueOr } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { CommandContext } from "../input/command.ts";
import { launcherPath, packageRoot } from "../input/launcher-path.ts";
import { PROXIES, proxiesWithLogin } from "../input/shell-proxies.ts";

export type ServiceDefinition = ReturnType<typeof serviceDefinition>;

type Environment = Readonly<Record<string, string | undefined>>;

/** The service that runs the daemon of this home, with the launcher of the running package. */
export function serviceDefinition(
  { home, configPath }: Pick<CommandContext, "home" | "configPath">,
  environment: Environment,
) {
  const { userHome } = findHomeContext({ HOME: environment["HOME"] });
  const isUsual = isUsualHome({ home, userHome });
  const program = launcherPath();
  if (program.includes("/_npx/"))
    throw new MountaineerError(
      "usage",
      "npx removes its copy of Mountaineer after a while, and the service would not start then",
      {
        hint: "npm install --global mountaineerd && mountaineer up",
      },
    );
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
    program,
    args: [...(configPath === null ? [] : ["--config", configPath]), "monitor"],
    /** Holds no secrets: every user can read a service's definition. */
    environment: {
      PATH: servicePath(environment["PATH"] ?? "", environment).path,
      ...lastingNode(environment),
      ...shellVariables(environment),
      ...(isUsual ? {} : { MOUNTAINEER_HOME: home }),
    },
  };
}

/** The shell's proxies, whose certificates it trusts, and where it keeps logs. */
function shellVariables(environment: Environment): Record<string, string> {
  const withheld = proxiesWithLogin(environment);
  const set = [...PROXIES, "NODE_EXTRA_CA_CERTS", "XDG_STATE_HOME"].flatMap((name) => {
    const value = environment[name] ?? "";
    return value === "" || withheld.includes(name) || /\p{Cc}/u.test(value) ? [] : [[name, value] as const];
  });
  return Object.fromEntries(set);
}

/**
 * The shell's PATH for a service: absolute folders, each once, without the folders of npm projects. A folder of one shell
 * or session (of fnm, a nix shell, a virtual environment, an AppImage, the folder for temporary files) becomes the folder
 * that it links to, if that lasts; else it is in `left`.
 */
export function servicePath(
  path: string,
  environment: Environment = {},
): { readonly path: string; readonly left: readonly string[] } {
  const left: string[] = [];
  const folders = path.split(delimiter).flatMap((folder) => {
    if (!isAbsolute(folder) || folder.endsWith("/node_modules/.bin") || /[\p{Cc}]/u.test(folder)) return [];
    if (!isPassing(folder, environment)) return [folder];
    const real = valueOr(() => realpathSync(folder), null);
    if (real !== null && !isPassing(real, environment)) return [real];
    left.push(folder);
    return [];
  });
  const unique = [...new Set(folders)];
  return { path: unique.length === 0 ? "/usr/local/bin:/usr/bin:/bin" : unique.join(delimiter), left };
}

/** Names the Node that runs now to the service's launcher, unless it belongs to the package or does not last. */
function lastingNode(environment: Environment): Record<string, string> {
  const node = process.execPath;
  const isOwn = node.startsWith(packageRoot());
  return isOwn || isPassing(dirname(node), environment) ? {} : { MOUNTAINEER_NODE: node };
}

const OF_ONE_SHELL = /\/(?:_npx|fnm_multishells|\.mount_[^/]*)(?:\/|$)|^\/nix\/store\//;

/** Whether a folder belongs to one shell or session, and is gone after it. */
function isPassing(folder: string, environment: Environment): boolean {
  const { HOME, XDG_RUNTIME_DIR, VIRTUAL_ENV, APPDIR } = environment;
  const isBelow = (path: string | undefined, root = ""): boolean =>
    root !== "" && `${path}/`.startsWith(`${root}/`);
  return (
    OF_ONE_SHELL.test(folder) ||
    [XDG_RUNTIME_DIR, VIRTUAL_ENV, APPDIR].some((root) => isBelow(folder, root)) ||
    ["/run/user", "/tmp", "/var/tmp", tmpdir()].some((root) => isBelow(folder, root) && !isBelow(HOME, root))
  );
}

function shortDigest(text: string): string {
  return sha256Of(text).slice(0, 8);
}
