// Two versions, played in bare systems: as package repositories on Debian 12 and 13 by apt, and by dnf in a Debian that has Fedora's
// dnf and rpm, with a stand-in for the packages of Fedora that ours needs; from npm's package on the oldest Node and the newest. Then
// the container image, on a bare Debian 12. Needs root, debootstrap, rpmbuild and buildah.
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { PLATFORMS } from "../bundle/platform-packages.ts";
import { run } from "../mount/run.ts";
import { bareRoot, inBareRoot } from "./bare-root.ts";
import { rehearsalKeys } from "./rehearsal-keys.ts";

interface Playing {
  readonly root: string;
  /** Of ROOT_NAMES. */
  readonly names: readonly string[];
  readonly mountProgram: string | null;
  /** Whether the repositories stay, to be played elsewhere. */
  readonly keep: boolean;
  readonly print: (line: string) => void;
}

const ROOTS = [
  { name: "debian-12", suite: "bookworm", more: [], tool: "apt" },
  { name: "debian-13", suite: "trixie", more: [], tool: "apt" },
  { name: "dnf", suite: "bookworm", more: ["dnf", "rpm", "gnupg"], tool: "dnf" },
  { name: "node-oldest", suite: "bookworm", more: [], tool: "npm", node: "22.18.0" },
  // Node 26 wants libatomic, which a bare Debian lacks.
  { name: "node-newest", suite: "trixie", more: ["libatomic1"], tool: "npm", node: "latest" },
] as const;
/** Of shares on Linux; a test of the packages asks apt for no more. */
const NEEDED = ["fuse3"];
const IMAGE = "image";
export const ROOT_NAMES: readonly string[] = [...ROOTS.map(({ name }) => name), IMAGE];
const VERSIONS = { site: "0.1.0", next: "0.2.0" } as const;
/** Where the repositories lie inside. */
const AT = "/srv/mountaineer";

export async function playRoots({ root, names, mountProgram, keep, print }: Playing): Promise<void> {
  const unknown = names.filter((name) => !ROOT_NAMES.includes(name));
  if (unknown.length > 0) throw new Error(`no root ${unknown.join()}; there are ${ROOT_NAMES.join(", ")}`);
  const folder = path.join(root, ".tmp/release-roots");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const keys = await rehearsalKeys(path.join(folder, "keys"));
  for (const [name, version] of Object.entries(VERSIONS)) {
    const made = path.join(folder, `${name}-packages`);
    await run(process.execPath, [
      ...[path.join(root, "scripts/bundle.ts"), "--only", "deb,rpm", "--version", version],
      ...[
        "--output",
        made,
        "--level",
        "1",
        ...(mountProgram === null ? [] : ["--mount-program", mountProgram]),
      ],
    ]);
    const site = path.join(folder, name);
    const scripts = path.join(root, "scripts/release");
    const epochSeconds = (await run("git", ["log", "-1", "--format=%ct"], { cwd: root })).trim();
    const options = { env: { ...keys.known, ...keys.secret } };
    await run(path.join(scripts, "site.sh"), [made, site, `file://${AT}/${name}`, epochSeconds], options);
    await run(path.join(scripts, "sign-site.sh"), [site], options);
    await writeFile(path.join(folder, name === "site" ? "first" : "second"), version);
  }
  const story = "root-story.sh";
  await copyFile(path.join(root, "scripts/release", story), path.join(folder, story));
  const server = "tools-server.mjs";
  await copyFile(path.join(root, "test/docs/programs", server), path.join(folder, server));
  await placeStandIn(path.join(folder, "stand-in.rpm"));
  await placeNpmPackages(root, folder);
  // Where this machine reaches the registry through a proxy with an authority of its own.
  const authorities = process.env["NODE_EXTRA_CA_CERTS"];
  if (authorities !== undefined) await copyFile(authorities, path.join(folder, "authorities.pem"));
  for (const { name, suite, more, tool, ...rest } of ROOTS.filter((one) => names.includes(one.name))) {
    const bare = await bareRoot(suite, [...NEEDED, ...more]);
    const node = "node" in rest ? rest.node : "";
    if (node !== "") {
      const packages = [`node-linux-${process.arch}@${node}`, "npm@11"];
      await run("npm", ["install", "--silent", "--prefix", path.join(folder, `node-${node}`), ...packages]);
    }
    const from = performance.now();
    const command = `${tool === "dnf" ? `rpm -i --nodeps ${AT}/stand-in.rpm && ` : ""}sh ${AT}/${story} ${tool} ${AT} ${node}`;
    const said = await inBareRoot(bare, { folder, at: AT }, ["/bin/sh", "-c", command]);
    const steps = said.trim().split("\n").join(", ");
    print(`${name}: ${steps}; ${Math.round((performance.now() - from) / 1000)} s in all`);
  }
  if (names.includes(IMAGE)) {
    const play = path.join(root, "scripts/release/play-image.sh");
    const processor =
      PLATFORMS.find(({ name }) => name === `${process.platform}-${process.arch}`)?.debian ?? "";
    const packages = path.join(folder, "site-packages");
    const bare = await bareRoot("bookworm", NEEDED);
    print((await run(play, [packages, VERSIONS.site, processor, bare])).trim());
  }
  if (!keep) await rm(folder, { recursive: true });
}

/** Writes npm's package of both versions; the second one's build has another name, as a build that differs has. */
async function placeNpmPackages(root: string, folder: string): Promise<void> {
  const work = path.join(folder, "npm");
  await mkdir(work);
  await run("npm", ["pack", "--silent", "--pack-destination", work], { cwd: root });
  const script = `set -eu
cd "$1"
tar -xzf mountaineerd-*.tgz
cd package
build=$(cat dist/current)
for name in site next; do
  if [ $name = next ]; then other=$(printf %s "$build" | rev) && mv "dist/$build" "dist/$other" && build=$other && echo "$build" >dist/current; fi
  version=$(eval "echo \\$$name")
  sed -i 's/^\\(  "version": "\\)[^"]*/\\1'"$version/" package.json "dist/$build/package.json"
  tar -czf "../../$name.tgz" -C .. package
done
`;
  await run("sh", ["-c", script, "sh", work], { env: VERSIONS });
}

/** Writes an rpm without files that provides what ours needs of Fedora, and its post-install script's shell. */
async function placeStandIn(file: string): Promise<void> {
  // rpmbuild works in no path with a space.
  const build = await mkdtemp(path.join(tmpdir(), "mountaineer-stand-in-"));
  const spec = path.join(build, "stand-in.spec");
  await writeFile(
    spec,
    `Name: stand-in
Version: 1
Release: 1
Summary: What Debian has outside of rpm
License: MIT
BuildArch: noarch
Provides: glibc = 2.36, libstdc++, /bin/sh
%description
%files
`,
  );
  await run("rpmbuild", ["-bb", "--define", `_topdir ${build}`, "--define", `_rpmdir ${build}`, spec]);
  await copyFile(path.join(build, "noarch/stand-in-1-1.noarch.rpm"), file);
  await rm(build, { recursive: true });
}
