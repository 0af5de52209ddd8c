// rclone's release, from a loopback server or a file, with a checksum that the test pins.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { installRclone } from "../../src/rclone-release/install.ts";
import { installedRclone } from "../../src/rclone-release/installed.ts";
import { rclonePlatform } from "../../src/rclone-release/releases.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { runCommand } from "../cli/command-line.ts";
import { zipOf } from "../runtime/files/zip.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const OWN = "linux-amd64";
const INSTALL_FILE = join(import.meta.dirname, "programs/install-file.ts");
const { signal: NEVER } = new AbortController();
/** What this checkout has beside it does not count. */
const inHome = (home: string) => installedRclone(home, join(home, "no bundle"));

const saying = (version: string): string => `#!/bin/sh\necho rclone v${version}\n`;
const entryOf = (version: string, platform = OWN): string => `rclone-v${version}-${platform}/rclone`;
const archiveOf = (version: string, content = saying(version)): Buffer =>
  zipOf([
    { name: `rclone-v${version}-${OWN}/README.txt`, content: "read me", isStored: true },
    { name: entryOf(version), content },
  ]);

const releaseOf = (version: string, sums: Record<string, string>, folder = "http://127.0.0.1:1") => ({
  version,
  folder,
  redirectHosts: [] as readonly string[],
  sums,
});

/** A Linux program that prints this version, or a program for another processor. */
function engineOf(version: string, processor = 0x3e): Buffer {
  const words = Buffer.from(`rclone v${version}\n`);
  const program = Buffer.alloc(0x78);
  program.write("\x7fELF\x02\x01\x01", "latin1");
  for (const [at, value] of [
    [16, 2],
    [18, processor],
    [20, 1],
    [52, 64],
    [54, 56],
    [56, 1],
    [64, 1],
    [68, 5],
  ] as const)
    program.writeUInt16LE(value, at);
  for (const [at, value] of [
    [24, 0x400078],
    [32, 64],
    [80, 0x400000],
    [88, 0x400000],
    [96, 0x1000],
    [104, 0x1000],
    [112, 0x1000],
  ] as const)
    program.writeBigUInt64LE(BigInt(value), at);
  // write(1, words, length); exit(0)
  const code = Buffer.from("b801000000bf01000000488d3510000000ba000000000f05b83c00000031ff0f05", "hex");
  code.writeUInt32LE(words.length, 18);
  return Buffer.concat([program, code, words]);
}

/** An archive with another byte, so far behind a signature. */
function altered(name: string, signature: string, offset: number, byte: number): Buffer {
  const archive = zipOf([{ name, content: saying("1.76.0") }]);
  archive[archive.indexOf(signature) + offset] = byte;
  return archive;
}

interface Case {
  readonly version?: string;
  readonly archive?: Buffer;
  /** What comes of it instead. */
  readonly sent?: Buffer;
  readonly atMostBytes?: number;
}

interface World {
  readonly home: string;
  readonly install: (of?: Case) => ReturnType<typeof installRclone>;
  /** What `install` rejects with. */
  readonly refusal: (of: Case) => Promise<MountaineerError>;
}

async function world(t: TestContext): Promise<World> {
  const folder = await temporaryFolder(t);
  const home = join(folder, "home");
  const install = async ({
    version = "1.76.0",
    archive = archiveOf(version),
    sent,
    atMostBytes,
  }: Case = {}) => {
    const file = join(folder, "rclone.zip");
    await writeFile(file, sent ?? archive);
    const release = releaseOf(version, { [OWN]: sha256Of(archive) });
    const limit = atMostBytes === undefined ? {} : { atMostBytes };
    return installRclone({ home, file, signal: NEVER, platform: OWN, release, ...limit });
  };
  return { home, install, refusal: (of) => refusalOf(install(of)) };
}

async function refusalOf(attempt: Promise<unknown>): Promise<MountaineerError> {
  const error = await attempt.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof MountaineerError, String(error));
  assert.equal(error.code, "rclone_refused");
  assert.notEqual(error.hint, null);
  return error;
}

/** A server in place of rclone's; what it was asked for is in `asked`. */
async function serve(t: TestContext, answer: (response: ServerResponse) => void) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address !== "string");
  return { asked, base: `http://127.0.0.1:${address.port}` };
}

describe("an archive that is here", () => {
  it("becomes the home's rclone, for its owner only, and is preferred to the system's", async (t) => {
    const { home, install } = await world(t);
    assert.equal(await inHome(home), null);
    const { program, before } = await install();
    assert.equal(before, null);
    assert.equal(await inHome(home), program);
    assert.equal(await readFile(program, "utf8"), saying("1.76.0"));
    for (const path of [program, join(home, "rclone"), join(home, "rclone/1.76.0")])
      assert.equal((await stat(path)).mode & 0o777, 0o700, path);
    assert.deepEqual((await readdir(join(home, "rclone"))).sort(), ["1.76.0", "current"]);
    assert.deepEqual(await readdir(join(home, "rclone/1.76.0")), ["rclone"], "nothing else is unpacked");
    await mkdir(join(home, "evil"));
    await writeFile(join(home, "evil/rclone"), saying("1.76.0"), { mode: 0o755 });
    for (const version of ["1.99.0", "../evil"]) {
      await writeFile(join(home, "rclone/current"), version);
      assert.equal(await inHome(home), null, version);
    }
  });

  it("leaves the earlier version where it is, for mounts that run it", async (t) => {
    const { home, install } = await world(t);
    const old = await install({ version: "1.75.1" });
    const { before } = await install();
    assert.equal(before, "1.75.1");
    assert.equal(await readFile(old.program, "utf8"), saying("1.75.1"));
    assert.equal(await inHome(home), join(home, "rclone/1.76.0/rclone"));
  });

  it("is refused with the version found and expected unless it is the pinned one, and the old one stays", async (t) => {
    const { home, install, refusal } = await world(t);
    const { program } = await install({ version: "1.75.1" });
    const archive = archiveOf("1.76.0");
    const tampered = Buffer.from(archive);
    tampered[60] = (tampered[60] ?? 0) ^ 1;
    for (const sent of [tampered, archive.subarray(0, archive.length - 30), Buffer.alloc(0)]) {
      const { message, hint } = await refusal({ archive, sent });
      assert.match(message, new RegExp(`found SHA-256 ${sha256Of(sent)}, expected ${sha256Of(archive)}`));
      assert.match(hint ?? "", /nothing was changed; take http:.*\/rclone-v1\.76\.0-linux-amd64\.zip/);
    }
    assert.match((await refusal({ archive, atMostBytes: 100 })).message, /longer than 100 bytes/);
    assert.equal(await inHome(home), program);
    assert.deepEqual((await readdir(join(home, "rclone"))).sort(), ["1.75.1", "current"]);
  });

  it("of another platform, or one without a pin, is reported as that", async (t) => {
    const folder = await temporaryFolder(t);
    const [file, home] = [join(folder, "rclone.zip"), join(folder, "home")];
    await writeFile(file, "of a Mac");
    const sums = { [OWN]: sha256Of("of Linux"), "osx-arm64": sha256Of("of a Mac") };
    const from = (platform: string | null) =>
      refusalOf(installRclone({ home, file, signal: NEVER, platform, release: releaseOf("1.76.0", sums) }));
    assert.match((await from(OWN)).message, /which is that of rclone-v1\.76\.0-osx-arm64\.zip, expected/);
    assert.match((await from("linux-386")).message, /pins no checksum of rclone-v1\.76\.0-linux-386\.zip/);
    assert.match((await from(null)).message, /no rclone is known for/);
    assert.deepEqual(await readdir(folder), ["rclone.zip"]);
    assert.equal(rclonePlatform("linux", "x64"), OWN);
    assert.equal(rclonePlatform("darwin", "arm64"), "osx-arm64");
    assert.equal(rclonePlatform("win32", "x64"), null);
    assert.equal(rclonePlatform("linux", "s390x"), null);
  });

  it("writes nothing outside of its folder, whatever names it contains", async (t) => {
    const { home, refusal, install } = await world(t);
    const names = ["../../rclone", "/tmp/rclone", `rclone-v1.76.0-${OWN}/../../../rclone`, "rclone"];
    const hostile = names.map((name) => ({ name, content: saying("1.76.0") }));
    assert.match(
      (await refusal({ archive: zipOf(hostile) })).message,
      /has no rclone-v1\.76\.0-linux-amd64\/rclone/,
    );
    const { program } = await install({
      archive: zipOf([...hostile, { name: entryOf("1.76.0"), content: saying("1.76.0") }]),
    });
    assert.deepEqual(await readdir(join(home, "..")), ["home", "rclone.zip"]);
    assert.deepEqual(await readdir(home), ["rclone"]);
    assert.deepEqual(await readdir(join(program, "..")), ["rclone"]);
  });

  it("that cannot be unpacked is refused also when it is pinned", async (t) => {
    const { home, refusal } = await world(t);
    const name = entryOf("1.76.0");
    const broken: readonly (readonly [Buffer, RegExp])[] = [
      [Buffer.from("no archive"), /not a zip archive/],
      [
        zipOf([{ name, content: saying("1.76.0"), saidBytes: 5 }]),
        /cannot be unpacked: .*larger than 6 bytes/,
      ],
      [altered(name, "PK\x01\x02", 8, 1), /encrypted, or compressed by an unknown method/],
      [altered(name, "PK\x03\x04", 0, 0), /directory is broken/],
      [zipOf([{ name, content: "short", saidBytes: 500 }]), /has 5 bytes, not 500/],
      [zipOf([{ name, content: "huge", saidBytes: 2 ** 31 }]), /too large: 2147483648 bytes/],
      [archiveOf("1.76.0").subarray(20), /directory is broken|out of range/],
    ];
    for (const [archive, why] of broken) assert.match((await refusal({ archive })).message, why);
    await assert.rejects(stat(home));
  });

  it("is refused when its program does not run here, or is another version", async (t) => {
    const { home, install, refusal } = await world(t);
    await install({ version: "1.75.1" });
    const other = await refusal({ archive: archiveOf("1.76.0", saying("1.60.1")) });
    assert.match(other.message, /found "rclone v1\.60\.1", expected "rclone v1\.76\.0"/);
    const foreign = await refusal({ archive: archiveOf("1.76.0", "\x7fELF of another machine") });
    assert.match(foreign.message, /does not run here: found/);
    assert.equal(await inHome(home), join(home, "rclone/1.75.1/rclone"));
    assert.deepEqual((await readdir(join(home, "rclone"))).sort(), ["1.75.1", "current"]);
    await refusal({ version: "1.75.1", archive: archiveOf("1.75.1", "#!/bin/sh\nexit 1\n") });
    assert.equal(await inHome(home), join(home, "rclone/1.75.1/rclone"), "what is in use stays");
    const file = join(home, "../rclone.zip");
    const release = releaseOf("1.76.0", { [OWN]: sha256Of(await readFile(file)) });
    const signal = AbortSignal.abort(new Error("stopped"));
    await assert.rejects(installRclone({ home, file, signal, platform: OWN, release }), {
      message: "stopped",
    });
  });

  it("leaves the old one in use when it is killed in the middle, and is installed by the next try", async (t) => {
    const { home, install } = await world(t);
    const { program: old } = await install({ version: "1.75.1" });
    const marker = join(home, "stop-here");
    await writeFile(marker, "");
    // Unpacked and asked for its version: it waits there, until it is killed with the one that asked.
    const script = `#!/bin/sh\n[ -e ${marker} ] && echo $$ >${marker}.pid && exec sleep 60\necho rclone v1.76.0\n`;
    const archive = archiveOf("1.76.0", script);
    const file = join(home, "rclone.zip");
    await writeFile(file, archive);
    const child = spawn(process.execPath, [INSTALL_FILE, home, file, "1.76.0", OWN, sha256Of(archive)]);
    t.after(() => child.kill("SIGKILL"));
    const pid = await eventually(
      async () => Number(await readFile(`${marker}.pid`, "utf8").catch(() => "")) || null,
    );
    child.kill("SIGKILL");
    await once(child, "exit");
    process.kill(Number(pid), "SIGKILL");
    assert.equal(await inHome(home), old);
    await rm(marker);
    const { program } = await install({ archive });
    assert.equal(await inHome(home), program);
    assert.equal(await readFile(program, "utf8"), script);
  });
});

describe("an archive that is downloaded", () => {
  const release = (archive: Buffer, base: string) =>
    releaseOf("1.76.0", { [OWN]: sha256Of(archive) }, `${base}/v1.76.0`);

  it("is requested once, where rclone publishes it", async (t) => {
    const archive = archiveOf("1.76.0");
    const { base, asked } = await serve(t, (response) => response.end(archive));
    const home = await temporaryFolder(t);
    const options = { home, file: null, signal: NEVER, platform: OWN, release: release(archive, base) };
    const { program } = await installRclone(options);
    assert.equal(await inHome(home), program);
    assert.deepEqual(asked, ["/v1.76.0/rclone-v1.76.0-linux-amd64.zip"]);
  });

  it("is not requested when nothing is pinned", async (t) => {
    const { base, asked } = await serve(t, (response) => response.end("anything"));
    const home = await temporaryFolder(t);
    const options = { home, file: null, signal: NEVER, platform: OWN };
    await refusalOf(installRclone({ ...options, release: releaseOf("1.76.0", {}, base) }));
    assert.deepEqual(asked, []);
  });

  it("is given up when it is too large, late, cut off, redirected or missing, and nothing is left", async (t) => {
    const archive = archiveOf("1.76.0");
    const cases: readonly (readonly [(response: ServerResponse) => void, RegExp])[] = [
      [(response) => response.end(Buffer.alloc(5_000)), /longer than 4000 bytes/],
      [(response) => response.write("the beginning"), /not complete within 0\.3 s/],
      [
        (response) => {
          response.writeHead(200, { "content-length": archive.length }).write(archive.subarray(0, 50));
          setImmediate(() => response.destroy());
        },
        /cannot download/,
      ],
      [
        (response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
        /redirects to http:\/\/127\.0\.0\.1:1, which is not an expected host/,
      ],
      [(response) => response.writeHead(404).end(), /status 404/],
    ];
    for (const [answer, why] of cases) {
      const { base } = await serve(t, answer);
      const home = await temporaryFolder(t);
      // Only what never comes is waited for so briefly.
      const withinMs = why.source.includes("within") ? 300 : 60_000;
      const options = { home, file: null, signal: NEVER, platform: OWN, withinMs, atMostBytes: 4_000 };
      const refusal = await refusalOf(installRclone({ ...options, release: release(archive, base) }));
      assert.match(refusal.message, why);
      assert.deepEqual(await readdir(home), []);
    }
  });

  it("is given up with its signal", async (t) => {
    const controller = new AbortController();
    const archive = archiveOf("1.76.0");
    const { base } = await serve(t, (response) => {
      response.write("the beginning");
      controller.abort(new MountaineerError("aborted", "enough"));
    });
    const options = {
      home: await temporaryFolder(t),
      file: null,
      signal: controller.signal,
      platform: OWN,
      release: release(archive, base),
    };
    await assert.rejects(installRclone(options), { code: "aborted" });
  });

  it("is fetched through its allowed hosts, a few times at most", async (t) => {
    const archive = archiveOf("1.76.0");
    const { base: far, asked } = await serve(t, (response) => response.end(archive));
    const { base } = await serve(t, (response) => response.writeHead(302, { location: `${far}/kept` }).end());
    const home = await temporaryFolder(t);
    const from = (redirectHosts: readonly string[], address = base) => ({
      ...{ home, file: null, signal: NEVER, platform: OWN },
      release: { ...release(archive, address), redirectHosts },
    });
    const host = new URL(far).host;
    for (const others of [[], ["127.0.0.1"], [new URL(base).host]])
      assert.match((await refusalOf(installRclone(from(others)))).message, /which is not an expected host/);
    assert.deepEqual(asked, []);
    await installRclone(from([host]));
    assert.deepEqual(asked, ["/kept"]);
    const round = await serve(t, (response) => response.writeHead(302, { location: "/again" }).end());
    const there = from([new URL(round.base).host], round.base);
    assert.match((await refusalOf(installRclone(there))).message, /more than 5 redirects/);
  });
});

describe("an engine in a file", { skip: process.arch !== "x64" || process.platform !== "linux" }, () => {
  const version = "1.76.0-mountaineer.3";
  const release = releaseOf("1.75.1", { [OWN]: sha256Of("the official archive") });
  const named = async (t: TestContext, name: string, content: Buffer) => {
    const folder = await temporaryFolder(t);
    const [home, file] = [join(folder, "home"), join(folder, name)];
    await writeFile(file, content);
    return { home, install: () => installRclone({ home, file, signal: NEVER, platform: OWN, release }) };
  };

  it("is installed, whether it is the program or an archive, and whatever name the file has", async (t) => {
    const program = engineOf(version);
    const archive = zipOf([
      { name: "mountaineer/README.md", content: "read me" },
      { name: "mountaineer/rclone/version", content: version },
      { name: "mountaineer/rclone/rclone", content: program },
    ]);
    for (const [name, content] of [
      ["rclone", program],
      ["rclone.zip", program],
      ["engine.zip", archive],
      ["engine", archive],
    ] as const) {
      const { home, install } = await named(t, name, content);
      const installed = await install();
      assert.equal(installed.version, version, name);
      assert.equal(await inHome(home), installed.program);
      assert.deepEqual(await readFile(installed.program), program);
      assert.deepEqual((await readdir(join(home, "rclone"))).sort(), [version, "current"]);
    }
  });

  it("is the only program accepted without a pinned checksum, and nothing else is started", async (t) => {
    const marker = join(await temporaryFolder(t), "started");
    // A system gives what it cannot run to the shell.
    const script = `\ntouch ${marker}\necho rclone v${version}\n`;
    const engine = engineOf(version);
    for (const [name, content] of Object.entries({
      "another's build": engineOf("1.76.0"),
      "another processor's": Buffer.concat([engineOf(version, 0xb7), Buffer.from(script)]),
      "a Mac's": Buffer.concat([Buffer.from("cffaedfe07000001", "hex"), Buffer.from(script)]),
      "a script": Buffer.from(`#!/bin/sh${script}`),
      "an archive that reads as a script": Buffer.concat([Buffer.from("PK\x03\x04"), Buffer.from(script)]),
      "an archive of scripts": zipOf([{ name: "rclone", content: script }]),
      "an archive of two": zipOf([
        { name: "a/rclone", content: engine },
        { name: "b/rclone", content: engine },
      ]),
      "an archive of none": zipOf([{ name: "rclone.exe", content: engine }]),
      nothing: Buffer.alloc(0),
    })) {
      const { home, install } = await named(t, "rclone", content);
      const { message, hint } = await refusalOf(install());
      assert.match(message, /is not the release of rclone 1\.75\.1 for linux-amd64: found SHA-256/, name);
      assert.match(hint ?? "", /nothing was changed; .*npm run engine/, name);
      assert.equal(await stat(home).catch(() => null), null, name);
    }
    assert.equal(await stat(marker).catch(() => null), null);
  });

  it("that does not report an engine's version is refused, and the earlier one stays", async (t) => {
    const { home, install } = await named(t, "rclone", engineOf(version));
    await install();
    const lying = Buffer.concat([engineOf("1.76.0"), Buffer.from(version)]);
    const file = join(home, "lying");
    await writeFile(file, lying);
    const refusal = await refusalOf(installRclone({ home, file, signal: NEVER, platform: OWN, release }));
    assert.match(refusal.message, /found "rclone v1\.76\.0", expected the version of Mountaineer's own/);
    assert.equal(await inHome(home), join(home, "rclone", version, "rclone"));
    assert.deepEqual((await readdir(join(home, "rclone"))).sort(), [version, "current"]);
  });
});

describe("of several", () => {
  it("the newest engine is used, of others the home's, and MOUNTAINEER_RCLONE before all", async (t) => {
    const { home, install } = await world(t);
    const bundle = join(home, "../bundle");
    await mkdir(bundle);
    const beside = join(bundle, "rclone");
    await writeFile(beside, "", { mode: 0o755 });
    const chosen = async (inBundle: string): Promise<string | null> => {
      await writeFile(join(bundle, "version"), `${inBundle}\n`);
      return installedRclone(home, bundle);
    };
    assert.equal(await chosen(""), beside, "the home has none");
    for (const [version, inBundle, isBundles] of [
      ["1.75.1", "", false],
      ["1.99.0", "1.76.0-mountaineer.1", true],
      ["1.76.0-mountaineer.1", "1.76.0-mountaineer.1", false],
      ["1.77.0-mountaineer.9", "1.76.0-mountaineer.10", true],
      ["1.76.0-mountaineer.10", "1.77.0-mountaineer.9", false],
      ["1.76.0-mountaineer.1", "", false],
    ] as const) {
      const { program } = await install({ version });
      assert.equal(await chosen(inBundle), isBundles ? beside : program, `${version}, ${inBundle}`);
    }
    await rm(join(bundle, "version"));
    assert.notEqual(
      await installedRclone(home, bundle),
      beside,
      "a bundle of before the engine has no such file",
    );
    t.after(() => {
      delete process.env["MOUNTAINEER_RCLONE"];
    });
    for (const [named, expected] of [
      ["/opt/rclone", "/opt/rclone"],
      ["rclone", null],
    ] as const) {
      process.env["MOUNTAINEER_RCLONE"] = named;
      assert.equal(await chosen("1.76.0-mountaineer.99"), expected);
    }
  });
});

it("the command refuses a file that is not rclone's release, and the home then has no rclone", async (t) => {
  const home = await temporaryFolder(t);
  await writeFile(join(home, "other.zip"), "something else");
  const { code, stderr } = await runCommand(["rclone", "install", join(home, "other.zip")], { home });
  assert.equal(code, 1);
  assert.match(stderr, /is not the release of rclone/);
  assert.deepEqual(await readdir(home), ["other.zip"]);
});
