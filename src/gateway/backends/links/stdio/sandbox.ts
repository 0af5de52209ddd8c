// How a program is started in a sandbox: the arguments of bubblewrap, and what it means when that fails. Pure.

import { type GuardedPlaces, placesReached } from "../../../../config/reach.ts";
import type { SandboxConfig } from "../../../../config/snapshot.ts";
import { isWithin } from "../../../../config/values/paths.ts";
import { type LinkFailure, linkFailure } from "../backend-link.ts";

const SANDBOX_PROGRAM = "bwrap";

export interface ProgramSandbox {
  readonly config: SandboxConfig;
  /** Whatever the configuration names, none of these is ever shown. */
  readonly guarded: GuardedPlaces;
}

interface Mount {
  readonly path: string;
  readonly args: readonly string[];
}

/** Read-only, where there: programs, their libraries and settings, and what the names of hosts are found with. */
const SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix"];
const RUNTIME = ["/run/systemd/resolve", "/run/resolvconf", "/run/current-system"];

/** The arguments of `bwrap`, before the program and its own; or why there can be no such sandbox. */
export function sandboxArguments(
  { config, guarded }: ProgramSandbox,
  cwd: string,
): readonly string[] | LinkFailure {
  const { network } = config;
  // Its own stands there: that of the system shows the processes outside.
  const withoutProc = (paths: readonly string[]) => paths.filter((path) => !isWithin(path, "/proc"));
  const [read, write] = [withoutProc(config.read), withoutProc(config.write)];
  const named = [...read, ...write];
  const shown = named.find((path) => placesReached(path, { ...guarded, homes: [] }).length > 0);
  const isInHome = guarded.configs.every((file) => guarded.homes.some((home) => isWithin(file, home)));
  if (shown !== undefined && !isInHome) {
    const message = `its sandbox would show Mountaineer's configuration, through ${shown}`;
    return linkFailure("unreachable", message, "name folders beside the configuration in `sandbox`");
  }
  const isSwappable = foldersInWritable(config).length > 0;
  // Whatever leads there: over a home that is hidden nothing is mounted but what is named in it.
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
    // Beside the system's own settings, which are shown.
    ...guarded.configs
      .filter((file) => !guarded.homes.some((home) => isWithin(file, home)))
      .filter((file) => SYSTEM.some((path) => isWithin(file, path)))
      .map((path) => ({ path, args: ["--ro-bind", "/dev/null", path] })),
  ];
  return [
    // Its death ends what is inside; the whole group is ended by the warden all the same.
    "--die-with-parent",
    "--unshare-all",
    ...(network ? ["--share-net"] : []),
    ...["--cap-drop", "ALL"],
    // A folder comes before what is mounted in it.
    ...mounts
      .toSorted((one, other) => inHome(one) - inHome(other) || depth(one.path) - depth(other.path))
      .flatMap(({ args }) => args),
    ...["--setenv", "TMPDIR", "/tmp"],
    ...["--unsetenv", "XDG_RUNTIME_DIR"],
    ...["--chdir", cwd],
    "--",
  ];
}

/** What is named below a folder that the program may write: [that folder, the way from it]. */
function foldersInWritable({ read, write }: SandboxConfig): readonly (readonly [string, string])[] {
  return [...read, ...write].flatMap((path) => {
    const [outer] = write
      .filter((folder) => folder !== "/" && folder !== path && isWithin(path, folder))
      .toSorted((one, other) => one.length - other.length);
    return outer === undefined ? [] : [[outer, path.slice(outer.length + 1)] as const];
  });
}

/** What is named, beside each place of Mountaineer's own that it could lead to by a link alone. */
function namedAndGuarded({ config, guarded }: ProgramSandbox): readonly (readonly [string, string])[] {
  const places = [...guarded.homes, ...guarded.configs];
  return [...config.read, ...config.write].flatMap((path) =>
    places
      .filter((place) => !isWithin(place, path) && !isWithin(path, place))
      .map((place) => [path, place] as const),
  );
}

/**
 * What stands before bubblewrap, which follows links: of a folder that the program itself could have put a link in the
 * place of, by the pairs before the first `--`, it is seen that there is none; and that nothing, by the pairs before the
 * second, leads to Mountaineer's own folder, or to one above it.
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
    case "$own/" in "\${to%/}/"*) to=own ;; esac
    case "$to/" in own/ | "$own/"*)
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

/** The program and its arguments that start bubblewrap, but for `sandboxArguments`. */
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

/** What bubblewrap's last line means; null: it is not its. */
export function sandboxFailure(
  line: string,
  command: string,
): readonly [reason: string, hint: string] | null {
  const said = /^bwrap: (.*)$/.exec(line)?.[1];
  if (said === undefined) return null;
  if (/^execvp .*: No such file or directory$/.test(said)) {
    return [
      `${command} is not installed, or its sandbox does not show it`,
      "name the folder of the program in `sandbox.read`; its sandbox shows /usr, /opt and what is named",
    ];
  }
  const missing = /^Can't find source path (.*): No such file or directory$/.exec(said)?.[1];
  if (missing !== undefined) {
    return [`${missing}, which its sandbox is to show, does not exist`, "create it, or change `sandbox`"];
  }
  if (said.endsWith(" leads elsewhere")) {
    return [
      `${said}, and its sandbox is to show it: the program could lead it anywhere`,
      "name the folder that it leads to, or one that is not below a folder of `sandbox.write`",
    ];
  }
  if (said.endsWith(" leads to what is hidden")) {
    return [
      `${said} from it: Mountaineer's own folder or configuration`,
      "a link stands in its place; name the folder that is meant in `sandbox`",
    ];
  }
  if (REFUSED.test(said)) {
    return [
      `this system lets nobody but root make the sandbox's namespaces (${said})`,
      "allow unprivileged user namespaces, see docs/security.md; it is never started without its sandbox",
    ];
  }
  return [`its sandbox cannot be made: ${said}`, "see what `sandbox` names"];
}

/** Bubblewrap itself is not there. */
export const NO_SANDBOX_PROGRAM: readonly [reason: string, hint: string] = [
  "bubblewrap, which its sandbox needs, is not installed",
  "install it (Debian: apt install bubblewrap); it is never started without its sandbox",
];
