// Starts a program in a sandbox: the arguments of bubblewrap, and the meaning of its failures. Pure.

import { type ProtectedPaths, pathsReached } from "../../../../config/reachable-paths.ts";
import type { SandboxConfig } from "../../../../config/snapshot.ts";
import { isWithin } from "../../../../config/values/paths.ts";
import { type TransportFailure, transportFailure } from "../backend-transport.ts";

const SANDBOX_PROGRAM = "bwrap";

export interface ProgramSandbox {
  readonly config: SandboxConfig;
  /** Never shown in the sandbox, whatever the configuration names. */
  readonly guarded: ProtectedPaths;
}

interface Mount {
  readonly path: string;
  readonly args: readonly string[];
}

/** Shown read-only if they exist: programs, libraries, settings, and the files of host name resolution. */
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix"];
const RUNTIME = ["/run/systemd/resolve", "/run/resolvconf", "/run/current-system"];

/** The arguments of `bwrap` before the program; or why the sandbox is not possible. */
export function sandboxArguments(
  { config, guarded }: ProgramSandbox,
  cwd: string,
): readonly string[] | TransportFailure {
  const { network } = config;
  // The sandbox has its own /proc: the system's would show the processes outside.
  const withoutProc = (paths: readonly string[]) => paths.filter((path) => !isWithin(path, "/proc"));
  const [read, write] = [withoutProc(config.read), withoutProc(config.write)];
  const named = [...read, ...write];
  const shown = named.find((path) => pathsReached(path, { ...guarded, homes: [] }).length > 0);
  const isInHome = guarded.configs.every((file) => guarded.homes.some((home) => isWithin(file, home)));
  if (shown !== undefined && !isInHome) {
    const message = `its sandbox would show Mountaineer's configuration, through ${shown}`;
    return transportFailure("unreachable", message, "name folders outside the configuration's in `sandbox`");
  }
  const isSwappable = foldersInWritable(config).length > 0;
  // Mounts inside a home come last: they show the named folders in a home that is hidden.
  const inHome = ({ path }: Mount): number => (guarded.homes.some((home) => isWithin(path, home)) ? 1 : 0);
  const mounts: Mount[] = [
    ...[...SYSTEM, ...RUNTIME].map((path) => ({ path, args: ["--ro-bind-try", path, path] })),
    { path: "/proc", args: ["--proc", "/proc"] },
    { path: "/dev", args: ["--dev", "/dev"] },
    ...["/tmp", "/var/tmp", guarded.userHome]
      .filter((path) => !named.includes(path))
      .map((path) => ({ path, args: ["--tmpfs", path] })),
    ...read
      .filter((path) => !write.includes(path))
      .map((path) => ({ path, args: ["--ro-bind", path, path] })),
    ...write.map((path) => ({ path, args: ["--bind", path, path] })),
    ...guarded.homes
      .filter((home) => isSwappable || [...SYSTEM, ...named].some((path) => isWithin(home, path)))
      .map((path) => ({ path, args: ["--tmpfs", path] })),
    // A configuration inside a shown system folder is hidden by an empty file.
    ...guarded.configs
      .filter((file) => !guarded.homes.some((home) => isWithin(file, home)))
      .filter((file) => SYSTEM.some((path) => isWithin(file, path)))
      .map((path) => ({ path, args: ["--ro-bind", "/dev/null", path] })),
  ];
  return [
    // Ends the programs inside when bubblewrap ends. The warden process also kills what is left of the
    // process group.
    "--die-with-parent",
    "--unshare-all",
    ...(network ? ["--share-net"] : []),
    ...["--cap-drop", "ALL"],
    // A folder is mounted before the mounts inside it.
    ...mounts
      .toSorted((one, other) => inHome(one) - inHome(other) || depth(one.path) - depth(other.path))
      .flatMap(({ args }) => args),
    ...["--setenv", "TMPDIR", "/tmp"],
    ...["--unsetenv", "XDG_RUNTIME_DIR"],
    ...["--chdir", cwd],
    "--",
  ];
}

/** For each configured path inside a writable folder: that folder, and the path relative to it. */
function foldersInWritable({ read, write }: SandboxConfig): readonly (readonly [string, string])[] {
  return [...read, ...write].flatMap((path) => {
    const [outer] = write
      .filter((folder) => folder !== "/" && folder !== path && isWithin(path, folder))
      .toSorted((one, other) => one.length - other.length);
    return outer === undefined ? [] : [[outer, path.slice(outer.length + 1)] as const];
  });
}

/**
 * Returns pairs of a configured path and one of Mountaineer's own paths where neither contains the other. Only a link
 * could lead from one to the other.
 */
function namedAndGuarded({ config, guarded }: ProgramSandbox): readonly (readonly [string, string])[] {
  const paths = [...guarded.homes, ...guarded.configs];
  return [...config.read, ...config.write].flatMap((path) =>
    paths
      .filter((outer) => !isWithin(outer, path) && !isWithin(path, outer))
      .map((guardedPath) => [path, guardedPath] as const),
  );
}

/**
 * Checks paths for links, because bubblewrap follows them, and then starts bubblewrap. Arguments: the pairs of
 * `foldersInWritable`, `--`, the pairs of `namedAndGuarded`, `--`, the command. In a pair of `foldersInWritable`, the
 * second path may contain no link. In a pair of `namedAndGuarded`, the first path may not lead to the second, nor to
 * a folder above or below it.
 */
const CHECK = `while [ "$1" != -- ]; do
  if [ "$(readlink -f -- "$1/$2")" != "$(readlink -f -- "$1")/$2" ]; then
    printf 'bwrap: %s leads elsewhere\\n' "$1/$2" >&2
    exit 1
  fi
  shift 2
done
shift
while [ "$1" != -- ]; do
  to=$(readlink -f -- "$1") own=$(readlink -f -- "$2")
  if [ -n "$to" ] && [ -n "$own" ]; then
    case "$own/" in "\${to%/}/"*) to=$own ;; esac
    case "$to/" in "$own/"*)
      printf 'bwrap: %s leads to what is hidden\\n' "$1" >&2
      exit 1
    esac
  fi
  shift 2
done
shift
if ! command -v "$1" >/dev/null 2>&1; then
  echo 'mountaineer-backend-launch: program-missing' >&2
  exit 127
fi
exec "$@"`;

/**
 * The command that starts bubblewrap. If links must be checked, a script checks them first. The arguments of
 * `sandboxArguments` are appended to the command.
 */
export function sandboxCommand(sandbox: ProgramSandbox): readonly string[] {
  const pairs = foldersInWritable(sandbox.config);
  const guarded = namedAndGuarded(sandbox);
  if (pairs.length + guarded.length === 0) return [SANDBOX_PROGRAM];
  const checks = [...pairs.flat(), "--", ...guarded.flat(), "--"];
  return ["/bin/sh", "-c", CHECK, "sandbox", ...checks, SANDBOX_PROGRAM];
}

function depth(path: string): number {
  return path.split("/").filter((part) => part !== "").length;
}

const REFUSED =
  /No permissions to creat|Creating new namespace failed|setting up uid map|user namespaces|unshare|RTM_NEWADDR|Failed to make \/ slave|Operation not permitted/i;

/** The meaning of bubblewrap's last line; null: another program wrote the line. */
export function sandboxFailure(
  line: string,
  command: string,
): readonly [reason: string, hint: string] | null {
  const reason = /^bwrap: (.*)$/.exec(line)?.[1];
  if (reason === undefined) return null;
  if (/^execvp .*: No such file or directory$/.test(reason)) {
    return [
      `${command} is not installed, or its sandbox does not show it`,
      "name the folder of the program in `sandbox.read`; its sandbox shows /usr, /opt and what is named",
    ];
  }
  const missing = /^Can't find source path (.*): No such file or directory$/.exec(reason)?.[1];
  if (missing !== undefined) {
    return [`${missing}, which its sandbox is to show, does not exist`, "create it, or change `sandbox`"];
  }
  if (reason.endsWith(" leads elsewhere")) {
    return [
      `${reason}, and its sandbox is to show it: the program could lead it anywhere`,
      "name the folder that it leads to, or one that is not below a folder of `sandbox.write`",
    ];
  }
  if (reason.endsWith(" leads to what is hidden")) {
    return [
      `${reason} from it: Mountaineer's own folder or configuration`,
      "a link is in its place; name the intended folder in `sandbox`",
    ];
  }
  if (REFUSED.test(reason)) {
    return [
      `this system lets only root create the sandbox's namespaces (${reason})`,
      "allow unprivileged user namespaces, see docs/reference/security.md; it is never started without its sandbox",
    ];
  }
  return [`its sandbox cannot be made: ${reason}`, "see what `sandbox` names"];
}

/** Bubblewrap itself is not installed. */
export const NO_SANDBOX_PROGRAM: readonly [reason: string, hint: string] = [
  "bubblewrap, which its sandbox needs, is not installed",
  "install it (Debian: apt install bubblewrap); it is never started without its sandbox",
];
