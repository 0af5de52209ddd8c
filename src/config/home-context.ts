// Finds Mountaineer's home and the configuration file in it.

import { realpath } from "node:fs/promises";
import { homedir, hostname, userInfo } from "node:os";
import { extname, join, resolve } from "node:path";
import {
  errorText,
  isSystemError,
  MountaineerError,
  recoverFrom,
  systemErrorCode,
  valueOr,
} from "../runtime/errors.ts";
import { entryExists } from "../runtime/files/durable-file.ts";
import { requireResponsiveDisk } from "../runtime/process/responsive-disk.ts";
import { shellCommand } from "../runtime/text/plain-text.ts";
import type { ConfigFormat } from "./snapshot.ts";
import { machineNameOf } from "./values/fleet-values.ts";
import { expandPath, USUAL_HOME_NAME } from "./values/paths.ts";

/** The facts about the machine and its user that a configuration's defaults depend on. */
export interface HomeContext {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  /** The user's home folder, absolute. */
  readonly userHome: string;
  readonly userName: string;
  /** The default folder for mounts, absolute. */
  readonly defaultMountRoot: string;
  /** The machine's name in a fleet if the file gives none. Absent: its host's name gives none either. */
  readonly machineName?: string;
  /** How SMB shares are mounted. Absent: `fs`. */
  readonly smbDriver?: "fs" | "netfs";
  /** False: this system has no sandbox for backends. */
  readonly hasSandbox?: false;
}

type Environment = Readonly<Record<string, string | undefined>>;

const FILE_NAMES: readonly string[] = ["config.toml", "config.yaml", "config.yml"];

function loginName(environment: Environment): string {
  // It throws if the user id has no entry in the user database, as in many containers.
  return valueOr(() => userInfo().username, environment["USER"] || environment["LOGNAME"] || "guest");
}

/** Finds the home (`$MOUNTAINEER_HOME`, else `~/.mountaineer`) and the machine's defaults. Reads no file. */
export function findHomeContext(
  environment: Environment,
  platform: NodeJS.Platform = process.platform,
): HomeContext {
  // If HOME is empty, homedir() returns "", which would be the working directory.
  // Containers set HOME to "/" for a user id without an entry in the user database.
  const inDatabase = () => valueOr(() => homedir() || userInfo().homedir, "/");
  const userHome = resolve(environment["HOME"] || inDatabase());
  const chosen = environment["MOUNTAINEER_HOME"];
  const home = chosen ? resolve(expandPath(chosen, userHome)) : join(userHome, USUAL_HOME_NAME);
  const machineName = machineNameOf(hostname());
  const named = machineName === null ? {} : { machineName };
  const context = { home, userHome, userName: loginName(environment), ...named };
  return platform === "darwin"
    ? { ...context, defaultMountRoot: "/Volumes", smbDriver: "netfs", hasSandbox: false }
    : { ...context, defaultMountRoot: join(home, "volumes") };
}

/** Removes `$MOUNTAINEER_HOME` from the environment if it names the usual home, or links lead from one to the other. */
export async function normalizeHome(environment: Record<string, string | undefined>): Promise<void> {
  const { home, userHome } = findHomeContext(environment);
  const usual = join(userHome, USUAL_HOME_NAME);
  const real = (path: string) => realpath(path).catch(recoverFrom(isSystemError, path));
  if (home === usual || (await real(home)) === (await real(usual))) delete environment["MOUNTAINEER_HOME"];
}

/** The file of the configuration that was checked last (checked-config.ts). */
export function checkedConfigPath(home: string): string {
  return join(home, "checked.sealed");
}

/** The format that a file's extension names; rejects other extensions with `config_unreadable`. */
export function configFormat(path: string): ConfigFormat {
  const extension = extname(path).toLowerCase();
  if (extension === ".toml") return "toml";
  if (extension === ".yaml" || extension === ".yml") return "yaml";
  throw new MountaineerError("config_unreadable", `${path} is neither TOML nor YAML by its name`, {
    hint: "name it .toml, .yaml or .yml",
  });
}

export function noFileAt(path: string): MountaineerError {
  return new MountaineerError("config_unreadable", `there is no file at ${path}`, {
    hint: `name one that is there, or have one written: ${shellCommand`mountaineer init --config ${path}`}`,
  });
}

/** Rejects with `config_unreadable` when there is no file at `path`, or it cannot be read. */
export async function requireFileAt(path: string): Promise<void> {
  if (!(await exists(path))) throw noFileAt(path);
}

function exists(path: string): Promise<boolean> {
  return entryExists(path).catch((error: unknown) => {
    if (systemErrorCode(error) === "ENOTDIR") return false;
    throw new MountaineerError("config_unreadable", `${path} cannot be checked: ${errorText(error)}`, {
      cause: error,
    });
  });
}

/** The configuration files in a home. Rejects with `config_unreadable`. */
export async function configsIn(home: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of FILE_NAMES) if (await exists(join(home, name))) found.push(join(home, name));
  return found;
}

/**
 * The configuration file: the one that `--config` names (`file`, relative to the working directory), else the one in
 * the home. `exists` says whether it is there. Rejects with `config_ambiguous` when the home has two, and with
 * `config_unreadable` when it cannot be read or its extension is not that of a format.
 */
export async function locateConfig(homeContext: HomeContext, file: string | null) {
  if (file !== null) {
    const path = resolve(expandPath(file, homeContext.userHome));
    await requireResponsiveDisk(path);
    return { path, format: configFormat(path), exists: await exists(path) };
  }
  const found = await configsIn(homeContext.home);
  const [first, ...others] = found;
  if (others.length > 0) {
    throw new MountaineerError("config_ambiguous", `more than one configuration: ${found.join(", ")}`, {
      hint: "keep one of them, or name one with --config",
    });
  }
  const path = first ?? join(homeContext.home, "config.toml");
  return { path, format: configFormat(path), exists: first !== undefined };
}
