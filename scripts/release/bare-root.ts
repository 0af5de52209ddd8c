// Bare systems to install into: made by debootstrap once, kept outside of the checkout, and entered through a layer that is thrown away.
import { access, chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import path from "node:path";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { run } from "../mount/run.ts";
import { keptFolder } from "../test-places.ts";

/** `suite`: a Debian release. Resolves with the folder; `packages` are in it beside the least that there can be. */
export async function bareRoot(suite: string, packages: readonly string[] = []): Promise<string> {
  const list = [...new Set(packages)].sort();
  const digest = sha256Of(JSON.stringify([suite, list])).slice(0, 16);
  const kept = keptFolder("bare-roots");
  const place = path.join(kept, `${suite}-${digest}`);
  if (
    await access(place).then(
      () => true,
      () => false,
    )
  )
    return place;
  await mkdir(kept, { recursive: true });
  const making = await mkdtemp(path.join(kept, "making-"));
  try {
    const include = list.length === 0 ? [] : [`--include=${list.join(",")}`];
    // It says on its standard output why it fails.
    const script = 'exec debootstrap "$@" >&2';
    await run("sh", ["-c", script, "sh", "--variant=minbase", ...include, suite, making]);
    await chmod(making, 0o755);
    // Another run may have made the same meanwhile.
    await rename(making, place).catch(() => access(place));
  } finally {
    await rm(making, { recursive: true, force: true, maxRetries: 3 });
  }
  return place;
}

export interface BareMachine {
  /** Of the machine's folders the one that the system sees, at `at`. */
  readonly folder: string;
  readonly at: string;
  /** All of this machine's devices, or those that every system has, without or with `/dev/fuse`. Default: all. */
  readonly devices?: "all" | "plain" | "fuse";
}

/**
 * Runs a program of `folder`, which is at `at` inside, in the bare system, with this machine's network; what it changes lies in
 * memory, and is gone with it. Resolves with what it prints.
 */
export function inBareRoot(bare: string, machine: BareMachine, command: readonly string[]): Promise<string> {
  return run("unshare", enteringBareRoot(bare, machine, command));
}

/** The arguments of `unshare` for that. */
export function enteringBareRoot(
  bare: string,
  { folder, at, devices = "all" }: BareMachine,
  command: readonly string[],
): string[] {
  return [
    ...["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc", ENTER, "sh"],
    ...[bare, folder, at, devices, ...command],
  ];
}

const ENTER = `
bare=$1 folder=$2 at=$3 devices=$4
shift 4
layer=$(mktemp -d)
mount -t tmpfs -o size=4g none "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=$bare,upperdir=$layer/upper,workdir=$layer/work" none "$layer/root"
cd "$layer/root"
mkdir -p ".$at"
mount --bind "$folder" ".$at"
if [ "$devices" = all ]; then
  mount --bind /dev dev
else
  mount -t tmpfs -o mode=755 none dev
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 none dev/pts
  mount -t tmpfs -o mode=1777 none dev/shm
  # As udev makes it, whatever its mode is on this machine.
  [ "$devices" = plain ] || mknod -m 666 dev/fuse c 10 229
  for one in null zero full random urandom tty; do
    : >dev/$one
    mount --bind /dev/$one dev/$one
  done
  ln -s pts/ptmx dev/ptmx
  ln -s /proc/self/fd dev/fd
  for one in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/\${one%:*}" "dev/\${one#*:}"; done
  mount -t sysfs -o ro none sys
  cp /etc/hosts etc/hosts
fi
mount -t proc proc proc
# fusermount3 reads it; an installed Debian has it.
[ -e etc/mtab ] || ln -s ../proc/self/mounts etc/mtab
cp -L /etc/resolv.conf etc/resolv.conf
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot . "$@"
`;
