// What is made of the folder: tar.xz, the self-extracting file, .deb, .rpm, and the Homebrew formula. The same folder gives
// the same bytes.
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import {
  appendFile,
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { run } from "../mount/run.ts";
import { bundleText, settle } from "./folder.ts";
import type { Platform } from "./platform-packages.ts";

export interface Source {
  readonly folder: string;
  /** Where the artifacts go. */
  readonly output: string;
  readonly platform: Platform;
  readonly version: string;
  readonly epochSeconds: number;
  /** Of all compression: 1, the fastest, to 9. */
  readonly level: number;
}

const SYSTEMS: Readonly<Record<string, string>> = {
  "linux-x64": "Linux x86_64",
  "linux-arm64": "Linux aarch64",
  "darwin-x64": "Darwin x86_64",
  "darwin-arm64": "Darwin arm64",
};
const SUMMARY = "NAS shares mounted at one path, all MCP servers at one endpoint";
const DESCRIPTION =
  "Keeps your NAS shares mounted at one path, and serves all your MCP servers from one endpoint. Brings its own Node.";

/** GNU tar, which macOS calls gtar. */
async function tar({ folder, output, epochSeconds }: Source): Promise<string> {
  const file = path.join(output, `${path.basename(folder)}.tar`);
  await run(process.platform === "darwin" ? "gtar" : "tar", [
    ...["--create", "--file", file, "--format=ustar", "--sort=name", `--mtime=@${epochSeconds}`],
    ...["--owner=0", "--group=0", "--numeric-owner", "-C", path.dirname(folder), path.basename(folder)],
  ]);
  return file;
}

/** With blocks of a set size, so that the bytes do not depend on the number of processors. */
export async function tarXz(source: Source): Promise<string> {
  const file = await tar(source);
  await run("xz", ["--force", `-${source.level}`, "--threads=2", "--block-size=64MiB", file]);
  return `${file}.xz`;
}

/** By gzip: a bare Debian has no xz. */
export async function selfExtracting(source: Source): Promise<string> {
  const { platform, version, output, level } = source;
  const archive = await tar(source);
  const payload = `${archive}.gz`;
  await pipeline(createReadStream(archive), createGzip({ level }), createWriteStream(payload));
  await rm(archive);
  const digest = await sha256OfFile(payload);
  const template = await readFile(path.join(import.meta.dirname, "self-extract.sh"), "utf8");
  const values: Readonly<Record<string, string>> = {
    VERSION: version,
    PLATFORM: platform.name,
    SYSTEM: SYSTEMS[platform.name] ?? "",
    DIGEST: digest,
    SHORT: digest.slice(0, 12),
    LINES: String(template.split("\n").length),
  };
  const header = template.replace(/@([A-Z]+)@/g, (whole, name: string) => values[name] ?? whole);
  const file = path.join(output, `${path.basename(source.folder)}.run`);
  await writeFile(`${file}.new`, header);
  await appendFile(`${file}.new`, await readFile(payload));
  await rm(payload);
  await chmod(`${file}.new`, 0o755);
  await rename(`${file}.new`, file);
  return file;
}

export async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest("hex");
}

const PLACE = "/usr/lib/mountaineer";

const RULES = "/usr/lib/udev/rules.d/70-mountaineer.rules";

/** Lets the user of a mount set how much the kernel reads ahead there; the device is there before its mount. */
const RULE = `ACTION=="add", SUBSYSTEM=="bdi", KERNEL=="0:*", RUN+="${PLACE}/current/mount-program/mountaineer-fs read-ahead %k"
`;

/**
 * A dash would begin a package's own revision; what stands behind a tilde comes before the release. File names keep the dash:
 * GitHub makes a dot of a tilde.
 */
function packageVersion(version: string): string {
  return version.replaceAll("-", "~");
}

/**
 * The package's own files lie in one folder, which an upgrade replaces. What runs has hard links to them in a folder of its
 * version, so that a running daemon keeps its own; versions that nobody runs any more go.
 */
function afterInstall(version: string): string {
  return `place=${PLACE}
new=$place/.new-$$
rm -rf "$new"
cp -al "$place/package" "$new" 2>/dev/null || cp -a "$place/package" "$new"
if [ -e "$place/${version}" ]; then mv "$place/${version}" "$place/.old-$$"; fi
mv "$new" "$place/${version}"
ln -sfn "${version}" "$place/current.new"
mv -T "$place/current.new" "$place/current"
for one in "$place"/.old-* "$place"/[0-9]*; do
  if [ "$one" = "$place/${version}" ] || [ ! -d "$one" ]; then continue; fi
  if grep -qsF "$one/" /proc/[0-9]*/cmdline || ls -l /proc/[0-9]*/exe 2>/dev/null | grep -qF " $one/"; then continue; fi
  rm -rf "$one"
done
`;
}

/** By then no command is left that could end what runs. The brackets keep grep from finding itself. */
const AFTER_REMOVAL = `running=$(grep -ls '${PLACE}[/]' /proc/[0-9]*/cmdline | tr -cd '0-9\\n' | tr '\\n' ' ')
if [ -d ${PLACE} ] && [ -n "$running" ]; then
  echo "mountaineer still runs. End it: kill $running(and remove ~/.config/systemd/user/mountaineer.service of its user)"
fi
rm -rf ${PLACE}
`;

/** Resolves with the tree that both packages install. */
async function packageTree({ folder, output, ...source }: Source, tool: string): Promise<string> {
  const tree = path.join(output, `.tree-${tool}`);
  await rm(tree, { recursive: true, force: true });
  await mkdir(path.join(tree, "usr/bin"), { recursive: true });
  const inside = path.join(tree, PLACE, "package");
  await mkdir(path.dirname(inside), { recursive: true });
  await cp(folder, inside, { recursive: true });
  // Man pages and completions are where the system's programs look.
  await rename(path.join(inside, "share"), path.join(tree, "usr/share"));
  await writeFile(path.join(inside, "bundle.json"), bundleText(source, tool, `${PLACE}/current`));
  await mkdir(path.dirname(path.join(tree, RULES)), { recursive: true });
  await writeFile(path.join(tree, RULES), RULE);
  for (const one of [inside, path.join(tree, "usr/share"), path.join(tree, "usr/lib/udev")])
    await settle(one, source.epochSeconds);
  await symlink(`../lib/mountaineer/current/bin/mountaineer`, path.join(tree, "usr/bin/mountaineer"));
  return tree;
}

export async function deb(source: Source): Promise<string> {
  const { output, platform, version, epochSeconds, level } = source;
  const tree = await packageTree(source, "dpkg");
  // Debian's zsh looks in no other of the system's folders.
  const zsh = path.join(tree, "usr/share/zsh");
  await rename(path.join(zsh, "site-functions"), path.join(zsh, "vendor-completions"));
  const control = path.join(tree, "DEBIAN");
  await mkdir(control);
  await writeFile(
    path.join(control, "control"),
    `Package: mountaineer
Version: ${packageVersion(version)}
Architecture: ${platform.debian}
Maintainer: Mountaineer's maintainers <mountaineer@localhost>
Section: net
Priority: optional
Depends: libc6 (>= 2.28), libstdc++6, libgcc-s1
Recommends: fuse3
Description: ${SUMMARY}
 ${DESCRIPTION}
`,
  );
  await writeFile(path.join(control, "postinst"), `#!/bin/sh\nset -e\n${afterInstall(version)}`);
  await writeFile(
    path.join(control, "postrm"),
    `#!/bin/sh\ncase $1 in remove | purge)\n${AFTER_REMOVAL};; esac\n`,
  );
  for (const script of ["postinst", "postrm"]) await chmod(path.join(control, script), 0o755);
  await chmod(path.join(control, "control"), 0o644);
  for (const one of ["", "usr", "usr/bin", "usr/lib", "usr/lib/mountaineer", "DEBIAN"])
    await chmod(path.join(tree, one), 0o755);
  const file = path.join(output, `mountaineer_${version}_${platform.debian}.deb`);
  await run("dpkg-deb", ["--root-owner-group", "-Zxz", `-z${level}`, "--build", tree, file], {
    env: { SOURCE_DATE_EPOCH: String(epochSeconds) },
  });
  await rm(tree, { recursive: true });
  return file;
}

export async function rpm(source: Source): Promise<string> {
  const { output, platform, version, epochSeconds, level } = source;
  const tree = await packageTree(source, "rpm");
  // rpmbuild works in no path with a space.
  const build = await mkdtemp(path.join(tmpdir(), "mountaineer-rpm-"));
  const spec = path.join(build, "mountaineer.spec");
  const installed = await readdir(path.join(tree, "usr/share"), { recursive: true, withFileTypes: true });
  const shared = installed.flatMap((entry) =>
    entry.isFile()
      ? [path.relative(path.join(tree, "usr/share"), path.join(entry.parentPath, entry.name))]
      : [],
  );
  // What is built already is neither stripped nor searched for what it needs.
  await writeFile(
    spec,
    `%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
Name: mountaineer
Version: ${packageVersion(version)}
Release: 1
Summary: ${SUMMARY}
License: MIT
AutoReqProv: no
Requires: glibc >= 2.28, libstdc++
Recommends: fuse3

%description
${DESCRIPTION}

%install
cp -a "${tree}/." %{buildroot}/

%files
/usr/bin/mountaineer
${PLACE}
${RULES}
${shared.map((file) => `/usr/share/${file}`).join("\n")}

%post
${afterInstall(version)}
%postun
if [ "$1" = 0 ]; then
${AFTER_REMOVAL}fi
`,
  );
  const defines = {
    _topdir: build,
    _rpmdir: build,
    _buildhost: "localhost",
    _binary_payload: `w${level}.xzdio`,
    use_source_date_epoch_as_buildtime: "1",
    clamp_mtime_to_source_date_epoch: "1",
    source_date_epoch_from_changelog: "0",
    _rpmfilename: "mountaineer.rpm",
  };
  await run(
    "rpmbuild",
    ["-bb", "--target", `${platform.rpm}-linux`, ...Object.entries(defines).flatMap(define), spec],
    { env: { SOURCE_DATE_EPOCH: String(epochSeconds) } },
  );
  const name = `mountaineer-${version}-1.${platform.rpm}.rpm`;
  await copyFile(path.join(build, "mountaineer.rpm"), path.join(output, name));
  for (const one of [build, tree]) await rm(one, { recursive: true });
  return path.join(output, name);
}

function define([name, value]: readonly [string, string]): string[] {
  return ["--define", `${name} ${value}`];
}

/** Of the archives that lie in the folder of artifacts, for the platforms that they are for. */
export async function formula(
  output: string,
  version: string,
  url: string,
  platforms: readonly Platform[],
): Promise<string> {
  const archives = await Promise.all(
    platforms.map(async ({ name }) => {
      const archive = `mountaineer-${version}-${name}.tar.xz`;
      const [system, processor] = name.split("-");
      return `  on_${system === "darwin" ? "macos" : "linux"} do
    on_${processor === "x64" ? "intel" : "arm"} do
      url "${url}/${archive}"
      sha256 "${await sha256OfFile(path.join(output, archive))}"
    end
  end`;
    }),
  );
  const text = `class Mountaineer < Formula
  desc "${SUMMARY}"
  homepage "${url.replace(/\/releases\/.*$/, "")}"
  version "${version}"
  license "MIT"

${archives.join("\n\n")}

  def install
    inreplace "bundle.json", /"tool": null/, '"tool": "brew"'
    inreplace "bundle.json", /"stable": null/, %Q("stable": "#{opt_libexec}")
    libexec.install Dir["*"]
    bin.install_symlink libexec/"bin/mountaineer"
    man1.install_symlink Dir[libexec/"share/man/man1/*"]
    bash_completion.install_symlink libexec/"share/bash-completion/completions/mountaineer"
    zsh_completion.install_symlink libexec/"share/zsh/site-functions/_mountaineer"
    fish_completion.install_symlink libexec/"share/fish/vendor_completions.d/mountaineer.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/mountaineer --version")
  end
end
`;
  const file = path.join(output, "mountaineer.rb");
  await writeFile(file, text);
  return file;
}
