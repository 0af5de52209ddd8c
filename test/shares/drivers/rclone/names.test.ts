// Names on real SMB servers, one that folds case and one that does not: both ways, both twins, dots, odd characters.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { type PlainRig, startPlainRig } from "../../../../src/demo/stage/plain-rig.ts";
import { startHostProbe } from "../../../../src/network/probe/host-probe.ts";
import { rcloneProgram } from "../../../../src/rclone-release/installed.ts";
import { readRcloneVersion } from "../../../../src/rclone-release/rclone-version.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { runCommand } from "../../../../src/runtime/process/child-process.ts";
import { findProgram } from "../../../../src/runtime/process/find-program.ts";
import { systemClock } from "../../../../src/runtime/time/clock.ts";
import { whyNotForOthers } from "../../../../src/shares/drivers/fuse.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { createRcloneDriver } from "../../../../src/shares/drivers/rclone/rclone.ts";
import { rcloneCan } from "../../../../src/shares/drivers/rclone/version.ts";
import { UNKNOWN_CASE_FOLDING } from "../../../../src/shares/drivers/share-files.ts";
import { createMountTable } from "../../../../src/shares/mounts/mount-table.ts";
import { createKnownServers } from "../../../../src/shares/server-proof/known-servers.ts";
import { createServerProofs } from "../../../../src/shares/server-proof/server-proofs.ts";
import type { ShareSpec } from "../../../../src/shares/share-spec.ts";
import { eventually } from "../../../support/eventually.ts";
import { fileProber } from "../../../support/file-prober.ts";
import { preferSystemRclone } from "../../../support/system-rclone.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { PATH_FOLDERS } from "../../server-proof/two-servers.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";
import { found, limits } from "../driver-contract.ts";
import { noSkip } from "./bench.ts";

const proberOfFile = fileProber({ clock: systemClock, logger: noopLogger, checkDeadlineMs: 5_000 });
const KINDS = { folds: [], exact: ["case sensitive = yes"] } as const;
type Kind = keyof typeof KINDS;
const NFC = "caf\u00e9";
const NFD = "cafe\u0301";
const rclone = await rcloneProgram("/nowhere");
const version = await readRcloneVersion(systemClock, rclone);
/** Whether this rclone keeps dots at the end of names: 1.60 makes an odd folder in the root if it is told to. */
const DOTS = rcloneCan(version, "encodesDots");
/** Its tests mostly wait: rclone sends what was written after a second, and an old one after three. */
/** A call on a mount takes one of the four threads that this process has for files; one stays free for everything else. */
const MOSTLY_WAITS = { ...noSkip, concurrency: 3 };
const SHARES = Array.from({ length: MOSTLY_WAITS.concurrency }, (_, index) => `names-${index}`);
const rigs = new Map<Kind, { readonly rig: PlainRig; readonly free: string[] }>();

before(async () => {
  if (noSkip.skip !== false) return;
  for (const kind of ["folds", "exact"] as const)
    rigs.set(kind, {
      rig: await startPlainRig({ shares: SHARES, settings: KINDS[kind] }),
      free: [...SHARES],
    });
});
after(async () => {
  for (const { rig } of rigs.values()) await rig[Symbol.asyncDispose]();
});

/** A home, a proof and a driver beside the server's own disk; as new, and nothing is left. */
async function startNames(t: TestContext, kind: Kind, programs?: readonly string[]) {
  const { rig, free } = rigs.get(kind) ?? assert.fail();
  const name = free.pop() ?? assert.fail();
  const disk = rig.exportPath(name);
  for (const entry of await readdir(disk)) await rm(join(disk, entry), { recursive: true });
  const folder = await temporaryFolder(t);
  // Other users of this machine may come as far as the mount.
  await chmod(folder, 0o755);
  const stateFolder = join(folder, "home");
  const prober = proberOfFile();
  const mountTable = createMountTable({ clock: systemClock });
  const kept = { clock: systemClock, logger: noopLogger, stateFolder };
  const fresh = () => createRcloneDriver({ ...kept, prober, mountTable, addressesOf: () => [] });
  const driver = fresh();
  const routes = {
    tb: routeTo(rig.tbHost, { port: rig.tbPort }),
    fallback: routeTo(rig.fallbackHost, { port: rig.fallbackPort }),
  };
  const { username, password } = rig;
  const share = shareSpec({ folder, name, username, password, routes });
  const only =
    programs &&
    (await Promise.all(programs.map(async (name) => [name, await findProgram(name, PATH_FOLDERS)])));
  if (only !== undefined) preferSystemRclone(t);
  const bin = join(folder, "bin");
  for (const [name, path] of only ?? []) {
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, name ?? ""), `#!/bin/sh\nexec ${path} "$@"\n`, { mode: 0o755 });
  }
  const proof = createServerProofs({
    ...kept,
    ...(only === undefined ? {} : { programFolders: () => [bin] }),
  });
  const unmount = async (): Promise<void> => {
    for (const mount of await found(driver, share))
      assert.deepEqual(await driver.unmount(share, mount, "force", limits()), { ok: true });
  };
  return {
    ...{ rig, disk, driver, fresh, share, stateFolder, unmount },
    async [Symbol.asyncDispose]() {
      await unmount();
      free.push(name);
    },
    /** Proves the server over both routes, or over the one in use: its id, and whether it folds. */
    async prove(expected?: { readonly server: string }) {
      const endpoint = async (route: "tb" | "fallback") => {
        const { host, port } = routes[route];
        const address = host ?? "";
        const { serverGuid } = await startHostProbe(
          systemClock,
          { address, port, localAddress: null },
          60_000,
        ).finding;
        return { address, port, localAddress: null, serverGuid };
      };
      const endpoints = { tb: await endpoint("tb"), fallback: await endpoint("fallback") };
      const { signal } = new AbortController();
      const verdict = await (expected === undefined
        ? proof.compare(share, endpoints, null, () => true, signal)
        : proof.recognise(share, "tb", endpoints.tb, expected, signal));
      assert.ok(verdict.kind === "same", JSON.stringify(verdict));
      const [one] = (await createKnownServers(stateFolder).list(share)).filter(
        ({ id }) => id === verdict.server,
      );
      return { server: verdict.server, folding: one?.witness?.folding };
    },
    async mount(server?: string, spec: ShareSpec = share) {
      const outcome = await driver.mount(spec, "tb", limits(), null, server);
      assert.ok(outcome.ok, outcome.ok ? "" : outcome.text);
      return outcome.mount;
    },
    /** Until all that was written is on the server. */
    sent: () => eventually(async () => (await driver.unsent(share)).length === 0),
  };
}

/** The name of what an operation failed with, else what it gave. */
async function told(act: Promise<unknown>): Promise<string> {
  try {
    return String((await act) ?? "ok");
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}

const exclusive = async (path: string): Promise<void> => {
  await using file = await open(path, "wx");
  await file.write("new");
};

/** The contents of a folder's files by name; a folder has none. */
async function contents(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true });
  const all = entries.map(async (one) => [
    one.name,
    one.isDirectory() ? "/" : await readFile(join(folder, one.name), "utf8"),
  ]);
  return Object.fromEntries(await Promise.all(all));
}

type Result = readonly [told: string, onServer: Readonly<Record<string, string>>];
interface Row {
  /** On the server before; "/": a folder. */
  readonly there: Readonly<Record<string, string>>;
  readonly act: (at: (name: string) => string) => Promise<unknown>;
  readonly folds: Result;
  readonly exact: Result;
}

/** As vim does. An old rclone keeps the first spelling as well, and the create fails. */
const SAVE: Readonly<Record<string, Row>> = {
  "a save by way of a backup, under another spelling": {
    there: { "README.md": "old" },
    act: async (at) => {
      await rename(at("readme.md"), at("readme.md~"));
      await exclusive(at("readme.md"));
      await rm(at("readme.md~"));
    },
    folds: ["ok", { "readme.md": "new" }],
    exact: ["ENOENT", { "README.md": "old" }],
  },
};

/** Both servers keep Unicode forms apart. What a row shows for "folds" by case alone is what rclone cannot do. */
const ROWS: Readonly<Record<string, Row>> = {
  ...(typeof version?.engine === "number" ? SAVE : {}),
  "an exclusive create beside another spelling": {
    there: { "README.md": "old" },
    act: (at) => exclusive(at("readme.md")),
    folds: ["EEXIST", { "README.md": "old" }],
    exact: ["ok", { "README.md": "old", "readme.md": "new" }],
  },
  "a folder beside another spelling": {
    there: { Dir: "/" },
    act: (at) => mkdir(at("dir")),
    folds: ["EEXIST", { Dir: "/" }],
    exact: ["ok", { Dir: "/", dir: "/" }],
  },
  "a write to another spelling": {
    there: { Makefile: "old" },
    act: (at) => writeFile(at("makefile"), "new"),
    folds: ["ok", { Makefile: "new" }],
    exact: ["ok", { Makefile: "old", makefile: "new" }],
  },
  "a read of another spelling": {
    there: { Photo: "old" },
    act: (at) => readFile(at("PHOTO"), "utf8"),
    folds: ["old", { Photo: "old" }],
    exact: ["ENOENT", { Photo: "old" }],
  },
  "the removal of another spelling": {
    there: { Photo: "old" },
    act: (at) => rm(at("PHOTO")),
    folds: ["ok", {}],
    exact: ["ENOENT", { Photo: "old" }],
  },
  "a file renamed onto another spelling of a second": {
    there: { File: "old", other: "new" },
    act: (at) => rename(at("other"), at("file")),
    folds: ["ok", { File: "new" }],
    exact: ["ok", { File: "old", file: "new" }],
  },
  "a file renamed by case alone": {
    there: { Case: "old" },
    act: (at) => rename(at("Case"), at("case")),
    folds: ["ok", { Case: "old" }],
    exact: ["ok", { case: "old" }],
  },
  "a folder renamed by case alone": {
    there: { Dir: "/" },
    act: (at) => rename(at("Dir"), at("DIR")),
    folds: ["ok", { Dir: "/" }],
    exact: ["ok", { DIR: "/" }],
  },
  "a file renamed by case in two steps": {
    there: { Case: "old" },
    act: async (at) => {
      await rename(at("Case"), at("between"));
      await rename(at("between"), at("case"));
    },
    folds: ["ok", { case: "old" }],
    exact: ["ok", { case: "old" }],
  },
  "a write where both twins are": {
    there: { Makefile: "upper", makefile: "lower" },
    act: (at) => writeFile(at("makefile"), "new"),
    folds: ["ok", { Makefile: "upper", makefile: "new" }],
    exact: ["ok", { Makefile: "upper", makefile: "new" }],
  },
  "a third spelling where both twins are": {
    there: { Makefile: "upper", makefile: "lower" },
    act: (at) => readFile(at("MAKEFILE"), "utf8"),
    folds: ["EIO", { Makefile: "upper", makefile: "lower" }],
    exact: ["ENOENT", { Makefile: "upper", makefile: "lower" }],
  },
  "a file read by another spelling, renamed at once, and that spelling written": {
    there: { "READ.me": "old" },
    act: async (at) => {
      await readFile(at("read.ME"));
      await rename(at("READ.me"), at("kept"));
      await writeFile(at("read.ME"), "new");
    },
    folds: ["ok", { kept: "old", "read.ME": "new" }],
    exact: ["ENOENT", { "READ.me": "old" }],
  },
  "an exclusive create of NFD beside NFC": {
    there: { [NFC]: "composed" },
    act: (at) => exclusive(at(NFD)),
    folds: ["ok", { [NFC]: "composed", [NFD]: "new" }],
    exact: ["ok", { [NFC]: "composed", [NFD]: "new" }],
  },
  "an exclusive create of NFC beside NFD": {
    there: { [NFD]: "decomposed" },
    act: (at) => exclusive(at(NFC)),
    folds: ["ok", { [NFD]: "decomposed", [NFC]: "new" }],
    exact: ["ok", { [NFD]: "decomposed", [NFC]: "new" }],
  },
  "a write where NFC and NFD are": {
    there: { [NFC]: "composed", [NFD]: "decomposed" },
    act: (at) => writeFile(at(NFD), "new"),
    folds: ["ok", { [NFC]: "composed", [NFD]: "new" }],
    exact: ["ok", { [NFC]: "composed", [NFD]: "new" }],
  },
};

describe("how a server is found to fold", noSkip, () => {
  const PROOFS = [
    ["rclone alone", ["rclone"], ["Music"]],
    ["smbclient alone", ["smbclient"], ["Music"]],
    ["both programs, files and folders", ["rclone", "smbclient"], ["readme.txt", "Music"]],
  ] as const;
  for (const [what, programs, names] of PROOFS) {
    for (const kind of ["folds", "exact"] as const) {
      it(`A16 ${what} find out by reading whether a server ${kind === "folds" ? "folds" : "does not fold"}`, async (t) => {
        await using bench = await startNames(t, kind, programs);
        for (const name of names) await mkdir(join(bench.disk, name));
        const before = await readdir(bench.disk);
        assert.deepEqual((await bench.prove()).folding, { case: kind === "folds", form: null });
        assert.deepEqual(await readdir(bench.disk), before);
      });
    }
  }

  it("A16 an entry that is removed during its lookup proves nothing", async (t) => {
    await using bench = await startNames(t, "folds", ["rclone"]);
    const music = join(bench.disk, "Music");
    await mkdir(music);
    const program = join(bench.stateFolder, "..", "bin", "rclone");
    const [start, run] = (await readFile(program, "utf8")).split("\n");
    const removal = `case "$*" in *mUSIC*) rmdir '${music}';; esac`;
    await writeFile(program, [start, removal, run, ""].join("\n"));
    assert.deepEqual((await bench.prove()).folding, UNKNOWN_CASE_FOLDING);
  });
});

/**
 * Names as a program writes them, how they stand on the server (other clients see that spelling), and how they come
 * back; absent: as they were written.
 */
const WRITTEN: readonly (readonly [name: string, onServer: string, back?: string])[] = [
  ...(DOTS
    ? ([
        ["R.E.M.", "R.E.M．"],
        ["three...", "three..．"],
        ["blank and dot .", "blank and dot ．"],
        ["wide．", "wide‛．"],
      ] as const)
    : ([
        ["R.E.M.", "R.E.M.", "RP85G1~P"],
        ["three...", "three...", "TOW4LY~Z"],
        ["blank and dot .", "blank and dot .", "BL4SG1~5"],
        ["wide．", "wide．"],
      ] as const)),
  ["blank at the end ", "blank at the end␠"],
  ['<>:"|?*', "＜＞：＂｜？＊"],
  ["back\\slash", "back＼slash"],
  ["wide：", "wide‛："],
  ["symbol␠", "symbol‛␠"],
  ...[".hidden", " blank before", "~$draft.doc", "100%", "RP85G1~P", "wide．inside", NFC, NFD].map(same),
  // U+F022 and U+F029 stand for a colon and a dot at the end on other systems' clients.
  ...["emoji 🎵", "mixed Ω Ж ß İ", "end\uF029", "in\uF022side"].map(same),
  ["\u007f", "\u007f", "␡"],
  ["tab\tnewline\n", "tab␉newline␊", "tab␉newline␊"],
  ["\u0001\u001f", "␁␟", "␁␟"],
  ["quote‛", "quote‛‛", "quote‛‛"],
  ["CON", "CON", "CSHOFG~F"],
  ["aux.txt", "aux.txt", "AHY9U3~9.TXT"],
];

/** Names that other clients put on the server, and what a program sees. */
const FOUND: readonly (readonly [onServer: string, name: string])[] = [
  ["R.E.M.", "RP85G1~P"],
  ["R.E.M．", DOTS ? "R.E.M." : "R.E.M．"],
  ["R.E.M\uF029", "R.E.M\uF029"],
  ["R.E.M", "R.E.M"],
  ["a:b", "A4WTMA~A"],
  ["a：b", "a:b"],
  ["a\uF022b", "a\uF022b"],
  ["blank ", "BNDQOI~B"],
  ["blank␠", "blank "],
  ["back\\slash", "BAYTAM~F"],
  ["CON", "CSHOFG~F"],
  ["aux.txt", "AHY9U3~9.TXT"],
  ["PROGRA~1", "PROGRA~1"],
];

function same(name: string): readonly [string, string] {
  return [name, name];
}

/** What `rclone.conf` of an earlier version said. */
const EARLIER_ENCODING = /,RightPeriod/;

describe("spellings and odd names", MOSTLY_WAITS, () => {
  for (const kind of ["folds", "exact"] as const) {
    it(`A16 no spelling of a name destroys another file on a server that ${kind === "folds" ? "folds case" : "tells case apart"}`, async (t) => {
      await using bench = await startNames(t, kind);
      await writeFile(join(bench.disk, `Known ${NFC}`), "a file that nobody changes");
      const { server, folding } = await bench.prove();
      assert.deepEqual(folding, { case: kind === "folds", form: false });
      const rows = Object.entries(ROWS).map(([what, row], index) => ({ what, row, at: `row ${index}` }));
      for (const { row, at } of rows) {
        await mkdir(join(bench.disk, at));
        for (const [name, content] of Object.entries(row.there)) {
          const path = join(bench.disk, at, name);
          await (content === "/" ? mkdir(path) : writeFile(path, content));
        }
      }
      await bench.mount(server);
      const seen: Record<string, unknown> = {};
      for (const { what, row, at } of rows)
        seen[what] = [await told(row.act((name) => join(bench.share.mountPath, at, name)))];
      await bench.sent();
      for (const { what, at } of rows)
        seen[what] = [...(seen[what] as string[]), await contents(join(bench.disk, at))];
      assert.deepEqual(seen, Object.fromEntries(rows.map(({ what, row }) => [what, row[kind]])));
    });
  }

  for (const kind of ["folds", "exact"] as const) {
    it(`A16 a server whose settings have since changed is found to ${kind === "folds" ? "fold" : "tell case apart"}, even over one route`, async (t) => {
      await using bench = await startNames(t, kind);
      await mkdir(join(bench.disk, "Music"));
      const { server } = await bench.prove();
      const known = createKnownServers(bench.stateFolder);
      const [before] = await known.list(bench.share);
      assert.ok(before?.witness);
      const otherwise = { case: kind !== "folds", form: null };
      await known.keep(bench.share, { ...before, witness: { ...before.witness, folding: otherwise } });
      assert.deepEqual((await bench.prove({ server })).folding, { case: kind === "folds", form: null });
    });
  }

  const UNKNOWN = [
    ["nothing but digits", ["2024", "日本"]],
    ["both spellings", ["Notes", "nOTES"]],
    ["a short name for another", ["R.E.M."]],
  ] as const;
  for (const [what, names] of UNKNOWN) {
    it(`A16 a root with ${what} proves nothing, so an exclusive create next to a twin is refused, and a later entry is checked`, async (t) => {
      await using bench = await startNames(t, "exact");
      for (const name of names) await mkdir(join(bench.disk, name));
      const { server, folding } = await bench.prove();
      assert.deepEqual(folding, UNKNOWN_CASE_FOLDING);
      await bench.mount(server);
      const at = (name: string): string => join(bench.share.mountPath, name);
      await writeFile(at("Report"), "old");
      assert.deepEqual(
        [await told(exclusive(at("report"))), await told(mkdir(at("REPORT")))],
        ["EEXIST", "EEXIST"],
      );
      await bench.sent();
      const [mount] = await found(bench.driver, bench.share);
      assert.equal(mount?.outdated, undefined);
      assert.equal((await bench.prove()).folding?.case, false);
      const [now] = await found(bench.driver, bench.share);
      assert.deepEqual([now?.id, now?.outdated], [mount?.id, true], "it is remounted once nothing is open");
      await bench.unmount();
      const anew = await bench.mount(server);
      assert.equal(anew.outdated, undefined);
      await exclusive(at("report"));
      await bench.sent();
      assert.deepEqual([await readFile(join(bench.disk, "Report"), "utf8")], ["old"]);
    });
  }

  for (const kind of ["folds", "exact"] as const) {
    it(`A16 a name written to a server that ${kind === "folds" ? "folds case" : "tells case apart"} reads back unchanged, including a trailing dot, or as the table says`, async (t) => {
      await using bench = await startNames(t, kind);
      await writeFile(join(bench.disk, NFC), "");
      const { server } = await bench.prove();
      await rm(join(bench.disk, NFC));
      await bench.mount(server);
      const at = (folder: string, index: number, name = ""): string => join(folder, `${index}`, name);
      for (const [index, [name]] of WRITTEN.entries()) {
        await mkdir(at(bench.share.mountPath, index));
        await writeFile(at(bench.share.mountPath, index, name), name);
        await mkdir(join(at(bench.share.mountPath, index, "in"), name), { recursive: true });
      }
      await bench.sent();
      await bench.unmount();
      await bench.mount(server);
      for (const [index, [name, onServer, back = name]] of WRITTEN.entries()) {
        const listed = async (root: string): Promise<readonly string[]> => [
          ...(await readdir(at(root, index))).filter((one) => one !== "in"),
          ...(await readdir(at(root, index, "in"))),
        ];
        assert.deepEqual(await listed(bench.share.mountPath), [back, back]);
        assert.deepEqual(await listed(bench.disk), [onServer, onServer]);
      }
      assert.deepEqual((await readdir(bench.disk)).length, WRITTEN.length, "no odd folder is in the root");
    });
  }

  it("A16 names that other clients made are shown as the table says, and one in the place of another is renamed through the mount", async (t) => {
    await using bench = await startNames(t, "folds");
    for (const [index, [name]] of FOUND.entries()) {
      await mkdir(join(bench.disk, `${index}`, name), { recursive: true });
      await writeFile(join(bench.disk, `${index}`, name, "song"), name);
    }
    await bench.mount();
    const shown = (index: number): string => join(bench.share.mountPath, `${index}`);
    for (const [index, [, name]] of FOUND.entries()) {
      assert.deepEqual(await readdir(shown(index)), [name]);
      assert.deepEqual(await readdir(join(shown(index), name)), ["song"]);
    }
    await rename(join(shown(0), "RP85G1~P"), join(shown(0), "between"));
    await rename(join(shown(0), "between"), join(shown(0), "R.E.M."));
    const now = DOTS ? "R.E.M．" : "R.E.M.";
    await eventually(async () => (await readdir(join(bench.disk, "0")))[0] === now);
    assert.equal(await readFile(join(bench.disk, "0", now, "song"), "utf8"), "R.E.M.");
  });

  it("A11 unsent files with the earlier spelling of names are sent with today's, and the earlier mount is outdated", async (t) => {
    await using bench = await startNames(t, "folds");
    const { share, driver } = bench;
    const files = rcloneFiles(bench.stateFolder, share.name);
    const mount = await bench.mount();
    const [pid] = await driver.ownProcesses(share, mount);
    assert.ok(pid);
    // The rclone of an earlier version in its place: with other options, and without a word of them in the note.
    const config = await readFile(files.config, "utf8");
    const args = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0").slice(1, -1);
    await bench.unmount();
    assert.equal(EARLIER_ENCODING.test(config), DOTS);
    await writeFile(files.config, config.replace(EARLIER_ENCODING, ""));
    await mkdir(share.mountPath, { recursive: true });
    const [sends, ...names] = ["--vfs-write-back", "--vfs-case-insensitive"];
    const options = args.filter((one) => !names.includes(one));
    options[options.indexOf(sends) + 1] = "1h";
    const earlier = spawn(rclone, options, { stdio: "ignore" });
    await eventually(async () => (await found(bench.fresh(), share)).length === 1);
    const anew = bench.fresh();
    assert.equal((await found(anew, share))[0]?.outdated, undefined, "rclone's version is not known yet");
    assert.equal(await anew.missingRequirement(share), null);
    const [former] = await found(anew, share);
    assert.deepEqual([former?.madeByDriver, former?.outdated], [true, true]);
    const written = { "R.E.M.": "song", "end.": "dot", plain: "plain", "x．": "wide" };
    await writeFile(join(bench.disk, "there"), "old");
    for (const [name, text] of Object.entries(written)) await writeFile(join(share.mountPath, name), text);
    // Until rclone has noted all of them whole, as it does at the close; after the first note alone, a file is set aside.
    const sizes = Object.values(written).map(({ length }) => length);
    await eventually(async () => {
      const entries = await readdir(bench.stateFolder, { recursive: true, withFileTypes: true });
      const notes = entries.filter((one) => one.isFile() && one.parentPath.includes("/vfsMeta/"));
      const noted = notes.map(async ({ parentPath, name }) => {
        const { Dirty, Size } = JSON.parse(await readFile(join(parentPath, name), "utf8"));
        return Dirty === true ? Size : null;
      });
      return isDeepStrictEqual((await Promise.all(noted)).toSorted(), sizes.toSorted());
    });
    assert.equal((await anew.unsent(share)).length, sizes.length);
    earlier.kill("SIGKILL");
    await once(earlier, "exit");
    await bench.unmount();
    assert.deepEqual(await readdir(bench.disk), ["there"]);
    const outcome = await anew.mount(share, "tb", limits());
    assert.ok(outcome.ok && outcome.mount.outdated === undefined, JSON.stringify(outcome));
    const spelled = (name: string): string => name.replace(/．$/, "‛．").replace(/\.$/, "．");
    const sent = Object.entries(written).map(([name, text]) => [DOTS ? spelled(name) : name, text]);
    const expected = { there: "old", ...Object.fromEntries(sent) };
    await eventually(async () => isDeepStrictEqual(await contents(bench.disk), expected));
    if (DOTS) assert.deepEqual(await contents(share.mountPath), { there: "old", ...written });
  });
});

describe("the readers of a mount", MOSTLY_WAITS, () => {
  /** As another user of this machine; only root can be one. */
  const isRoot = process.getuid?.() === 0;
  const asOther = async (command: string): Promise<boolean> => {
    const child = spawn("sh", ["-c", command], { stdio: "ignore", uid: 65534, gid: 65534, cwd: "/" });
    const [code] = await once(child, "exit");
    return code === 0;
  };
  const ACCESS = [
    ["nothing said", undefined, "644 755", false, false],
    ["modes alone", { allowOther: false, fileMode: "0755", folderMode: "700" }, "755 700", false, false],
    ["others may read", { allowOther: true, fileMode: "0644", folderMode: "0755" }, "644 755", true, false],
    ["others may write", { allowOther: true, fileMode: "0666", folderMode: "0777" }, "666 777", true, true],
    [
      "others may not enter",
      { allowOther: true, fileMode: "0644", folderMode: "0700" },
      "644 700",
      false,
      false,
    ],
  ] as const;
  for (const [what, access, modes, reads, writes] of ACCESS) {
    it(`A17 ${what}: modes and users`, { skip: access?.allowOther && !isRoot }, async (t) => {
      await using bench = await startNames(t, "folds");
      await writeFile(join(bench.disk, "script"), "#!/bin/sh\nexit 0\n");
      await mkdir(join(bench.disk, "folder"));
      const share = access === undefined ? bench.share : { ...bench.share, access };
      const mount = await bench.mount(undefined, share);
      const [script, folder] = [join(share.mountPath, "script"), join(share.mountPath, "folder")];
      const shown = await Promise.all([script, folder].map((path) => stat(path)));
      assert.equal(shown.map(({ mode }) => (mode & 0o777).toString(8)).join(" "), modes);
      if (isRoot) {
        assert.deepEqual(
          [await asOther(`cat ${script}`), await asOther(`echo x >> ${script}`)],
          [reads, writes],
        );
        await bench.sent();
      }
      // Another setting makes the mount outdated; the same one does not.
      const changed = { ...share, access: { allowOther: false, fileMode: "0600", folderMode: "0700" } };
      assert.deepEqual((await found(bench.driver, share))[0]?.outdated, undefined);
      assert.deepEqual((await found(bench.driver, changed))[0]?.outdated, true);
      assert.equal(mount.outdated, undefined);
    });
  }

  const CONF = [
    ["# user_allow_other\n", false],
    ["", false],
    ["mount_max = 9\nuser_allow_other\n", true],
    [" user_allow_other ", true],
  ] as const;
  for (const [text, isAllowed] of CONF) {
    it(`A17 allow_other with ${JSON.stringify(text)} in fuse.conf`, async (t) => {
      const path = join(await temporaryFolder(t), "fuse.conf");
      await writeFile(path, text);
      const access = { allowOther: true, fileMode: "0644", folderMode: "0755" };
      const lacking = await whyNotForOthers({ access }, 1000, path);
      assert.equal(lacking, isAllowed ? null : lacking);
      if (lacking !== null) {
        // The hint can be pasted, without the right to become root here.
        await runCommand("sh", ["-c", lacking.hint.replace("sudo ", "")], {
          clock: systemClock,
          deadlineMs: 60_000,
        });
        assert.equal(await whyNotForOthers({ access }, 1000, path), null);
      }
      assert.equal(await whyNotForOthers({ access }, 0, "/nowhere"), null, "root needs no line");
      assert.equal(await whyNotForOthers({}, 1000, "/nowhere"), null);
    });
  }
});
