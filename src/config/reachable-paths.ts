// Finds backends that can reach Mountaineer's home, its configuration or its secrets through their arguments, folders
// or variables. It only compares paths: no file is read and no link is followed.
import { join } from "node:path";
import type { SecretReference } from "../secrets/reference.ts";
import { routeKeys, routesOf } from "./backend-routes.ts";
import type { BackendConfig, ConfigWarning, StdioConnection } from "./snapshot.ts";
import { pathText } from "./values/mistakes.ts";
import { expandPath, isWithin } from "./values/paths.ts";

/** Places that backends should not reach, as absolute paths in every known spelling. */
export interface ProtectedPaths {
  /** Mountaineer's own folder. */
  readonly homes: readonly string[];
  /** The configuration file, which may be outside the home. */
  readonly configs: readonly string[];
  /** The folder that `~` stands for. */
  readonly userHome: string;
}

type ReachableTarget = (typeof TARGETS)[number][0];

interface BackendAccess {
  readonly backend: string;
  /** The path of the route's keys below the backend; empty for a backend without routes. */
  readonly route: readonly (string | number)[];
  readonly through:
    | { readonly kind: "argument"; readonly index: number }
    /** `isClients`: everything in the client's folder is reachable, so the home is also treated as reachable. */
    | { readonly kind: "cwd"; readonly isClients?: true }
    /** `isDefault`: the variable comes from `[backend_defaults]`. */
    | { readonly kind: "env"; readonly variable: string; readonly isDefault?: true };
  /** The absolute path that the backend gets: a protected path, a folder above one, or a path inside the home. */
  readonly path: string;
  readonly targets: readonly ReachableTarget[];
}

/** Every program gets these variables, so they make nothing more reachable, and their values are not secrets. */
export const GIVEN_TO_ALL: ReadonlySet<string> = new Set(["HOME", "PATH", "PWD", "TMPDIR", "package"]);

/** Separators of paths within one argument: `--root=/a`, `/a:/data`, `src=/a,dst=/b`, the words of `sh -c`. */
const SEPARATORS = /[\s"'`=:,;|&()<>{}[\]]+/;

/**
 * The ways in which a backend reaches these paths: by an argument, by a `cwd` in the file, or by a variable written
 * out in `env`. A server at an address, or in a sandbox, reaches none of these paths. The default `cwd`, the user's
 * home folder, counts only together with an argument that refers to it (`.`).
 */
export function reachableByBackends(
  backend: BackendConfig,
  protectedPaths: ProtectedPaths,
): readonly BackendAccess[] {
  return routesOf(backend).flatMap(({ connection }, route) => {
    const defaults = backend.defaultEnv?.[route] ?? [];
    return connectionAccess(backend.name, connection, routeKeys(backend, route), protectedPaths, defaults);
  });
}

function connectionAccess(
  name: string,
  connection: BackendConfig["connection"],
  route: BackendAccess["route"],
  protectedPaths: ProtectedPaths,
  defaults: readonly string[],
): readonly BackendAccess[] {
  if (connection.type !== "stdio" || connection.sandbox !== undefined) return [];
  const { args, env, cwd } = connection;
  const found: BackendAccess[] = [];
  const check = (through: BackendAccess["through"], paths: readonly string[]): void => {
    for (const path of paths) {
      const reached = pathsReached(path, protectedPaths);
      if (reached.length === 0) continue;
      found.push({ backend: name, route, through, path, targets: reached });
      return;
    }
  };
  // If `cwd` is inside Mountaineer's home, every relative word of an argument would be a path in the home. Hence
  // relative words count there only in an argument that begins with a dot.
  const isInside = protectedPaths.homes.some((home) => isWithin(plain(cwd), plain(home)));
  for (const [index, argument] of args.entries()) {
    // In a client's folder, which is refused if it leads to the home, no relative path leads there.
    const isApart = connection.cwdIsClients === true || (isInside && !argument.startsWith("."));
    const base = isApart ? null : cwd;
    check({ kind: "argument", index }, pathsIn(argument, base, protectedPaths.userHome));
  }
  if (isNamedFolder(connection, protectedPaths)) {
    const isClients = connection.cwdIsClients && { isClients: true as const };
    check({ kind: "cwd", ...isClients }, [cwd]);
  }
  for (const [variable, text] of Object.entries(env)) {
    if (GIVEN_TO_ALL.has(variable)) continue;
    const written = text.map((part) => (typeof part === "string" ? part : referenceText(part))).join("");
    const isDefault = defaults.includes(variable) && { isDefault: true as const };
    check({ kind: "env", variable, ...isDefault }, pathsIn(written, null, protectedPaths.userHome));
  }
  return found;
}

/**
 * The text in place of a reference: `$HOME` for `${HOME}`, the only variable whose value is known; else a
 * space, which separates paths.
 */
function referenceText(part: SecretReference): string {
  return part.kind === "environment" && part.variable === "HOME" ? "$HOME" : " ";
}

/** One warning for each enabled backend that reaches a protected path, and for each default by which backends do. */
export function accessWarnings(
  backends: readonly BackendConfig[],
  protectedPaths: ProtectedPaths,
): ConfigWarning[] {
  const warnings = backends.flatMap((backend) => {
    // The launcher refuses a client's folder that leads to the home.
    const isShown = ({ through }: BackendAccess): boolean =>
      through.kind !== "cwd" || through.isClients !== true;
    const access = backend.enabled ? reachableByBackends(backend, protectedPaths).find(isShown) : undefined;
    return access === undefined ? [] : [accessWarning(access)];
  });
  return [...new Map(warnings.map((warning) => [warning.path, warning])).values()];
}

function accessWarning({ backend, route, through, path, targets }: BackendAccess): ConfigWarning {
  const isDefault = through.kind === "env" && through.isDefault === true;
  const at = isDefault ? ["backend_defaults"] : ["backends", backend, ...route];
  const key =
    through.kind === "argument"
      ? [...at, "args", through.index]
      : through.kind === "cwd"
        ? [...at, "cwd"]
        : [...at, "env", through.variable];
  const names = TARGETS.filter(([target]) => targets.includes(target)).map(([, name]) => name);
  const what = names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  // The path may be a secret that only looks like a path in the home, so it is shown only if it leads to the
  // secrets.
  const via = targets.includes("secrets") ? `through ${path} ` : "";
  return {
    path: pathText(key),
    text: `${via}${isDefault ? "every program" : "the server"} can reach Mountaineer's ${what}`,
    hint: `give it only the folders it needs, or a [backends.${backend}.sandbox]; see docs/reference/security.md`,
  };
}

/** The protected paths in the order in which a warning lists them, each with its name in the warning. */
const TARGETS = [
  ["home", "folder"],
  ["config", "configuration"],
  ["secrets", "secrets"],
] as const;

/**
 * The protected paths that a program with access to an absolute path reaches: all at or below the path, and a
 * home that contains it.
 */
export function pathsReached(path: string, { homes, configs }: ProtectedPaths): readonly ReachableTarget[] {
  const given = plain(path);
  const isAbove = (path: string): boolean => isWithin(plain(path), given);
  const reached = new Set<ReachableTarget>();
  for (const home of homes) {
    if (isAbove(home) || isWithin(given, plain(home))) reached.add("home");
    if (isAbove(join(home, "secrets.json"))) reached.add("secrets");
  }
  if (configs.some(isAbove)) reached.add("config");
  return [...reached];
}

/** The absolute paths that a text or its words may mean. `cwd` null: relative paths are ignored. */
function pathsIn(text: string, cwd: string | null, userHome: string): readonly string[] {
  const parts = [text.trim(), ...text.replace(/\b(?:https?|wss?):\/\/\S*/gi, " ").split(SEPARATORS)];
  const paths = new Set<string>();
  for (const part of parts) {
    const path = pathOf(part, cwd, userHome);
    if (path !== null) paths.add(path);
  }
  return [...paths];
}

function pathOf(part: string, cwd: string | null, userHome: string): string | null {
  // Expands the word as a shell or the server would.
  const meant = part
    .replace(/^-[A-Za-z](?=[/~])/, "")
    .replace(/^file:\/\/(?=\/)/i, "")
    .replace(/^\$(?:HOME\b|\{HOME\})/, "~");
  if (meant === "" || meant.length > 4096 || meant.includes("\0")) return null;
  if (meant.startsWith("/") || meant === "~" || meant.startsWith("~/")) {
    // `~/*` stands for all files in the home folder.
    return expandPath(meant.replace(/\/\*+$/, "") || "/", userHome).replace(/^\/\//, "/");
  }
  return cwd === null || /^-|^\w+:\/\//.test(meant) ? null : expandPath(join(cwd, meant), userHome);
}

/** True if the configuration sets the folder. If `cwdGiven` is absent, any folder but the default counts as set. */
function isNamedFolder({ cwd, cwdGiven }: StdioConnection, { userHome }: ProtectedPaths): boolean {
  return cwdGiven === true || plain(cwd) !== plain(userHome);
}

/** macOS ignores letter case and how letters are composed, and has two names for some folders. */
function plain(path: string): string {
  const lower = path.normalize("NFC").toLowerCase();
  return (
    lower
      .replace(/^\/system\/volumes\/data(?=\/|$)/, "")
      .replace(/^\/private(?=\/(?:var|tmp|etc)(?:\/|$))/, "") || "/"
  );
}
