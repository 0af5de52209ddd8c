// What `mountaineer upgrade` takes and refuses, on files that stand for a release: scripts that unpack one file.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { howToUpgrade } from "../../../src/cli/input/how-to-upgrade.ts";
import { type Bundle, readBundle } from "../../../src/cli/input/launcher-path.ts";
import {
  compareVersions,
  signedRelease,
  upgrade,
  verifiedRelease,
} from "../../../src/cli/upgrade/upgrade.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const TRUSTED = generateKeyPairSync("ed25519");
const KEY = rawKey(TRUSTED.publicKey);
const NEXT = { version: "0.2.0", platform: "linux-x64" };

function rawKey(key: KeyObject): string {
  return key.export({ format: "der", type: "spki" }).subarray(-32).toString("base64");
}

function signature(release: typeof NEXT, content: string, key = TRUSTED.privateKey): string {
  const text = signedRelease({ ...release, sha256: createHash("sha256").update(content).digest("hex") });
  return `${text}ed25519 ${sign(null, Buffer.from(text), key).toString("base64")}\n`;
}

describe("mountaineer upgrade", () => {
  /** Version 0.1.0 as its single file has unpacked it, and a newer file. */
  async function scene(folder: string) {
    const base = join(folder, "data/mountaineer");
    await mkdir(join(base, "0.1.0-0123456789ab"), { recursive: true });
    const told = { version: "0.1.0", platform: "linux-x64", key: KEY, tool: null, stable: null };
    await writeFile(join(base, "0.1.0-0123456789ab/bundle.json"), JSON.stringify(told));
    await symlink("0.1.0-0123456789ab", join(base, "current"));
    const file = join(folder, "next.run");
    const content = `#!/bin/sh
[ "$MOUNTAINEER_UNPACK" = only ] || exit 9
new="$XDG_DATA_HOME/mountaineer/0.2.0-ba9876543210"
mkdir -p "$new" && echo "$new"
`;
    await writeFile(file, content);
    await writeFile(`${file}.sig`, signature(NEXT, content));
    const own = readBundle(join(base, "0.1.0-0123456789ab"));
    assert.ok(own !== null);
    const served: string[] = [];
    const handOver = async (): Promise<void> => void served.push(await readlink(join(base, "current")));
    interface Wish {
      readonly bundle?: Bundle | null;
      readonly allowsDowngrade?: boolean;
      readonly handOver?: () => Promise<void>;
      readonly signal?: AbortSignal;
    }
    const run = ({ signal = new AbortController().signal, ...wish }: Wish = {}) =>
      upgrade({ signal }, { file, allowsDowngrade: false, handOver, bundle: own, ...wish });
    const refusal = async (wish: Parameters<typeof run>[0] = {}): Promise<string> => {
      const error: unknown = await run(wish).then(
        () => null,
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof MountaineerError && error.code === "upgrade_refused", String(error));
      assert.deepEqual(await readdir(base), ["0.1.0-0123456789ab", "current"]);
      assert.equal(await readlink(join(base, "current")), "0.1.0-0123456789ab");
      assert.deepEqual(served, []);
      return `${error.message}; ${error.hint}`;
    };
    return { base, file, content, own, served, run, refusal };
  }

  it("F3 refuses a signed file that does not unpack itself, with its message", async (t) => {
    const { file, refusal } = await scene(await temporaryFolder(t));
    const full = "#!/bin/sh\necho 'no space left' >&2\nexit 3\n";
    await writeFile(file, full);
    await writeFile(`${file}.sig`, signature(NEXT, full));
    assert.match(await refusal(), /cannot be unpacked: no space left/);
  });

  it("F3 reports that the file or its signature cannot be read, and leaves no copy", async (t) => {
    const { file, refusal } = await scene(await temporaryFolder(t));
    await rm(file);
    assert.match(await refusal(), /next\.run cannot be copied: ENOENT/);
    await rm(`${file}.sig`);
    assert.match(await refusal(), /no signature at .*next\.run\.sig/);
    await mkdir(`${file}.sig`);
    assert.match(await refusal(), /next\.run\.sig cannot be read: EISDIR/);
  });

  it("F3 Ctrl-C while the file is copied is not a refusal, and leaves no copy", async (t) => {
    const { base, run } = await scene(await temporaryFolder(t));
    const interrupted = new MountaineerError("aborted", "stopped by SIGINT");
    await assert.rejects(run({ signal: AbortSignal.abort(interrupted) }), interrupted);
    assert.deepEqual(await readdir(base), ["0.1.0-0123456789ab", "current"]);
  });

  it("F3 makes the newer version current before the daemon hands over to it, and keeps both", async (t) => {
    const { base, run, served } = await scene(await temporaryFolder(t));
    assert.deepEqual(await run(), { from: "0.1.0", to: "0.2.0", folder: join(base, "0.2.0-ba9876543210") });
    assert.deepEqual(served, ["0.2.0-ba9876543210"]);
    assert.deepEqual(await readdir(base), ["0.1.0-0123456789ab", "0.2.0-ba9876543210", "current"]);
  });

  it("F3 a daemon that does not hand over keeps its version current", async (t) => {
    const { base, run } = await scene(await temporaryFolder(t));
    const failure = new MountaineerError("handover_failed", "not now");
    await assert.rejects(run({ handOver: () => Promise.reject(failure) }), failure);
    assert.equal(await readlink(join(base, "current")), "0.1.0-0123456789ab");
  });

  it("F3 refuses a file that changed after it was signed, one of another key, and one without signature", async (t) => {
    const { file, content, refusal } = await scene(await temporaryFolder(t));
    await writeFile(file, `${content}echo more\n`);
    assert.match(await refusal(), /next\.run is not what was signed/);
    await writeFile(file, content);
    await writeFile(`${file}.sig`, signature(NEXT, content, generateKeyPairSync("ed25519").privateKey));
    assert.match(await refusal(), /not made with the key that this Mountaineer trusts/);
    await writeFile(`${file}.sig`, `${signature(NEXT, content)}\n`);
    assert.match(await refusal(), /not one of a Mountaineer release/);
    await writeFile(`${file}.sig`, signature(NEXT, content).replace("version 0.2.0", "version 0.3.0"));
    assert.match(await refusal(), /not made with the key/);
  });

  it("F3 takes an older version only with --older, and another platform's never", async (t) => {
    const { file, content, own, run, refusal } = await scene(await temporaryFolder(t));
    const newer = { ...own, version: "0.10.0" };
    assert.match(await refusal({ bundle: newer }), /0\.2\.0 is older than 0\.10\.0.*--older/);
    await writeFile(`${file}.sig`, signature({ ...NEXT, platform: "darwin-arm64" }, content));
    assert.match(
      await refusal({ allowsDowngrade: true }),
      /is for darwin-arm64, and this machine is linux-x64/,
    );
    await writeFile(`${file}.sig`, signature(NEXT, content));
    assert.equal((await run({ bundle: newer, allowsDowngrade: true })).to, "0.2.0");
  });

  it("F3 leaves versions installed by dpkg, rpm, brew, npm or a person to them, and explains how", async (t) => {
    const { own, refusal } = await scene(await temporaryFolder(t));
    for (const [tool, command] of [
      ["dpkg", "sudo apt update && sudo apt install mountaineer "],
      ["rpm", "sudo dnf upgrade mountaineer "],
      ["brew", "brew upgrade mountaineer"],
    ] as const)
      assert.match(
        await refusal({ bundle: { ...own, tool } }),
        new RegExp(`^${tool} installed.*; ${command}`),
      );
    assert.match(await refusal({ bundle: null }), /^git installed.*git pull && npm ci/);
    const npm = howToUpgrade(null, "/usr/lib/node_modules/mountaineerd/");
    assert.deepEqual(npm, {
      by: "npm",
      command: "npm install --global mountaineerd@latest, then mountaineer restart",
    });
    assert.match(howToUpgrade(own).command, /^mountaineer upgrade FILE/);
    assert.match(await refusal({ bundle: { ...own, current: null } }), /unpacked by hand/);
    assert.match(await refusal({ bundle: { ...own, key: null } }), /knows no key/);
  });

  it("F3 a folder that a person unpacked is separate, even next to a link of that name", async (t) => {
    const apps = await temporaryFolder(t);
    const root = join(apps, "mountaineer-0.1.0-linux-x64");
    await mkdir(root);
    await writeFile(join(root, "bundle.json"), JSON.stringify({ version: "0.1.0", platform: "linux-x64" }));
    await symlink("mountaineer-0.1.0-linux-x64", join(apps, "current"));
    assert.equal(readBundle(root)?.current, null);
  });

  it("F3 records the path that leads to the current version", async (t) => {
    const { base, own } = await scene(await temporaryFolder(t));
    assert.equal(own.current, join(base, "current"));
    const told = JSON.parse(await readFile(join(own.root, "bundle.json"), "utf8")) as object;
    await writeFile(
      join(own.root, "bundle.json"),
      JSON.stringify({ ...told, stable: "/usr/lib/mountaineer/current" }),
    );
    assert.equal(readBundle(own.root)?.current, "/usr/lib/mountaineer/current");
  });
});

describe("versions", () => {
  it("are ordered by their numbers, and a pre-release comes before its release", () => {
    const sorted = ["0.9.0", "0.10.0-rc.2", "0.10.0-rc.10", "0.10.0", "0.10.1", "1.0.0"];
    for (const [index, one] of sorted.entries())
      for (const [other, two] of sorted.entries())
        assert.equal(Math.sign(compareVersions(one, two)), Math.sign(index - other), `${one}, ${two}`);
  });

  it("are read from a signature as signed", () => {
    assert.deepEqual(verifiedRelease(signature(NEXT, "x"), KEY), {
      ...NEXT,
      sha256: createHash("sha256").update("x").digest("hex"),
    });
  });
});
