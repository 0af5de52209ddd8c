// Bare systems to install into: made by debootstrap once, kept in the checkout, and entered through a layer that is thrown away.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { run } from "../engine/run.ts";

/** `suite`: a Debian release. Resolves with the folder; `more` packages are in it beside the least that there can be. */
export async function bareRoot(root: string, suite: string, more: readonly string[] = []): Promise<string> {
  const packages = ["fuse3", ...more];
  const place = path.join(root, ".tmp/bundle/roots", [suite, ...more].join("-"));
  const isWhole = await readFile(path.join(place, "whole"), "utf8").catch(() => null);
  if (isWhole !== null) return place;
  await rm(place, { recursive: true, force: true, maxRetries: 3 });
  await mkdir(place, { recursive: true });
  await run("debootstrap", ["--variant=minbase", `--include=${packages.join(",")}`, suite, place]);
  await writeFile(path.join(place, "whole"), "");
  return place;
}

/**
 * Runs a program of `folder`, which is at `at` inside, in the bare system, with this machine's network; what it changes lies in
 * memory, and is gone with it. Resolves with what it prints.
 */
export function inBareRoot(
  bare: string,
  { folder, at }: { readonly folder: string; readonly at: string },
  command: readonly string[],
): Promise<string> {
  return run("unshare", [
    ...["--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-euc", ENTER, "sh"],
    ...[bare, folder, at, ...command],
  ]);
}

const ENTER = `
bare=$1 folder=$2 at=$3
shift 3
layer=$(mktemp -d)
mount -t tmpfs -o size=4g none "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=$bare,upperdir=$layer/upper,workdir=$layer/work" none "$layer/root"
cd "$layer/root"
mkdir -p ".$at"
mount --bind "$folder" ".$at"
mount --bind /dev dev
mount -t proc proc proc
cp -L /etc/resolv.conf etc/resolv.conf
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot . "$@"
`;
